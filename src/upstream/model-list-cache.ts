import type { Clock } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
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
  /** Providers whose last list could not be had: an outage is told of once, and its end. */
  readonly #failing = new Set<Upstream>();

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
    const { clock, listTimeoutMs } = this.#options;
    const cancelTimer = clock.after(listTimeoutMs, () =>
      slow.abort(
        new ProxyError('upstream_timeout', `No list of models came in ${listTimeoutMs} ms.`),
      ),
    );
    try {
      const models = await upstream.models(AbortSignal.any([signal, slow.signal]));
      if (this.#failing.delete(upstream))
        this.#options.log.info({ upstream: upstream.id }, 'the provider lists its models again');
      return models;
    } catch (caught) {
      // That a client has left says nothing of the provider.
      if (!signal.aborted) this.#tell(upstream, toProxyError(caught));
      return [];
    } finally {
      cancelTimer();
    }
  }
  /** At `info` once an outage; that it lasts is no news. */
  #tell(upstream: Upstream, { code, status }: ProxyError): void {
    const facts = { upstream: upstream.id, code, status };
    if (this.#failing.has(upstream)) this.#options.log.debug(facts, 'still no model list');
    else this.#options.log.info(facts, 'no model list from the provider');
    this.#failing.add(upstream);
  }
}
