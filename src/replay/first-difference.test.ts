import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstDifference } from './first-difference.ts';

function between(recorded: unknown, now: unknown) {
  const bytes = [recorded, now].map((value) => Buffer.from(JSON.stringify(value)));
  return firstDifference(bytes[0]!, bytes[1]!);
}

test('a text that changed is named by its path and its first other character', () => {
  const long = 'x'.repeat(300);
  const found = between(
    { messages: [{ content: 'same' }, { content: `${long}one${long}` }] },
    { messages: [{ content: 'same' }, { content: `${long}two${long}` }] },
  );
  expect(found).toMatchObject({ where: 'messages[1].content', atChars: 300 });
  expect(found?.recorded).toBe(`${'x'.repeat(40)}one${'x'.repeat(37)}`);
  expect(found?.now).toBe(`${'x'.repeat(40)}two${'x'.repeat(37)}`);
});

test.each([
  [{ a: 1 }, { a: 1, b: { c: 2 } }, { where: 'b', now: '{"c":2}' }],
  [{ a: [1, 2] }, { a: [1] }, { where: 'a[1]', recorded: '2' }],
  [{ a: 'one' }, { a: 1 }, { where: 'a', recorded: 'one', now: '1' }],
  [{ a: null }, { a: {} }, { where: 'a', recorded: 'null', now: '{}' }],
  [
    { a: 1, b: 2 },
    { b: 2, a: 1 },
    { where: 'the bytes', atChars: 2 },
  ],
])('%j and %j', (recorded, now, expected) => {
  expect(between(recorded, now)).toMatchObject(expected);
});

test('what is no JSON is compared as bytes', () => {
  expect(firstDifference(Buffer.from('{"a'), Buffer.from('{"b'))).toMatchObject({
    where: 'the bytes',
    atChars: 2,
  });
});

test('there is a difference just where the bytes differ', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      expect(between(one, one)).toBeUndefined();
      expect(between(one, other) === undefined).toBe(JSON.stringify(one) === JSON.stringify(other));
    }),
  );
});
