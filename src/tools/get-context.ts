import { z } from 'zod';
import type { Entry } from '../store/types.ts';
import { entryAt, unknownEntry } from './filters.ts';
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
  run: async ({ offset, length, entry: id }, { session, slice: visible }) => {
    const { store } = session;
    const entry = id === undefined ? undefined : store.entry(id);
    if (id !== undefined && entry === undefined)
      return JSON.stringify({ error: unknownEntry(store, id) });
    const base = entry?.offsetChars ?? 0;
    const total = entry?.lengthChars ?? store.totals.chars;
    const wanted = Math.max(0, Math.min(length, maxLengthChars, total - offset));
    const { startChars, endChars } = visibleChars(store, visible);
    const from = base + Math.min(offset, total);
    if (from < startChars || from + wanted > endChars)
      return JSON.stringify({
        error: `You see characters ${startChars} to ${endChars} of the context; read inside them.`,
      });
    const slice = await store.read(from, wanted);
    const end = offset + slice.lengthChars;
    const first = entry ?? entryStartingBefore(store.entries, slice.offsetChars);
    return JSON.stringify({
      offset,
      length: slice.lengthChars,
      total,
      has_more: end < total,
      ...(end < total ? { next_offset: end } : {}),
      ...(first === undefined
        ? {}
        : { entry: first.id, ...(first.path === undefined ? {} : { path: first.path }) }),
      ...(length > maxLengthChars
        ? { note: `At most ${maxLengthChars} characters are read at once.` }
        : {}),
      ...(offset > total ? { note: `The offset lies behind the end, which is at ${total}.` } : {}),
      text: slice.text,
    });
  },
};

/** The entry a range begins in, for orientation. */
function entryStartingBefore(entries: readonly Entry[], offsetChars: number): Entry | undefined {
  let low = 0;
  let high = entries.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((entries[middle] as Entry).offsetChars <= offsetChars) low = middle;
    else high = middle - 1;
  }
  const entry = entries[low];
  return entry === undefined ? undefined : entryAt([entry], entry.offsetBytes);
}
