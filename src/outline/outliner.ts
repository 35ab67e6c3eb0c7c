import { Worker } from 'node:worker_threads';
import { compileCacheEnv } from '../base/compile-cache-env.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { EarlierText } from './compare.ts';
import { maxOutlinedChars, type Outline } from './outline.ts';

/** A text to outline. */
export interface OutlineText {
  /** Bytes are UTF-8. */
  readonly text: string | Uint8Array;
  /** The file it came from, where that is known. */
  readonly path?: string | undefined;
  /** What the same command printed before. */
  readonly before?: EarlierText;
}

/** To the thread. */
export interface OutlineOrder extends OutlineText {
  readonly id: number;
}

/** From the thread; of code twice, the second time with what its grammar says. */
export interface OutlineAnswer {
  readonly id: number;
  readonly outline: Outline | undefined;
  readonly isFinal: boolean;
  /** Why there is none. */
  readonly reason?: string;
}

/** An idle thread is kept so long for the next text, milliseconds. */
const idleMs = 600_000;

/** So many texts are with the thread at a time: what nobody waits for any more never gets there. */
const maxSent = 2;

interface Waiting {
  readonly order: OutlineOrder;
  take(answer: OutlineAnswer): void;
}

/**
 * Outlines texts in a thread of its own, started when it is first wanted. What is not ready in time
 * has no outline: nobody waits longer, and nobody asks again.
 */
export class Outliner {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** What somebody waits for, in the order in which it came. */
  readonly #waiting = new Map<number, Waiting>();
  /** Ids of what is with the thread; its answer may be wanted by nobody any more. */
  readonly #sent = new Set<number>();
  #worker: Worker | undefined;
  #stopTimer: (() => void) | undefined;
  #lastId = 0;
  #closed = false;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts the thread, so that it is ready when the first text comes. */
  warmUp(): void {
    if (!this.#closed) this.#started();
  }

  /**
   * The outlines of texts, in their order, as far as they are ready in `waitMs` milliseconds:
   * undefined for the others; and how long that took. Never rejects.
   */
  async outlines(
    texts: readonly OutlineText[],
    waitMs: number,
  ): Promise<{ readonly outlines: readonly (Outline | undefined)[]; readonly tookMs: number }> {
    const startedMs = this.#clock.elapsedMs();
    const found: (Outline | undefined)[] = texts.map(() => undefined);
    if (this.#closed || texts.length === 0 || waitMs <= 0) return { outlines: found, tookMs: 0 };
    this.#started();
    const ids: number[] = [];
    let left = 0;
    await new Promise<void>((resolve) => {
      const stopTimer = this.#clock.after(waitMs, resolve);
      const done = (): void => {
        stopTimer();
        resolve();
      };
      for (const [at, text] of texts.entries()) {
        if (text.text.length > maxOutlinedChars) continue;
        const id = (this.#lastId += 1);
        ids.push(id);
        left += 1;
        this.#waiting.set(id, {
          order: { id, ...text },
          take: ({ outline, isFinal, reason }) => {
            found[at] = outline ?? found[at];
            if (reason !== undefined) this.#log.warn({ reason }, 'a text could not be outlined');
            if (!isFinal) return;
            this.#waiting.delete(id);
            left -= 1;
            if (left === 0) done();
          },
        });
      }
      if (left === 0) done();
      else this.#send();
    });
    for (const id of ids) this.#waiting.delete(id);
    if (left > 0) this.#log.debug({ texts: left }, 'texts without an outline: not ready in time');
    this.#stopLater();
    return { outlines: [...found], tookMs: this.#clock.elapsedMs() - startedMs };
  }

  /** Ends the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#stopTimer?.();
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #started(): Worker {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#worker !== undefined) return this.#worker;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const url = new URL(`./outline-thread.${extension}`, import.meta.url);
    const worker = new Worker(url, {
      name: 'rlm-outline',
      env: compileCacheEnv(),
      execArgv: [],
      stdin: false,
    });
    worker.unref();
    worker.on('message', (answer: OutlineAnswer) => {
      if (answer.isFinal) this.#sent.delete(answer.id);
      this.#waiting.get(answer.id)?.take(answer);
      this.#send();
    });
    const end = (error?: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#sent.clear();
      const reason = error === undefined ? 'the thread has ended' : error.message;
      for (const [id, waiting] of this.#waiting)
        waiting.take({ id, outline: undefined, isFinal: true, reason });
    };
    worker.on('error', end);
    worker.on('exit', () => end());
    this.#worker = worker;
    return worker;
  }

  #send(): void {
    for (const [id, { order }] of this.#waiting) {
      if (this.#sent.size >= maxSent) return;
      if (this.#sent.has(id)) continue;
      this.#sent.add(id);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread
      this.#started().postMessage(order);
    }
  }

  #stopLater(): void {
    if (this.#closed || this.#waiting.size > 0) return;
    this.#stopTimer?.();
    this.#stopTimer = this.#clock.after(idleMs, () => {
      const worker = this.#worker;
      this.#worker = undefined;
      this.#sent.clear();
      void worker?.terminate();
    });
  }
}
