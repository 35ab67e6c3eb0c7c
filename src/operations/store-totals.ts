import type { Clock } from '../clock.ts';
import type { Sessions } from '../store/types.ts';

/** What there is in all stores together. */
export interface StoreTotals {
  readonly stores: number;
  readonly entries: number;
  /** Of stored texts, bytes. */
  readonly bytes: number;
}

/** So old a sum may be, milliseconds: a thousand stores take a moment to look at. */
const keptMs = 60_000;

/**
 * What sums up all stores, however often it is asked. Undefined where they cannot be looked at:
 * what is wrong with them is told elsewhere.
 */
export function storeTotals(
  sessions: Pick<Sessions, 'list'>,
  clock: Clock,
): () => Promise<StoreTotals | undefined> {
  let kept: { readonly atMs: number; readonly sum: Promise<StoreTotals | undefined> } | undefined;
  return async () => {
    const nowMs = clock.elapsedMs();
    if (kept === undefined || nowMs - kept.atMs >= keptMs)
      kept = { atMs: nowMs, sum: sumOf(sessions).catch(() => undefined) };
    return kept.sum;
  };
}

async function sumOf(sessions: Pick<Sessions, 'list'>): Promise<StoreTotals> {
  const sum = { stores: 0, entries: 0, bytes: 0 };
  for (const { totals, copyOf } of await sessions.list()) {
    if (copyOf !== undefined) continue;
    sum.stores += 1;
    sum.entries += totals.entries;
    sum.bytes += totals.bytes;
  }
  return sum;
}
