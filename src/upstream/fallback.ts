import { type ErrorCode, toProxyError } from '../errors.ts';
import type { ChatRequest } from '../wire/types.ts';
import { failureOf } from './retry.ts';
import type { Upstream, UpstreamCall, UpstreamStream } from './upstream.ts';

/** A model somewhere. */
export interface Target {
  readonly upstream: Upstream;
  /** The provider's own id of it. */
  readonly model: string;
}

/**
 * Failures that another provider does not share: this one is overloaded, silent, broken, or will
 * not serve us any more.
 */
const leavable: ReadonlySet<ErrorCode> = new Set([
  'too_busy',
  'quota_exhausted',
  'upstream_failed',
  'upstream_cut',
  'upstream_timeout',
]);

/**
 * An upstream that turns to the next target when the one before fails, in order, each with its own
 * retries. Only before the first chunk, as with retries. The error of the first is what the client
 * sees if all fail: it is the one that was asked for.
 */
export function withFallback(first: Target, others: readonly Target[]): Upstream {
  if (others.length === 0) return first.upstream;
  const { upstream } = first;
  return {
    id: upstream.id,
    models: (signal) => upstream.models(signal),
    complete: (request, call) => completeWithFallback(first, others, { request, call }),
    // Whether another provider has such a model is not known.
    ...(upstream.pass === undefined ? {} : { pass: upstream.pass.bind(upstream) }),
    // The targets belong to the catalog, which closes each once.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function completeWithFallback(
  first: Target,
  others: readonly Target[],
  asked: { readonly request: ChatRequest; readonly call: UpstreamCall },
): Promise<UpstreamStream> {
  const { request, call } = asked;
  try {
    return await first.upstream.complete(request, call);
  } catch (caught) {
    const firstError = toProxyError(caught);
    let lastError = firstError;
    for (const [at, { upstream, model }] of others.entries()) {
      if (!leavable.has(lastError.code) || call.signal.aborted) throw firstError;
      call.onRetry?.({ number: at + 1, waitMs: 0, ...failureOf(lastError), model });
      try {
        return await upstream.complete({ ...request, model }, call);
      } catch (next) {
        lastError = toProxyError(next);
      }
    }
    throw firstError;
  }
}
