import { expect, test } from 'vitest';
import { LruMap } from './lru-map.ts';

test('what was used the longest ago goes first', () => {
  const map = new LruMap<string, number>(3);
  for (const [at, key] of ['a', 'b', 'c'].entries()) map.set(key, at);
  expect(map.get('a')).toBe(0);
  map.set('d', 3);
  expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([0, undefined, 2, 3]);
  map.set('c', 9);
  map.set('e', 4);
  expect([map.get('c'), map.size]).toEqual([9, 3]);
  expect([map.has('a'), map.delete('c'), map.has('c')]).toEqual([false, true, false]);
});
