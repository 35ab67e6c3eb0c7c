import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Upstream, UpstreamModel } from './upstream.ts';

/** How lists are kept. */
export interface ListCacheOptions {
  /** How long a list is good for, milliseconds. A failure counts as an empty list for as long. */
  readonly listMaxAgeMs: number;
  /** Longest wait for a list, milliseconds. */
  readonly listTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface CachedList {
  readonly models: Promise<readonly UpstreamModel[]>;
  readonly untilMs: number;
  /** The models once they are in. */
  settled?: readonly UpstreamModel[];
}

/**
 * The providers' own model lists, asked for at most once in a while and never in the way of
 * anything.
 */
export class ModelListCache {
  readonly #options: ListCacheOptions;
  readonly #lists = new Map<Upstream, CachedList>();

  constructor(options: ListCacheOptions) {
    this.#options = options;
  }

  /** The provider's list; empty if it cannot be had in time. Never fails. */
  async get(upstream: Upstream, signal: AbortSignal): Promise<readonly UpstreamModel[]> {
    const nowMs = this.#options.clock.elapsedMs();
    const cached = this.#lists.get(upstream);
    if (cached !== undefined && cached.untilMs > nowMs) return cached.models;
    const fresh: CachedList = {
      models: this.#ask(upstream, signal),
      untilMs: nowMs + this.#options.listMaxAgeMs,
    };
    this.#lists.set(upstream, fresh);
    fresh.settled = await fresh.models;
    // One client's hurry is no reason to show all others an empty list.
    if (signal.aborted) this.#lists.delete(upstream);
    return fresh.settled;
  }

  /** What is known of the list without asking. */
  known(upstream: Upstream): readonly UpstreamModel[] | undefined {
    return this.#lists.get(upstream)?.settled;
  }

  async #ask(upstream: Upstream, signal: AbortSignal): Promise<readonly UpstreamModel[]> {
    const slow = new AbortController();
    const cancelTimer = this.#options.clock.after(this.#options.listTimeoutMs, () => slow.abort());
    try {
      return await upstream.models(AbortSignal.any([signal, slow.signal]));
    } catch (caught) {
      const { code } = toProxyError(caught);
      this.#options.log.debug({ upstream: upstream.id, code }, 'no model list from the provider');
      return [];
    } finally {
      cancelTimer();
    }
  }
}
