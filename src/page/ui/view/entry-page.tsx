import { useEffect, useState } from 'preact/hooks';
import type { EntryDetail, SessionView } from '../../page-protocol.ts';
import { agoText, countOf, countText, shortCountText } from '../model/figures-text.ts';
import { markAt } from '../model/outline.ts';
import { fragmentOf, type PageRoute } from '../model/route.ts';
import { EntryText } from './entry-text.tsx';
import { goTo, useAsked, useNow, useRovingRow } from './hooks.ts';
import { askEntry } from './server-calls.ts';
import { SessionName } from './sessions.tsx';
import { StoredText } from './stored-text.tsx';
import { type RowToShow, VirtualRows } from './virtual-rows.tsx';

type EntryRoute = Extract<PageRoute, { at: 'entry' }>;

/** One stored text: what it is made of, and the text itself. */
export function EntryPage({
  route,
  sessions,
}: {
  readonly route: EntryRoute;
  readonly sessions: readonly SessionView[];
}) {
  const { session, entry, search } = route;
  const { answer: detail, fault } = useAsked(`${session} ${entry}`, async (signal) =>
    askEntry(session, entry, signal),
  );
  const project = sessions.find(({ id }) => id === session);
  const goToLine = (line: number): void => goTo({ ...route, line });
  return (
    <>
      <nav class="crumbs" aria-label="Way back">
        <a href="#/">Overview</a>
        <a href={fragmentOf({ at: 'session', session })}>
          {project === undefined ? (
            <StoredText text={session} />
          ) : (
            <SessionName session={project} />
          )}
        </a>
        {search !== undefined && (
          <a href={fragmentOf({ at: 'session', session, search })}>
            hits of “<StoredText text={search.query} />”
          </a>
        )}
      </nav>
      <EntryHead entry={entry} detail={detail} />
      {fault !== undefined && (
        <p class="fault" role="alert">
          <StoredText text={fault} />
        </p>
      )}
      {detail?.forgotten !== undefined && (
        <p class="note">
          <StoredText text={detail.forgotten} />
        </p>
      )}
      {detail !== undefined && detail.forgotten === undefined && (
        <div class={detail.outline.length === 0 ? 'reader' : 'reader has-outline'}>
          {detail.outline.length > 0 && (
            <Outline detail={detail} line={route.line} onLine={goToLine} />
          )}
          <EntryText route={route} detail={detail} onLine={goToLine} />
        </div>
      )}
    </>
  );
}

function EntryHead({
  entry,
  detail,
}: {
  readonly entry: string;
  readonly detail: EntryDetail | undefined;
}) {
  const now = useNow(60_000);
  return (
    <div class="page-head">
      <h1 tabIndex={-1}>
        <span class="entry-id">{entry}</span>{' '}
        {detail !== undefined && <StoredText text={detail.title} />}
      </h1>
      {detail !== undefined && (
        <p class="quiet">
          <StoredText text={detail.kind} />,{' '}
          {detail.forgotten === undefined &&
            `${countOf(detail.lines, 'line')}, ${shortCountText(detail.chars)} characters, `}
          stored {agoText(detail.addedAtMs, now)}
        </p>
      )}
    </div>
  );
}

const outlineRowPx = 28;

/** What the text is made of; a click or Enter goes there. */
function Outline({
  detail,
  line,
  onLine,
}: {
  readonly detail: EntryDetail;
  readonly line: number | undefined;
  readonly onLine: (line: number) => void;
}) {
  const { outline, outlineKind } = detail;
  const [show, setShow] = useState<RowToShow>();
  const { row, onKeyDown, setRow } = useRovingRow(outline.length, (next) =>
    setShow({ row: next, place: 'edge', focus: true }),
  );
  const present = markAt(outline, line);
  useEffect(() => {
    if (present >= 0) setShow({ row: present, place: 'edge' });
  }, [present]);
  return (
    <section class="outline" aria-labelledby="outline">
      <h2 id="outline">
        Outline <span class="quiet">{outlineKind}</span>
      </h2>
      <VirtualRows
        rows={outline.length}
        rowPx={outlineRowPx}
        label="Outline"
        className="outline-rows"
        show={show}
        onWindow={nothing}
        onKeyDown={onKeyDown}
      >
        {(at) => {
          const mark = outline[at];
          if (mark === undefined) return null;
          return (
            <button
              type="button"
              class="outline-mark"
              tabIndex={at === row ? 0 : -1}
              data-row={at}
              {...(at === present ? { 'aria-current': 'location' } : {})}
              onFocus={() => setRow(at)}
              onClick={() => onLine(mark.line ?? 1)}
              title={mark.text}
            >
              <StoredText text={mark.text} />
              {mark.line !== undefined && <span class="line-number">{countText(mark.line)}</span>}
            </button>
          );
        }}
      </VirtualRows>
    </section>
  );
}

function nothing(): void {
  // All of it is there.
}
