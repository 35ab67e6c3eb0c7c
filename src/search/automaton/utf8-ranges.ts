import type { CodePointSet } from '../pattern/code-points.ts';

/** A run of byte ranges, [low, high] each, that spells a range of code points in UTF-8. */
export type ByteRanges = readonly (readonly [number, number])[];

/** Where the number of UTF-8 bytes changes, and the surrogates, which UTF-8 does not have. */
const borders = [0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff] as const;

/** All runs of byte ranges that together spell exactly the members of the set. */
export function utf8Ranges(set: CodePointSet): readonly ByteRanges[] {
  const out: ByteRanges[] = [];
  for (let i = 0; i < set.length; i += 2) split(set[i]!, set[i + 1]!, out);
  return out;
}

function split(low: number, high: number, out: ByteRanges[]): void {
  if (low > high || (low >= 0xd800 && high <= 0xdfff)) return;
  for (const border of borders) {
    if (low <= border && high > border) {
      split(low, border, out);
      split(border + 1, high, out);
      return;
    }
  }
  const first = encode(low);
  // Each continuation byte must range freely, or both ends agree above it.
  for (let i = 1; i < first.length; i++) {
    const mask = (1 << (6 * i)) - 1;
    if ((low & ~mask) === (high & ~mask)) continue;
    if ((low & mask) !== 0) {
      split(low, low | mask, out);
      split((low | mask) + 1, high, out);
      return;
    }
    if ((high & mask) !== mask) {
      split(low, (high & ~mask) - 1, out);
      split(high & ~mask, high, out);
      return;
    }
  }
  const last = encode(high);
  out.push(first.map((byte, i) => [byte, last[i]!] as const));
}

/** The UTF-8 bytes of a code point that is not a surrogate. */
function encode(codePoint: number): readonly number[] {
  if (codePoint < 0x80) return [codePoint];
  if (codePoint < 0x800) return [0xc0 | (codePoint >> 6), 0x80 | (codePoint & 63)];
  const tail = [0x80 | ((codePoint >> 6) & 63), 0x80 | (codePoint & 63)];
  if (codePoint < 0x1_0000) return [0xe0 | (codePoint >> 12), ...tail];
  return [0xf0 | (codePoint >> 18), 0x80 | ((codePoint >> 12) & 63), ...tail];
}
