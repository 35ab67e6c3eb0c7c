import { z } from 'zod';
import type { Entry, EntryList, EntryShare } from '../store/types.ts';
import { namesOf } from './entry-choice.ts';
import type { Tool } from './tool.ts';

const args = z.strictObject({
  newest: z.int().min(0).max(200).default(20).describe('How many of the newest entries to list.'),
});

/** What the store holds. */
export const statsTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_stats',
  description:
    'What the context store holds: characters, lines, entries by kind and by tool, and the newest entries with their ids, offsets, sizes, paths and times.',
  args,
  describe: () => 'looking at what is stored',
  run: async ({ newest }, { session }) => {
    const { totals, entries, list } = session.store;
    const now = entries.slice(Math.max(0, totals.entries - newest), totals.entries);
    return JSON.stringify({
      characters: totals.chars,
      lines: totals.lines,
      bytes: totals.bytes,
      entries: totals.entries,
      by_kind: sharesOf(list.kinds),
      by_tool: sharesOf(list.tools),
      ...(list.replaced.size === 0 ? {} : { superseded_entries: list.replaced.size }),
      newest_entries: now.reverse().map((entry) => summaryOf(list, entry)),
      linked_sessions: [],
    });
  },
};

function sharesOf(
  shares: ReadonlyMap<string, EntryShare>,
): Record<string, { entries: number; characters: number }> {
  return Object.fromEntries(
    [...shares].map(([name, { count, chars }]) => [name, { entries: count, characters: chars }]),
  );
}

function summaryOf(list: EntryList, entry: Entry): Record<string, unknown> {
  return {
    entry: entry.id,
    kind: entry.kind,
    ...(entry.tool === undefined ? {} : { tool: entry.tool }),
    ...namesOf(list, entry),
    offset: entry.offsetChars,
    characters: entry.lengthChars,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}
