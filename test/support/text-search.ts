import { afterAll } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine, SearchQuery, SearchResult } from '../../src/search/types.ts';
import { query, TestCorpus } from '../property/search-corpus.ts';

/** Entries of a text, by their bytes. */
type EntryBytes = readonly { readonly offsetBytes: number; readonly lengthBytes: number }[];

/** An engine for the tests of a file; it ends with them. */
export function textSearch({ workers = 2 }: { readonly workers?: number } = {}): {
  readonly engine: SearchEngine;
  readonly options: { readonly signal: AbortSignal; readonly deadlineMs: number };
  /** Searches a text that lies in a file of its own. */
  readonly search: (
    text: string,
    pattern: string,
    more?: Partial<SearchQuery>,
    entries?: EntryBytes,
  ) => Promise<SearchResult>;
} {
  const engine = openSearchEngine({ clock: systemClock, workers });
  afterAll(async () => engine[Symbol.asyncDispose]());
  const options = { signal: new AbortController().signal, deadlineMs: 20_000 };
  return {
    engine,
    options,
    search: async (text, pattern, more = {}, entries) => {
      using corpus = new TestCorpus(text);
      const named = entries === undefined ? corpus : Object.assign(corpus, { entries });
      return await engine.search(named, query(pattern, more), options);
    },
  };
}
