import { Program } from './program.ts';
import { openScanMemory, type ProgramSlot } from '../text/scan-memory.ts';
import { TimeGuard } from './time-guard.ts';
import type { SearchQuery } from '../types.ts';

/**
 * Programs of one worker. The same pattern comes again: with a cursor, a filter, after a look at
 * the first hits.
 */
export class ProgramCache {
  readonly memory = openScanMemory();
  readonly #guard = new TimeGuard();
  readonly #free: ProgramSlot[] = [...this.memory.slots];
  /** The least recently used first. */
  readonly #programs = new Map<string, Program>();

  /** The program of a query, made if need be. One that no job works with gives way. */
  get(query: SearchQuery): Program {
    const key = `${query.literal}:${query.caseSensitive}:${query.pattern}`;
    const known = this.#programs.get(key);
    if (known !== undefined) {
      this.#programs.delete(key);
      this.#programs.set(key, known);
      return known;
    }
    const slot = this.#free.pop() ?? this.#takeSlot();
    const program = new Program(query, this.#guard, this.memory, slot);
    this.#programs.set(key, program);
    return program;
  }

  #takeSlot(): ProgramSlot {
    for (const [key, program] of this.#programs) {
      if (program.users > 0) continue;
      this.#programs.delete(key);
      return program.slot;
    }
    throw new Error('more searches at once than a worker has room for');
  }
}
