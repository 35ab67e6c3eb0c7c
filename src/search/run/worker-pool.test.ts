import { afterAll, afterEach, expect, test } from 'vitest';
import { query, TestCorpus } from '../../../test/property/search-corpus.ts';
import { systemClock, type Clock } from '../../clock.ts';
import { shareRanges } from '../text/ranges.ts';
import type { Report } from './protocol.ts';
import { SearchRun } from './search-run.ts';
import { SharedBlocks } from '../text/shared-blocks.ts';
import { scopeOf, SharedTexts } from '../text/shared-texts.ts';
import { WorkerPool, type PoolWorker } from './worker-pool.ts';

const numbered = Array.from(
  { length: 300_000 },
  (_, i) => `line ${i}${i % 9 === 0 ? ' nine' : ''}\n`,
);
const corpus = new TestCorpus(numbered.join(''));
const closers: (() => Promise<void>)[] = [];

afterAll(() => corpus[Symbol.dispose]());

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A pool with one run on it; `saw` lists what its workers said. */
function openRun(
  pattern: string,
  options: {
    readonly clock?: Clock;
    readonly onReport?: (report: Report) => void;
    readonly isBrief?: boolean;
  } = {},
): { readonly run: SearchRun; readonly pool: WorkerPool; readonly lost: PoolWorker[] } {
  const lost: PoolWorker[] = [];
  const events = {
    report: (worker: PoolWorker, report: Report) => {
      run.take(worker, report);
      options.onReport?.(report);
    },
    lost: (worker: PoolWorker) => {
      lost.push(worker);
      run.lost(worker);
    },
  };
  const pool = new WorkerPool(2, events, { isBrief: options.isBrief ?? false });
  closers.push(() => pool.close());
  const { bytes } = corpus.totals;
  const text = new SharedTexts(new SharedBlocks()).share(corpus);
  const run = new SearchRun({
    job: 1,
    pool,
    clock: options.clock ?? systemClock,
    deadlineMs: 60_000,
    task: {
      text,
      scope: scopeOf(text, bytes, shareRanges(undefined, bytes)),
      query: query(pattern),
    },
  });
  return { run, pool, lost };
}

function busy(pool: WorkerPool): PoolWorker {
  const worker = pool.workers.find(({ jobs }) => jobs.size > 0);
  if (worker === undefined) throw new Error('a worker should be busy');
  return worker;
}

test('a search whose worker is killed while it plans starts again', async () => {
  const { run, pool, lost } = openRun('nine');
  run.start();
  const victim = busy(pool);
  pool.kill(victim);
  expect(await run.result).toMatchObject({ total: 33_334, partial: false });
  expect(lost).toEqual([victim]);
  expect(pool.workers).not.toContain(victim);
  expect(run.finished).toBe(true);
});

test('a search that loses a worker after it was spread starts again', async () => {
  let spread = false;
  const { run, pool } = openRun('nine', {
    onReport: ({ kind }) => {
      if (kind !== 'spread' || spread) return;
      spread = true;
      pool.kill(busy(pool));
    },
  });
  run.start();
  expect(await run.result).toMatchObject({ total: 33_334, partial: false });
  expect(spread).toBe(true);
});

test('a search that loses one of those who show its hits starts again', async () => {
  let parts = 0;
  const { run, pool, lost } = openRun('nine', {
    onReport: ({ kind }) => {
      if (kind === 'part' && ++parts === 2) pool.kill(busy(pool));
    },
  });
  run.start();
  const { matches, total } = (await run.result)!;
  expect([total, matches.length, matches[900]?.line]).toEqual([33_334, 1_000, 8_101]);
  expect(lost).toHaveLength(1);
});

test('a pool for one question starts as many workers as there is work for', async () => {
  const counts: number[] = [];
  const { run, pool, lost } = openRun('nine', {
    isBrief: true,
    onReport: () => counts.push(pool.atLeast(0).length),
  });
  expect(pool.atLeast(0)).toEqual([]);
  run.start();
  // The one that plans, though it is killed; then those that share the text.
  pool.kill(pool.atLeast(0)[0]!);
  expect(pool.atLeast(0)).toHaveLength(1);
  expect(await run.result).toMatchObject({ total: 33_334, partial: false });
  expect([Math.min(...counts), counts.at(-1), lost.length]).toEqual([1, 2, 1]);
});

test('workers that are lost again and again end the search', async () => {
  const { run, pool } = openRun('nine');
  run.start();
  for (let i = 0; i < 3; i++) pool.kill(busy(pool));
  await expect(run.result).rejects.toMatchObject({ code: 'internal' });
});

test('at the deadline those who do not stop are not waited for, and killed in the end', async () => {
  // Timers go off when the test says so, the workers are those that never answer.
  const timers: (() => void)[] = [];
  const clock: Clock = { ...systemClock, after: (_ms, run) => (timers.push(run), () => undefined) };
  const { run, pool, lost } = openRun('nine', { clock });
  run.start();
  const slow = busy(pool);
  // The deadline; then, before any message of the worker can arrive, the two timers that it sets:
  // kill and answer.
  for (const fire of timers.splice(0)) fire();
  const [kill, answer] = timers.splice(0);
  answer?.();
  expect(await run.result).toMatchObject({ total: 0, partial: true, matches: [] });
  expect(lost).toEqual([]);
  kill?.();
  expect(lost.length + Number(run.finished)).toBeGreaterThan(0);
  expect(slow.jobs.size === 0 || lost.includes(slow)).toBe(true);
});
