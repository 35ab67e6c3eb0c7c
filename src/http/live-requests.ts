import type { ServerResponse } from 'node:http';
import { ProxyError } from '../errors.ts';

/** The requests that are being worked on: each with the signal that ends its work. */
export class LiveRequests {
  readonly #limit: number;
  readonly #controllers = new Set<AbortController>();
  #onIdle: (() => void)[] = [];

  /** @param limit Requests at the same time */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#controllers.size;
  }

  /**
   * Counts a request until its response is over. The signal aborts when the client is gone before that. (Fastify's own
   * `request.signal` aborts as soon as a body has been read, so the response is what is watched.)
   * @throws ProxyError `too_busy`
   */
  begin(response: ServerResponse): AbortSignal {
    if (this.#controllers.size >= this.#limit) {
      throw new ProxyError('too_busy', `${this.#limit} requests are being answered already.`, {
        hint: 'RLM_MAX_LIVE_TURNS sets the limit.',
        retryAfterMs: 1000,
      });
    }
    const controller = new AbortController();
    this.#controllers.add(controller);
    response.once('close', () => {
      this.#controllers.delete(controller);
      if (!response.writableFinished) {
        controller.abort(new ProxyError('cancelled', 'The client is gone.'));
      }
      if (this.#controllers.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    });
    return controller.signal;
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
}
