/**
 * The bytes in pieces, cut at the given places (taken modulo the length, so that any numbers will
 * do).
 */
export function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = new Set(cuts.map((cut) => (bytes.length === 0 ? 0 : cut % bytes.length)));
  const sorted = [0, ...[...places].filter((at) => at > 0).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, at) => bytes.subarray(sorted[at], end));
}
