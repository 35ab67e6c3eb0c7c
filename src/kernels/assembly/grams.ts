// Bitmaps of the 3- and 4-byte sequences of a block, with ASCII letters in lower case, and the
// transposition of 64 of them.

/** Bits of a block: 2^14 for sequences of three bytes, then 2^15 for those of four. */
const shortGrams: usize = 16384;
const allGrams: usize = 49152;
/** Bytes of a block's bitmap. */
const rowBytes: usize = allGrams / 8;

/**
 * Multipliers of the two hashes (odd, from the golden ratio and from MurmurHash3); the same as in
 * `gram-hash.ts`.
 */
const shortFactor: u32 = 0x9e3779b1;
const longFactor: u32 = 0x85ebca6b;

/**
 * Writes the bitmap of the text [at, end) to `bitmap`. `scratch` has room for the text, 16 bytes
 * more, and 49,152 bytes that are zero before and after.
 */
export function blockGrams(at: usize, end: usize, scratch: usize, bitmap: usize): void {
  const flags = scratch;
  const folded = scratch + allGrams;
  const length = end - at;
  fold(at, end, folded);
  // A byte per flag, because a store alone is faster than reading, changing and writing a bit.
  if (length >= 4) {
    const stop = folded + length - 3;
    for (let text = folded; text < stop; text++) {
      const gram = load<u32>(text);
      store<u8>(flags + (((gram & 0xffffff) * shortFactor) >> 18), 1);
      store<u8>(flags + shortGrams + ((gram * longFactor) >> 17), 1);
    }
  }
  if (length >= 3) {
    const gram = load<u32>(folded + length - 3) & 0xffffff;
    store<u8>(flags + ((gram * shortFactor) >> 18), 1);
  }
  const zero = i8x16.splat(0);
  for (let i: usize = 0; i < allGrams; i += 16) {
    const set = v128.load(flags + i);
    store<u16>(bitmap + (i >> 3), i8x16.bitmask(i8x16.ne(set, zero)) as u16);
    v128.store(flags + i, zero);
  }
}

function fold(at: usize, end: usize, to: usize): void {
  const upperA = i8x16.splat(65);
  const letters = i8x16.splat(26);
  const caseBit = i8x16.splat(32);
  for (; at < end; at += 16) {
    const text = v128.load(at);
    const isUpper = i8x16.lt_u(i8x16.sub(text, upperA), letters);
    v128.store(to, v128.or(text, v128.and(isUpper, caseBit)));
    to += 16;
  }
}

/**
 * Turns the bitmaps of 64 blocks, one behind the other at `bitmaps`, into one u64 per bit at
 * `columns`: bit b of it is block b's. `scratch` has room for 512 bytes.
 */
export function transposeBitmaps(bitmaps: usize, columns: usize, scratch: usize): void {
  for (let word: usize = 0; word < rowBytes; word += 8) {
    let from = bitmaps + word;
    for (let block: usize = 0; block < 512; block += 8) {
      store<u64>(scratch + block, load<u64>(from));
      from += rowBytes;
    }
    transpose64(scratch);
    memory.copy(columns + (word << 6), scratch, 512);
  }
}

/**
 * A 64 x 64 bit matrix in place: swaps ever smaller squares across the diagonal (Hacker's Delight
 * 7-3).
 */
function transpose64(rows: usize): void {
  let mask: u64 = 0x00000000ffffffff;
  for (let width: usize = 32; width; width >>= 1) {
    for (let row: usize = 0; row < 64; row = (row + width + 1) & ~width) {
      const upper = rows + (row << 3);
      const lower = upper + (width << 3);
      const a = load<u64>(upper);
      const b = load<u64>(lower);
      const moved = ((a >> (width as u64)) ^ b) & mask;
      store<u64>(lower, b ^ moved);
      store<u64>(upper, a ^ (moved << (width as u64)));
    }
    mask ^= mask << ((width >> 1) as u64);
  }
}
