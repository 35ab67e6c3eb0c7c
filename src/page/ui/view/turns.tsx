import { useState } from 'preact/hooks';
import type { CallView, StepView, TurnView } from '../../page-protocol.ts';
import {
  agoText,
  bytesText,
  countOf,
  countText,
  durationText,
  shareText,
  shortCountText,
} from '../model/figures-text.ts';
import { hiddenCounts, presentWords, stepWords, stretches } from '../model/timeline.ts';
import { useNow } from './hooks.ts';
import { FolderName, StoredText } from './stored-text.tsx';

/** So many that have ended are shown; more on demand. */
const endedAtFirst = 8;

/** Turns: those that run, open; those that have ended, folded, the last one first. */
export function Turns({
  turns,
  isLive,
}: {
  readonly turns: readonly TurnView[];
  readonly isLive: boolean;
}) {
  const [shown, setShown] = useState(endedAtFirst);
  const running = turns.filter(({ state }) => state === 'running');
  const ended = turns.filter(({ state }) => state !== 'running').toReversed();
  return (
    <section aria-labelledby="turns">
      <div class="section-head">
        <h2 id="turns">Turns</h2>
        {turns.length > 0 && (
          <p class="quiet">
            {running.length === 0 ? 'none is running' : `${countText(running.length)} running`}
          </p>
        )}
      </div>
      {turns.length === 0 && (
        <p class="empty">
          No turn yet. Send a message from your assistant: <code>rlm-opencode setup</code> points
          one to this server, and <code>rlm-opencode ask hello</code> tries it at once.
        </p>
      )}
      <ul class="turns" role="list">
        {[...running.toReversed(), ...ended.slice(0, shown)].map((turn) => (
          <li key={turn.id}>
            <Turn turn={turn} isLive={isLive} />
          </li>
        ))}
      </ul>
      {ended.length > shown && (
        <button type="button" class="more" onClick={() => setShown(shown + 50)}>
          Show {countText(Math.min(50, ended.length - shown))} earlier ones
        </button>
      )}
    </section>
  );
}

function Turn({ turn, isLive }: { readonly turn: TurnView; readonly isLive: boolean }) {
  const isRunning = turn.state === 'running';
  // What one has opened or folded oneself stays so.
  const [chosen, setChosen] = useState<boolean>();
  const isOpen = chosen ?? isRunning;
  const now = useNow(isRunning && isLive ? 250 : 30_000);
  const elapsedMs = isRunning ? Math.max(turn.elapsedMs, now - turn.startedAtMs) : turn.elapsedMs;
  return (
    <details class={`turn is-${turn.state}`} open={isOpen}>
      <summary
        onClick={(event) => {
          event.preventDefault();
          setChosen(!isOpen);
        }}
      >
        <span class="turn-lamp" aria-hidden="true" />
        <span class="turn-words">
          {isRunning || turn.state === 'aborted' || turn.error === undefined ? (
            <StoredText text={presentWords(turn)} />
          ) : (
            <StoredText text={`failed: ${turn.error}`} />
          )}
        </span>
        <span class="turn-where">
          {turn.directory !== undefined && <FolderName path={turn.directory} />}
          {turn.client !== undefined && <StoredText text={turn.client} />}
        </span>
        <span class="turn-counts">
          {turn.promptTokens > 0 && <span>{shortCountText(turn.promptTokens)} tokens</span>}
          {turn.demotions > 0 && <span class="tag">demotion</span>}
        </span>
        <span class="turn-time">
          <span>{durationText(elapsedMs)}</span>
          {!isRunning && <span class="quiet">{agoText(turn.startedAtMs + elapsedMs, now)}</span>}
        </span>
      </summary>
      {isOpen && <TurnBody turn={turn} elapsedMs={elapsedMs} />}
    </details>
  );
}

function TurnBody({ turn, elapsedMs }: { readonly turn: TurnView; readonly elapsedMs: number }) {
  const { steps, calls, subCalls } = hiddenCounts(turn);
  const cached = shareText(turn.cachedTokens, turn.promptTokens);
  return (
    <div class="turn-body">
      <TimeLine turn={turn} elapsedMs={elapsedMs} />
      <ol class="steps" role="list">
        {turn.steps.map((step, index) => (
          <Step
            key={index}
            step={step}
            words={stepWords(turn, index)}
            number={index + 1}
            elapsedMs={elapsedMs}
          />
        ))}
      </ol>
      {turn.limit !== undefined && (
        <p class="fault">
          Ended at a limit: <StoredText text={turn.limit} />
        </p>
      )}
      {turn.error !== undefined && (
        <p class="fault">
          <StoredText text={turn.error} />
        </p>
      )}
      <dl class="turn-facts">
        {turn.model !== undefined && (
          <Fact name="model">
            <StoredText text={turn.model} />
          </Fact>
        )}
        <Fact name="tools">{toolWords[turn.tools]}</Fact>
        {calls > 0 && (
          <Fact name="hidden">
            {countOf(steps, 'step')}, {countOf(calls, 'call')}
            {subCalls > 0 && `, ${countOf(subCalls, 'sub-call')}`}
          </Fact>
        )}
        {cached !== undefined && <Fact name="cached">{cached}</Fact>}
        {turn.completionTokens > 0 && (
          <Fact name="answered">{shortCountText(turn.completionTokens)} tokens</Fact>
        )}
        {turn.storedTexts > 0 && <Fact name="stored">{countOf(turn.storedTexts, 'text')}</Fact>}
        {turn.session !== undefined && (
          <Fact name="store">
            <a href={`#/session/${encodeURIComponent(turn.session)}`}>open</a>
          </Fact>
        )}
        <Fact name="id">
          <code>{turn.id}</code>
        </Fact>
      </dl>
    </div>
  );
}

const toolWords = {
  none: 'none: a small chat',
  dormant: 'one, until the model asks for more',
  active: 'all',
} as const;

function Fact({
  name,
  children,
}: {
  readonly name: string;
  readonly children: preact.ComponentChildren;
}) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Step({
  step,
  words,
  number,
  elapsedMs,
}: {
  readonly step: StepView;
  readonly words: string;
  readonly number: number;
  readonly elapsedMs: number;
}) {
  const isHidden = step.calls.length > 0;
  const endMs = step.endedMs ?? elapsedMs;
  return (
    <li class={isHidden ? 'step is-hidden' : 'step'}>
      <p class="step-head">
        <span class="step-number">step {number}</span>
        <span class="step-kind">{words}</span>
        <span class="step-facts">
          {step.promptTokens === undefined
            ? `${bytesText(step.sentBytes)} sent`
            : `${shortCountText(step.promptTokens)} tokens`}
          {step.cachedTokens !== undefined &&
            step.promptTokens !== undefined &&
            `, ${shareText(step.cachedTokens, step.promptTokens) ?? '–'} cached`}
          {step.firstChunkMs !== undefined &&
            `, first word after ${durationText(step.firstChunkMs - step.startedMs)}`}
        </span>
        <span class="step-time">{durationText(Math.max(0, endMs - step.startedMs))}</span>
      </p>
      {isHidden && (
        <ul class="calls" role="list">
          {step.calls.map((call, index) => (
            <Call key={index} call={call} elapsedMs={elapsedMs} />
          ))}
        </ul>
      )}
    </li>
  );
}

function Call({ call, elapsedMs }: { readonly call: CallView; readonly elapsedMs: number }) {
  const isRunning = call.endedMs === undefined;
  return (
    <li class={isRunning ? 'call is-running' : 'call'}>
      <p>
        <code class="call-name">
          <StoredText text={call.name} />
        </code>
        <span class="call-words">
          <StoredText text={call.words} />
        </span>
        <span class="call-facts">
          {call.subCalls > 0 && <span class="tag">{countOf(call.subCalls, 'sub-call')}</span>}
          {call.resultChars !== undefined && (
            <span>{shortCountText(call.resultChars)} characters back</span>
          )}
        </span>
        <span class="step-time">
          {durationText(Math.max(0, (call.endedMs ?? elapsedMs) - call.startedMs))}
        </span>
      </p>
      {call.reports.length > 0 && (
        <ul class="reports" role="list">
          {call.reports.map((report, index) => (
            <li key={index}>
              <StoredText text={report} />
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

/** What took how long, drawn; the same is written in the steps below. */
function TimeLine({ turn, elapsedMs }: { readonly turn: TurnView; readonly elapsedMs: number }) {
  const all = Math.max(1, elapsedMs);
  return (
    <svg
      class="time-line"
      viewBox="0 0 1000 10"
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <rect class="stretch-none" x="0" y="4" width="1000" height="2" />
      {stretches(turn, elapsedMs).map(({ kind, startMs, endMs }, index) => (
        <rect
          key={index}
          class={`stretch-${kind}`}
          x={(1000 * startMs) / all}
          y={kind === 'waiting' ? 3 : 0}
          width={Math.max(1.5, (1000 * (endMs - startMs)) / all)}
          height={kind === 'waiting' ? 4 : 10}
        />
      ))}
    </svg>
  );
}
