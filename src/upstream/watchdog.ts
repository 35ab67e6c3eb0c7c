import type { Clock } from '../clock.ts';

/**
 * Barks when a wait lasts too long. Only waiting counts, so a slow client that makes us read slowly does not look like a
 * silent upstream. One timer serves all waits: setting one for each chunk would cost more than the chunk.
 */
export class Watchdog {
  readonly #clock: Clock;
  readonly #bark: () => void;
  #sinceMs: number | undefined;
  #limitMs = 0;
  #cancelTimer: (() => void) | undefined;
  #timerAtMs = 0;

  constructor(clock: Clock, bark: () => void) {
    this.#clock = clock;
    this.#bark = bark;
  }

  /** A wait of at most `limitMs` begins. */
  start(limitMs: number): void {
    this.#sinceMs = this.#clock.elapsedMs();
    this.#limitMs = limitMs;
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
    const leftMs = this.#sinceMs + this.#limitMs - this.#clock.elapsedMs();
    if (leftMs > 0) this.#arm(leftMs);
    else this.#bark();
  }
}
