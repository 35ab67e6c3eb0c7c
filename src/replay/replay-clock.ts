import { type Clock, type Ids, randomIds, systemClock } from '../clock.ts';

/**
 * A clock on which it is always when the recorded turn came, so that turns that are written down
 * again keep their order, and whose waits between attempts take none.
 */
export class ReplayClock implements Clock {
  #nowMs = 0;

  /** From now on it is then, milliseconds since 1970. */
  set(timeMs: number): void {
    this.#nowMs = timeMs;
  }

  now(): number {
    return this.#nowMs;
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

/** Fresh names, but for those of a request and of stores: these are the recorded ones. */
export class ReplayIds implements Ids {
  #sessions: string[] = [];
  #request: string | undefined;
  readonly #requests = new Set<string>();

  /** Stores that are made from now on get these names, in this order. */
  expect(sessions: readonly string[]): void {
    this.#sessions = [...sessions];
  }

  /**
   * The next request gets this name where it is one of ours, and of no request before: files are
   * named by it, and a trace may have been copied or made up.
   */
  expectRequest(requestId: string): void {
    const isOurs = /^req_[0-9a-f]{16}$/.test(requestId) && !this.#requests.has(requestId);
    this.#request = isOurs ? requestId : undefined;
    this.#requests.add(requestId);
  }

  next(prefix: string): string {
    const recorded =
      prefix === 'sess_'
        ? this.#sessions.shift()
        : prefix === 'req_'
          ? this.#takeRequest()
          : undefined;
    return recorded ?? randomIds.next(prefix);
  }

  #takeRequest(): string | undefined {
    const request = this.#request;
    this.#request = undefined;
    return request;
  }
}
