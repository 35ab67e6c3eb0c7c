import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { countCodePoints, countNewlines, countText } from './text-counts.ts';

const alphabet = fc.constantFrom('a', '\n', 'é', '中', '😀', '\r\n', 'long piece of text ');

test('counts are those of the decoded text', () => {
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 12_000, size: 'max' }), (parts) => {
      const text = parts.join('');
      const bytes = Buffer.from(text);
      expect(countText(bytes)).toEqual({
        newlines: text.split('\n').length - 1,
        chars: Array.from(text).length,
      });
      expect(countCodePoints(bytes)).toBe(Array.from(text).length);
      expect(countNewlines(bytes)).toBe(text.split('\n').length - 1);
    }),
    { numRuns: 50 },
  );
});

test('counts over several scratch lengths', () => {
  const bytes = Buffer.from('中文行\n'.repeat(40_000));
  expect(countText(bytes)).toEqual({ newlines: 40_000, chars: 160_000 });
});
