import * as fc from 'fast-check';

/**
 * Pieces of text: several scripts, emoji, both newlines, what code and logs are made of. Neither
 * U+017F nor U+212A, see case-folding.ts.
 */
const words = [
  'a',
  'b',
  'ab',
  'foo',
  'Foo',
  'FOO',
  'bar',
  'error',
  'ERROR',
  'id',
  '_x1',
  '42',
  '7',
  '0x1f',
  ' ',
  '  ',
  '\t',
  '.',
  ':',
  '(',
  ')',
  '"',
  '-',
  '/',
  '=',
  '\r',
  '\u00a0',
  '\u2028',
  'é',
  'É',
  'école',
  'e\u0301',
  'ошибка',
  '٣',
  'ß',
  'ñ',
  'Ω',
  'ω',
  'ж',
  'Ж',
  'ש',
  'م',
  'क',
  '中',
  '文',
  '登录',
  '한',
  '😀',
  '👩‍💻',
  '𝒳',
];

const line = fc.array(fc.constantFrom(...words), { maxLength: 14 }).map((parts) => parts.join(''));

/** A line longer than a block, so that it spans several. */
const longLine = fc
  .tuple(
    fc.constantFrom('ab ', '中文😀', 'foo bar=1 '),
    fc.integer({ min: 3_000, max: 9_000 }),
    line,
  )
  .map(([unit, times, rest]) => unit.repeat(times) + rest);

/**
 * A text of a few lines, now and then with very long ones, with or without a newline at the end.
 */
const text = fc
  .tuple(
    fc.array(fc.oneof({ weight: 200, arbitrary: line }, { weight: 1, arbitrary: longLine }), {
      minLength: 1,
      maxLength: 40,
    }),
    fc.constantFrom('\n', '\r\n'),
    fc.boolean(),
  )
  .map(([lines, newline, closed]) => lines.join(newline) + (closed ? newline : ''))
  .filter((whole) => whole.length > 0);

const atom = fc.constantFrom(
  'a',
  'b',
  'ab',
  'foo',
  'Foo',
  'bar',
  'error',
  'id',
  '1',
  '4',
  '\\.',
  '\\(',
  ':',
  '"',
  '=',
  ' ',
  '\\d',
  '\\w',
  '\\s',
  '\\S',
  '\\W',
  '\\D',
  '\\w+',
  '\\d+',
  '.',
  '[a-z]',
  '[^a-z]',
  '[A-Z_]',
  '[0-9a-f]',
  '[^\\s"]',
  'é',
  'ω',
  '中',
  '登录',
  '😀',
  '[一-龥]',
  '[^\\x00-\\x7f]',
  '\\p{L}',
  '\\u{1F600}',
  '[ж-я]',
  '[😀-😎x]',
);

/** Patterns that mean the same to V8 (flags u and s, line by line) and to us. */
export const pattern: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    { weight: 5, arbitrary: atom },
    {
      weight: 5,
      arbitrary: fc
        .array(tie('node'), { minLength: 1, maxLength: 4 })
        .map((parts) => parts.join('')),
    },
    { weight: 2, arbitrary: fc.tuple(tie('node'), tie('node')).map(([a, b]) => `(?:${a}|${b})`) },
    { weight: 1, arbitrary: tie('node').map((inner) => `(${inner})`) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          tie('node'),
          fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{0,2}', '{2,}', '+?', '*?', '??'),
        )
        .map(([inner, count]) => `(?:${inner})${count}`),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('^', '$', '\\b', '\\B'), tie('node'), fc.boolean())
        .map(([place, inner, first]) => (first ? place + inner : inner + place)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('(?=', '(?!', '(?<=', '(?<!'), tie('node'), tie('node'))
        .map(([look, a, b]) => `${look}${a})${b}`),
    },
  ),
})).node;

/** A search in all its switches, over a text. */
export const searchCase = fc.record({
  text,
  patterns: fc.array(pattern, { minLength: 20, maxLength: 20 }),
  caseSensitive: fc.boolean(),
  order: fc.constantFrom('newest' as const, 'oldest' as const),
  maxResults: fc.constantFrom(1, 3, 1_000),
});
