import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { scrubEscaped, scrubPattern } from './pattern.ts';
import { WordScrubber } from './words.ts';

const raw = String.raw;

/** Texts in which the words of the patterns below stand. */
const found = 'Plutonium  77kg_net, uranium 12 in plutonium.json';

test.each([
  [raw`plutonium\s+\d{2,3}[a-z_]+`],
  [raw`\bplutonium\.json\b|\p{Lu}+\x3f`],
  [raw`(?:plutonium|uranium) (?<kilos>\d+)`],
  [raw`[Pp]lutonium`],
  [raw`[Pp][Ll]utoniu[m]\b`],
  [raw`\x70lutonium|\u{70}\u006cutonium|\x{70}lutonium`],
  [raw`\bp\x6cutonium\b`],
  ['PLUTONIUM'],
  [raw`[plutonium]{9}`],
  [raw`[^plutonium]12`],
  [raw`(?<plutonium>uranium) \d+ in \k<plutonium>|uranium`],
])('a pattern still finds what it found: %s', (pattern) => {
  const words = new WordScrubber(new Set());
  const scrubbed = scrubPattern(pattern, words);
  expect(new RegExp(pattern.replaceAll('\\x{', '\\u{'), 'iu').test(found)).toBe(true);
  expect(scrubbed).not.toMatch(/pluton|uran/i);
  expect(new RegExp(scrubbed.replaceAll('\\x{', '\\u{'), 'iu').test(words.text(found))).toBe(true);
});

test.each([
  [raw`[a-z]+[A-F0-9]{4}[^\s,]*?(?=x)(?!y)(?<=\.)`],
  [raw`^\s*(?:\d{1,3}\.){3}\p{L}\P{Lu}\p{Script=Greek}[[:alpha:]_]$`],
  [raw`(?i)\w+|(?m-s:.)\cJ\0\1\t[\w.-]`],
  ['['],
])('what has no words stays: %s', (pattern) => {
  const kept = new WordScrubber(new Set(['x', 'y']));
  expect(scrubPattern(pattern, kept)).toBe(pattern);
});

test.each([
  [raw`[plutonium]`, /^\[\\w\\w\\w\\w_\]$/],
  [raw`[^plutonium\s]`, /^\[\^\\s\]$/],
  [raw`[^plutonium]`, /^\[\^\\0\]$/],
  [raw`[\x70\x6c\u0075\x74]`, /^\[(?:\\w)+\]$/],
  [raw`[]plutonium]`, /^\[(?:\\w){4}_\]\]$/],
  [raw`\160\154\165\164`, /^(?:\\[0-7]{3}){4}$/],
  [raw`\p{Plutonium}\kplutonium`, /^\\p\{[a-zA-Z]{9}\}\\k[a-z]{9}$/],
  [raw`\g{plutonium}`, /^\\g\{[a-z]{9}\}$/],
  ['plutonium[', /^[a-z]{9}\[$/],
])('nothing longer than a character is left of what %s spells', (pattern, form) => {
  const scrubbed = scrubPattern(pattern, new WordScrubber(new Set()));
  expect(scrubbed).toMatch(form);
  expect(scrubbed).not.toMatch(/pluton|\\x70\\x6c|\\160\\154/i);
});

const spellings: readonly ((letter: string) => string)[] = [
  (letter) => letter,
  (letter) => `[${letter.toUpperCase()}${letter}]`,
  (letter) => `[${letter}]`,
  (letter) => raw`\x` + letter.charCodeAt(0).toString(16),
  (letter) => raw`\u00` + letter.charCodeAt(0).toString(16),
];

test('a word is found however its letters are written, and stands nowhere', () => {
  const words = new WordScrubber(new Set());
  const text = 'secretproject';
  const letters = Array.from(text, (letter) =>
    fc.constantFrom(...spellings).map((spell) => spell(letter)),
  );
  fc.assert(
    fc.property(fc.tuple(...letters), (spelled) => {
      const scrubbed = scrubPattern(spelled.join(''), words);
      expect(new RegExp(`^${scrubbed}$`, 'u').test(words.text(text))).toBe(true);
      expect(new RegExp(`^${scrubbed}$`, 'u').test(text)).toBe(false);
    }),
  );
});

test('no pattern is too odd', () => {
  const words = new WordScrubber(new Set());
  const piece = fc.constantFrom(
    '\\',
    '[',
    ']',
    '^',
    '-',
    '{',
    '}',
    '(',
    '?',
    '<',
    ':',
    'p',
    'x',
    'u',
    '7',
    'é',
    '秘',
    '\u{1f600}',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const scrubbed = scrubPattern(pieces.join(''), words);
      expect(scrubPattern(pieces.join(''), words)).toBe(scrubbed);
      expect(scrubbed.isWellFormed()).toBe(true);
    }),
  );
});

test.each([
  '[' + 'a-'.repeat(20_000),
  '[[:a'.repeat(5_000),
  '\\p{'.repeat(5_000),
  '(?a'.repeat(9_000),
])('one that is never closed takes no time', (pattern) => {
  expect(scrubPattern(pattern, new WordScrubber(new Set(['a', 'p'])))).toBe(pattern);
});

test('a text of a program has other words, however they are written', () => {
  const words = new WordScrubber(new Set());
  const literal = raw`"pl\x75tonium\t\u{70}lutonium\n\u0050LUTONIUM"`;
  const scrubbed = scrubEscaped(literal, words);
  const read = (text: string): unknown => runInNewContext(text);
  expect(read(scrubbed)).toBe(words.text(String(read(literal))));
  expect(read(scrubbed)).not.toMatch(/plutonium/i);
});
