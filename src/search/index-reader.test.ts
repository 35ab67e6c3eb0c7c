import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { TestCorpus } from '../../test/property/search-corpus.ts';
import { systemClock } from '../clock.ts';
import { countBlocks } from './block-bits.ts';
import { openSearchEngine } from './engine.ts';
import { SegmentFile } from './index-file.ts';
import { IndexReader } from './index-reader.ts';
import { shareRanges } from './ranges.ts';
import { SharedBlocks } from './shared-blocks.ts';
import { TextFile } from './text-file.ts';

/** 9 MB: four groups of blocks that are indexed, and some that are not yet. */
const lines = Array.from({ length: 120_000 }, (_, i) => {
  const rare = i === 3_000 || i === 50_000 ? ' flightRecorderPlanB' : '';
  return `${i} handler returned ${(i * 7_919) % 100_003} after flight of recorder${rare} and went on`;
});
const corpus = new TestCorpus(`${lines.join('\n')}\n`);
const blocks = new SharedBlocks().share(corpus.blocks, corpus.blocks.count);
const { bytes } = corpus.totals;
const scope = { blocks, endBytes: bytes, ranges: shareRanges(undefined, bytes) };
const reader = new IndexReader();
const rows = vi.spyOn(SegmentFile.prototype, 'row');

beforeAll(async () => {
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  await engine.index(corpus, new AbortController().signal);
});
afterEach(() => rows.mockClear());
afterAll(() => corpus[Symbol.dispose]());

/** How many of the blocks with an index may hold the text. */
function survivors(...texts: readonly string[]): number | undefined {
  using text = new TextFile(corpus.textPath);
  const required = texts.map((own) => [{ text: own, anyCase: false }]);
  const found = reader.candidates(corpus.indexDir, scope, text, required);
  const unindexed = (blocks.count - 1) % 64;
  return found && countBlocks(found) - unindexed - 1;
}

test('a text that is nowhere is ruled out by its rarest sequences', () => {
  expect(survivors('handler returned zzqx after flight')).toBe(0);
  expect(rows.mock.calls.length).toBeLessThan(4);
});

test('where a text is, not all of its sequences are asked for', () => {
  expect(survivors('flightRecorderPlanB')).toBe(2);
  expect(rows.mock.calls.length).toBeLessThan(12);
});

test('what one text leaves is all that the next is asked about', () => {
  expect(survivors('flightRecorderPlanB', 'qqzzvvkk')).toBe(0);
  expect(survivors('qqzzvvkk', 'flightRecorderPlanB')).toBe(0);
  const { length } = rows.mock.calls;
  expect(length).toBeLessThan(20);
});

test('a text of common sequences is asked for to the end, or the index says nothing', () => {
  expect(survivors('after flight of recorder and')).toBeUndefined();
});
