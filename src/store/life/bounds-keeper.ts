import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import type { LastTidying, TidyOutcome } from '../types.ts';

/** After a start, milliseconds: a server has other things to do first. */
const firstMs = 60_000;
/** Texts grow too old by themselves: they are looked for so often, milliseconds. */
const everyMs = 86_400_000;
/** Where nothing could go, it is tried again after so long, milliseconds. */
const againMs = 60_000;

/** Keeps the stores of a server in their bounds, in the background: one run at a time. */
export class BoundsKeeper {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #run: () => Promise<TidyOutcome>;
  #last: LastTidying | undefined;
  #running: Promise<void> | undefined;
  #isWanted = false;
  /** By the clock's `elapsedMs`. */
  #notBeforeMs = -Infinity;
  #stopTimer: () => void;
  #stopWaiting: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly run: () => Promise<TidyOutcome>;
  }) {
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#run = parts.run;
    this.#stopTimer = this.#clock.after(firstMs, () => this.#daily());
  }

  /** What the last run did, of those that had anything to do. */
  get last(): LastTidying | undefined {
    return this.#last;
  }

  /** There is, or will soon be, too little room. */
  soon(): void {
    if (this.#isClosed) return;
    if (this.#running !== undefined) {
      this.#isWanted = true;
      return;
    }
    const waitMs = this.#notBeforeMs - this.#clock.elapsedMs();
    if (waitMs <= 0) this.#begin();
    else
      this.#stopWaiting ??= this.#clock.after(waitMs, () => {
        this.#stopWaiting = undefined;
        this.soon();
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stopTimer();
    this.#stopWaiting?.();
    await this.#running;
  }

  #daily(): void {
    if (this.#isClosed) return;
    this.#stopTimer = this.#clock.after(everyMs, () => this.#daily());
    this.#notBeforeMs = -Infinity;
    this.soon();
  }

  #begin(): void {
    this.#isWanted = false;
    this.#running = this.#runOnce().finally(() => {
      this.#running = undefined;
      if (this.#isWanted) this.soon();
    });
  }

  async #runOnce(): Promise<void> {
    try {
      const outcome = await this.#run();
      const { texts, bytes, stores, isAllFull } = outcome;
      if (texts === 0) this.#notBeforeMs = this.#clock.elapsedMs() + againMs;
      const full = stores.filter(({ isFull }) => isFull).map(({ session }) => session);
      const isFull = full.length > 0 || isAllFull;
      const wasFull = this.#last?.isFull === true;
      if (texts === 0 && isFull === wasFull) return;
      this.#last = { atMs: this.#clock.now(), texts, bytes, isFull };
      if (texts > 0) {
        this.#log.info({ texts, bytes, stores: stores.length }, 'old texts went to make room');
      }
      if (isFull && !wasFull) {
        const where = isAllFull ? 'all stores together' : full.join(', ');
        this.#log.warn(
          { where, advice: 'rlm-opencode sessions gc --dry-run says what holds the room' },
          'a quota is used up, and nothing more may go: texts are too young or pinned',
        );
      }
    } catch (error) {
      this.#notBeforeMs = this.#clock.elapsedMs() + againMs;
      if (!this.#isClosed) this.#log.warn({ err: error }, 'the stores were not tidied');
    }
  }
}
