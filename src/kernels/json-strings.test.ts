import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { findStringEnd, loadJsonPiece } from './json-strings.ts';
import { stringEndTwin } from './kernels-twins.ts';

/** Texts with many quotes and backslashes, long enough for whole blocks of sixteen bytes. */
const bytes = fc
  .array(fc.constantFrom(0x22, 0x5c, 0x5c, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0xc3), {
    maxLength: 100,
  })
  .map((list) => Uint8Array.from(list));

it('finds the end of a string as its twin does, from anywhere', () => {
  fc.assert(
    fc.property(bytes, fc.nat(100), (text, start) => {
      const from = Math.min(start, text.length);
      loadJsonPiece(text);
      expect(findStringEnd(from, text.length)).toEqual(stringEndTwin(text, from, text.length));
    }),
    { numRuns: 2_000 },
  );
});
