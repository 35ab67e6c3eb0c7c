/** 1 when the last text looked at ends in the middle of an escape. */
export let stringCut: i32 = 0;

/**
 * Address of the quote that closes the JSON string of which [at, end) is a part, or `end`. `at` is
 * not in the middle of an escape. Sixteen bytes at a time where there is neither quote nor
 * backslash.
 */
export function stringEnd(at: usize, end: usize): usize {
  const quotes = i8x16.splat(0x22);
  const backslashes = i8x16.splat(0x5c);
  let p = at;
  stringCut = 0;
  while (p + 16 <= end) {
    const block = v128.load(p);
    const found = v128.or(i8x16.eq(block, quotes), i8x16.eq(block, backslashes));
    const mask = i8x16.bitmask(found);
    if (mask == 0) {
      p += 16;
      continue;
    }
    p += ctz(mask);
    if (load<u8>(p) == 0x22) return p;
    p += 2;
  }
  while (p < end) {
    const byte = load<u8>(p);
    if (byte == 0x22) return p;
    p += byte == 0x5c ? 2 : 1;
  }
  stringCut = p > end ? 1 : 0;
  return end;
}
