import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';

/** A request whose body is still coming. */
export interface ReceivedRequest {
  /** Ends the work on it. */
  readonly signal: AbortSignal;
  /** To be called for each piece of the body. */
  readonly onPiece: () => void;
  /** To be called when all of the body is in. @throws ProxyError `too_busy` */
  readonly onArrived: () => void;
}

/** Bodies that may be coming at once, for each request that may be worked on. */
const bodiesPerRequest = 2;

/**
 * A body that has been silent for so long makes room for another where there is none, milliseconds.
 */
const evictableMs = 1_000;

/**
 * The requests that are being worked on: each with the signal that ends its work. Bodies that are
 * still coming are counted apart, and the one that has been silent for the longest makes room for a
 * new one: requests that are begun and never ended keep nobody out.
 */
export class LiveRequests {
  readonly #limit: number;
  readonly #clock: Clock;
  readonly #advice: string;
  readonly #controllers = new Set<AbortController>();
  /** When the last piece of each unfinished body came, the longest ago first. */
  readonly #receiving = new Map<AbortController, number>();
  #onIdle: (() => void)[] = [];

  /**
   * @param limit Requests at the same time
   * @param advice What who is refused can do
   */
  constructor(limit: number, clock: Clock, advice = 'RLM_MAX_LIVE_TURNS sets the limit.') {
    this.#limit = limit;
    this.#clock = clock;
    this.#advice = advice;
  }

  /** Requests that are worked on or are still coming. */
  get count(): number {
    return this.#controllers.size;
  }

  /**
   * Counts a request until its response is over. The signal aborts when the client is gone before
   * that. (Fastify's own `request.signal` aborts as soon as a body has been read, so the response
   * is what is watched.)
   * @throws ProxyError `too_busy`
   */
  begin(response: ServerResponse): AbortSignal {
    this.#checkRoom();
    return this.#add(response).signal;
  }

  /**
   * The same for a request whose body is yet to come: it takes its place among the others when it
   * is in. @throws ProxyError `too_busy`
   */
  receive(response: ServerResponse): ReceivedRequest {
    this.#checkRoom();
    if (this.#receiving.size >= this.#limit * bodiesPerRequest) this.#evict();
    const controller = this.#add(response);
    this.#receiving.set(controller, this.#clock.elapsedMs());
    return {
      signal: controller.signal,
      onPiece: () => {
        if (!this.#receiving.delete(controller)) return;
        this.#receiving.set(controller, this.#clock.elapsedMs());
      },
      onArrived: () => {
        if (!this.#receiving.has(controller)) return;
        this.#checkRoom();
        this.#receiving.delete(controller);
      },
    };
  }

  /** Resolves as soon as no request is left. */
  async idle(): Promise<void> {
    if (this.#controllers.size === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** Ends the work of all of them; they answer with the reason. */
  abortAll(reason: ProxyError): void {
    for (const controller of this.#controllers) controller.abort(reason);
  }

  #checkRoom(): void {
    if (this.#controllers.size - this.#receiving.size >= this.#limit) throw this.#tooBusy();
  }

  #tooBusy(): ProxyError {
    return new ProxyError('too_busy', `${this.#limit} requests are being answered already.`, {
      hint: this.#advice,
      retryAfterMs: 1000,
    });
  }

  #evict(): void {
    const [oldest] = this.#receiving;
    if (oldest === undefined) return;
    const [controller, sinceMs] = oldest;
    const silentMs = this.#clock.elapsedMs() - sinceMs;
    if (silentMs < evictableMs) throw this.#tooBusy();
    this.#receiving.delete(controller);
    controller.abort(silentBody(silentMs));
  }

  #add(response: ServerResponse): AbortController {
    const controller = new AbortController();
    this.#controllers.add(controller);
    response.once('close', () => {
      this.#controllers.delete(controller);
      this.#receiving.delete(controller);
      if (!response.writableFinished) {
        controller.abort(new ProxyError('cancelled', 'The client is gone.'));
      }
      if (this.#controllers.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    });
    return controller;
  }
}

/** For a body that stopped coming. */
export function silentBody(silentMs: number): ProxyError {
  return new ProxyError(
    'body_timeout',
    `The rest of the request's body did not come for ${Math.round(silentMs)} ms.`,
    { hint: 'RLM_BODY_IDLE_TIMEOUT_MS sets how long is waited.' },
  );
}
