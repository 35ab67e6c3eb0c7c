import { rmSync, statSync } from 'node:fs';
import { afterAll, expect, test, vi } from 'vitest';
import { TestCorpus } from '../../../test/property/search-corpus.ts';
import { closedGroups, SegmentFile, segmentPath } from '../index/index-file.ts';
import { IndexJob } from './index-job.ts';
import { createControl } from './protocol.ts';
import { openScanMemory } from '../text/scan-memory.ts';
import { TextFile } from '../text/text-file.ts';

const line = 'one line of a text that is long enough to be indexed\n';
const corpus = new TestCorpus(line.repeat(100_000));

afterAll(() => corpus[Symbol.dispose]());

test('the rows of an index are given back when it is written, not when the garbage collector comes', () => {
  const { spans, indexDir, blocks } = corpus;
  const endBytes = corpus.totals.bytes;
  const groups = closedGroups(blocks, 0);
  const rowsBytes = 49_152 * 8 * groups;
  expect(rowsBytes).toBeGreaterThan(700_000);
  const memory = openScanMemory();
  const task = { spans, indexDir, blocks, endBytes, segment: 0, groups, control: createControl() };
  const before = process.memoryUsage().arrayBuffers;
  let done = 0;
  for (let i = 0; i < 20; i++) {
    rmSync(indexDir, { recursive: true, force: true });
    using job = new IndexJob(task, memory, () => done++);
    while (job.step());
    // A second time it takes over the rows that are there.
    using again = new IndexJob(task, memory, () => done++);
    while (again.step());
  }
  expect(done).toBe(40);
  // Those of 40 jobs would be 40 times this; what other tests of the process let go late is some of
  // it.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * rowsBytes);
});

test('an index that is whole costs a look at its header, and is left as it is', () => {
  const { spans, indexDir, blocks } = corpus;
  const endBytes = corpus.totals.bytes;
  const groups = closedGroups(blocks, 0);
  const task = { spans, indexDir, blocks, endBytes, segment: 0, groups, control: createControl() };
  const memory = openScanMemory();
  const finish = (): void => {
    using job = new IndexJob(task, memory, () => undefined);
    while (job.step());
  };
  finish();
  const { ino } = statSync(segmentPath(indexDir, 0));
  const rows = vi.spyOn(SegmentFile.prototype, 'readAll');
  const text = vi.spyOn(TextFile.prototype, 'read');
  const samples = vi.spyOn(TextFile.prototype, 'sample');
  finish();
  expect(statSync(segmentPath(indexDir, 0)).ino).toBe(ino);
  expect(rows).not.toHaveBeenCalled();
  expect(text).not.toHaveBeenCalled();
  const sampled = samples.mock.calls.reduce((sum, [into]) => sum + into.length, 0);
  expect(sampled).toBeGreaterThan(0);
  expect(sampled).toBeLessThan(10_000);
  vi.restoreAllMocks();
});
