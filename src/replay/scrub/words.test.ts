import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { WordScrubber } from './words.ts';

const anyText = fc.string({ unit: 'grapheme', maxLength: 200 });

test('lengths, bytes, what stands between words, and which words are the same stay', () => {
  const words = new WordScrubber(new Set(['kept']));
  fc.assert(
    fc.property(anyText, (given) => {
      const text = given.toWellFormed();
      const scrubbed = words.text(text);
      expect(scrubbed.length).toBe(text.length);
      expect(Buffer.byteLength(scrubbed)).toBe(Buffer.byteLength(text));
      const between = /[\p{L}\p{N}\p{M}]+/gu;
      expect(scrubbed.split(between)).toEqual(text.split(between));
      expect(words.text(text)).toBe(scrubbed);
      expect(words.text(`${text} ${text}`)).toBe(`${scrubbed} ${scrubbed}`);
    }),
  );
});

test('equal words are equal in whatever case, and different ones differ', () => {
  const words = new WordScrubber(new Set());
  const small = words.text('plutonium');
  expect(small).not.toBe('plutonium');
  expect(words.text('PLUTONIUM Plutonium')).toBe(
    `${small.toUpperCase()} ${small[0]!.toUpperCase()}${small.slice(1)}`,
  );
  // A hundred numbers of two digits are a hundred others.
  const numbers = Array.from({ length: 100 }, (_, at) => String(at).padStart(2, '0'));
  expect(new Set(numbers.map((number) => words.text(number))).size).toBe(100);
});

test('another run has another key', () => {
  expect(new WordScrubber(new Set()).text('plutonium')).not.toBe(
    new WordScrubber(new Set()).text('plutonium'),
  );
});

test.each([
  [String.raw`plutonium\s+\d{2,3}[a-z_]+`, 'Plutonium  77kg_net'],
  [String.raw`\bplutonium\.json\b|\p{Lu}+\x3f`, 'see plutonium.json'],
  [String.raw`(?:plutonium|uranium) (?<kilos>\d+)`, 'uranium 12'],
])('a pattern still finds what it found: %s', (pattern, text) => {
  const words = new WordScrubber(new Set());
  const scrubbed = words.pattern(pattern);
  expect(scrubbed).not.toMatch(/plutonium|uranium/);
  expect(new RegExp(pattern, 'iu').test(text)).toBe(true);
  expect(new RegExp(scrubbed, 'iu').test(words.text(text))).toBe(true);
});

test('what is kept stays', () => {
  const words = new WordScrubber(new Set(['working', 'directory']));
  expect(words.text('Working directory: /home/grace')).toMatch(
    /^Working directory: \/[a-z]{4}\/[a-z]{5}$/,
  );
  expect(words.textButNumbers('only 128000 left')).toMatch(/^[a-z]{4} 128000 [a-z]{4}$/);
});
