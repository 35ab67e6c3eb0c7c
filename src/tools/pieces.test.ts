import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { memorySession } from '../../test/support/memory-session.ts';
import { countChars, cutRange, packPieces, readChunk } from './pieces.ts';

const line = fc
  .string({ unit: fc.constantFrom('a', 'é', '\u{1f600}', ' '), maxLength: 60 })
  .map((text) => `${text}\n`);

test('pieces cover a range without gap and without overlap, none too long, at line borders where lines allow', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 200 }),
      fc.nat(300),
      fc.nat(600),
      async (lines, maxChars, start, length) => {
        const text = lines.join('');
        const { store } = memorySession([{ text }]);
        const points = Array.from(text);
        const endChars = Math.min(points.length, start + length);
        const chunks = await Array.fromAsync(
          packPieces(cutRange(store, { startChars: start, endChars }, { maxChars }), maxChars),
        );
        let position = start;
        const parts: string[] = [];
        for (const piece of chunks.flatMap((chunk) => chunk.pieces)) {
          expect(piece.offsetChars).toBe(position);
          expect(piece.lengthChars).toBeLessThanOrEqual(maxChars);
          position += piece.lengthChars;
          const part = points.slice(piece.offsetChars, position).join('');
          parts.push(part);
          const lastLine = part.length - part.lastIndexOf('\n');
          // A line is cut only when it alone fills half of a piece.
          expect(position === endChars || part.endsWith('\n') || lastLine > part.length / 2).toBe(
            true,
          );
        }
        expect(parts.join('')).toBe(points.slice(start, endChars).join(''));
        for (const chunk of chunks.filter(({ pieces }) => pieces.length > 1))
          expect(countChars(await readChunk(store, chunk))).toBeLessThanOrEqual(maxChars);
      },
    ),
  );
});

test('code points are counted, not units', () => {
  expect(countChars('aé\u{1f600}\u{1f600}')).toBe(4);
  expect(countChars('')).toBe(0);
});
