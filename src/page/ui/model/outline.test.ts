import { expect, test } from 'vitest';
import { markAt } from './outline.ts';

const outline = [
  { text: 'levels: 3 ERROR' },
  { line: 10, text: 'the first' },
  { line: 900, text: 'the last' },
  { line: 40, text: 'a warning' },
  { text: 'many lines like *' },
];

test.each([
  [undefined, -1],
  [1, -1],
  [9, -1],
  [10, 1],
  [39, 1],
  [40, 3],
  [899, 3],
  [5_000, 2],
])('line %j lies in part %i', (line, part) => {
  expect(markAt(outline, line)).toBe(part);
});
