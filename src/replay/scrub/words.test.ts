import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fittingName } from '../../faces/tool-name.ts';
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
    // Its small letter takes two bytes, it takes three.
    { examples: [['\u{2c6e}']] },
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

test('where there are more words than can be told apart, two become the same', () => {
  const words = new WordScrubber(new Set());
  const letters = Array.from({ length: 200 }, (_, at) => String.fromCodePoint(0x0400 + at));
  const scrubbed = words.text(letters.join(' '));
  expect(scrubbed).toHaveLength(399);
  expect(scrubbed.split(' ').every((letter) => Buffer.byteLength(letter) === 2)).toBe(true);
  // All numbers of three digits, none of which stays the one that it was while others are free.
  const numbers = Array.from({ length: 900 }, (_, at) => String(at + 100));
  expect(new Set(numbers.map((number) => words.text(number))).size).toBe(900);
  expect(numbers.filter((number) => words.text(number) === number).length).toBeLessThan(3);
});

test('another run has another key', () => {
  expect(new WordScrubber(new Set()).text('plutonium')).not.toBe(
    new WordScrubber(new Set()).text('plutonium'),
  );
});

test('what is kept stays', () => {
  const words = new WordScrubber(new Set(['working', 'directory']));
  expect(words.text('Working directory: /home/grace')).toMatch(
    /^Working directory: \/[a-z]{4}\/[a-z]{5}$/,
  );
  expect(words.textButNumbers('only 128000 left')).toMatch(/^[a-z]{4} 128000 [a-z]{4}$/);
});

test('what programs look at stays: numbers, hexadecimal digits, errors', () => {
  const words = new WordScrubber(new Set());
  fc.assert(
    fc.property(fc.nat(), fc.uuid(), (number, uuid) => {
      expect(String(JSON.parse(words.text(String(number))))).toHaveLength(String(number).length);
      expect(words.text(uuid)).toMatch(/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/);
    }),
  );
  expect(words.text('TypeError: no ENOENTERROR')).toMatch(
    /^(?!Type)[A-Z][a-z]{3}Error: [a-z]{2} [A-Z]{6}ERROR$/,
  );
});

test('a name that is cut for a provider becomes what the other name is cut to', () => {
  const words = new WordScrubber(new Set());
  const name = `mcp__plutonium__${'look_'.repeat(12)}there`;
  const scrubbed = words.name(name);
  expect(scrubbed).toBe(words.text(name));
  expect(words.name(fittingName(name))).toBe(fittingName(scrubbed));
  expect(words.name(name)).toBe(scrubbed);
  expect(words.name('plutonium')).toBe(words.text('plutonium'));
});

test('base64 is that of other bytes, as many, the same for the same', () => {
  const words = new WordScrubber(new Set());
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
      const text = Buffer.from(bytes).toString('base64');
      const scrubbed = words.base64(text);
      expect(scrubbed).toHaveLength(text.length);
      expect(Buffer.from(scrubbed, 'base64')).toHaveLength(bytes.length);
      expect(scrubbed).not.toBe(text);
      expect(words.base64(text)).toBe(scrubbed);
    }),
  );
});
