import { z } from 'zod';
import type { Entry, EntryList, EntryShare, SessionStore } from '../../store/types.ts';
import { chooseEntries, namesOf } from '../entry-choice.ts';
import { labelOf, marksOf, titleOf } from '../entry-title.ts';
import { filterArgs } from '../filters.ts';
import { counted, faultText, formatArg } from '../result-form.ts';
import type { Tool } from '../tool.ts';

const args = z.strictObject({
  newest: z.int().min(0).max(200).default(20).describe('How many of the newest entries to list.'),
  since: filterArgs.since,
  ...formatArg,
});

/** What the store holds, or what was stored since some time. */
export const statsTool: Tool<z.infer<typeof args>> = {
  name: 'rlm_stats',
  description:
    'What the context store holds: characters, lines, entries by kind and by tool, and the newest entries with their ids, offsets, sizes, paths and times. With since: the same of what was stored since then.',
  args,
  describe: ({ since }) =>
    since === undefined ? 'looking at what is stored' : 'looking at what was stored lately',
  run: async ({ newest, since, format }, { session, clock, form: usual = 'text' }) => {
    const form = format ?? usual;
    const { store } = session;
    const { totals, list } = store;
    const chosen = chooseEntries(store, { since }, clock.now());
    if (!chosen.ok) return faultText(chosen.fault, form);
    const entries = chosen.entries ?? store.entries;
    const count = chosen.entries?.length ?? totals.entries;
    const counts =
      chosen.entries === undefined ? countsOfAll(store) : countsOf(chosen.entries, list);
    const listed = entries.slice(Math.max(0, count - newest), count).reverse();
    if (form === 'text') return statsText(store, counts, listed);
    const summaries: Record<string, unknown>[] = [];
    for (const entry of listed) summaries.push(await summaryOf(store, entry));
    return JSON.stringify({ ...counts, newest_entries: summaries, linked_sessions: [] });
  },
};

/** Entries and characters by a name. */
type Shares = Readonly<Record<string, { readonly entries: number; readonly characters: number }>>;

/** Sizes of what is stored. */
interface Counts {
  readonly characters: number;
  readonly lines: number;
  readonly bytes: number;
  readonly entries: number;
  readonly by_kind: Shares;
  readonly by_tool: Shares;
  readonly superseded_entries?: number;
}

/** The same for a model to read. */
async function statsText(
  store: SessionStore,
  counts: Counts,
  listed: readonly Entry[],
): Promise<string> {
  const { superseded_entries: replaced = 0 } = counts;
  const old = replaced === 0 ? '' : `, ${replaced} of them old texts that newer ones replaced`;
  const lines = [
    `${counts.characters} characters, ${counted(counts.lines, 'line')}, ${counted(counts.entries, 'entry', 'entries')}${old}`,
  ];
  for (const [title, shares] of [
    ['by kind', counts.by_kind],
    ['by tool', counts.by_tool],
  ] as const) {
    const each = Object.entries(shares).map(
      ([name, share]) => `${name} ${share.entries} (${share.characters} characters)`,
    );
    if (each.length > 0) lines.push(`${title}: ${each.join(', ')}`);
  }
  if (listed.length > 0) lines.push('', 'newest first (characters, lines, time):');
  for (const entry of listed)
    lines.push(
      `${entry.id} ${await labelOf(store, entry)}${marksOf(store.list, entry)}: ${entry.lengthChars}, ${entry.lineCount}, ${new Date(entry.timeMs).toISOString().slice(0, 16)}Z`,
    );
  return lines.join('\n');
}

/** Of the whole store: from what the store counts anyway, so no entry is looked at. */
function countsOfAll({ totals, list }: SessionStore): Counts {
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
function countsOf(entries: readonly Entry[], list: EntryList): Counts {
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

function sharesOf(shares: ReadonlyMap<string, EntryShare>): Shares {
  return Object.fromEntries(
    [...shares].map(([name, { count, chars }]) => [name, { entries: count, characters: chars }]),
  );
}

async function summaryOf(store: SessionStore, entry: Entry): Promise<Record<string, unknown>> {
  return {
    entry: entry.id,
    kind: entry.kind,
    ...(entry.tool === undefined ? {} : { tool: entry.tool }),
    title: await titleOf(store, entry),
    ...namesOf(store.list, entry),
    offset: entry.offsetChars,
    characters: entry.lengthChars,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}
