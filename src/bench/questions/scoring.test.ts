import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  finalAnswer,
  itemsOf,
  percentile,
  scoreExact,
  scoreNumber,
  scoreSet,
  wilson,
} from './scoring.ts';

test('what counts stands behind the last ANSWER', () => {
  expect(finalAnswer('ANSWER: 1, no:\nANSWER: 2 ')).toBe('2');
  expect(finalAnswer(' plain ')).toBe('plain');
});

test('exact: the word itself, and none of those that are wrong', () => {
  expect(scoreExact('It is 4711.', '4711')).toBe(1);
  expect(scoreExact('It is 47110.', '4711')).toBe(0);
  expect(scoreExact('user_11', 'user_1')).toBe(0);
  expect(scoreExact('ANSWER: Teal', 'teal')).toBe(1);
  expect(scoreExact('4711 or 4712', '4711', ['4711', '4712'])).toBe(0);
  expect(scoreExact('not 4712. ANSWER: 4711', '4711', ['4712'])).toBe(1);
  expect(scoreExact('src/a.ts', 'src/a.ts')).toBe(1);
  expect(scoreExact('', 'x')).toBe(0);
});

test("numbers: OOLONG's 0.75 to the power of the error", () => {
  expect(scoreNumber('ANSWER: 1,234', 1234)).toBe(1);
  expect(scoreNumber('about 12', 10)).toBe(0.5625);
  expect(scoreNumber('-3', 3)).toBeCloseTo(0.75 ** 6);
  expect(scoreNumber('none', 0)).toBe(0);
});

test('sets: F1', () => {
  const set = (...items: string[]): ReadonlySet<string> => new Set(items);
  expect(scoreSet(set('a', 'b'), set('a', 'b'))).toBe(1);
  expect(scoreSet(set('a', 'x'), set('a', 'b'))).toBe(0.5);
  expect(scoreSet(set(), set('a'))).toBe(0);
  expect(scoreSet(set(), set())).toBe(1);
  expect(itemsOf('first 111111. ANSWER: 123456, 654321, 123456', /\b\d{6}\b/g)).toEqual(
    set('123456', '654321'),
  );
});

test("Wilson's interval holds the share, stays in bounds and narrows with the trials", () => {
  expect(wilson(8, 10)).toMatchObject({ share: 0.8 });
  expect(wilson(8, 10).low).toBeCloseTo(0.490_16, 4);
  expect(wilson(8, 10).high).toBeCloseTo(0.943_32, 4);
  expect(wilson(0, 0)).toEqual({ share: 0, low: 0, high: 1 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (trials, share) => {
        const found = wilson(share * trials, trials);
        expect(found.low).toBeGreaterThanOrEqual(0);
        expect(found.high).toBeLessThanOrEqual(1);
        expect(found.low).toBeLessThanOrEqual(share + 1e-9);
        expect(found.high).toBeGreaterThanOrEqual(share - 1e-9);
        const more = wilson(share * trials * 4, trials * 4);
        expect(more.high - more.low).toBeLessThan(found.high - found.low);
      },
    ),
  );
});

test('percentiles by nearest rank', () => {
  const values = [5, 1, 4, 2, 3];
  expect(percentile(values, 0.5)).toBe(3);
  expect(percentile(values, 0.95)).toBe(5);
  expect(percentile([7], 0.5)).toBe(7);
  expect(percentile([], 0.5)).toBe(0);
});
