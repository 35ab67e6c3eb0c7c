import { expect, test } from 'vitest';
import { agoMs, writtenTime } from './instants.ts';

const at = (text: string): number => Date.parse(text);

test('a day, a minute, a second and a millisecond are as long as they are', () => {
  const ends: readonly (readonly [string, string, string])[] = [
    ['2026-01-31', '2026-01-31T00:00:00.000Z', '2026-01-31T23:59:59.999Z'],
    ['2026-01-31 14:30', '2026-01-31T14:30:00.000Z', '2026-01-31T14:30:59.999Z'],
    ['2026-01-31T14:30:05Z', '2026-01-31T14:30:05.000Z', '2026-01-31T14:30:05.999Z'],
    ['2026-01-31T14:30:05.25', '2026-01-31T14:30:05.250Z', '2026-01-31T14:30:05.250Z'],
    ['2026-01-31 14:30+02:00', '2026-01-31T12:30:00.000Z', '2026-01-31T12:30:59.999Z'],
  ];
  for (const [text, start, end] of ends)
    expect(writtenTime(text, 'utc'), `as ${text}`).toEqual({ startMs: at(start), endMs: at(end) });
});

test('without a zone the local one is meant where that is said', () => {
  const day = writtenTime('2026-01-31', 'local');
  expect(day).toEqual({
    startMs: new Date(2026, 0, 31).getTime(),
    endMs: new Date(2026, 1, 1).getTime() - 1,
  });
  expect(writtenTime('2026-01-31 14:30', 'local')).toEqual({
    startMs: new Date(2026, 0, 31, 14, 30).getTime(),
    endMs: new Date(2026, 0, 31, 14, 31).getTime() - 1,
  });
});

test('a day that there is not is none, and what is no date is not taken for one', () => {
  for (const text of ['2026-02-30', '2026-13-01', '2026-01-31 25:00', '2026-00-10'])
    expect(writtenTime(text, 'utc'), `as ${text}`).toBe('no such');
  for (const text of ['yesterday', '2026', 'e42', '31.01.2026', '2026-1-31', ''])
    expect(writtenTime(text, 'utc'), `as ${text}`).toBeUndefined();
});

test('how long ago is read with its unit', () => {
  expect(['30m', '2h', '3d ago', '1.5h', '1w'].map(agoMs)).toEqual([
    1_800_000, 7_200_000, 259_200_000, 5_400_000, 604_800_000,
  ]);
  expect(['h', '2', 'two hours', '-2h', '2 years'].map(agoMs)).toEqual(Array.from({ length: 5 }));
});
