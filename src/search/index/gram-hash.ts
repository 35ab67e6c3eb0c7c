import { byteRarity } from '../pattern/byte-rarity.ts';

/** Rows of a block's bitmap for sequences of three bytes, 2^14. */
const shortGrams = 16_384;
/**
 * All rows of a block's bitmap: behind those, 2^15 for sequences of four bytes. The same as in
 * `kernels/assembly/grams.ts`.
 */
export const gramRows = 49_152;

/**
 * The rows in which a block's bit must be set that holds the bytes: those of their sequences of
 * four and three bytes, ASCII letters in lower case. The sequences of four come first, because they
 * say more, and of each length the rarest. Empty for less than three bytes.
 */
export function gramRowsOf(bytes: Uint8Array): readonly number[] {
  const folded = Uint8Array.from(bytes, (byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));
  const order = (length: number): readonly number[] => {
    const starts = Array.from({ length: Math.max(0, folded.length - length + 1) }, (_, at) => at);
    const rarity = starts.map((at) =>
      folded.subarray(at, at + length).reduce((sum, byte) => sum + byteRarity(byte, true), 0),
    );
    return starts.sort((a, b) => rarity[b]! - rarity[a]!);
  };
  const short = (at: number): number =>
    folded[at]! | (folded[at + 1]! << 8) | (folded[at + 2]! << 16);
  const long = (at: number): number => short(at) | (folded[at + 3]! << 24);
  return [
    ...new Set([
      ...order(4).map((at) => shortGrams + (Math.imul(long(at), 0x85eb_ca6b) >>> 17)),
      ...order(3).map((at) => Math.imul(short(at), 0x9e37_79b1) >>> 18),
    ]),
  ];
}
