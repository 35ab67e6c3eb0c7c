import { afterAll, describe, expect, test } from 'vitest';
import { query, TestCorpus } from '../../test/property/search-corpus.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from './engine.ts';
import type { Corpus, SearchQuery } from './types.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const options = { signal: new AbortController().signal, deadlineMs: 20_000 };

afterAll(() => engine[Symbol.asyncDispose]());

/** Lines of each text: some of one chunk, some of many, some that share a chunk, and empty ones. */
const sizes = [3, 14_000, 1, 0, 2, 9_000, 5, 5, 5, 4_000, 1];

/** Entries one behind the other; line n of text t is `t/n`, every third one a hit. */
function stored(): { readonly text: string; readonly entries: NonNullable<Corpus['entries']> } {
  const entries: { offsetBytes: number; lengthBytes: number }[] = [];
  let text = '';
  for (const [number, size] of sizes.entries()) {
    const own = Array.from(
      { length: size },
      (_, line) => `${number}/${line} ${line % 3 === 0 ? 'needle' : 'straw'} in a stack of hay\n`,
    ).join('');
    entries.push({ offsetBytes: text.length, lengthBytes: own.length });
    text += own;
  }
  return { text, entries };
}

/** All hits as they are to be listed. */
const wanted = sizes
  .map((size, number) =>
    Array.from({ length: Math.ceil(size / 3) }, (_, index) => `${number}/${3 * index}`),
  )
  .toReversed()
  .flat();

describe('newest first is the newest entry first, in reading order within one', () => {
  test.each<[string, Partial<SearchQuery>]>([
    ['lines', {}],
    ['matches', { unit: 'match' }],
    ['matches over several lines', { pattern: 'needle[^\\n]*\\n', maxResults: 900 }],
  ])('%s, over pages', async (_, asked) => {
    const { text, entries } = stored();
    using corpus = new TestCorpus(text);
    const { sessionId, spans, indexDir, totals, blocks } = corpus;
    const whole: Corpus = { sessionId, spans, indexDir, totals, blocks, entries };
    const seen: string[] = [];
    for (let cursor: string | undefined = '', pages = 0; cursor !== undefined; pages += 1) {
      const page = await engine.search(
        whole,
        query('needle', {
          order: 'newest',
          // Pages end in the middle of entries, and one at an entry's end.
          maxResults: pages === 0 ? 1 : 997,
          ...asked,
          ...(cursor === '' ? {} : { cursor }),
        }),
        options,
      );
      expect(page.total).toBe(wanted.length);
      for (const hit of page.matches) seen.push(hit.text.split(' ', 1)[0] ?? '');
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(wanted);
  });
});
