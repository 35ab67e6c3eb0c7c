import { expect, test } from 'vitest';
import { Pages } from './pages.ts';

function page(number: number): readonly string[] {
  return Array.from({ length: 10 }, (_, index) => `item ${number * 10 + index}`);
}

test('what is looked at is asked for once, by pages', () => {
  const pages = new Pages<string>(10, 5);
  expect(pages.missing(8, 21)).toEqual([0, 1, 2]);
  expect(pages.range(2)).toEqual({ first: 20, count: 10 });
  pages.put(1, page(1));
  expect(pages.missing(8, 21)).toEqual([0, 2]);
  expect([pages.at(9), pages.at(10), pages.at(19), pages.at(20)]).toEqual([
    undefined,
    'item 10',
    'item 19',
    undefined,
  ]);
  expect(pages.missing(3, 3)).toEqual([]);
  pages.clear();
  expect(pages.missing(10, 20)).toEqual([1]);
});

test('what nobody has looked at for longest is let go', () => {
  const pages = new Pages<string>(10, 3);
  for (const number of [0, 1, 2]) pages.put(number, page(number));
  pages.missing(0, 10);
  pages.put(3, page(3));
  expect([0, 1, 2, 3].map((number) => pages.at(number * 10) !== undefined)).toEqual([
    true,
    false,
    true,
    true,
  ]);
});
