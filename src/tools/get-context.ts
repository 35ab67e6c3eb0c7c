import { partitionPoint } from '../base/sorted.ts';
import { z } from 'zod';
import type { Entry, SessionStore } from '../store/types.ts';
import { findEntry, namesOf } from './entry-choice.ts';
import { visibleChars } from './slice.ts';
import type { Tool } from './tool.ts';

/** The most that one call reads, in characters (the seed's limit). */
const maxLengthChars = 50_000;

const args = z.strictObject({
  offset: z
    .int()
    .min(0)
    .default(0)
    .describe(
      'Where to begin, in characters from the start of the whole context, or of the entry if one is named.',
    ),
  length: z
    .int()
    .min(1)
    .default(10_000)
    .describe(`How much to read, in characters; at most ${maxLengthChars}.`),
  entry: z.string().optional().describe('Read this entry, such as "e12".'),
});

/** Reads stored text by position. */
export const getContextTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_get_context',
  description:
    'Read stored text, byte for byte: by entry ({"entry": "e12"}), or by offset in the whole context as search hits name it ({"offset": 120000, "length": 4000}). ' +
    'Returns {text, offset, length, total, has_more, next_offset}; go on with next_offset.',
  args,
  describe: ({ offset, length, entry }) =>
    entry === undefined ? `reading ${length} characters at ${offset}` : `reading ${entry}`,
  run: async ({ offset, length, entry: name }, { session, slice: visible }) => {
    const { store } = session;
    const named = name === undefined ? undefined : findEntry(store, name);
    if (named?.ok === false) return JSON.stringify({ error: named.fault });
    const total = named?.entry.lengthChars ?? store.totals.chars;
    const { startChars, endChars } = visibleChars(store, visible);
    // Without an entry named, the one that the offset lies in: a read never shows another's text
    // under its name.
    const entry = named?.entry ?? (offset < total ? entryFrom(store, offset) : undefined);
    // The newline between two entries is nobody's: a read from there begins behind it.
    const from =
      named === undefined
        ? Math.max(Math.min(offset, total), entry?.offsetChars ?? 0)
        : named.entry.offsetChars + Math.min(offset, total);
    const entryEnd = entry === undefined ? from : entry.offsetChars + entry.lengthChars;
    const wanted = Math.max(0, Math.min(length, maxLengthChars, entryEnd - from));
    if (from < startChars || from + wanted > endChars)
      return JSON.stringify({
        error: `You see characters ${startChars} to ${endChars} of the context; read inside them.`,
      });
    const slice = await store.read(from, wanted);
    const start = from - (named?.entry.offsetChars ?? 0);
    const end = start + slice.lengthChars;
    const next =
      named === undefined && from + slice.lengthChars >= entryEnd
        ? entryBehind(store, entry)
        : undefined;
    const hasMore = named === undefined ? next !== undefined || end < entryEnd : end < total;
    const notes = [
      length > maxLengthChars ? `At most ${maxLengthChars} characters are read at once.` : '',
      offset > total ? `The offset lies behind the end, which is at ${total}.` : '',
      next === undefined || slice.lengthChars === length
        ? ''
        : `${entry?.id} ends here; ${next.id} begins at ${next.offsetChars}.`,
    ].filter((note) => note !== '');
    return JSON.stringify({
      offset: offset > total ? offset : start,
      length: slice.lengthChars,
      total,
      has_more: hasMore,
      ...(hasMore ? { next_offset: next?.offsetChars ?? end } : {}),
      ...(entry === undefined ? {} : { entry: entry.id, ...namesOf(store.list, entry) }),
      ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
      text: slice.text,
    });
  },
};

/**
 * The entry that holds a character; for the newline between two, and for empty ones, the next that
 * has text.
 */
function entryFrom({ entries, totals }: SessionStore, offsetChars: number): Entry | undefined {
  const index = partitionPoint(totals.entries, (at) => {
    const { offsetChars: start, lengthChars } = entries[at]!;
    return start + lengthChars <= offsetChars;
  });
  return entries[index];
}

/** The next entry that has text. */
function entryBehind(store: SessionStore, entry: Entry | undefined): Entry | undefined {
  if (entry === undefined) return undefined;
  const next = entryFrom(store, entry.offsetChars + entry.lengthChars);
  return next !== undefined && next.seq <= store.totals.entries ? next : undefined;
}
