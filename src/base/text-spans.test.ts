import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { countText } from '../kernels/text-counts.ts';
import { fill, mask, spanAt } from './text-spans.ts';

const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 30 }), {
  minLength: 1,
  maxLength: 6,
});

/** Where texts begin, each with its newline, as a filler span wants it. */
function placesOf(whole: readonly Buffer[]): Float64Array<SharedArrayBuffer> {
  const places = new Float64Array(new SharedArrayBuffer(24 * (whole.length + 1)));
  const at = { bytes: 1_000, chars: 700, lines: 20 };
  for (const [i, text] of whole.entries()) {
    places.set([at.bytes, at.chars, at.lines], 3 * i);
    const { chars, newlines } = countText(text);
    at.bytes += text.length;
    at.chars += chars;
    at.lines += newlines;
  }
  places.set([at.bytes, at.chars, at.lines], 3 * whole.length);
  return places;
}

test('filler counts as what it stands for, text by text, wherever it is read from', () => {
  fc.assert(
    fc.property(texts, fc.nat(), fc.nat(), (all, from, length) => {
      const whole = all.map((text) => Buffer.from(`${text.toWellFormed()}\n`));
      const places = placesOf(whole);
      const span = { startBytes: 1_000, endBytes: places.at(-3)!, places };
      const filler = Buffer.alloc(span.endBytes - span.startBytes);
      fill(filler, span.startBytes, span);
      for (const [i, text] of whole.entries()) {
        const start = places[3 * i]! - 1_000;
        const part = filler.subarray(start, start + text.length);
        expect(countText(part)).toEqual(countText(text));
        expect(part.at(-1)).toBe(0x0a);
        expect(Buffer.from(part.toString()).equals(part)).toBe(true);
      }
      const at = from % filler.length;
      const piece = Buffer.alloc(Math.min(length % 40, filler.length - at));
      fill(piece, 1_000 + at, span);
      expect(piece.equals(filler.subarray(at, at + piece.length))).toBe(true);
    }),
  );
});

test('a mask is as long as what it hides, character by character, and keeps the lines', () => {
  const ends = ['\r', '\n'];
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const before = Buffer.from(text.toWellFormed());
      const after = Buffer.from(before);
      mask(after);
      const [was, is] = [Array.from(before.toString()), Array.from(after.toString())];
      expect(is.length).toBe(was.length);
      for (const [i, char] of is.entries()) {
        expect(Buffer.byteLength(char)).toBe(Buffer.byteLength(was[i]!));
        expect(ends.includes(char) ? char : '').toBe(ends.includes(was[i]!) ? was[i] : '');
      }
      expect(is.every((char) => [...ends, '#', '¤', '█', '🔒'].includes(char))).toBe(true);
    }),
  );
});

test('a place is in the last span that begins at or before it', () => {
  const spans = [0, 10, 11].map((startBytes) => ({
    startBytes,
    endBytes: Infinity,
    path: '',
    positionBytes: 0,
  }));
  expect([0, 9, 10, 11, 500].map((at) => spanAt(spans, at))).toEqual([0, 0, 1, 2, 2]);
});
