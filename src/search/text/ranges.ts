import { partitionPoint } from '../../base/sorted.ts';

/**
 * Byte ranges [start, end, start, end, ...], ascending, disjoint and not touching, in memory that
 * all threads see.
 */
export type Ranges = Float64Array<SharedArrayBuffer>;

/** Ranges of a text that ends at `endBytes`; absent = all of it. Those that touch become one. */
export function shareRanges(
  ranges: readonly (readonly [number, number])[] | undefined,
  endBytes: number,
): Ranges {
  const bounds: number[] = [];
  for (const [start, to] of ranges ?? [[0, endBytes]]) {
    const end = Math.min(to, endBytes);
    if (end <= start) continue;
    if (bounds.at(-1) === start) bounds[bounds.length - 1] = end;
    else bounds.push(start, end);
  }
  const shared = new Float64Array(new SharedArrayBuffer(8 * bounds.length));
  shared.set(bounds);
  return shared;
}

/** The range that byte `at` lies in. */
export function rangeAt(ranges: Ranges, at: number): readonly [number, number] | undefined {
  const index = partitionPoint(ranges.length / 2, (range) => ranges[2 * range + 1]! <= at);
  const start = ranges[2 * index];
  return start !== undefined && start <= at ? [start, ranges[2 * index + 1]!] : undefined;
}
