import { partitionPoint } from '../../base/sorted.ts';

/** Byte ranges [start, end, start, end, ...], ascending, disjoint and not touching. */
export type Ranges = Float64Array;

/** A text that ends at `endBytes` as a whole. */
export function wholeText(endBytes: number): Ranges {
  return endBytes === 0 ? new Float64Array(0) : Float64Array.of(0, endBytes);
}

/** Whether the ranges are {@link wholeText}. */
export function isWhole(ranges: Ranges, endBytes: number): boolean {
  return ranges.length === 2 && ranges[0] === 0 && ranges[1] === endBytes;
}

/**
 * Ranges of a text that ends at `endBytes`, in memory that all threads see; absent = all of it, in
 * a few bytes of its own. Those that touch become one.
 */
export function shareRanges(
  ranges: readonly (readonly [number, number])[] | undefined,
  endBytes: number,
): Ranges {
  if (ranges === undefined) return wholeText(endBytes);
  const bounds: number[] = [];
  for (const [start, to] of ranges) {
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
