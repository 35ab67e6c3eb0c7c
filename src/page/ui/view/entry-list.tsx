import { useState } from 'preact/hooks';
import type { EntryView } from '../../page-protocol.ts';
import { agoText, countText, shortCountText } from '../model/figures-text.ts';
import { fragmentOf } from '../model/route.ts';
import { useNow, useRovingRow } from './hooks.ts';
import { usePaged } from './paged.ts';
import { askEntries } from './server-calls.ts';
import { StoredText } from './stored-text.tsx';
import { type RowToShow, VirtualRows } from './virtual-rows.tsx';

const rowPx = 44;

/** All entries of a session, newest first, however many there are. */
export function EntryList({
  session,
  revision,
}: {
  readonly session: string;
  /** Changes when the list does. */
  readonly revision: string;
}) {
  const list = usePaged<EntryView>({ key: session, revision }, async (range, signal) => {
    const { total, entries } = await askEntries(session, range, signal);
    return { total, items: entries };
  });
  const now = useNow(60_000);
  const [show, setShow] = useState<RowToShow>();
  const total = list.total ?? 0;
  const { row, onKeyDown, setRow } = useRovingRow(total, (next) =>
    setShow({ row: next, place: 'edge', focus: true }),
  );
  if (list.fault !== undefined)
    return (
      <p class="fault" role="alert">
        <StoredText text={list.fault} />
      </p>
    );
  if (list.total === 0) {
    return (
      <p class="empty">
        Nothing is stored here yet. <code>rlm-opencode ingest FILE</code> puts files in by hand.
      </p>
    );
  }
  return (
    <section aria-label="Entries" aria-busy={list.total === undefined}>
      <VirtualRows
        rows={total}
        rowPx={rowPx}
        label="Entries, newest first"
        className="entries"
        show={show}
        onWindow={list.onWindow}
        onKeyDown={onKeyDown}
      >
        {(at) => {
          const entry = list.at(at);
          if (entry === undefined) return <span class="entry is-waiting">…</span>;
          return (
            <a
              class={entry.forgotten === undefined ? 'entry' : 'entry is-forgotten'}
              href={fragmentOf({ at: 'entry', session, entry: entry.id })}
              tabIndex={at === row ? 0 : -1}
              data-row={at}
              onFocus={() => setRow(at)}
            >
              <EntryLine entry={entry} now={now} />
            </a>
          );
        }}
      </VirtualRows>
    </section>
  );
}

/** An entry in one line. */
function EntryLine({ entry, now }: { readonly entry: EntryView; readonly now: number }) {
  return (
    <>
      <span class="entry-id">{entry.id}</span>
      <span class="entry-kind">
        <StoredText text={entry.kind} />
      </span>
      <span class="entry-title">
        <StoredText text={entry.title === '' ? '(no title)' : entry.title} />
        {entry.forgotten !== undefined && <span class="tag">forgotten</span>}
      </span>
      <span class="entry-lines">{countText(entry.lines)} lines</span>
      <span class="entry-chars">{shortCountText(entry.chars)} ch.</span>
      <span class="entry-age">{agoText(entry.addedAtMs, now)}</span>
    </>
  );
}
