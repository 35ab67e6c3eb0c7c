import { z } from 'zod';
import type { Entry, SessionStore } from '../store/types.ts';

/** Arguments that rlm_search and rlm_find share: which entries, how shown, how to go on. */
export const filterArgs = {
  context_lines: z
    .int()
    .min(0)
    .max(20)
    .default(0)
    .describe('Lines shown before and after each hit.'),
  entry: z.string().optional().describe('Only in this entry, such as "e12".'),
  tool: z.string().optional().describe('Only in outputs of this tool, such as "bash".'),
  path: z
    .string()
    .optional()
    .describe('Only in entries whose file path contains this text; * and ** are wildcards.'),
  since: z
    .string()
    .optional()
    .describe(
      'Only in entries stored since then: "30m", "2h", "7d", or a date such as "2026-01-31".',
    ),
  order: z.enum(['newest', 'oldest']).default('newest').describe('Which hits come first.'),
  cursor: z
    .string()
    .optional()
    .describe('next_cursor of an earlier answer to the same question: continues there.'),
};

/** The part of the arguments that chooses entries. */
export interface EntryFilter {
  readonly entry?: string | undefined;
  readonly tool?: string | undefined;
  readonly path?: string | undefined;
  readonly since?: string | undefined;
}

/** Byte ranges of the entries that a filter leaves, merged where they touch; `undefined` for no filter; a text when the filter itself is at fault. */
export type FilterOutcome =
  | { readonly ok: true; readonly ranges: readonly (readonly [number, number])[] | undefined }
  | { readonly ok: false; readonly fault: string };

/** Turns a filter into byte ranges. One pass over the entries, none without a filter. */
export function rangesOf(store: SessionStore, filter: EntryFilter, nowMs: number): FilterOutcome {
  if (filter.entry !== undefined) {
    const entry = store.entry(filter.entry);
    if (entry === undefined) return { ok: false, fault: unknownEntry(store, filter.entry) };
  }
  const sinceMs = filter.since === undefined ? undefined : parseSince(filter.since, nowMs);
  if (Number.isNaN(sinceMs)) {
    return {
      ok: false,
      fault: `"since" is ${JSON.stringify(filter.since)}; write it as "30m", "2h", "7d" or a date such as "2026-01-31".`,
    };
  }
  const { entry: id, tool } = filter;
  const path = filter.path === undefined ? undefined : pathMatcher(filter.path);
  if (id === undefined && tool === undefined && path === undefined && sinceMs === undefined)
    return { ok: true, ranges: undefined };
  const chosen = (entry: Entry): boolean =>
    (id === undefined || entry.id === id) &&
    (tool === undefined || entry.tool === tool) &&
    (path === undefined || (entry.path !== undefined && path(entry.path))) &&
    (sinceMs === undefined || entry.timeMs >= sinceMs);
  const only = id === undefined ? undefined : store.entry(id);
  return { ok: true, ranges: mergedRanges(only === undefined ? store.entries : [only], chosen) };
}

/** What to say about an entry that is not there. */
export function unknownEntry(store: SessionStore, id: string): string {
  const count = store.totals.entries;
  return count === 0
    ? `There is no entry ${JSON.stringify(id)}: the store is empty.`
    : `There is no entry ${JSON.stringify(id)}; entries are named "e1" to "e${count}". rlm_stats lists the newest.`;
}

/** The entry that holds a byte, by binary search; undefined for the newline between two entries. */
export function entryAt(entries: readonly Entry[], offsetBytes: number): Entry | undefined {
  let low = 0;
  let high = entries.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((entries[middle] as Entry).offsetBytes <= offsetBytes) low = middle;
    else high = middle - 1;
  }
  const entry = entries[low];
  return entry !== undefined &&
    offsetBytes >= entry.offsetBytes &&
    offsetBytes < entry.offsetBytes + entry.lengthBytes
    ? entry
    : undefined;
}

/** For each of some entries the newest entry with the same path and kind, where that is a later one. */
export function successorsOf(
  entries: readonly Entry[],
  wanted: ReadonlySet<Entry>,
): ReadonlyMap<Entry, Entry> {
  const keys = new Map<string, Entry | undefined>();
  for (const entry of wanted)
    if (entry.path !== undefined) keys.set(successionKey(entry), undefined);
  if (keys.size === 0) return new Map();
  for (let index = entries.length - 1, open = keys.size; index >= 0 && open > 0; index -= 1) {
    const entry = entries[index] as Entry;
    const key = successionKey(entry);
    if (entry.path === undefined || !keys.has(key) || keys.get(key) !== undefined) continue;
    keys.set(key, entry);
    open -= 1;
  }
  const found = new Map<Entry, Entry>();
  for (const entry of wanted) {
    const newest = entry.path === undefined ? undefined : keys.get(successionKey(entry));
    if (newest !== undefined && newest.seq > entry.seq) found.set(entry, newest);
  }
  return found;
}

function successionKey(entry: Entry): string {
  return `${entry.kind}\0${entry.tool ?? ''}\0${entry.path ?? ''}`;
}

function mergedRanges(
  entries: readonly Entry[],
  chosen: (entry: Entry) => boolean,
): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (const entry of entries) {
    if (!chosen(entry) || entry.lengthBytes === 0) continue;
    const end = entry.offsetBytes + entry.lengthBytes;
    const last = ranges.at(-1);
    // One byte apart: the newline that separates two entries.
    if (last !== undefined && entry.offsetBytes - last[1] <= 1) last[1] = end;
    else ranges.push([entry.offsetBytes, end]);
  }
  return ranges;
}

function pathMatcher(pattern: string): (path: string) => boolean {
  if (!pattern.includes('*')) return (path) => path.includes(pattern);
  const source = pattern
    .split(/(\*+)/)
    .map((piece) =>
      piece === '*'
        ? '[^/]*'
        : piece.startsWith('**')
          ? '.*'
          : piece.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'),
    )
    .join('');
  const expression = new RegExp(`(?:^|/)${source}$`);
  return (path) => expression.test(path);
}

const unitsMs: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds since 1970, or NaN. */
function parseSince(text: string, nowMs: number): number {
  const relative = /^(\d+(?:\.\d+)?)\s*([smhdw])$/.exec(text.trim());
  if (relative !== null)
    return nowMs - Number(relative[1]) * (unitsMs[relative[2] as string] as number);
  return Date.parse(text);
}
