import { expect, test } from 'vitest';
import { silentLogger } from '../log.ts';
import type { Sessions } from '../store/types.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { SessionViews } from './session-views.ts';

type Listed = Awaited<ReturnType<Sessions['list']>>[number];

function listed(id: string, more: Partial<Listed> = {}): Listed {
  const totals = { bytes: 10, chars: 9, lines: 1, entries: 1 };
  return { id, totals, createdMs: 1, updatedMs: 2, ...more };
}

/** Views of a list whose making the test ends. */
function views() {
  const clock = new ManualClock();
  const making: PromiseWithResolvers<readonly Listed[]>[] = [];
  const list = async () => {
    const made = Promise.withResolvers<readonly Listed[]>();
    making.push(made);
    return made.promise;
  };
  const sessions = { list } as unknown as Sessions;
  const parts = { sessions, dataDir: '/nowhere', clock, log: silentLogger() };
  return { clock, making, views: new SessionViews(parts) };
}

test('one list is made for all who ask at once, and kept for a second', async () => {
  const { clock, making, views: stores } = views();
  const both = Promise.all([stores.list(), stores.list()]);
  making[0]?.resolve([listed('a'), listed('copy', { copyOf: [] }), listed('b', { damage: 'bad' })]);
  const [first] = await both;
  expect(first.map(({ id, bytes, damage }) => [id, bytes, damage])).toEqual([
    ['a', 10, undefined],
    ['b', 10, 'bad'],
  ]);
  clock.advance(999);
  await stores.list();
  expect(making).toHaveLength(1);
  clock.advance(1);
  const next = stores.list();
  making[1]?.resolve([]);
  expect(await next).toEqual([]);
});

test('one that takes long is kept for longer, and never made twice at once', async () => {
  const { clock, making, views: stores } = views();
  const first = stores.list();
  clock.advance(2_000);
  const second = stores.list();
  expect(making).toHaveLength(1);
  making[0]?.resolve([listed('a')]);
  expect(await second).toEqual(await first);
  clock.advance(39_999);
  await stores.list();
  expect(making).toHaveLength(1);
  clock.advance(1);
  void stores.list();
  expect(making).toHaveLength(2);
});

test('one that failed is tried again at once', async () => {
  const { making, views: stores } = views();
  const failing = stores.list();
  making[0]?.reject(new Error('no such folder'));
  await expect(failing).rejects.toThrow('no such folder');
  const again = stores.list();
  making[1]?.resolve([]);
  expect(await again).toEqual([]);
});
