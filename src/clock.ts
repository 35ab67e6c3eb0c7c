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
  /**
   * Calls `run` once after `ms` milliseconds unless the returned function is called first. Does not
   * keep the process alive.
   */
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

/**
 * Random bytes fetched at once: asking the system for eight takes longer than all else about a
 * name.
 */
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

/**
 * A look that comes so much later than it was ordered for has been held up: the process was
 * stopped, or busy. Milliseconds.
 */
const lateMs = 200;

/**
 * What lies in the socket after such a time, and in what unpacks it, has so long to come in.
 * Milliseconds.
 */
const wakeGraceMs = 1_000;

/**
 * Barks when a wait lasts too long. Only waiting counts, so a slow client that makes us read slowly
 * does not look like a silent upstream. A wait that has lasted too long is looked at twice, the
 * second time after the event loop has looked at the sockets: whoever wakes up from Ctrl-Z, or in a
 * virtual machine that was paused, finds the time over and the words waiting. One timer serves all
 * waits: setting one for each chunk would cost more than the chunk.
 */
export class Watchdog {
  readonly #clock: Clock;
  #bark: () => void = () => undefined;
  #sinceMs: number | undefined;
  #limitMs = 0;
  #cancelTimer: (() => void) | undefined;
  #timerAtMs = 0;
  /** Counts the waits. */
  #wait = 0;
  /** The wait that was found to have lasted too long. */
  #overdueWait: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A wait of at most `limitMs` begins; `bark` is called where it lasts longer. */
  start(limitMs: number, bark: () => void): void {
    this.#bark = bark;
    this.#sinceMs = this.#clock.elapsedMs();
    this.#limitMs = limitMs;
    this.#wait += 1;
    const endMs = this.#sinceMs + limitMs;
    if (this.#cancelTimer !== undefined && this.#timerAtMs <= endMs) return;
    this.#cancelTimer?.();
    this.#arm(limitMs);
  }

  /** The wait is over. */
  stop(): void {
    this.#sinceMs = undefined;
  }

  /** No wait will follow. */
  close(): void {
    this.stop();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(inMs: number): void {
    this.#timerAtMs = this.#clock.elapsedMs() + inMs;
    this.#cancelTimer = this.#clock.after(inMs, () => this.#look());
  }

  #look(): void {
    this.#cancelTimer = undefined;
    if (this.#sinceMs === undefined) return;
    const nowMs = this.#clock.elapsedMs();
    const leftMs = this.#sinceMs + this.#limitMs - nowMs;
    const isLate = nowMs - this.#timerAtMs > lateMs;
    if (leftMs > 0) this.#arm(leftMs);
    else if (isLate || this.#overdueWait !== this.#wait) {
      this.#overdueWait = this.#wait;
      this.#arm(isLate ? wakeGraceMs : 0);
    } else this.#bark();
  }
}
