import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { createOperations } from '../../src/operations/operations.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { IndexKeeper } from '../../src/tools/index-keeper.ts';
import type { Session, SessionStore } from '../../src/store/types.ts';
import { projectSession, temporaryData } from '../faults/store-harness.ts';
import { query } from '../property/search-corpus.ts';

/** The index of stores that have come to rest: also what was stored last is in it. */

const engine = openSearchEngine({ clock: systemClock, workers: 1 });
afterAll(async () => engine[Symbol.asyncDispose]());
const { signal } = new AbortController();

const rest = async ({ store }: Session): Promise<void> =>
  engine.index(await store.snapshot(), signal, true);

/** How many lines hold it, and how many blocks were read for that. */
async function find(store: SessionStore, pattern: string) {
  const options = { signal, deadlineMs: 60_000 };
  const { total, work } = await engine.search(await store.snapshot(), query(pattern), options);
  return { total, blocks: work.blocksRead };
}

const nothing = { total: 0, blocks: 0 };
const oneRead = { total: 1, blocks: 1 };

/** 1 MB in one text, and two short ones that lie in the last block. */
async function fill(session: Session): Promise<void> {
  const lines = Array.from(
    { length: 40_000 },
    (_, i) => `line ${(i * 7_919) % 100_003} of a long day`,
  );
  const texts = [lines.join('\n'), 'the heron stood still\n', 'then an otter came\n'];
  for (const text of texts) await session.store.append([{ kind: 'tool_result', text }]);
}

test('where nothing has come since, only what may hold a match is read of the last texts, too', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const { store } = session;
  await fill(session);
  expect((await find(store, 'pelican')).blocks).toBeGreaterThan(30);
  await rest(session);
  expect(await find(store, 'pelican')).toEqual(nothing);
  expect(await find(store, 'otter came')).toEqual(oneRead);
  // What is written now makes the last block another one than that in the index.
  for (const [at, text] of ['a pelican', '.', 'x\n'.repeat(50_000), 'and a pelican'].entries()) {
    await store.append([{ kind: 'tool_result', text }]);
    expect((await find(store, 'pelican')).total).toBe(at < 3 ? 1 : 2);
    expect((await find(store, 'otter')).total).toBe(1);
    expect((await find(store, 'cormorant')).blocks).toBeGreaterThan(0);
  }
  await session.store.append([{ kind: 'tool_result', text: 'x\n'.repeat(400_000) }]);
  await rest(session);
  expect(await find(store, 'cormorant')).toEqual(nothing);
  expect((await find(store, 'pelican')).total).toBe(2);
});

test('a server that is asked by commands or over MCP makes it, too, also of what is linked', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { clock } = data;
  const own = await projectSession(sessions);
  const linked = (await sessions.forDirectory('/linked', { create: true }))!;
  for (const session of [own, linked]) await fill(session);
  await own.events.add({ type: 'link', timeMs: 1, sessionId: linked.id, as: 'other' });
  await using indexes = new IndexKeeper({ search: engine, clock, log: silentLogger() });
  const run = createOperations({ sessions, search: engine, indexes, clock });
  const ask = async (): Promise<string> => {
    const asked = { name: 'rlm_search', arguments: { pattern: 'otter', scope: 'linked' } };
    const body = Buffer.from(JSON.stringify({ directory: '/project', ...asked }));
    let last = '';
    for await (const line of run({ operation: 'tool', body, signal })) last = line;
    return last;
  };
  clock.advance(61_000);
  const before = await ask();
  const folders = [own, linked].map(({ store }) => store.indexDir);
  await vi.waitFor(
    () =>
      expect(folders.map((folder) => existsSync(join(folder, 'tail.bits')))).toEqual([true, true]),
    { timeout: 20_000 },
  );
  expect(await ask()).toBe(before);
  expect(before).toContain('then an otter came');
});

test('a branch that goes on from the middle of the last block, to the same length, finds its own', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await fill(base);
  await rest(base);
  const branch = await sessions.branch(base.id, { seq: 2 });
  expect(existsSync(join(branch.store.indexDir, 'tail.bits'))).toBe(true);
  await branch.store.append([{ kind: 'tool_result', text: 'then an eagle came\n' }]);
  expect(branch.store.totals).toEqual(base.store.totals);
  expect(await find(branch.store, 'eagle came')).toEqual(oneRead);
  expect(await find(branch.store, 'otter came')).toEqual({ total: 0, blocks: 1 });
  expect(await find(base.store, 'otter came')).toEqual(oneRead);
  expect(await find(base.store, 'eagle came')).toEqual(nothing);
  // The closed blocks are the base's: those are believed on.
  expect((await find(branch.store, 'pelican')).blocks).toBe(1);
});

test('what is forgotten is in no index, and what lies beside it is found', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const { store } = session;
  await fill(session);
  await rest(session);
  const path = join(store.indexDir, 'tail.bits');
  expect(await find(store, 'otter came')).toEqual(oneRead);
  await sessions.forget(session.id, { whole: [3], why: 'asked', mayComeAgain: false });
  expect(existsSync(path)).toBe(false);
  expect((await find(store, 'otter came')).total).toBe(0);
  expect((await find(store, 'heron')).total).toBe(1);
  await rest(session);
  expect(existsSync(path)).toBe(true);
  // No bit of it is left that would have a block read.
  expect(await find(store, 'otter came')).toEqual(nothing);
  expect(await find(store, 'heron stood')).toEqual(oneRead);
  await rm(path);
  expect((await find(store, 'heron')).total).toBe(1);
});
