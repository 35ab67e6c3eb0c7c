// 100,000 random searches against V8 and, for some, ripgrep: `node test/long/search.ts [pairs]
// [seed]`. Prints what it compared.
import * as fc from 'fast-check';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { searchCase } from '../property/search-arbitraries.ts';
import { query, TestCorpus } from '../property/search-corpus.ts';
import { boundedSearch } from '../property/search-oracle.ts';
import { ripgrepCount } from '../property/search-ripgrep.ts';

const pairs = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 1e9);
const engine = openSearchEngine({ clock: systemClock });
const options = { signal: new AbortController().signal, deadlineMs: 20_000 };
const compared = { v8: 0, ripgrep: 0, givenUp: 0 };

await fc.assert(
  fc.asyncProperty(searchCase, async ({ text, patterns, ...more }) => {
    using corpus = new TestCorpus(text);
    for (const pattern of patterns) {
      const asked = query(pattern, more);
      const result = await engine.search(corpus, asked, options);
      if (result.partial) {
        compared.givenUp++;
        continue;
      }
      const wanted = boundedSearch(text, asked);
      if (wanted === undefined) {
        compared.givenUp++;
        continue;
      }
      const hits = result.matches.map(({ line, offsetChars }) => ({ line, offsetChars }));
      compared.v8++;
      const found = JSON.stringify([result.total, hits]);
      if (found !== JSON.stringify([wanted.total, wanted.hits])) {
        throw new Error(`${pattern}: ${found} instead of ${JSON.stringify(wanted)}`);
      }
      if (compared.v8 % 50 !== 0) continue;
      const counted = ripgrepCount(pattern, more.caseSensitive, text);
      if (counted === undefined) continue;
      compared.ripgrep++;
      if (counted !== result.total)
        throw new Error(`${pattern}: rg ${counted}, we ${result.total}`);
    }
  }),
  { numRuns: Math.ceil(pairs / 20), seed },
);
await engine[Symbol.asyncDispose]();
console.log(JSON.stringify({ seed, ...compared }));
