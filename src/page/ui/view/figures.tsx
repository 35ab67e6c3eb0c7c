import type { SessionView, TotalsView } from '../../page-protocol.ts';
import { bytesText, countText, shareText, shortCountText } from '../model/figures-text.ts';

/** What it has come to since the server was started. */
export function Figures({
  totals,
  sessions,
}: {
  readonly totals: TotalsView;
  readonly sessions: readonly SessionView[];
}) {
  const storedChars = sessions.reduce((sum, { chars }) => sum + chars, 0);
  const storedBytes = sessions.reduce((sum, { bytes }) => sum + bytes, 0);
  const saved = Math.max(0, totals.estimatedTokensWithout - totals.promptTokens);
  return (
    <section class="figures" aria-labelledby="figures">
      <h2 id="figures" class="visually-hidden">
        Figures since the start
      </h2>
      <dl>
        <Figure
          name="kept in the store"
          value={storedChars === 0 ? '0' : shortCountText(storedChars)}
          note={`characters; ${bytesText(storedBytes)} on disk`}
        />
        <Figure
          name="went upstream"
          value={bytesText(totals.upstreamBytes)}
          note={`${shortCountText(totals.promptTokens)} prompt tokens`}
        />
        <Figure
          name="of it cached"
          value={shareText(totals.cachedTokens, totals.promptTokens) ?? '–'}
          note={`${shortCountText(totals.cachedTokens)} tokens`}
        />
        <Figure
          name="tokens saved"
          value={shortCountText(saved)}
          note={
            saved === 0
              ? 'small chats go up as they came'
              : `about ${shareText(saved, totals.estimatedTokensWithout) ?? '–'} of what histories would cost`
          }
        />
        <Figure
          name="turns"
          value={countText(totals.turns)}
          note={`${countText(totals.steps)} steps, ${countText(totals.toolCalls)} tool calls`}
        />
        <Figure
          name="demotions"
          value={countText(totals.demotions)}
          note={`${countText(totals.storedTexts)} texts stored`}
        />
      </dl>
    </section>
  );
}

function Figure({
  name,
  value,
  note,
}: {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        <span class="figure-value">{value}</span>
        <span class="figure-note">{note}</span>
      </dd>
    </div>
  );
}
