import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { systemClock } from '../../src/clock.ts';
import { memoryText } from './memory-session.ts';
import { TestCorpus } from '../property/search-corpus.ts';

/** The real engine over sessions in memory, whose text it gets as a file. Dispose of it. */
export function engineSearch(): SearchEngine {
  const engine = openSearchEngine({ clock: systemClock, workers: 1 });
  return {
    search: async (corpus, query, options) => {
      using file = new TestCorpus(memoryText(corpus));
      const { entries = [] } = corpus;
      return await engine.search(Object.assign(file, { entries }), query, options);
    },
    searchSmall: async (corpus, query, options) => {
      using file = new TestCorpus(memoryText(corpus));
      const { entries = [] } = corpus;
      return await engine.searchSmall(Object.assign(file, { entries }), query, options);
    },
    index: async () => undefined,
    [Symbol.asyncDispose]: async () => engine[Symbol.asyncDispose](),
  };
}
