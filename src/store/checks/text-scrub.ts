import type { Clock } from '../../clock.ts';
import { ProxyError, toProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { TextChecks } from './text-checks.ts';

/**
 * How long a session is open before its text is compared: whoever opens it wants something else
 * first.
 */
const delayMs = 5_000;

/** Between two slices of 256 KiB: 25 MB/s, half a percent of the event loop. */
const pauseMs = 10;

/**
 * Compares what nothing is known of in a session's text with its checksums, in the background and
 * slowly.
 */
export class TextScrub {
  readonly #checks: TextChecks;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onEnd: () => Promise<void>;
  readonly #stop = new AbortController();
  #cancelStart: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(parts: {
    readonly checks: TextChecks;
    readonly clock: Clock;
    readonly log: Logger;
    /** Runs when nothing is unknown any more; must not throw. */
    readonly onEnd: () => Promise<void>;
  }) {
    this.#checks = parts.checks;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onEnd = parts.onEnd;
  }

  /** Begins in a while, unless it is under way. */
  start(): void {
    if (this.#stop.signal.aborted || this.#running !== undefined) return;
    this.#cancelStart?.();
    this.#cancelStart = this.#clock.after(delayMs, () => {
      this.#running ??= this.#run();
    });
  }

  /**
   * Compares all that is left at once, as fast as it goes. @throws what reading throws;
   * `shutting_down`
   */
  async finish(): Promise<void> {
    while (await this.#checks.scrubSome(this.#stop.signal));
    await this.#onEnd();
  }

  /** Gives up what is not done; resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#cancelStart?.();
    this.#stop.abort(new ProxyError('shutting_down', 'The store is being closed.'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (await this.#checks.scrubSome(signal)) await this.#pause();
      await this.#onEnd();
    } catch (error) {
      // Searches compare what they read all the same.
      const { code, message } = toProxyError(error);
      if (!signal.aborted) this.#log.warn({ code, message }, 'stored text could not be compared');
    }
    this.#running = undefined;
  }

  async #pause(): Promise<void> {
    const { signal } = this.#stop;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(pauseMs, resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    cancel();
    signal.throwIfAborted();
  }
}
