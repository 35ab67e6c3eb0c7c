/** So many may do something at once; the others wait in the order in which they came. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** @param count How many at once, at least 1 */
  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Resolves when there is room. The returned function gives it back; calling it again does
   * nothing.
   * @throws the signal's reason when it aborts first
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#queue(signal);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      // It goes straight to the next in line, so that nobody slips in between.
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  /**
   * Runs `work` when there is room. @throws the signal's reason while it waits, else what `work`
   * throws
   */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    const release = await this.acquire(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #queue(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}
