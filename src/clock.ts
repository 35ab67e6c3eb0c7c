import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleepFor } from 'node:timers/promises';

/** The only source of time. Tests hand in a clock of their own, so that no test waits. */
export interface Clock {
  /** Milliseconds since 1970, for what is written down. */
  now(): number;
  /** Monotonic milliseconds from an arbitrary zero, for durations. */
  elapsedMs(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms` milliseconds unless the returned function is called first. Does not keep the process alive. */
  after(ms: number, run: () => void): () => void;
}

/** The only source of randomness that ends up in names. */
export interface Ids {
  /** A fresh name: `prefix` and 16 lower-case hexadecimal digits (64 random bits). */
  next(prefix: string): string;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsedMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleepFor(ms, undefined, signal === undefined ? {} : { signal });
  },
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Random bytes in a name. */
const nameBytes = 8;

/** Random bytes fetched at once: asking the system for eight takes longer than all else about a name. */
let fetched = Buffer.alloc(0);

/** Names from the system's random source. */
export const randomIds: Ids = {
  next: (prefix) => {
    if (fetched.length === 0) fetched = randomBytes(128 * nameBytes);
    const name = `${prefix}${fetched.toString('hex', 0, nameBytes)}`;
    fetched = fetched.subarray(nameBytes);
    return name;
  },
};
