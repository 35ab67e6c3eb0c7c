import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { type Database, failureOf, refusal } from './database.ts';

/** Between two attempts while somebody waits, milliseconds. */
const retryMs = 100;
/** Between two looks whether the database is back, milliseconds: at first, and at last. */
const lookMinMs = 250;
const lookMaxMs = 5_000;

/** What comes piece by piece. */
export interface Coming {
  /** Aborted when nobody waits for it any more. */
  readonly signal: AbortSignal;
  /** Something has come, be it only a part. */
  readonly moved: () => void;
}

/** Nobody waits any longer. */
class TimeIsUp extends Error {}

/** Somebody who waits for an answer. */
interface Waiter {
  /**
   * Of the attempt that goes on: aborted when its time is up, or nobody is to wait any more. One
   * for both: making one signal of two takes each statement some 0.03 ms longer.
   */
  attempt: AbortController;
}

/** Whether somebody waits in a turn. */
export interface Patience {
  readonly isPatient?: boolean;
}

/**
 * Longest that one statement may take for which nobody waits, milliseconds: a piece of 1 MiB at
 * 150 kbit/s.
 */
const patientMs = 60_000;

/** Longest that a work of upkeep may take, milliseconds. */
const workMaxMs = 600_000;

/**
 * Whether the database can be reached. Once in an outage a caller waits, for all that come after
 * it; from then on nobody does until it is back.
 */
export class Availability {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #waitMs: number;
  readonly #onBack: () => void;
  /** When the first attempt of this outage failed; absent while all is well. */
  #troubleSinceMs: number | undefined;
  #isAway = false;
  #stopLooking: (() => void) | undefined;
  #isClosed = false;
  /** All who wait for an answer: they are told when nobody is to wait any more. */
  readonly #waiting = new Set<Waiter>();
  /** Outages since the start, and the longest that a caller waited, milliseconds. */
  readonly told = { outages: 0, longestWaitMs: 0 };

  constructor(options: {
    readonly database: Database;
    readonly clock: Clock;
    readonly log: Logger;
    /** How long a caller waits for the database, milliseconds. */
    readonly waitMs: number;
    /** Called when it is back. */
    readonly onBack: () => void;
  }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#waitMs = options.waitMs;
    this.#onBack = options.onBack;
  }

  /** Nobody is to wait for it now. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /**
   * Asks the database something, again where that may help. `ask` may be called several times:
   * whether an attempt that failed was carried out nobody knows.
   * @param isWritten What to answer where an earlier attempt was carried out, for what may be only
   * once
   * @param options.isPatient Nobody waits for it in a turn: over a slow network it has its time
   * @throws ProxyError `store_away`
   */
  async ask<T>(
    ask: (signal: AbortSignal) => Promise<T>,
    isWritten?: (signal: AbortSignal) => Promise<T>,
    { isPatient = false }: Patience = {},
  ): Promise<T> {
    const waiter: Waiter = { attempt: new AbortController() };
    if (!isPatient) this.#waiting.add(waiter);
    try {
      return await this.#askUntil(waiter, { ask, isWritten, isPatient });
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  async #askUntil<T>(
    waiter: Waiter,
    {
      ask,
      isWritten,
      isPatient,
    }: {
      readonly ask: (signal: AbortSignal) => Promise<T>;
      readonly isWritten: ((signal: AbortSignal) => Promise<T>) | undefined;
      readonly isPatient: boolean;
    },
  ): Promise<T> {
    const sinceMs = this.#clock.elapsedMs();
    let attempt = ask;
    let told: unknown;
    for (;;) {
      if (this.#isAway) throw this.#awayError();
      try {
        const leftMs = Math.max(1, this.#waitMs - this.#troubleMs());
        const limitMs = isPatient ? patientMs : leftMs;
        const answer = await this.#timed(attempt, limitMs, waiter.attempt);
        this.#troubleSinceMs = undefined;
        if (!isPatient) this.#noteWait(sinceMs);
        return answer;
      } catch (error) {
        if (waiter.attempt.signal.aborted) waiter.attempt = new AbortController();
        const failure = failureOf(error);
        // Whatever it has said, it is there.
        if (failure !== 'away') this.#troubleSinceMs = undefined;
        if (error instanceof ProxyError || failure === 'refused') throw this.#named(error);
        // Others are in the way; whoever would wait for ever for them waits for the database.
        const hasTime = this.#clock.elapsedMs() - sinceMs < this.#waitMs;
        if (failure === 'conflict' && hasTime) continue;
        if (failure === 'written') {
          if (isWritten === undefined || attempt === isWritten) throw this.#named(error);
          attempt = isWritten;
          continue;
        }
        // What was said before the time was up says more than that it was.
        if (told === undefined || !(error instanceof TimeIsUp)) told = error;
        this.#database.useNextHost();
        if (this.#isTooLong(sinceMs)) {
          if (!isPatient) this.#noteWait(sinceMs);
          this.#goAway(told);
          throw this.#awayError(told);
        }
        // Ends early where it is given up meanwhile.
        await this.#clock.sleep(retryMs, waiter.attempt.signal).catch(() => undefined);
      }
    }
  }

  /**
   * Has the database do something that may take minutes, once, with nobody waiting for it in a
   * turn: that it takes long says nothing of whether it is there. @throws ProxyError `store_away`
   */
  async work<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const untilMs = this.#clock.elapsedMs() + workMaxMs;
    for (;;) {
      if (this.#isAway) throw this.#awayError();
      try {
        return await this.#timed(work, workMaxMs);
      } catch (error) {
        const failure = failureOf(error);
        if (error instanceof ProxyError || failure === 'refused') throw this.#named(error);
        // Others were in the way, and are not any more.
        const isTriedAgain = failure === 'conflict' && this.#clock.elapsedMs() < untilMs;
        if (!isTriedAgain) throw this.#awayError(error);
      }
    }
  }

  /**
   * What comes one by one: nothing may come for no longer than a caller waits, however long one of
   * them takes to come whole. Where the connection is lost between two of them, `rest` is asked for
   * what is left, as soon as the database answers again. @throws ProxyError `store_away`
   */
  async *each<T>(rest: (coming: Coming) => AsyncIterable<T>): AsyncGenerator<T> {
    let failures = 0;
    for (;;) {
      if (this.#isAway) throw this.#awayError();
      const controller = new AbortController();
      let beganMs = this.#clock.elapsedMs();
      let stop: (() => void) | undefined;
      const moved = (): void => {
        beganMs = this.#clock.elapsedMs();
        stop?.();
        stop = this.#abortIn(this.#waitMs, controller);
      };
      const { signal } = controller;
      const coming = rest({ signal, moved })[Symbol.asyncIterator]();
      try {
        for (;;) {
          moved();
          const next = await coming.next().finally(() => stop?.());
          if (next.done === true) return;
          failures = 0;
          yield next.value;
        }
      } catch (error) {
        if (error instanceof ProxyError || failureOf(error) !== 'away') throw this.#named(error);
        failures += 1;
        if (this.#isTooLong(beganMs) || failures > 1) {
          this.#noteWait(beganMs);
          this.#goAway(error);
          throw this.#awayError(error);
        }
      } finally {
        await coming.return?.(undefined);
      }
      this.#database.useNextHost();
      await this.ask(async (signal) => this.#lookOnce(signal));
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#stopLooking?.();
  }

  /**
   * A failure is noted. @param sinceMs When whoever met it began to wait
   * @returns Whether nobody is to wait any longer
   */
  #isTooLong(sinceMs: number): boolean {
    // Who came first has waited longest, though others may have been told of it before.
    this.#troubleSinceMs = Math.min(this.#troubleSinceMs ?? sinceMs, sinceMs);
    return this.#isAway || this.#isClosed || this.#troubleMs() + retryMs >= this.#waitMs;
  }

  #troubleMs(): number {
    return this.#troubleSinceMs === undefined ? 0 : this.#clock.elapsedMs() - this.#troubleSinceMs;
  }

  #noteWait(sinceMs: number): void {
    this.told.longestWaitMs = Math.max(this.told.longestWaitMs, this.#clock.elapsedMs() - sinceMs);
  }

  async #timed<T>(
    ask: (signal: AbortSignal) => Promise<T>,
    limitMs: number,
    controller = new AbortController(),
  ): Promise<T> {
    const cancel = this.#abortIn(limitMs, controller);
    try {
      return await ask(controller.signal);
    } finally {
      cancel();
    }
  }

  /** @returns Calls it off */
  #abortIn(ms: number, controller: AbortController): () => void {
    return this.#clock.after(ms, () => {
      controller.abort(new TimeIsUp('the database has not answered in time'));
    });
  }

  /** A statement that changes nothing, and that only a server carries out which takes writes. */
  async #lookOnce(signal: AbortSignal): Promise<unknown> {
    return this.#database.query(
      'look',
      'update rlm_session set head = head where false',
      [],
      signal,
    );
  }

  #named(error: unknown): ProxyError {
    return error instanceof ProxyError ? error : refusal(error, this.#database.shown);
  }

  #goAway(error: unknown): void {
    if (this.#isAway || this.#isClosed) return;
    this.#isAway = true;
    for (const { attempt } of this.#waiting)
      attempt.abort(new TimeIsUp('the database is given up'));
    this.told.outages += 1;
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.warn(
      { store: this.#database.shown, reason },
      'the shared store cannot be reached: chats go on, what they bring waits on this machine',
    );
    this.#look(lookMinMs);
  }

  #look(inMs: number): void {
    this.#stopLooking = this.#clock.after(inMs, () => {
      void this.#lookNow(inMs);
    });
  }

  async #lookNow(afterMs: number): Promise<void> {
    try {
      await this.#timed(async (signal) => this.#lookOnce(signal), this.#waitMs);
    } catch (error) {
      if (failureOf(error) === 'away') {
        this.#database.useNextHost();
        if (!this.#isClosed) this.#look(Math.min(lookMaxMs, afterMs * 2));
        return;
      }
      // It answers, whatever it says.
    }
    if (this.#isClosed) return;
    this.#isAway = false;
    this.#troubleSinceMs = undefined;
    this.#log.info({ store: this.#database.shown }, 'the shared store is back');
    this.#onBack();
  }

  #awayError(cause?: unknown): ProxyError {
    return new ProxyError(
      'store_away',
      `The shared store ${this.#database.shown} cannot be reached.`,
      {
        cause,
        hint: 'What comes meanwhile waits on this machine. `rlm-opencode doctor` looks at it.',
      },
    );
  }
}
