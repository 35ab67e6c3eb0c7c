import { z } from 'zod';
import type { Entry } from '../store/types.ts';
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
    const { totals, entries } = session.store;
    const now = entries.slice(0, totals.entries);
    return JSON.stringify({
      characters: totals.chars,
      lines: totals.lines,
      bytes: totals.bytes,
      entries: totals.entries,
      by_kind: countBy(now, (entry) => entry.kind),
      by_tool: countBy(now, (entry) => entry.tool),
      newest_entries: newest === 0 ? [] : now.slice(-newest).reverse().map(summaryOf),
      linked_sessions: [],
    });
  },
};

function countBy(
  entries: readonly Entry[],
  keyOf: (entry: Entry) => string | undefined,
): Record<string, { entries: number; characters: number }> {
  const counts = new Map<string, { entries: number; characters: number }>();
  for (const entry of entries) {
    const key = keyOf(entry);
    if (key === undefined) continue;
    const count = counts.get(key) ?? { entries: 0, characters: 0 };
    count.entries += 1;
    count.characters += entry.lengthChars;
    counts.set(key, count);
  }
  return Object.fromEntries(counts);
}

function summaryOf(entry: Entry): Record<string, unknown> {
  return {
    entry: entry.id,
    kind: entry.kind,
    ...(entry.tool === undefined ? {} : { tool: entry.tool }),
    ...(entry.path === undefined ? {} : { path: entry.path }),
    offset: entry.offsetChars,
    characters: entry.lengthChars,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}
