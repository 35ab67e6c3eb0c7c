import { expect, test } from 'vitest';
import { type TextMark, textPieces } from './marked-text.ts';

function shown(text: string, marks: readonly TextMark[] = []): string {
  return textPieces(text, marks)
    .map(({ text: piece, isMarked, sign }) => {
      const seen = sign === undefined ? piece : `‹${sign}›`;
      return isMarked ? `[${seen}]` : seen;
    })
    .join('');
}

test('hits are marked where they are', () => {
  expect(shown('one two three', [[4, 7]])).toBe('one [two] three');
  expect(
    shown('aaaa', [
      [2, 4],
      [0, 1],
    ]),
  ).toBe('[a]a[aa]');
  expect(shown('plain')).toBe('plain');
  expect(shown('')).toBe('');
});

test('marks that overlap, are empty or lie outside change no text', () => {
  const marks: TextMark[] = [
    [0, 3],
    [2, 5],
    [4, 4],
    [-5, 1],
    [6, 99],
  ];
  expect(
    textPieces('abcdefgh', marks)
      .map(({ text }) => text)
      .join(''),
  ).toBe('abcdefgh');
  expect(shown('abcdefgh', [[6, 99]])).toBe('abcdef[gh]');
  expect(shown('abcdefgh', [[50, 99]])).toBe('abcdefgh');
});

test('characters that hide or turn others around have a name, and the text stays what it was', () => {
  const text = 'a\u202Eb\u0000\u001b[31m\u200bc\u2066\ud800';
  expect(shown(text)).toBe('a‹RLO›b‹^@›‹^[›[31m‹ZWSP›c‹LRI›‹U+D800›');
  expect(
    textPieces(text)
      .map((piece) => piece.text)
      .join(''),
  ).toBe(text);
  expect(shown(text, [[1, 3]])).toContain('a[‹RLO›][b]‹^@›');
});

test('tabs, other scripts and emoji are as they are', () => {
  for (const text of ['a\tb', 'שלום עולם', '👩‍👩‍👧‍👦 ok', 'می‌خواهم', 'e\u0301'])
    expect(shown(text)).toBe(text);
});
