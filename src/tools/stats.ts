import { z } from 'zod';
import type { Entry, EntryList, EntryShare, SessionStore } from '../store/types.ts';
import { chooseEntries, namesOf } from './entry-choice.ts';
import { filterArgs } from './filters.ts';
import type { Tool } from './tool.ts';

const args = z.strictObject({
  newest: z.int().min(0).max(200).default(20).describe('How many of the newest entries to list.'),
  since: filterArgs.since,
});

/** What the store holds, or what was stored since some time. */
export const statsTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_stats',
  description:
    'What the context store holds: characters, lines, entries by kind and by tool, and the newest entries with their ids, offsets, sizes, paths and times. With since: the same of what was stored since then.',
  args,
  describe: ({ since }) =>
    since === undefined ? 'looking at what is stored' : 'looking at what was stored lately',
  run: async ({ newest, since }, { session, clock }) => {
    const { store } = session;
    const { totals, list } = store;
    const chosen = chooseEntries(store, { since }, clock.now());
    if (!chosen.ok) return JSON.stringify({ error: chosen.fault });
    const entries = chosen.entries ?? store.entries;
    const count = chosen.entries?.length ?? totals.entries;
    return JSON.stringify({
      ...(chosen.entries === undefined ? countsOfAll(store) : countsOf(chosen.entries, list)),
      newest_entries: entries
        .slice(Math.max(0, count - newest), count)
        .reverse()
        .map((entry) => summaryOf(list, entry)),
      linked_sessions: [],
    });
  },
};

/** Of the whole store: from what the store counts anyway, so no entry is looked at. */
function countsOfAll({ totals, list }: SessionStore): Record<string, unknown> {
  return {
    characters: totals.chars,
    lines: totals.lines,
    bytes: totals.bytes,
    entries: totals.entries,
    by_kind: sharesOf(list.kinds),
    by_tool: sharesOf(list.tools),
    ...(list.replaced.size === 0 ? {} : { superseded_entries: list.replaced.size }),
  };
}

/** Of some entries, in the same members. Looks at each of them once. */
function countsOf(entries: readonly Entry[], list: EntryList): Record<string, unknown> {
  const totals = { chars: 0, lines: 0, bytes: 0, replaced: 0 };
  const kinds = new Map<string, EntryShare>();
  const tools = new Map<string, EntryShare>();
  for (const entry of entries) {
    totals.chars += entry.lengthChars;
    totals.lines += entry.lineCount;
    totals.bytes += entry.lengthBytes;
    if (list.replaced.has(entry)) totals.replaced += 1;
    addTo(kinds, entry.kind, entry);
    if (entry.tool !== undefined) addTo(tools, entry.tool, entry);
  }
  return {
    characters: totals.chars,
    lines: totals.lines,
    bytes: totals.bytes,
    entries: entries.length,
    by_kind: sharesOf(kinds),
    by_tool: sharesOf(tools),
    ...(totals.replaced === 0 ? {} : { superseded_entries: totals.replaced }),
  };
}

function addTo(shares: Map<string, EntryShare>, name: string, { lengthChars }: Entry): void {
  const { count, chars } = shares.get(name) ?? { count: 0, chars: 0 };
  shares.set(name, { count: count + 1, chars: chars + lengthChars });
}

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
    tool: entry.tool,
    ...namesOf(list, entry),
    offset: entry.offsetChars,
    characters: entry.lengthChars,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}
