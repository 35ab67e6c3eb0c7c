import { cancelled } from './retry.ts';

/**
 * Lets so many through at a time; the others wait in the order they came. Providers count requests in flight, and a
 * recursion's sub-calls would otherwise all start at once.
 */
export class InFlightLimit {
  readonly #limit: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Resolves when a place is free. The returned function gives it back; calling it again does nothing.
   * @throws ProxyError `cancelled` (or the signal's own) when the signal aborts first
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw cancelled(signal);
    if (this.#taken < this.#limit) this.#taken += 1;
    else await this.#queue(signal);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      // The place goes straight to the next in line, so that nobody slips in between.
      if (next === undefined) this.#taken -= 1;
      else next();
    };
  }

  #queue(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(cancelled(signal));
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}
