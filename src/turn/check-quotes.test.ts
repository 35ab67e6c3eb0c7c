import { expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { memorySearch, memorySession } from '../../test/support/memory-session.ts';
import type { SearchEngine } from '../search/types.ts';
import { maxQuotes, QuoteChecker, quoteTimeMs } from './check-quotes.ts';

const { store } = memorySession([
  { text: 'first line\nERROR gave up after 5 tries\n', path: '/p/a.log' },
  { text: 'INFO all is well here\n', path: '/p/b.log' },
]);

function checker(search: SearchEngine = memorySearch(), clock = new ManualClock()): QuoteChecker {
  return new QuoteChecker({ store, search, clock, signal: new AbortController().signal });
}

it('tells where quoted words are, where they are instead, and which are nowhere', async () => {
  const quotes = checker();
  quotes.take('> ERROR gave up after 5 tries\n\n');
  quotes.take('- e1: `INFO all is well here`, ');
  quotes.take('"ERROR gave up after 6 tries"\n');
  expect(await quotes.report()).toEqual({
    found: 2,
    not_found: 1,
    unchecked: 0,
    places: [
      { quote: 'ERROR gave up after 5 tries', entry: 'e1', line: 2 },
      { quote: 'INFO all is well here', entry: 'e2', line: 1, named: 'e1' },
    ],
    missing: ['ERROR gave up after 6 tries'],
  });
});

it('says nothing of an answer that quotes nothing', async () => {
  const quotes = checker();
  quotes.take('All is well. Nothing to quote here, not even e1.');
  expect(await quotes.report()).toBeUndefined();
});

it('looks up so many and says how many it did not', async () => {
  let searches = 0;
  const search = memorySearch();
  const counting: SearchEngine = {
    ...search,
    search: async (...args) => {
      searches += 1;
      return search.search(...args);
    },
  };
  const quotes = checker(counting);
  for (let n = 0; n < maxQuotes + 10; n += 1) quotes.take(`> nowhere to be found ${n}\n`);
  expect(await quotes.report()).toMatchObject({ not_found: maxQuotes, unchecked: 10 });
  expect(searches).toBe(maxQuotes);
});

it('takes no more time than it has, and never calls a search that was cut short a "no"', async () => {
  const clock = new ManualClock();
  const search = memorySearch();
  const slow: SearchEngine = {
    ...search,
    search: async (corpus, query, options) => {
      clock.advance(quoteTimeMs * 0.6);
      const result = await search.search(corpus, query, options);
      return { ...result, partial: true };
    },
  };
  const quotes = checker(slow, clock);
  quotes.take('> nowhere to be found at all\n> ERROR gave up after 5 tries\n> first line\n');
  // The rest of the answer arrives, and the searches come to their end meanwhile.
  await new Promise(setImmediate);
  expect(await quotes.report()).toMatchObject({ not_found: 0, found: 1, unchecked: 2 });
});

it('does not wait for a search that hangs', async () => {
  const clock = new ManualClock();
  const hanging: SearchEngine = { ...memorySearch(), search: async () => new Promise(() => {}) };
  const quotes = checker(hanging, clock);
  quotes.take('> ERROR gave up after 5 tries\n');
  const report = quotes.report();
  await Promise.resolve();
  clock.advance(quoteTimeMs);
  expect(await report).toMatchObject({ found: 0, not_found: 0, unchecked: 1 });
});
