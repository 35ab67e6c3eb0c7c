import { expect, it } from 'vitest';
import type { ChatMemory } from '../store/types.ts';
import { endOf, findState, markAt, saveState, type BranchState } from './demotion-state.ts';

function memoryOf(): ChatMemory {
  const values = new Map<string, unknown>();
  return {
    get: async (key) => values.get(key),
    atHand: (key) => values.get(key),
    has: (key) => values.has(key),
    put: async (records) => {
      for (const { key, value } of records) values.set(key, value);
    },
  };
}

const chains = Array.from({ length: 100 }, (_, index) => `c${index}`);

it('a mark covers what it covered, also when the end of the history was taken back', () => {
  const mark = markAt(60, chains);
  expect(endOf(mark, chains)).toBe(60);
  expect(endOf(mark, chains.slice(0, 40))).toBe(40);
  expect(endOf(mark, [...chains.slice(0, 30), 'x', 'y'])).toBe(30);
  expect(endOf(mark, ['x', 'y'])).toBe(0);
  expect(endOf(undefined, chains)).toBe(0);
});

it('each branch of a chat finds its own state; one that was rewritten finds none', async () => {
  const memory = memoryOf();
  const main: BranchState = { turns: { chain: 'c50', note: 'n', entries: ['e1'], count: 51 } };
  const side: BranchState = { own: markAt(3, ['a', 'b', 'c']) };
  await saveState(memory, 'chat', { from: {}, to: main });
  await saveState(memory, 'chat', { from: {}, to: side });
  expect(await findState(memory, 'chat', chains)).toEqual({ branch: main, steps: 2 });
  expect(await findState(memory, 'chat', ['a', 'b', 'c', 'd'])).toEqual({ branch: side, steps: 2 });
  expect(await findState(memory, 'chat', ['x'])).toEqual({ branch: {}, steps: 2 });
  expect(await findState(memory, 'other', chains)).toEqual({ branch: {}, steps: 0 });
});

it('a further step takes the place of the one before it', async () => {
  const memory = memoryOf();
  let branch: BranchState = {};
  for (const end of [10, 20, 30, 40, 50, 60]) {
    const to = { own: markAt(end, chains) };
    await saveState(memory, 'chat', { from: branch, to });
    branch = to;
  }
  const found = await findState(memory, 'chat', chains);
  expect(endOf(found.branch.own, chains)).toBe(60);
  expect(found.steps).toBe(6);
  // Only the newest is left: a history that ends before it is another branch to nobody.
  expect(endOf((await findState(memory, 'chat', chains.slice(0, 5))).branch.own, chains)).toBe(0);
});
