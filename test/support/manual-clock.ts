import type { Clock } from '../../src/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** A clock that stands still until the test moves it. */
export class ManualClock implements Clock {
  #elapsedMs = 0;
  #timers: Timer[] = [];

  now(): number {
    return 1_700_000_000_000 + this.#elapsedMs;
  }

  elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** Timers that are waiting. */
  get waiting(): number {
    return this.#timers.length;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { dueMs: this.#elapsedMs + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        reject(signal.reason as Error);
      });
    });
  }

  /** Time goes on and nothing runs, as while a process is stopped; what fell due runs late. */
  standStill(ms: number): void {
    this.#elapsedMs += ms;
    this.advance(0);
  }

  /** Moves on, running what falls due on the way in its order. */
  advance(ms: number): void {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.dueMs <= endMs)
        .sort((one, other) => one.dueMs - other.dueMs)[0];
      if (due === undefined) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, due.dueMs);
      this.#timers = this.#timers.filter((timer) => timer !== due);
      due.run();
    }
    this.#elapsedMs = endMs;
  }
}
