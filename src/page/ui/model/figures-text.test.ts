import { expect, test } from 'vitest';
import {
  agoText,
  bytesText,
  countOf,
  countText,
  durationText,
  roundCountText,
  shareText,
  shortCountText,
} from './figures-text.ts';

test('counts have groups of digits, and few of them where there is little room', () => {
  expect([0, 999, 1234567].map(countText)).toEqual(['0', '999', '1,234,567']);
  expect([9_999, 10_000, 1_234_567, 99_999_999].map(shortCountText)).toEqual([
    '9,999',
    '10K',
    '1.23M',
    '100M',
  ]);
  expect([0, 500, 5_000, 12_500].map(roundCountText)).toEqual(['0', '500', '5K', '12.5K']);
  expect([1, 2, 0].map((count) => countOf(count, 'hit'))).toEqual(['1 hit', '2 hits', '0 hits']);
});

test('sizes have three digits and a unit, and go over to the next in time', () => {
  expect([0, 999, 1000, 12_345, 999_499, 999_600, 1.5e9].map(bytesText)).toEqual([
    '0 B',
    '999 B',
    '1 kB',
    '12.3 kB',
    '999 kB',
    '1 MB',
    '1.5 GB',
  ]);
});

test('a share is 100 % only of all, and more than nothing is not 0 %', () => {
  expect(shareText(0, 0)).toBeUndefined();
  expect(shareText(0, 10)).toBe('0 %');
  expect(shareText(1, 1000)).toBe('< 1 %');
  expect(shareText(999, 1000)).toBe('99 %');
  expect(shareText(1000, 1000)).toBe('100 %');
});

test('times are said in two units at most', () => {
  expect(
    [0, 320, 999, 4_200, 12_300, 59_600, 192_000, 7_500_000, 180_000_000].map(durationText),
  ).toEqual([
    '0 ms',
    '320 ms',
    '999 ms',
    '4.2 s',
    '12 s',
    '1 min',
    '3 min 12 s',
    '2 h 5 min',
    '2 days 2 h',
  ]);
});

test('how long ago something was is said coarsely', () => {
  const now = 1_000_000_000_000;
  const minute = 60_000;
  expect(
    [-5, 0, 1, 59, 60, 1439, 1440, 2880].map((minutes) => agoText(now - minutes * minute, now)),
  ).toEqual([
    'just now',
    'just now',
    '1 min ago',
    '59 min ago',
    '1 h ago',
    '23 h ago',
    'yesterday',
    '2 days ago',
  ]);
});
