import { partitionPoint } from '../base/sorted.ts';
import { z } from 'zod';
import type { Entry, EntryList, SessionStore } from '../store/types.ts';
import { chooseEntries, type EntryFilter } from './entry-choice.ts';
import { formatArg } from './result-form.ts';

/** Arguments that rlm_search and rlm_find share: which entries, how shown, how to go on. */
export const filterArgs = {
  context_lines: z.int().min(0).max(20).default(0).describe('Before and after each hit.'),
  entry: z.string().optional().describe('Such as "e12".'),
  tool: z.string().optional().describe('Outputs of it: "bash".'),
  path: z
    .string()
    .optional()
    .describe('Paths that contain this, or fit it as in .gitignore: "src/**/*.ts".'),
  since: z.string().optional().describe('Stored since: "30m", "2h", "7d", "2026-01-31".'),
  order: z
    .enum(['newest', 'oldest', 'last'])
    .default('newest')
    .describe('Of the newest entry, of the oldest, or the last lines first.'),
  cursor: z.string().optional().describe('From the answer before: goes on there.'),
  ...formatArg,
};

/** The same without a word about them, for a tool whose description names one that has it. */
export const plainFilterArgs = {
  context_lines: z.int().min(0).max(20).default(0),
  entry: z.string().optional(),
  tool: z.string().optional(),
  path: z.string().optional(),
  since: z.string().optional(),
  order: z.enum(['newest', 'oldest', 'last']).default('newest'),
  cursor: z.string().optional(),
  ...formatArg,
};

/** Byte ranges [start, end), ascending and disjoint. */
type ByteRanges = readonly (readonly [number, number])[];

/**
 * Byte ranges of the entries that a filter leaves, merged where they touch; `undefined` for no
 * filter; a text when the filter itself is at fault.
 */
export type FilterOutcome =
  | {
      readonly ok: true;
      readonly ranges: ByteRanges | undefined;
      readonly entries: readonly Entry[] | undefined;
      /** How the filter was read. */
      readonly note?: string | undefined;
    }
  | { readonly ok: false; readonly fault: string };

/**
 * Turns a filter into byte ranges. A filter that leaves nothing is a fault: nobody shall take it
 * for "does not occur".
 */
export function rangesOf(store: SessionStore, filter: EntryFilter, nowMs: number): FilterOutcome {
  const chosen = chooseEntries(store, filter, nowMs);
  if (!chosen.ok) return chosen;
  const { entries } = chosen;
  return { ...chosen, ranges: entries === undefined ? undefined : rangesOfEntries(entries) };
}

/** The entry that holds a byte, by binary search; undefined for the newline between two entries. */
export function entryAt(entries: readonly Entry[], offsetBytes: number): Entry | undefined {
  const behind = partitionPoint(
    entries.length,
    (index) => entries[index]!.offsetBytes <= offsetBytes,
  );
  const entry = entries[behind - 1];
  return entry !== undefined && offsetBytes < entry.offsetBytes + entry.lengthBytes
    ? entry
    : undefined;
}

const rangesByList = new WeakMap<
  readonly Entry[],
  { readonly count: number; readonly ranges: ByteRanges }
>();

/** Kept by list: those of the store's own lists are the same from search to search. */
export function rangesOfEntries(entries: readonly Entry[]): ByteRanges {
  const known = rangesByList.get(entries);
  if (known?.count === entries.length) return known.ranges;
  const ranges: [number, number][] = [];
  for (const entry of entries) {
    if (entry.lengthBytes === 0) continue;
    const end = entry.offsetBytes + entry.lengthBytes;
    const last = ranges.at(-1);
    // One byte apart: the newline that separates two entries.
    if (last !== undefined && entry.offsetBytes - last[1] <= 1) last[1] = end;
    else ranges.push([entry.offsetBytes, end]);
  }
  rangesByList.set(entries, { count: entries.length, ranges });
  return ranges;
}

const replacedByList = new WeakMap<
  EntryList,
  { readonly namings: number; readonly ranges: ByteRanges }
>();

/**
 * Ranges of the texts that newer ones of the same files have replaced. Kept until a text comes
 * under a path again.
 */
export function replacedRanges(list: EntryList): ByteRanges {
  const known = replacedByList.get(list);
  if (known?.namings === list.namings.length) return known.ranges;
  const ranges = rangesOfEntries([...list.replaced].toSorted((a, b) => a.seq - b.seq));
  replacedByList.set(list, { namings: list.namings.length, ranges });
  return ranges;
}

/** What is in both; absent is everything. */
export function commonRanges(some: ByteRanges, others: ByteRanges | undefined): ByteRanges {
  if (others === undefined) return some;
  const common: [number, number][] = [];
  let at = 0;
  for (const [start, end] of some) {
    while (at < others.length && others[at]![1] <= start) at += 1;
    for (let next = at; next < others.length && others[next]![0] < end; next += 1) {
      common.push([Math.max(start, others[next]![0]), Math.min(end, others[next]![1])]);
    }
  }
  return common;
}
