import { expect, test } from 'vitest';
import { boxPx, type Extent, maxBoxPx, rowWindow, scrolled, settled, showing } from './scroll.ts';

const short: Extent = { rows: 100_000, rowPx: 20, viewPx: 600 };
const long: Extent = { rows: 5_000_000, rowPx: 20, viewPx: 600 };
const start = { boxTopPx: 0, topPx: 0 };

test('a list that a browser has room for scrolls as it is', () => {
  expect(boxPx(short)).toBe(2_000_000);
  let position = start;
  for (const boxTopPx of [1, 140, 1_000_000, 999_900, 1_999_400, 0]) {
    position = scrolled(position, boxTopPx, short);
    expect(position).toEqual({ boxTopPx, topPx: boxTopPx });
    const { first, offsetPx } = rowWindow(position, short);
    expect(offsetPx).toBe(first * short.rowPx);
  }
});

test('one that is taller gets a box that a browser has room for, and every row of it is reached', () => {
  expect(boxPx(long)).toBe(maxBoxPx);
  const end = scrolled(start, maxBoxPx - long.viewPx, long);
  expect(rowWindow(end, long).end).toBe(long.rows);
  expect(end.topPx).toBe(long.rows * long.rowPx - long.viewPx);
  const middle = scrolled(start, (maxBoxPx - long.viewPx) / 2, long);
  expect(middle.topPx / (long.rows * long.rowPx)).toBeCloseTo(0.5, 4);
});

test('there, too, a wheel and keys go on line by line, and no row is left out', () => {
  let position = scrolled(start, 4_000_000, long);
  let [seen] = [rowWindow(position, long)];
  for (let turn = 0; turn < 500; turn += 1) {
    position = scrolled(position, position.boxTopPx + 100, long);
    const next = rowWindow(position, long);
    expect(next.first - seen.first).toBe(5);
    // What is drawn stands where the browser looks.
    const firstSeenPx = next.offsetPx + (position.topPx - next.first * long.rowPx);
    expect(firstSeenPx).toBeCloseTo(position.boxTopPx, 3);
    seen = next;
  }
  const after = settled(position, long);
  expect(after.topPx).toBe(position.topPx);
  expect(after.boxTopPx).toBeLessThan(position.boxTopPx);
});

test('the ends of the bar are the ends of the list, however one has come there', () => {
  let position = scrolled(start, 100_000, long);
  while (position.boxTopPx > 0)
    position = scrolled(position, Math.max(0, position.boxTopPx - 1_000), long);
  expect(position).toEqual(start);
});

test.each([short, long])('a row that is asked for is seen', (extent) => {
  for (const row of [0, 1, 17, 4_711, extent.rows - 1]) {
    for (const place of ['middle', 'edge'] as const) {
      const { topPx, boxTopPx } = showing(scrolled(start, 700_000, extent), row, { extent, place });
      expect(row * extent.rowPx).toBeGreaterThanOrEqual(topPx);
      expect((row + 1) * extent.rowPx).toBeLessThanOrEqual(topPx + extent.viewPx);
      expect(boxTopPx).toBeLessThanOrEqual(maxBoxPx - extent.viewPx);
    }
  }
});

test('a row that is seen already moves nothing at the edge', () => {
  const position = scrolled(start, 1_000, short);
  expect(showing(position, 55, { extent: short, place: 'edge' })).toBe(position);
});

test('little is drawn of much, and nothing of nothing', () => {
  const { first, end } = rowWindow(scrolled(start, 4_000_000, long), long);
  expect(end - first).toBeLessThan(50);
  const none = { rows: 0, rowPx: 20, viewPx: 600 };
  expect(rowWindow(scrolled(start, 50, none), none)).toMatchObject({ first: 0, end: 0 });
  expect(boxPx(none)).toBe(0);
});
