// Counting and jumping over UTF-8 text, 16 bytes at a time. `at` and `end` are addresses; ranges
// are [at, end).

/** Code points seen by the last `countText`: bytes that are not continuation bytes. */
export let countedChars: u32 = 0;

/** Number of newlines. */
export function countText(at: usize, end: usize): u32 {
  let lines: u32 = 0;
  let chars: u32 = 0;
  const newline = i8x16.splat(10);
  const lastContinuation = i8x16.splat(-65); // 0xBF as signed: everything above it starts a code point
  while (at + 16 <= end) {
    let lineLanes = i8x16.splat(0);
    let charLanes = i8x16.splat(0);
    // A lane counts to 255 at most before it is added up.
    const stop = min(at + 16 * 255, end);
    for (; at + 16 <= stop; at += 16) {
      const text = v128.load(at);
      lineLanes = i8x16.sub(lineLanes, i8x16.eq(text, newline));
      charLanes = i8x16.sub(charLanes, i8x16.gt_s(text, lastContinuation));
    }
    lines += sumLanes(lineLanes);
    chars += sumLanes(charLanes);
  }
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == 10) lines++;
    if ((byte & 0xc0) != 0x80) chars++;
  }
  countedChars = chars;
  return lines;
}

function sumLanes(lanes: v128): u32 {
  const quads = i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(lanes));
  return (
    i32x4.extract_lane(quads, 0) +
    i32x4.extract_lane(quads, 1) +
    i32x4.extract_lane(quads, 2) +
    i32x4.extract_lane(quads, 3)
  );
}

/** Address of the next newline at or after `at`, or `end`. */
export function nextNewline(at: usize, end: usize): usize {
  const newline = i8x16.splat(10);
  while (at + 16 <= end) {
    const hits = i8x16.eq(v128.load(at), newline);
    if (v128.any_true(hits)) return at + ctz(i8x16.bitmask(hits));
    at += 16;
  }
  for (; at < end; at++) if (load<u8>(at) == 10) return at;
  return end;
}

/** Address after the last newline before `at`, or `start` if there is none. */
export function lineStartBefore(start: usize, at: usize): usize {
  const newline = i8x16.splat(10);
  while (at >= start + 16) {
    const hits = i8x16.eq(v128.load(at - 16), newline);
    if (v128.any_true(hits)) return at - 16 + (32 - clz(i8x16.bitmask(hits) as u32));
    at -= 16;
  }
  for (; at > start; at--) if (load<u8>(at - 1) == 10) return at;
  return start;
}
