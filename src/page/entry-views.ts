import type { Entry, SessionStore } from '../store/types.ts';
import { goneSentence } from '../store/text/gone-text.ts';
import { titleOf } from '../tools/entry-title.ts';
import type { EntriesPage, EntryDetail, EntryView } from './page-protocol.ts';

/** Entries `from` to `from + count` of a store, the newest first; no others are looked at. */
export async function entriesPage(
  store: SessionStore,
  { from, count }: { readonly from: number; readonly count: number },
): Promise<EntriesPage> {
  const total = store.totals.entries;
  const end = Math.max(0, total - from);
  const entries = store.entries.slice(Math.max(0, end - count), end).toReversed();
  return { total, from, entries: await Promise.all(entries.map((one) => entryView(store, one))) };
}

/** One entry as a list shows it. */
export async function entryView(store: SessionStore, entry: Entry): Promise<EntryView> {
  const { id, kind, tool, forgotten, lengthChars, lineCount, timeMs } = entry;
  const isGone = forgotten !== undefined;
  return {
    id,
    kind: tool ?? kind,
    title: await titleOf(store, entry),
    chars: isGone ? 0 : lengthChars,
    lines: isGone ? 0 : lineCount,
    addedAtMs: timeMs,
    ...(isGone ? { forgotten: goneSentence(entry, forgotten) } : {}),
  };
}

/** One entry with what is known of its text. */
export async function entryDetail(store: SessionStore, entry: Entry): Promise<EntryDetail> {
  const { kind, items } = entry.outline ?? { kind: undefined, items: [] };
  return {
    ...(await entryView(store, entry)),
    outline: items.map(outlineItem),
    ...(kind === undefined ? {} : { outlineKind: kind }),
  };
}

function outlineItem(item: string): EntryDetail['outline'][number] {
  const [, line, text] = /^line (\d+): (.*)$/s.exec(item) ?? [];
  return line === undefined || text === undefined ? { text: item } : { line: Number(line), text };
}
