import { afterAll, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from './engine.ts';
import { SharedEntries } from './text/shared-entries.ts';
import type { Corpus, SearchResult } from './types.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 1 });
const options = { signal: new AbortController().signal, deadlineMs: 20_000 };

afterAll(() => engine[Symbol.asyncDispose]());

/**
 * Texts as a store keeps them: one after the other, with a newline between them where a text has
 * none at its end.
 */
async function search(
  texts: readonly string[],
  pattern: string,
  more: Parameters<typeof query>[1] = {},
): Promise<SearchResult> {
  const entries: { offsetBytes: number; lengthBytes: number }[] = [];
  let whole = '';
  for (const text of texts) {
    const lengthBytes = Buffer.byteLength(text);
    entries.push({ offsetBytes: Buffer.byteLength(whole), lengthBytes });
    whole += text.endsWith('\n') ? text : `${text}\n`;
  }
  using corpus = new TestCorpus(whole);
  const { sessionId, spans, indexDir, totals, blocks } = corpus;
  const stored: Corpus = { sessionId, spans, indexDir, totals, blocks, entries };
  return await engine.search(stored, query(pattern, more), options);
}

test('lines around a hit are those of its entry, and it says where some are missing', async () => {
  const texts = ['end of the first', 'top\nneedle\nlast', 'start of the third\nmore\n'];
  const { matches } = await search(texts, 'needle', { contextLines: 3 });
  expect(matches).toMatchObject([{ before: ['top'], after: ['last'], atEntryBorder: true }]);
  const inside = await search(texts, 'needle', { contextLines: 1 });
  expect(inside.matches[0]).not.toHaveProperty('atEntryBorder');
});

test('also where a filter leaves neighbouring entries in one range', async () => {
  const texts = ['needle a\n', 'needle b\n', 'c\n'];
  const found = await search(texts, 'needle', { contextLines: 2, ranges: [[0, 18]] });
  expect(found.matches).toMatchObject([
    { before: [], after: [] },
    { before: [], after: [] },
  ]);
});

test('a match over several lines ends where its entry does', async () => {
  const texts = ['open\nhalf', 'close\nopen\nwhole\nclose\n', 'close'];
  const found = await search(texts, '(?s)open.*?close');
  expect(found).toMatchObject({ total: 1, matches: [{ line: 4, text: 'open\nwhole\nclose' }] });
  expect((await search(['foo', 'bar'], 'foo\\nbar')).total).toBe(0);
  expect((await search(['foo\nbar'], 'foo\\nbar')).total).toBe(1);
  const counted = await search(['a\nb', 'a\n', 'b\na\nb'], 'a\\nb', {
    aggregate: { kind: 'count', maxGroups: 1 },
  });
  expect(counted.occurrences).toBe(2);
});

test('of a list of entries that grows only the new ones are copied', () => {
  const read = { times: 0 };
  const entry = (offsetBytes: number): { offsetBytes: number; lengthBytes: number } => ({
    get offsetBytes() {
      read.times++;
      return offsetBytes;
    },
    lengthBytes: 5,
  });
  const entries = Array.from({ length: 1_000 }, (_, i) => entry(6 * i));
  const shared = new SharedEntries();
  shared.share(entries);
  entries.push(entry(6_000));
  const { bounds, count } = shared.share(entries)!;
  expect([read.times, count, bounds[2_000], bounds[2_001]]).toEqual([1_001, 1_001, 6_000, 6_005]);
});
