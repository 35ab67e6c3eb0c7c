import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { searchCase } from './search-arbitraries.ts';
import { query, TestCorpus } from './search-corpus.ts';
import { ripgrepCount } from './search-ripgrep.ts';
import { boundedSearch } from './search-oracle.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const options = { signal: new AbortController().signal, deadlineMs: 10_000 };

afterAll(() => engine[Symbol.asyncDispose]());

test('2,000 random searches find what V8 finds line by line', async () => {
  await fc.assert(
    fc.asyncProperty(searchCase, async ({ text, patterns, ...more }) => {
      using corpus = new TestCorpus(text);
      for (const pattern of patterns) {
        const asked = query(pattern, more);
        const expected = boundedSearch(text, asked);
        if (expected === undefined) continue;
        const result = await engine.search(corpus, asked, options);
        // V8 may be given up on a line; then it is said.
        if (result.work.engine === 'v8' && result.partial) continue;
        expect([pattern, result.total, result.partial]).toEqual([pattern, expected.total, false]);
        const found = result.matches.map(({ line, offsetChars }) => ({ line, offsetChars }));
        expect([pattern, found]).toEqual([pattern, expected.hits]);
      }
    }),
    { numRuns: 100 },
  );
});

test('60 random searches of files find as many lines as ripgrep', async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(searchCase, async ({ text, patterns, caseSensitive }) => {
      using corpus = new TestCorpus(text);
      for (const pattern of patterns.slice(0, 4)) {
        const expected = ripgrepCount(pattern, caseSensitive, corpus.textPath);
        if (expected === undefined) continue;
        const result = await engine.search(corpus, query(pattern, { caseSensitive }), options);
        expect([pattern, result.total]).toEqual([pattern, expected]);
        compared++;
      }
    }),
    { numRuns: 25 },
  );
  expect(compared).toBeGreaterThan(60);
});
