import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { query, TestCorpus } from '../../../test/property/search-corpus.ts';
import { systemClock } from '../../clock.ts';
import { openSearchEngine } from '../engine.ts';
import { IndexReader } from '../index/index-reader.ts';
import { createControl, type Report } from '../run/protocol.ts';
import { TaskRunner } from '../run/task-runner.ts';
import { shareRanges } from './ranges.ts';
import { SharedBlocks } from './shared-blocks.ts';
import { scopeOf, SharedTexts } from './shared-texts.ts';
import { TextFile, TextTooShort } from './text-file.ts';

/** All lines are as long in each text. */
const textOf = (usual: string, rare: string, place: number): string =>
  Array.from({ length: 40_000 }, (_, i) => `${i} of a ${i === place ? rare : usual} day`).join(
    '\n',
  );

let corpus: TestCorpus;
const opened = vi.spyOn(TextFile.prototype, 'open');

beforeEach(() => {
  corpus = new TestCorpus(textOf('quiet', 'noisy', 30_000));
});
afterEach(() => {
  vi.restoreAllMocks();
  corpus[Symbol.dispose]();
});

/** Another text of the same length takes the place of the file. */
function replace(): void {
  writeFileSync(`${corpus.textPath}.new`, textOf('still', 'windy', 10_000));
  renameSync(`${corpus.textPath}.new`, corpus.textPath);
}

/** What one worker answers, in this thread, when it is asked so often. */
function find(pattern: string, times = 1): { readonly total: number; readonly isIndexed: boolean } {
  const { bytes } = corpus.totals;
  const text = new SharedTexts(new SharedBlocks()).share(corpus);
  const scope = scopeOf(text, bytes, shareRanges(undefined, bytes));
  const task = { text, scope, query: query(pattern), after: undefined };
  const reports: Report[] = [];
  const runner = new TaskRunner((report) => reports.push(report));
  for (let time = 0; time < times; time += 1) {
    opened.mockClear();
    const job = runner.plan(1, { ...task, control: createControl() })!;
    while (job.step());
    job[Symbol.dispose]();
  }
  const { result } = reports.at(-1) as Extract<Report, { readonly kind: 'answer' }>;
  return { total: result.total, isIndexed: result.work.indexed };
}

test('a question that the index answers opens no text', async () => {
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  await engine.index(corpus, new AbortController().signal, true);
  // The first time it looks whether the index is that of the text.
  expect(find('a windy day', 2)).toEqual({ total: 0, isIndexed: true });
  expect(opened).not.toHaveBeenCalled();
  expect(find('a noisy day', 2)).toEqual({ total: 1, isIndexed: true });
  expect(opened).toHaveBeenCalled();
});

test('of a text that is replaced while a search begins all that is read is the new one', async () => {
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  await engine.index(corpus, new AbortController().signal, true);
  // oxlint-disable-next-line typescript/unbound-method -- called with the reader that it is of
  const { candidates } = IndexReader.prototype;
  let times = 0;
  vi.spyOn(IndexReader.prototype, 'candidates').mockImplementation(function plan(
    this: IndexReader,
    ...asked
  ) {
    const found = candidates.apply(this, asked);
    times += 1;
    // The first time it reads what it compares the index with.
    if (times === 2) replace();
    return found;
  });
  // The index of the old one would leave out what is in the new one.
  expect(find('a (noisy|windy) day', 2)).toEqual({ total: 1, isIndexed: false });
  expect(times).toBe(3);
});

test('is known by its file before it is opened and after, and where it is gone that is said', () => {
  using text = new TextFile(corpus.spans);
  using same = new TextFile(corpus.spans);
  expect(same.open()).toBe(true);
  expect(text.identity).toBe(same.identity);
  replace();
  expect(text.open()).toBe(false);
  expect(text.identity).not.toBe(same.identity);
  expect(text.open()).toBe(true);
  rmSync(corpus.textPath);
  using gone = new TextFile(corpus.spans);
  expect(() => gone.identity).toThrow(TextTooShort);
  expect(() => gone.open()).toThrow(TextTooShort);
});
