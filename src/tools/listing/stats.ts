import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import type { Entry, EntryList, EntryShare, Naming, SessionStore } from '../../store/types.ts';
import { chooseEntries, namesOf } from '../entry-choice.ts';
import { labelOf, marksOf, titleOf } from '../entry-title.ts';
import { counted, faultText, formatArg, onOneLine } from '../result-form.ts';
import { plainScopeArg, scopeOf } from '../linked/scope.ts';
import { isVisible } from '../slice.ts';
import { inCursorsStore, linkedNote, linkedSizes, overStores, withNotes } from './linked-stats.ts';
import type { Tool, ToolContext } from '../tool.ts';
import { foldersOf, isUnder, type FolderTree } from './folders.ts';

const args = z.strictObject({
  kind: z.string().optional(),
  tool: z.string().optional(),
  path: z.string().optional(),
  folder: z.string().optional().describe('All below it; lists its parts, too.'),
  title: z.string().optional().describe('Text in the title: the command, path or first line.'),
  since: z.string().optional(),
  until: z.string().optional().describe('As since; a date is included.'),
  newest: z.int().min(0).max(200).default(20).describe('Entries listed.'),
  cursor: z.string().optional(),
  ...plainScopeArg,
  ...formatArg,
});

type Args = z.infer<typeof args>;

/** What chooses entries, among the arguments. */
const filterNames = ['kind', 'tool', 'path', 'folder', 'title', 'since', 'until'] as const;

/** Folders that are shown. */
const maxFolders = 20;

/** Titles that are compared between two turns of the event loop. */
const titlesPerTurn = 500;

/** What the store holds, or what of it filters choose. */
export const statsTool: Tool<Args> = {
  name: 'rlm_stats',
  description:
    'What is stored: sizes, kinds, tools, folders, and entries with their titles, newest first. Filters choose what is counted and listed (path and since as in rlm_search): {"tool": "bash", "title": "npm test"}, {"folder": "src"}.',
  args,
  describe: (asked) => {
    const by = filterNames.filter((name) => asked[name] !== undefined);
    return by.length === 0
      ? 'looking at what is stored'
      : `looking at what is stored by ${by.join(', ')}`;
  },
  run: async (asked, context) => {
    const form = asked.format ?? context.form ?? 'text';
    const scope = await scopeOf(inCursorsStore(asked), context);
    if (!scope.ok) return faultText(scope.fault, form);
    const { stores, args: own } = scope;
    const faults = [...scope.faults, ...scope.notes];
    if (stores.length === 1) {
      const stats = await statsOf(own, stores[0]!.context);
      if (!stats.ok) return faultText(stats.fault, form);
      const linked = stores[0]!.name === undefined ? await linkedSizes(context) : [];
      if (form === 'json') return JSON.stringify({ ...stats.fields, linked_sessions: linked });
      return withNotes([...faults, ...linkedNote(linked)], await stats.text());
    }
    return overStores(stores, faults, async (one) => statsOf(own, one), form);
  },
};

/** What a store holds, or what of it filters choose. */
type Stats =
  | {
      readonly ok: true;
      readonly fields: Readonly<Record<string, unknown>>;
      readonly text: () => Promise<string>;
    }
  | { readonly ok: false; readonly fault: string };

async function statsOf(asked: Args, context: ToolContext): Promise<Stats> {
  const form = asked.format ?? context.form ?? 'text';
  const { store } = context.session;
  const chosen = await chosenEntries(asked, context);
  if (!chosen.ok) return chosen;
  const all = chosen.entries ?? store.entries;
  const count = chosen.entries?.length ?? store.totals.entries;
  const counts =
    chosen.entries === undefined ? countsOfAll(store) : countsOf(chosen.entries, store.list);
  const end = endOf(all, count, asked.cursor);
  const listed = all.slice(Math.max(0, end - asked.newest), end).reverse();
  const oldest = listed.at(-1);
  const cursor = oldest === undefined || end <= listed.length ? undefined : oldest.id;
  const folders = foldersFor(asked, chosen.entries, store);
  const summaries: Record<string, unknown>[] = [];
  if (form === 'json') for (const entry of listed) summaries.push(await summaryOf(entry, context));
  return {
    ok: true,
    text: async () => statsText(store, { counts, listed, cursor, folders }),
    fields: {
      ...counts,
      ...(folders === undefined ? {} : { root: folders.root, folders: folders.shares }),
      newest_entries: summaries,
      next_cursor: cursor,
    },
  };
}

/** The entries that all filters leave; `undefined` for all there are. */
async function chosenEntries(
  { kind, tool, path, since, until, folder, title }: Args,
  { session: { store }, clock, slice }: ToolContext,
): Promise<
  | { readonly ok: true; readonly entries: readonly Entry[] | undefined }
  | { readonly ok: false; readonly fault: string }
> {
  const chosen = chooseEntries(store, { tool, path, since, until }, clock.now());
  if (!chosen.ok) return chosen;
  if (slice === undefined && [kind, folder, title].every((one) => one === undefined)) return chosen;
  const { list } = store;
  let left = (chosen.entries ?? store.entries.slice(0, store.totals.entries)).filter((entry) =>
    isVisible(entry, slice),
  );
  if (kind !== undefined) {
    left = left.filter((entry) => entry.kind === kind);
    if (left.length === 0)
      return nothing(`of kind ${quoted(kind)}`, `There are ${[...list.kinds.keys()].join(', ')}.`);
  }
  if (folder !== undefined) {
    left = left.filter((entry) => list.pathsOf(entry).some((one) => isUnder(one, folder)));
    const { root, shares } = foldersOf(list.namings);
    const there = shares.slice(0, maxFolders).map(({ name }) => name);
    if (left.length === 0)
      return nothing(`in a folder ${quoted(folder)}`, `Under ${root} are ${there.join(', ')}.`);
  }
  if (title !== undefined) {
    left = await withTitle(store, left, title);
    if (left.length === 0)
      return nothing(
        `with ${quoted(title)} in its title`,
        'A title is the command, the path or the first line; rlm_search looks into the texts.',
      );
  }
  return { ok: true, entries: left };
}

/** An empty list would be taken for "there is none". */
function nothing(what: string, help: string): { readonly ok: false; readonly fault: string } {
  return { ok: false, fault: `No entry is ${what}. ${help}` };
}

function quoted(text: string): string {
  return JSON.stringify(onOneLine(text, 100));
}

async function withTitle(
  store: SessionStore,
  entries: readonly Entry[],
  wanted: string,
): Promise<Entry[]> {
  const key = wanted.toLowerCase();
  const found: Entry[] = [];
  for (const [index, entry] of entries.entries()) {
    if (index % titlesPerTurn === titlesPerTurn - 1) await setImmediate();
    if ((await titleOf(store, entry)).toLowerCase().includes(key)) found.push(entry);
  }
  return found;
}

/** How many of the entries come before those that an earlier answer listed. */
function endOf(entries: readonly Entry[], count: number, cursor: string | undefined): number {
  if (cursor === undefined) return count;
  const seq = Number(/^(?:[a-z0-9-]+:)?e?(\d+)$/.exec(cursor)?.[1] ?? Infinity);
  let end = count;
  while (end > 0 && (entries[end - 1]?.seq ?? 0) >= seq) end -= 1;
  return end;
}

/** The folders of what is listed, where it is listed by them. */
function foldersFor(
  { folder, path, cursor, newest }: Args,
  entries: readonly Entry[] | undefined,
  { list }: SessionStore,
): FolderTree | undefined {
  if (cursor !== undefined || (folder === undefined && path === undefined)) return undefined;
  if (folder === undefined && (entries?.length ?? 0) <= newest) return undefined;
  const own = new Set(entries);
  const isIn = ({ path: one, entry }: Naming): boolean =>
    own.has(entry) && (folder === undefined || isUnder(one, folder));
  return foldersOf(list.namings.filter(isIn), folder);
}

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
  shown: {
    readonly counts: Counts;
    readonly listed: readonly Entry[];
    readonly cursor: string | undefined;
    readonly folders: FolderTree | undefined;
  },
): Promise<string> {
  const { counts, listed, cursor, folders } = shown;
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
  if (folders !== undefined) {
    const named = folders.shares
      .slice(0, maxFolders)
      .map(({ name, entries, characters }) => `${name} ${entries} (${characters} characters)`);
    const left = folders.shares.length - named.length;
    lines.push(`in ${folders.root}: ${named.join(', ')}${left === 0 ? '' : `, and ${left} more`}`);
  }
  if (listed.length > 0) lines.push('', 'newest first (characters, lines, time):');
  for (const entry of listed)
    lines.push(
      `${entry.id} ${await labelOf(store, entry)}${marksOf(store.list, entry)}: ${entry.lengthChars}, ${entry.lineCount}, ${new Date(entry.timeMs).toISOString().slice(0, 16)}Z`,
    );
  if (cursor !== undefined)
    lines.push('', `There are more: the same call with "cursor":"${cursor}".`);
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

async function summaryOf(
  entry: Entry,
  { session: { store }, storeName }: ToolContext,
): Promise<Record<string, unknown>> {
  return {
    entry: entry.id,
    kind: entry.kind,
    tool: entry.tool,
    title: await titleOf(store, entry),
    ...namesOf(store.list, entry),
    // An offset names no store: it would be read as one of the context's own.
    ...(storeName === undefined ? { offset: entry.offsetChars } : { store: storeName }),
    characters: entry.lengthChars,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}
