import { type Clock, type Ids, randomIds, systemClock } from '../clock.ts';

/** A clock that shows the time of recorded turns, and whose waits between attempts take none. */
export class ReplayClock implements Clock {
  #startMs = 0;
  #sinceMs = systemClock.elapsedMs();

  /** From now on it goes on from there, milliseconds since 1970. */
  set(timeMs: number): void {
    this.#startMs = timeMs;
    this.#sinceMs = systemClock.elapsedMs();
  }

  now(): number {
    return Math.round(this.#startMs + systemClock.elapsedMs() - this.#sinceMs);
  }

  elapsedMs(): number {
    return systemClock.elapsedMs();
  }

  async sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(0, signal);
  }

  after(ms: number, run: () => void): () => void {
    return systemClock.after(ms, run);
  }
}

/** Fresh names, but for those of stores: these are the recorded ones, in their order. */
export class ReplayIds implements Ids {
  #sessions: string[] = [];

  /** Stores that are made from now on get these names. */
  expect(sessions: readonly string[]): void {
    this.#sessions = [...sessions];
  }

  next(prefix: string): string {
    const recorded = prefix === 'sess_' ? this.#sessions.shift() : undefined;
    return recorded ?? randomIds.next(prefix);
  }
}
