/**
 * A set of Unicode code points: [low, high, low, high, ...], inclusive, ascending, disjoint and not
 * touching. Built by {@link codePointSet}.
 */
export type CodePointSet = readonly number[];

/** The largest code point. */
export const maxCodePoint = 0x10_ffff;

/** A set from ranges in any order, overlapping or not. */
export function codePointSet(ranges: readonly number[]): CodePointSet {
  const pairs: [number, number][] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i]!, ranges[i + 1]!]);
  pairs.sort((a, b) => a[0] - b[0]);
  const out: number[] = [];
  for (const [low, high] of pairs) {
    const last = out.length - 1;
    if (last > 0 && low <= out[last]! + 1) out[last] = Math.max(out[last]!, high);
    else out.push(low, high);
  }
  return out;
}

/** Everything that is not in the set. */
export function complement(set: CodePointSet): CodePointSet {
  const out: number[] = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i]! > next) out.push(next, set[i]! - 1);
    next = set[i + 1]! + 1;
  }
  if (next <= maxCodePoint) out.push(next, maxCodePoint);
  return out;
}

/** The set without one code point. */
export function without(set: CodePointSet, codePoint: number): CodePointSet {
  const out: number[] = [];
  for (let i = 0; i < set.length; i += 2) {
    const low = set[i]!;
    const high = set[i + 1]!;
    if (codePoint < low || codePoint > high) out.push(low, high);
    else {
      if (low < codePoint) out.push(low, codePoint - 1);
      if (codePoint < high) out.push(codePoint + 1, high);
    }
  }
  return out;
}

/** Whether the code point is in the set. */
export function contains(set: CodePointSet, codePoint: number): boolean {
  for (let i = 0; i < set.length; i += 2) {
    if (codePoint < set[i]!) return false;
    if (codePoint <= set[i + 1]!) return true;
  }
  return false;
}

/** How many code points the set has. */
export function sizeOf(set: CodePointSet): number {
  let size = 0;
  for (let i = 0; i < set.length; i += 2) size += set[i + 1]! - set[i]! + 1;
  return size;
}
