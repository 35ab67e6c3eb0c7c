import { expect, test } from 'vitest';
import {
  linkedBench,
  type LinkedBench,
  type StoreText,
} from '../../../test/support/linked-stores.ts';
import { allStores } from '../../operations/links.ts';
import { linkedStoresOf } from './linked-stores.ts';
import type { Session } from '../../store/types.ts';

/** Branches and copies that are asked beside what they go on from. */

const early: readonly StoreText[] = [
  { text: 'error=1 ms=5\nx\n', path: 'a.ts' },
  { text: 'error=2 ms=7\n', kind: 'tool_result', tool: 'bash' },
];

/** A store `shop` with two texts, a branch of it with one more, and one more of its own. */
async function branched(): Promise<LinkedBench & { readonly branch: Session }> {
  const bench = await linkedBench({ shop: early, api: [{ text: 'error=7 ms=1\n', path: 'b.ts' }] });
  const shop = bench.session('shop');
  bench.data.clock.advance(1);
  const branch = await bench.sessions.branch(shop.id);
  bench.data.clock.advance(1);
  await branch.store.append([{ text: 'error=2 ms=9 branch\n', kind: 'file', path: 'c.ts' }]);
  bench.data.clock.advance(1);
  await shop.store.append([{ text: 'error=4 ms=2 later\n', kind: 'file', path: 'd.ts' }]);
  await shop.events.add({ type: 'link', timeMs: 1, sessionId: branch.id, as: 'trial' });
  return { ...bench, branch };
}

interface Hit {
  readonly entry: string;
  readonly text: string;
}

test('a store and its branch: each text is counted and shown once, under the asking store', async () => {
  await using bench = await branched();
  const asked = { pattern: 'error=', scope: 'linked', order: 'oldest' };
  const found = await bench.fields('shop', 'rlm_search', asked);
  expect(found['total']).toBe(5);
  expect(found['stores']).toEqual([
    { total: 3 },
    { store: 'api', total: 1 },
    { store: 'trial', total: 1 },
  ]);
  expect((found['matches'] as readonly Hit[]).map(({ entry }) => entry)).toEqual([
    'e1',
    'e2',
    'e3',
    'api:e1',
    'trial:e3',
  ]);
  expect(await bench.call('shop', 'rlm_search', asked)).toContain(
    'note: 1 store has texts in common with another one (a branch or a copy): trial 2 texts with this store. Each of them is counted and shown once, in the store named last.',
  );
  // Alone it has them all.
  const alone = await bench.fields('shop', 'rlm_search', { pattern: 'error=', scope: 'trial' });
  expect(alone['total']).toBe(3);
  const none = await bench.call('shop', 'rlm_search', { pattern: 'nowhere', scope: 'linked' });
  // 15 + 13 + 19 here, 13 there, and the branch's own 20.
  expect(none).toMatch(/^0 matching lines.* all 80 characters were searched/);
});

test('asked from the branch, its own ids are shown for what it reads of its base', async () => {
  await using bench = await branched();
  const { branch } = bench;
  await branch.events.add({
    type: 'link',
    timeMs: 2,
    sessionId: bench.session('shop').id,
    as: 'shop',
  });
  const context = { session: branch, linked: linkedStoresOf(bench.sessions, branch) };
  const found = JSON.parse(
    await bench.call(
      'shop',
      'rlm_search',
      { pattern: 'error=', scope: 'linked', order: 'oldest', format: 'json' },
      context,
    ),
  ) as { total: number; matches: readonly Hit[] };
  expect(found.total).toBe(5);
  expect(found.matches.map(({ entry }) => entry)).toEqual(['e1', 'e2', 'e3', 'api:e1', 'shop:e3']);
});

test('two branches of a store that is not asked: the older one gives what both have', async () => {
  await using bench = await branched();
  const { branch } = bench;
  bench.data.clock.advance(1);
  const second = await bench.sessions.branch(branch.id);
  bench.data.clock.advance(1);
  await second.store.append([{ text: 'error=6\n', kind: 'file', path: 'e.ts' }]);
  const api = bench.session('api');
  // The younger one was linked first.
  for (const [as, { id }] of [
    ['second', second],
    ['first', branch],
  ] as const)
    await api.events.add({ type: 'link', timeMs: 3, sessionId: id, as });
  const found = await bench.fields('api', 'rlm_search', { pattern: 'error=', scope: 'linked' });
  expect(found['stores']).toEqual([
    { total: 1 },
    { store: 'second', total: 1 },
    { store: 'first', total: 3 },
  ]);
});

test('groups over a store and its branch count each text once', async () => {
  await using bench = await branched();
  const asked = { pattern: 'error=(\\d) ms=(\\d)', aggregate: 'count_by', scope: 'linked' };
  const found = await bench.fields('shop', 'rlm_search', {
    ...asked,
    group: 1,
    measures: { sum: 2 },
  });
  const groups = found['groups'] as readonly { value: string; count: number; sum: number }[];
  expect(groups.map(({ value, count, sum }) => [value, count, sum])).toEqual([
    ['2', 2, 16],
    ['1', 1, 5],
    ['4', 1, 2],
    ['7', 1, 1],
  ]);
});

test('cursors over a store and its branch bring every text once', async () => {
  await using bench = await branched();
  for (const size of [1, 2, 3]) {
    const seen: string[] = [];
    let cursor: unknown;
    do {
      const found = await bench.fields('shop', 'rlm_search', {
        pattern: 'error=',
        scope: 'linked',
        max_results: size,
        ...(cursor === undefined ? {} : { cursor }),
      });
      expect(found['total']).toBe(5);
      seen.push(...(found['matches'] as readonly Hit[]).map(({ entry }) => entry));
      cursor = found['next_cursor'];
    } while (cursor !== undefined);
    expect(seen).toEqual(['e3', 'e2', 'e1', 'api:e1', 'trial:e3']);
  }
});

test('a text that came under a further path in the branch only is found there by that path', async () => {
  await using bench = await branched();
  await bench.branch.store.append([{ text: early[0]!.text, kind: 'file', path: 'moved/a.ts' }]);
  const moved = { pattern: 'error=', scope: 'linked', path: 'moved/a.ts' };
  const found = await bench.fields('shop', 'rlm_search', moved);
  expect((found['matches'] as readonly Hit[]).map(({ entry }) => entry)).toEqual(['trial:e1']);
  const both = await bench.fields('shop', 'rlm_search', { ...moved, path: 'a.ts' });
  expect((both['matches'] as readonly Hit[]).map(({ entry }) => entry)).toEqual(['e1']);
});

test('as of a moment a store and its branch share what both had then', async () => {
  await using bench = await branched();
  const linked = linkedStoresOf(bench.sessions, bench.session('shop'))!;
  const thenMs = bench.data.clock.now() - 1;
  const shop = bench.session('shop');
  const context = {
    session: {
      id: shop.id,
      directory: shop.directory,
      createdMs: shop.createdMs,
      memory: shop.memory,
      events: shop.events,
      store: await shop.store.at({ timeMs: thenMs }),
    },
    linked: linked.at(thenMs),
  };
  const asked = { pattern: 'error=', scope: 'linked' };
  const found = await bench.call('shop', 'rlm_search', asked, context);
  expect(found).toContain('4 matching lines in 3 stores (this one 2, api 1, trial 1)');
});

test('over every store of the machine a branch counts what is its own', async () => {
  await using bench = await branched();
  for (const own of [bench.session('shop'), undefined]) {
    const context = (await allStores(bench.sessions, own))!;
    const asked = { pattern: 'error=', scope: 'linked', format: 'json' };
    const found = JSON.parse(await bench.call('shop', 'rlm_search', asked, context)) as {
      total: number;
      stores: readonly { total: number }[];
    };
    expect(found.total).toBe(5);
    expect(found.stores.map(({ total }) => total)).toEqual([3, 1, 1]);
  }
  const stats = await bench.fields('shop', 'rlm_stats', { scope: 'linked' });
  const [, trial] = stats['linked_sessions'] as readonly Record<string, unknown>[];
  expect(trial).toMatchObject({ name: 'trial', entries: 3, shared_texts: 2 });
});
