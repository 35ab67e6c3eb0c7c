/** Rows of a block's bitmap: 2^14 for sequences of three bytes, then 2^15 for those of four. The same as in `kernels/assembly/grams.ts`. */
const shortGrams = 16_384;
export const gramRows = 49_152;

/**
 * The rows in which a block's bit must be set that holds the bytes: those of their sequences of four and three bytes, ASCII letters in
 * lower case. The sequences of four come first, because they say more. Empty for less than three bytes.
 */
export function gramRowsOf(bytes: Uint8Array): readonly number[] {
  const folded = Uint8Array.from(bytes, (byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));
  const long: number[] = [];
  const short: number[] = [];
  for (let at = 0; at + 3 <= folded.length; at++) {
    const gram = folded[at]! | (folded[at + 1]! << 8) | (folded[at + 2]! << 16);
    short.push(Math.imul(gram, 0x9e37_79b1) >>> 18);
    if (at + 4 > folded.length) continue;
    const whole = gram | (folded[at + 3]! << 24);
    long.push(shortGrams + (Math.imul(whole, 0x85eb_ca6b) >>> 17));
  }
  return [...new Set([...long, ...short])];
}
