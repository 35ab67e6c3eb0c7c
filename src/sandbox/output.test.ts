import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutputBuffer } from './output.ts';

test('what fits comes back as it is, else beginning and end with the count between', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 12 }), { maxLength: 20 }), (pieces) => {
      const all = pieces.join('');
      const buffer = new OutputBuffer(40);
      for (const piece of pieces) buffer.add(piece, 0, '');
      const cut = `${all.slice(0, 24)}\n[... ${all.length - 40} characters of output left out; print less, or keep them in a variable ...]\n${all.slice(-16)}`;
      expect(buffer.text()).toBe(all.length <= 40 ? all : cut);
    }),
  );
});

test('a text that was cut before it came is counted', () => {
  const buffer = new OutputBuffer(20);
  buffer.add('begin', 0, '');
  buffer.add('abc', 1000, 'xyz');
  buffer.add('end', 0, '');
  expect(buffer.text()).toMatch(/^beginabc\n\[\.\.\. 1,000 characters.*\]\nxyzend$/);
});
