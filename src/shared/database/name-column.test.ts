import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { columnName, nameColumn } from './name-column.ts';

const anyName = fc
  .array(
    fc.oneof(
      fc.constantFrom('\0', '\u0010', '\ud800', '\udc00', '\ud83d\ude00', '0000', 'd800', '#', 'a'),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

test('a column holds every name, and says it again', () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const column = nameColumn(name);
      expect(column.isWellFormed()).toBe(true);
      expect(column).not.toContain('\0');
      expect(columnName(column)).toBe(name);
    }),
  );
});

test('a usual name stands there as it is', () => {
  for (const name of ['git:github.com/acme/shop#api', '_rlm:path:host:/home/é/日本', '😀']) {
    expect(nameColumn(name)).toBe(name);
  }
});

test('names that are too long for an index keep their beginning, and stay apart', () => {
  const long = `_rlm:path:host:/${'é\0'.repeat(2_000)}`;
  const columns = [long, `${long}a`, `${long}b`].map(nameColumn);
  expect(new Set(columns).size).toBe(3);
  for (const column of columns) {
    expect(Buffer.byteLength(column)).toBeLessThanOrEqual(2_000);
    expect(columnName(column)).toMatch(/^_rlm:path:host:\/(?:é\0)+é?…$/);
  }
  // No name of another form has the same column.
  expect(nameColumn(columns[0]!)).not.toBe(columns[0]);
});
