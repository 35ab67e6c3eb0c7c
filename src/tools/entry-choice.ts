import { agoMs } from '../base/instants.ts';
import { partitionPoint } from '../base/sorted.ts';
import type { Entry, EntryList, SessionStore } from '../store/types.ts';
import { goneSentence } from '../store/text/gone-text.ts';
import { keyOf } from './argument-values.ts';
import { nearestNames } from './nearest.ts';
import { readPathPattern, type PathPattern } from './path-pattern.ts';

/** The part of the arguments that chooses entries. */
export interface EntryFilter {
  readonly entry?: string | undefined;
  readonly tool?: string | undefined;
  readonly path?: string | undefined;
  /** Stored since, or until: a time as {@link parseTime} reads it. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/**
 * The entries that a filter leaves, oldest first; `undefined` for no filter; a sentence where it
 * leaves none or is at fault.
 */
export type EntryChoice =
  | {
      readonly ok: true;
      readonly entries: readonly Entry[] | undefined;
      /** How the filter was read, where that is not how it would be read elsewhere. */
      readonly note?: string | undefined;
    }
  | { readonly ok: false; readonly fault: string };

/** Comparisons of one filter with paths may take so many steps: some 50 ms. */
const maxSteps = 10_000_000;

/** Filters by path whose choice is kept per store: asked again, only what is new is compared. */
const keptPatterns = 16;

/** Newest paths that are compared for the nearest ones: some 20 ms. */
const maxCompared = 2_000;

/** Names that are given as the nearest. */
const shownNames = 5;

/**
 * The entries that a filter chooses: for the tools, for programs and for commands. What is asked
 * again, and what the store keeps in order anyway, costs no walk over the entries.
 */
export function chooseEntries(
  store: SessionStore,
  filter: EntryFilter,
  nowMs: number,
): EntryChoice {
  const { list } = store;
  const parts: (readonly Entry[])[] = [];
  let note: string | undefined;
  if (filter.entry !== undefined) {
    const found = findEntry(store, filter.entry);
    if (!found.ok) return found;
    parts.push([found.entry]);
  }
  if (filter.tool !== undefined) {
    const entries = ofTool(list, filter.tool);
    if (entries.length === 0) return { ok: false, fault: unknownTool(list, filter.tool) };
    parts.push(entries);
  }
  if (filter.path !== undefined) {
    const chosen = ofPath(list, filter.path);
    if (!chosen.ok) return chosen;
    parts.push(chosen.entries);
    ({ note } = chosen);
  }
  if (filter.since !== undefined) {
    const sinceMs = parseTime(filter.since, nowMs, 'begins');
    if (Number.isNaN(sinceMs)) return noTime('since', filter.since);
    const entries = inTime(store, sinceMs, Infinity);
    if (entries.length === 0) return { ok: false, fault: nothingSince(store, filter.since) };
    parts.push(entries);
  }
  if (filter.until !== undefined) {
    const untilMs = parseTime(filter.until, nowMs, 'ends');
    if (Number.isNaN(untilMs)) return noTime('until', filter.until);
    const entries = inTime(store, -Infinity, untilMs);
    if (entries.length === 0) return { ok: false, fault: nothingUntil(store, filter.until) };
    parts.push(entries);
  }
  if (parts.length === 0) return { ok: true, entries: undefined };
  const entries = intersection(parts);
  return entries.length > 0
    ? { ok: true, entries, note }
    : { ok: false, fault: nothingInAll(filter, parts) };
}

/** An entry by its id, by its number, or by a path that only one entry has. */
export function findEntry(
  store: SessionStore,
  name: string,
): { readonly ok: true; readonly entry: Entry } | { readonly ok: false; readonly fault: string } {
  const number = /^[#e]?(\d+)$/i.exec(name)?.[1];
  const entry = store.entry(number === undefined ? name : `e${number}`);
  if (entry?.forgotten !== undefined)
    return { ok: false, fault: goneSentence(entry, entry.forgotten) };
  if (entry !== undefined) return { ok: true, entry };
  if (number === undefined && store.list.namings.length > 0) {
    const exact = store.list.underPath(name).at(-1);
    if (exact !== undefined) return { ok: true, entry: exact };
    const chosen = ofPath(store.list, name);
    if (chosen.ok && chosen.entries.length === 1)
      return { ok: true, entry: chosen.entries[0] as Entry };
    if (chosen.ok)
      return {
        ok: false,
        fault: `${JSON.stringify(name)} fits the paths of ${chosen.entries.length} entries; name one of them by its id, such as ${idsOf(chosen.entries.slice(-shownNames))}.`,
      };
  }
  return { ok: false, fault: unknownEntry(store, name) };
}

/** Other paths of an entry that are shown beside the first. */
const shownPaths = 3;

/**
 * Under which names a hit's or an entry's text is shown: the path that a filter asked for, else the
 * first; beside it some of the others, where the same text came from several files.
 */
export function namesOf(
  list: EntryList,
  entry: Entry,
  filter?: string,
): { readonly path?: string; readonly also_at?: readonly string[] } {
  const paths = list.pathsOf(entry);
  if (paths.length === 0) return {};
  if (paths.length === 1) return { path: paths[0] as string };
  const path = askedPath(paths.slice(0, maxCompared), filter) ?? paths[0]!;
  const others = paths
    .slice(0, shownPaths + 1)
    .filter((one) => one !== path)
    .slice(0, shownPaths);
  const left = paths.length - 1 - others.length;
  return { path, also_at: left === 0 ? others : [...others, `and ${left} more`] };
}

/** The path that a filter asked for, however its brackets were meant. */
function askedPath(paths: readonly string[], filter: string | undefined): string | undefined {
  if (filter === undefined) return undefined;
  for (const brackets of ['class', 'as-written'] as const) {
    const pattern = readPathPattern(filter, brackets);
    if (typeof pattern === 'string') return undefined;
    const asked = paths.find((path) => pattern.matches(path));
    if (asked !== undefined || !pattern.hasClass) return asked;
  }
  return undefined;
}

/** What to say about an entry that is not there. */
function unknownEntry({ entries, totals }: SessionStore, id: string): string {
  const count = totals.entries;
  const first = entries[0]?.id ?? 'e1';
  // Those of a linked store have its name in front.
  const named = /^e\d+$/.test(id) ? first.replace(/e1$/, id) : id;
  return count === 0
    ? `There is no entry ${JSON.stringify(id)}: the store is empty.`
    : `There is no entry ${JSON.stringify(named)}; entries are named "${first}" to "${entries[count - 1]?.id}". rlm_stats lists the newest.`;
}

function ofTool(list: EntryList, name: string): readonly Entry[] {
  const key = keyOf(name);
  const same = [...list.tools].filter(([tool]) => keyOf(tool) === key);
  return same.length === 1
    ? (same[0]?.[1].entries ?? [])
    : sorted(same.flatMap(([, { entries }]) => entries));
}

interface KeptChoice {
  readonly pattern: PathPattern;
  /** Namings that have been compared. */
  seen: number;
  readonly entries: Set<Entry>;
  /** The same in the order of the store. */
  inOrder: readonly Entry[];
}

const kept = new WeakMap<EntryList, Map<string, KeptChoice>>();

/**
 * What a path chooses. Names of files can hold brackets (`app/[id]/page.tsx`): where they fit no
 * path as a class of characters, they are taken as they are written.
 */
function ofPath(
  list: EntryList,
  source: string,
):
  | { readonly ok: true; readonly entries: readonly Entry[]; readonly note?: string | undefined }
  | { readonly ok: false; readonly fault: string } {
  const found = compared(list, source, 'class');
  if (!found.ok) return found;
  let { choice } = found;
  let note: string | undefined;
  if (choice.pattern.hasClass && !choice.pattern.hasFitted) {
    const written = compared(list, source, 'as-written');
    if (!written.ok) return written;
    if (written.choice.pattern.hasFitted) {
      ({ choice } = written);
      note = `The brackets in the path ${JSON.stringify(shown(source))} are read as written: as a class of characters, as .gitignore has them, they fit no path.`;
    }
  }
  return choice.inOrder.length > 0
    ? { ok: true, entries: choice.inOrder, note }
    : { ok: false, fault: unknownPath(list, source) };
}

/** One reading of a path, compared with all paths there are. */
function compared(
  list: EntryList,
  source: string,
  brackets: 'class' | 'as-written',
):
  | { readonly ok: true; readonly choice: KeptChoice }
  | { readonly ok: false; readonly fault: string } {
  const choices = kept.get(list) ?? new Map<string, KeptChoice>();
  kept.set(list, choices);
  const key = `${brackets} ${source}`;
  let choice = choices.get(key);
  if (choice === undefined) {
    const pattern = readPathPattern(source, brackets);
    if (typeof pattern === 'string')
      return {
        ok: false,
        fault: `The path ${JSON.stringify(shown(source))} cannot be used: ${pattern}.`,
      };
    choice = { pattern, seen: 0, entries: new Set(), inOrder: [] };
  }
  choices.delete(key);
  if (!compareNew(choice, list))
    return {
      ok: false,
      fault: `The path ${JSON.stringify(shown(source))} takes too long to compare: write it with fewer wildcards.`,
    };
  choices.set(key, choice);
  if (choices.size > keptPatterns) choices.delete(choices.keys().next().value as string);
  return { ok: true, choice };
}

/** Whether the paths that have come since could be compared within the steps there are. */
function compareNew(choice: KeptChoice, list: EntryList): boolean {
  const { pattern, entries } = choice;
  const { namings } = list;
  const most = pattern.steps + maxSteps;
  const before = entries.size;
  for (; choice.seen < namings.length; choice.seen += 1) {
    const { path, entry } = namings[choice.seen]!;
    if (pattern.matches(path)) entries.add(entry);
    if (pattern.steps > most) return false;
  }
  if (entries.size > before) choice.inOrder = sorted([...entries]);
  return true;
}

function sorted(entries: readonly Entry[]): readonly Entry[] {
  const isSorted = entries.every(
    (entry, index) => index === 0 || entries[index - 1]!.seq < entry.seq,
  );
  return isSorted ? entries : entries.toSorted((a, b) => a.seq - b.seq);
}

/** What was stored in [fromMs, toMs). */
function inTime(
  { entries, list, totals }: SessionStore,
  fromMs: number,
  toMs: number,
): readonly Entry[] {
  const now = totals.entries;
  if (!list.isInTimeOrder)
    return entries.slice(0, now).filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs);
  const from = partitionPoint(now, (index) => entries[index]!.timeMs < fromMs);
  const to = partitionPoint(now, (index) => entries[index]!.timeMs < toMs);
  return entries.slice(from, to);
}

/** What is in all of several lists, each in the order of the store: the shortest one is walked. */
function intersection(parts: readonly (readonly Entry[])[]): readonly Entry[] {
  const [shortest = [], ...others] = parts.toSorted((a, b) => a.length - b.length);
  if (others.length === 0) return shortest;
  return shortest.filter((entry) => others.every((list) => isIn(list, entry)));
}

function isIn(list: readonly Entry[], entry: Entry): boolean {
  return list[partitionPoint(list.length, (index) => list[index]!.seq < entry.seq)] === entry;
}

function unknownPath(list: EntryList, source: string): string {
  const what = `No entry has a path that fits ${JSON.stringify(shown(source))}`;
  if (list.namings.length === 0)
    return `${what}: no stored text has a path. ${toolsThere(list)}`.trim();
  const near = nearestNames(
    source,
    list.namings.slice(-maxCompared).map(({ path }) => path),
    shownNames,
  );
  return `${what}. Nearest: ${near.map((path) => JSON.stringify(shown(path))).join(', ')}. Without wildcards a path fits that contains the text; with them git-ignore's rules hold. rlm_stats lists what there is.`;
}

function unknownTool(list: EntryList, name: string): string {
  return `No entry is an output of a tool ${JSON.stringify(shown(name))}. ${toolsThere(list)}`.trim();
}

function toolsThere({ tools }: EntryList): string {
  if (tools.size === 0) return 'No entry is the output of a tool: leave "tool" out.';
  const most = [...tools].toSorted(([, a], [, b]) => b.count - a.count).slice(0, 10);
  return `There are outputs of ${most.map(([tool, { count }]) => `${shown(tool)} (${count})`).join(', ')}.`;
}

function nothingSince({ entries, totals }: SessionStore, since: string): string {
  const newest = entries[totals.entries - 1];
  const last =
    newest === undefined
      ? 'the store is empty'
      : `the newest entry, ${newest.id}, is of ${new Date(newest.timeMs).toISOString()}`;
  return `Nothing was stored since ${JSON.stringify(shown(since))}: ${last}.`;
}

function nothingUntil({ entries, totals }: SessionStore, until: string): string {
  const oldest = totals.entries === 0 ? undefined : entries[0];
  const first =
    oldest === undefined
      ? 'the store is empty'
      : `the oldest entry, ${oldest.id}, is of ${new Date(oldest.timeMs).toISOString()}`;
  return `Nothing was stored until ${JSON.stringify(shown(until))}: ${first}.`;
}

function noTime(name: string, text: string): { readonly ok: false; readonly fault: string } {
  return {
    ok: false,
    fault: `${JSON.stringify(name)} is ${JSON.stringify(shown(text))}; write it as "30m", "2h", "7d" or a date such as "2026-01-31".`,
  };
}

function nothingInAll(filter: EntryFilter, parts: readonly (readonly Entry[])[]): string {
  const names = (['entry', 'tool', 'path', 'since', 'until'] as const).filter(
    (name) => filter[name] !== undefined,
  );
  const each = names.map(
    (name, index) =>
      `${parts[index]?.length ?? 0} fit ${name} ${JSON.stringify(shown(filter[name] ?? ''))}`,
  );
  return `No entry fits all filters at once: ${each.join(', ')}. Leave one of them out.`;
}

function idsOf(entries: readonly Entry[]): string {
  return entries
    .map(({ id, path }) => `${id}${path === undefined ? '' : ` (${shown(path)})`}`)
    .join(', ');
}

/** A name in a sentence: on one line, not too long. */
function shown(name: string): string {
  const line = name.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
  return line.length <= 200 ? line : `${line.slice(0, 100)}…${line.slice(-99)}`.toWellFormed();
}

const dayMs = 86_400_000;

/**
 * Milliseconds since 1970, or NaN: so long ago (`2h`), or a date. A date without a time of day is a
 * whole day (UTC): where it begins, or where it ends.
 */
function parseTime(text: string, nowMs: number, side: 'begins' | 'ends'): number {
  const ago = agoMs(text);
  if (ago !== undefined) return nowMs - ago;
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text.trim());
  return Date.parse(text) + (isDay && side === 'ends' ? dayMs : 0);
}
