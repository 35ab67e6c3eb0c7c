import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Session } from '../store/types.ts';
import { IndexKeeper } from './index-keeper.ts';

test('an index that could not be written is left alone for a while, another session is not', async () => {
  const clock = new ManualClock();
  const tried: string[] = [];
  const search = {
    index: async ({ sessionId }: { readonly sessionId: string }) => {
      tried.push(sessionId);
      throw new ProxyError('internal', 'The disk is full.');
    },
  } as unknown as SearchEngine;
  const session = (id: string): Session =>
    ({
      id,
      store: { entries: [], snapshot: async () => ({ sessionId: id }) },
    }) as unknown as Session;
  await using keeper = new IndexKeeper({ search, clock, log: silentLogger() });
  const keep = async (id: string): Promise<void> => {
    keeper.keep(session(id));
    await setImmediate();
  };
  await keep('a');
  await keep('a');
  await keep('b');
  expect(tried).toEqual(['a', 'b']);
  clock.advance(60_000);
  await keep('a');
  expect(tried).toEqual(['a', 'b', 'a']);
});

test('a store that is opened to be searched is indexed to the end once nothing has come for a minute', async () => {
  const clock = new ManualClock();
  const asked: boolean[] = [];
  const search = {
    index: async (_corpus: unknown, _signal: AbortSignal, isQuiet: boolean) => {
      asked.push(isQuiet);
    },
  } as unknown as SearchEngine;
  const store = { entries: [{ timeMs: clock.now() }], snapshot: async () => ({}) };
  const session = { id: 'other', store } as unknown as Session;
  await using keeper = new IndexKeeper({ search, clock, log: silentLogger() });
  const sessions = keeper.keeping({ byId: async () => session });
  for (const passMs of [0, 59_000, 1_000]) {
    clock.advance(passMs);
    expect(await sessions.byId('other')).toBe(session);
    await setImmediate();
  }
  expect(asked).toEqual([false, false, true]);
});
