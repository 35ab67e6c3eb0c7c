import type { Clock } from '../clock.ts';
import type { SearchEngine } from '../search/types.ts';

/** The same engine, whose searches are timed. It ends with the one that it is made of. */
export function measuredSearch(
  engine: SearchEngine,
  clock: Clock,
  note: (ms: number) => void,
): SearchEngine {
  return {
    search: async (...args) => {
      const beganMs = clock.elapsedMs();
      try {
        return await engine.search(...args);
      } finally {
        note(clock.elapsedMs() - beganMs);
      }
    },
    searchSmall: async (...args) => {
      const beganMs = clock.elapsedMs();
      const found = await engine.searchSmall(...args);
      // Where it leaves the work to another search, that one is counted.
      if (found !== undefined) note(clock.elapsedMs() - beganMs);
      return found;
    },
    index: async (...args) => engine.index(...args),
    [Symbol.asyncDispose]: async () => engine[Symbol.asyncDispose](),
  };
}
