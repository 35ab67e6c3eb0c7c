// Finding lines by literals that a match must hold. A specification is a struct of u32:
//   +0 kind (0 one literal, 1 one literal in any letter case, 2 several)   +4 whether the automaton
//   has to confirm a line
//   one literal:  +8 address   +12 length   +16, +20 positions of its two rarest bytes (lower case
//   where kind is 1)
//   several:      +8 nibble masks (8 x 16 bytes: low and high nibble of the four bytes of a
//   fingerprint, one bit per bucket)
//                 +12 buckets (8 x {address of entries, count}); an entry is {offset of the
//                 fingerprint, length, address, any case}
import { lineStartBefore, nextNewline } from './text';

/** Where `literalLines` stopped, and behind its last hit. */
export let literalAt: usize = 0;
export let literalHits: usize = 0;
/** Lines that the last `literalLines` gave to the automaton. */
export let candidates: u32 = 0;

/**
 * Finds lines in [at, end), which are whole lines. Each hit gives one u32 at `hits`. Returns 0 at
 * the end, or 1 before a line (at `literalAt`) on which the automaton meets an unknown transition.
 */
export function literalLines(
  at: usize,
  end: usize,
  spec: usize,
  classes: usize,
  start: usize,
  hits: usize,
): u32 {
  const kind = load<u32>(spec);
  const confirm = load<u32>(spec, 4);
  candidates = 0;
  while (at < end) {
    const found =
      kind == 0
        ? findExact(at, end, spec)
        : kind == 1
          ? findFolded(at, end, spec)
          : findSeveral(at, end, spec);
    if (found >= end) break;
    const newline = nextNewline(found, end);
    if (confirm) {
      candidates++;
      const line = lineStartBefore(at, found);
      const verdict = walk(line, newline, classes, start);
      if (verdict == -1) {
        literalAt = line;
        literalHits = hits;
        return 1;
      }
      if (verdict == -2) {
        store<u32>(hits, line as u32);
        hits += 4;
      }
    } else {
      store<u32>(hits, found as u32);
      hits += 4;
    }
    at = newline + 1;
  }
  literalAt = end;
  literalHits = hits;
  return 0;
}

/** The automaton over one line and its newline: -2 it matches, -1 unknown, else it does not. */
function walk(at: usize, newline: usize, classes: usize, state: usize): i32 {
  for (; at <= newline; at++) {
    const next = load<i32>(state + load<u16>(classes + ((<usize>load<u8>(at)) << 1)));
    if (next < 0) return next;
    state = next;
  }
  return 0;
}

/** Address of the next occurrence, or `end`. */
function findExact(at: usize, end: usize, spec: usize): usize {
  const needle: usize = load<u32>(spec, 8);
  const length: usize = load<u32>(spec, 12);
  if (end - at < length) return end;
  const last = end - length;
  const first: usize = load<u32>(spec, 16);
  const second: usize = load<u32>(spec, 20);
  const firstByte = i8x16.splat(load<i8>(needle + first));
  const secondByte = i8x16.splat(load<i8>(needle + second));
  while (at <= last) {
    const low = v128.and(
      i8x16.eq(v128.load(at + first), firstByte),
      i8x16.eq(v128.load(at + second), secondByte),
    );
    const high = v128.and(
      i8x16.eq(v128.load(at + first, 16), firstByte),
      i8x16.eq(v128.load(at + second, 16), secondByte),
    );
    if (v128.any_true(v128.or(low, high))) {
      let bits: u32 = i8x16.bitmask(low) | (i8x16.bitmask(high) << 16);
      while (bits) {
        const found = at + ctz(bits);
        if (found > last) return end;
        if (same(found, needle, length)) return found;
        bits &= bits - 1;
      }
    }
    at += 32;
  }
  return end;
}

/** The same in any letter case. */
function findFolded(at: usize, end: usize, spec: usize): usize {
  const needle: usize = load<u32>(spec, 8);
  const length: usize = load<u32>(spec, 12);
  if (end - at < length) return end;
  const last = end - length;
  const first: usize = load<u32>(spec, 16);
  const second: usize = load<u32>(spec, 20);
  const firstByte = i8x16.splat(load<i8>(needle + first));
  const secondByte = i8x16.splat(load<i8>(needle + second));
  const firstCase = i8x16.splat(caseBit(load<u8>(needle + first)));
  const secondCase = i8x16.splat(caseBit(load<u8>(needle + second)));
  while (at <= last) {
    const low = v128.and(
      i8x16.eq(v128.or(v128.load(at + first), firstCase), firstByte),
      i8x16.eq(v128.or(v128.load(at + second), secondCase), secondByte),
    );
    const high = v128.and(
      i8x16.eq(v128.or(v128.load(at + first, 16), firstCase), firstByte),
      i8x16.eq(v128.or(v128.load(at + second, 16), secondCase), secondByte),
    );
    if (v128.any_true(v128.or(low, high))) {
      let bits: u32 = i8x16.bitmask(low) | (i8x16.bitmask(high) << 16);
      while (bits) {
        const found = at + ctz(bits);
        if (found > last) return end;
        if (sameFolded(found, needle, length)) return found;
        bits &= bits - 1;
      }
    }
    at += 32;
  }
  return end;
}

/**
 * Any of several literals, each known by four bytes somewhere in it (Teddy, after Hyperscan).
 * Address of its start, or `end`.
 */
function findSeveral(at: usize, end: usize, spec: usize): usize {
  const masks: usize = load<u32>(spec, 8);
  const buckets: usize = load<u32>(spec, 12);
  const low0 = v128.load(masks);
  const high0 = v128.load(masks, 16);
  const low1 = v128.load(masks, 32);
  const high1 = v128.load(masks, 48);
  const low2 = v128.load(masks, 64);
  const high2 = v128.load(masks, 80);
  const low3 = v128.load(masks, 96);
  const high3 = v128.load(masks, 112);
  const nibble = i8x16.splat(15);
  const zero = i8x16.splat(0);
  const from = at;
  // Each byte is looked up once for all four places; those of the bytes before are shifted in from
  // the last 16.
  let last0 = zero;
  let last1 = zero;
  let last2 = zero;
  for (; at < end + 3; at += 16) {
    const text = v128.load(at);
    const low = v128.and(text, nibble);
    const high = v128.and(i16x8.shr_u(text, 4), nibble);
    const hit0 = v128.and(lookUp(low0, low), lookUp(high0, high));
    const hit1 = v128.and(lookUp(low1, low), lookUp(high1, high));
    const hit2 = v128.and(lookUp(low2, low), lookUp(high2, high));
    const hit3 = v128.and(lookUp(low3, low), lookUp(high3, high));
    // prettier-ignore
    const three = v128.and(
      i8x16.shuffle(last0, hit0, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28),
      i8x16.shuffle(last1, hit1, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29),
    );
    // prettier-ignore
    const two = v128.and(
      i8x16.shuffle(last2, hit2, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30),
      hit3,
    );
    const hit = v128.and(three, two);
    last0 = hit0;
    last1 = hit1;
    last2 = hit2;
    if (!v128.any_true(hit)) continue;
    let bits: u32 = i8x16.bitmask(i8x16.ne(hit, zero));
    v128.store(masks, hit, 128);
    while (bits) {
      const lane: usize = ctz(bits);
      const found = confirmSeveral(at + lane - 3, from, end, buckets, load<u8>(masks + 128 + lane));
      if (found) return found;
      bits &= bits - 1;
    }
  }
  return end;
}

/** Table entries by nibbles; those are below 16, so that the relaxed instruction is exact. */
function lookUp(table: v128, nibbles: v128): v128 {
  return i8x16.relaxed_swizzle(table, nibbles);
}

/**
 * The literal whose fingerprint is at `at`, in one of the buckets of the bit set: its address, or
 * 0.
 */
function confirmSeveral(at: usize, from: usize, end: usize, buckets: usize, bits: u32): usize {
  while (bits) {
    const bucket = buckets + ((<usize>ctz(bits)) << 3);
    let entry: usize = load<u32>(bucket);
    for (let count = load<u32>(bucket, 4); count; count--) {
      const found = at - load<u32>(entry);
      const length: usize = load<u32>(entry, 4);
      const literal: usize = load<u32>(entry, 8);
      if (found >= from && found + length <= end) {
        if (
          load<u32>(entry, 12) ? sameFolded(found, literal, length) : same(found, literal, length)
        )
          return found;
      }
      entry += 16;
    }
    bits &= bits - 1;
  }
  return 0;
}

function same(at: usize, literal: usize, length: usize): bool {
  for (let i: usize = 0; i < length; i++) {
    if (load<u8>(at + i) != load<u8>(literal + i)) return false;
  }
  return true;
}

/** `literal` is in lower case. */
function sameFolded(at: usize, literal: usize, length: usize): bool {
  for (let i: usize = 0; i < length; i++) {
    let byte: u32 = load<u8>(at + i);
    if (byte - 65 < 26) byte |= 32;
    if (byte != load<u8>(literal + i)) return false;
  }
  return true;
}

/** The bit that tells the cases of an ASCII letter apart; 0 for anything else. */
function caseBit(byte: u32): i8 {
  return byte - 97 < 26 ? 32 : 0;
}
