import { countCodePoints } from '../../kernels/text-counts.ts';

const strideBytes = 2048;

/**
 * Where code point number `chars` (from 0) starts; the length of `bytes` where there are not so
 * many.
 */
export function charToByte(bytes: Uint8Array, chars: number): number {
  let left = chars;
  let at = 0;
  for (; at < bytes.length; at += strideBytes) {
    const stride = countCodePoints(bytes.subarray(at, at + strideBytes));
    if (stride > left) break;
    left -= stride;
  }
  for (; at < bytes.length; at += 1) {
    if ((bytes[at]! & 0xc0) !== 0x80) {
      if (left === 0) return at;
      left -= 1;
    }
  }
  return bytes.length;
}

/**
 * Where line number `lines` (from 0) starts: just behind that many newlines; the length where there
 * are not so many.
 */
export function lineToByte(bytes: Uint8Array, lines: number): number {
  let at = 0;
  for (let left = lines; left > 0; left -= 1) {
    const newline = bytes.indexOf(0x0a, at);
    if (newline < 0) return bytes.length;
    at = newline + 1;
  }
  return at;
}

/**
 * How many bytes at the end belong to a code point that is not complete yet (0 to 3). `bytes` is a
 * prefix of valid UTF-8.
 */
export function incompleteTailBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}
