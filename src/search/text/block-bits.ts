/** A set of blocks, a bit each. */
export type BlockBits = Uint32Array;

/** An empty set with room for so many blocks. */
export function noBlocks(count: number): BlockBits {
  return new Uint32Array(Math.ceil(count / 32));
}

/** How many blocks are in the set. */
export function countBlocks(bits: BlockBits): number {
  let sum = 0;
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    // Neighbouring bits are added, then pairs, then nibbles; the last step adds the bytes (Hacker's
    // Delight 5-1).
    const pairs = word - ((word >>> 1) & 0x5555_5555);
    const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
    sum += Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  return sum;
}

/** The first block of the set that is not before `from`; `count` if there is none below that. */
export function nextBlock(bits: BlockBits, from: number, count: number): number {
  let at = from >>> 5;
  let word = from < count ? bits[at]! & (-1 << (from & 31)) : 0;
  const end = Math.ceil(count / 32);
  while (word === 0 && ++at < end) word = bits[at]!;
  return word === 0 ? count : Math.min(count, 32 * at + 31 - Math.clz32(word & -word));
}
