import * as fc from 'fast-check';
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

/** The plainest map of the kind: a list, the newest last. */
class ListedMap {
  readonly #entries: [number, number][] = [];
  readonly #maxCount: number;

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  get seen(): readonly unknown[] {
    return [this.#entries.length, this.#entries[0]?.[0]];
  }

  get(key: number): number | undefined {
    const at = this.#entries.findIndex(([each]) => each === key);
    const [entry] = at < 0 ? [] : this.#entries.splice(at, 1);
    if (entry !== undefined) this.#entries.push(entry);
    return entry?.[1];
  }

  set(key: number, value: number): void {
    this.delete(key);
    this.#entries.push([key, value]);
    if (this.#entries.length > this.#maxCount) this.#entries.shift();
  }

  delete(key: number): boolean {
    const at = this.#entries.findIndex(([each]) => each === key);
    if (at >= 0) this.#entries.splice(at, 1);
    return at >= 0;
  }
}

interface Step {
  readonly does: 'get' | 'set' | 'delete';
  readonly key: number;
  readonly value: number;
}

function take(map: LruMap<number, number> | ListedMap, { does, key, value }: Step): unknown {
  return does === 'set' ? map.set(key, value) : map[does](key);
}

test('does what a list of entries would do', () => {
  const step = fc.record({
    does: fc.constantFrom('get', 'set', 'delete'),
    key: fc.integer({ min: 0, max: 9 }),
    value: fc.integer(),
  });
  const steps = fc.array(step, { maxLength: 100 });
  fc.assert(
    fc.property(steps, fc.constantFrom(1, 2, 5, Infinity), (taken, maxCount) => {
      const map = new LruMap<number, number>(maxCount);
      const listed = new ListedMap(maxCount);
      for (const each of taken)
        expect([take(map, each), map.size, map.oldest]).toEqual([
          take(listed, each),
          ...listed.seen,
        ]);
    }),
  );
});
