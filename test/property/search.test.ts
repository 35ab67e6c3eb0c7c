import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { searchCase } from './search-arbitraries.ts';
import { query, TestCorpus } from './search-corpus.ts';
import { ripgrepCount, ripgrepGroups } from './search-ripgrep.ts';
import { boundedSearch } from './search-oracle.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 2 });
const options = { signal: new AbortController().signal, deadlineMs: 10_000 };

afterAll(() => engine[Symbol.asyncDispose]());

test('1,000 random searches find what V8 finds line by line', async () => {
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
    { numRuns: 50 },
  );
}, 90_000);

test('40 random searches of files find as many lines as ripgrep', async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(searchCase, async ({ text, patterns, caseSensitive }) => {
      using corpus = new TestCorpus(text);
      for (const pattern of patterns.slice(0, 4)) {
        const expected = ripgrepCount(pattern, caseSensitive, text);
        if (expected === undefined) continue;
        const result = await engine.search(corpus, query(pattern, { caseSensitive }), options);
        expect([pattern, result.total]).toEqual([pattern, expected]);
        compared++;
      }
    }),
    { numRuns: 15 },
  );
  expect(compared).toBeGreaterThan(40);
}, 90_000);

test('what groups hold is what ripgrep says that they hold', async () => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(searchCase, async ({ text, patterns }) => {
      using corpus = new TestCorpus(text);
      const grouped = patterns.filter((pattern) => /(?<!\\)\((?!\?)/.test(pattern)).slice(0, 3);
      for (const pattern of grouped) {
        const expected = ripgrepGroups(pattern, 1, text);
        if (expected === undefined) continue;
        const aggregate = { kind: 'count_by', group: 1, maxGroups: 10_000 } as const;
        const result = await engine.search(corpus, query(pattern, { aggregate }), options);
        const found = new Map(result.groups?.map(({ value, count }) => [`<${value}>`, count]));
        // A group that took no part is empty to ripgrep, and nothing here.
        expected.delete('<>');
        found.delete('<>');
        // Where a loop may go round without taking anything, engines differ in what its groups hold
        // then: V8's way is right, too.
        expect([expected, v8Groups(pattern, text)]).toContainEqual(found);
        compared++;
      }
    }),
    { numRuns: 12 },
  );
  expect(compared).toBeGreaterThan(10);
}, 90_000);

/**
 * How often each value of the first group comes, as V8 sees it; a group that is empty or took no
 * part is left out.
 */
function v8Groups(pattern: string, text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of text.split(/\r?\n/)) {
    for (const [, value = ''] of line.matchAll(new RegExp(pattern, 'gu')))
      if (value !== '') counts.set(`<${value}>`, (counts.get(`<${value}>`) ?? 0) + 1);
  }
  return counts;
}
