import { readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TestCorpus } from '../../../test/property/search-corpus.ts';
import { systemClock } from '../../clock.ts';
import { openSearchEngine } from '../engine.ts';

const line = 'one line of a text that is long enough to be indexed\n';
const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const signal = new AbortController().signal;
const orders = vi.spyOn(Worker.prototype, 'postMessage');

/** All orders: those of one turn of the event loop are one message. */
function sent(): readonly unknown[] {
  return orders.mock.calls.flatMap(([message]) => message as readonly unknown[]);
}

let corpora: TestCorpus[] = [];
beforeEach(() => {
  corpora = [];
});
afterEach(() => {
  for (const corpus of corpora) corpus[Symbol.dispose]();
});
afterAll(async () => engine[Symbol.asyncDispose]());

/**
 * A text of so many lines with a whole index; the folder looks as if nothing had been written there
 * lately.
 */
async function indexed(lines: number): Promise<TestCorpus> {
  const corpus = new TestCorpus(line.repeat(lines));
  corpora.push(corpus);
  await engine.index(corpus, signal);
  await settle(corpus);
  return corpus;
}

async function settle({ indexDir }: TestCorpus): Promise<void> {
  utimesSync(indexDir, 1_000, 1_000);
  const corpus = corpora.find((own) => own.indexDir === indexDir)!;
  await engine.index(corpus, signal);
  orders.mockClear();
}

test.each([50_000, 400_000])(
  '%i lines that have not grown: no order to any worker',
  async (lines) => {
    const corpus = await indexed(lines);
    await engine.index(corpus, signal);
    await engine.index(corpus, signal);
    expect(orders).not.toHaveBeenCalled();
  },
);

test('grown by a line, still none; grown by more, only for the part that is not whole', async () => {
  const corpus = await indexed(700_000);
  expect(readdirSync(corpus.indexDir)).toHaveLength(2);
  corpus.write(line.repeat(700_001));
  await engine.index(corpus, signal);
  expect(orders).not.toHaveBeenCalled();
  corpus.write(line.repeat(750_000));
  await engine.index(corpus, signal);
  expect(sent().map((order) => Object(order).index.segment)).toEqual([1]);
});

test('a folder that is gone, and a file that is missing in it, are noticed', async () => {
  const corpus = await indexed(50_000);
  const path = join(corpus.indexDir, 'blocks-000000.bits');
  rmSync(corpus.indexDir, { recursive: true });
  await engine.index(corpus, signal);
  expect(readdirSync(corpus.indexDir)).toEqual(['blocks-000000.bits']);
  await settle(corpus);
  rmSync(path);
  await engine.index(corpus, signal);
  expect(readdirSync(corpus.indexDir)).toEqual(['blocks-000000.bits']);
  // Even at once, when the folder's time of change may be that of the last writing.
  rmSync(path);
  await engine.index(corpus, signal);
  expect(readdirSync(corpus.indexDir)).toEqual(['blocks-000000.bits']);
});

test('an index that could not be written is tried again', async () => {
  const corpus = await indexed(50_000);
  const before = corpus.indexDir;
  const nowhere = { ...pick(corpus), indexDir: join(corpus.textPath, 'no folder') };
  await expect(engine.index(nowhere, signal)).rejects.toMatchObject({ code: 'internal' });
  await expect(engine.index(nowhere, signal)).rejects.toMatchObject({ code: 'internal' });
  await engine.index(corpus, signal);
  expect(readdirSync(before)).toHaveLength(1);
});

function pick(of: TestCorpus): Omit<TestCorpus, 'write'> {
  const { sessionId, spans, indexDir, totals, blocks } = of;
  return { sessionId, spans, indexDir, totals, blocks } as TestCorpus;
}
