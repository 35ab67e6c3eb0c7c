import type { Clock } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import type { RetryNotice, UpstreamCall } from './upstream.ts';

/** How often and how long a failed attempt is repeated. */
export interface RetryPolicy {
  /** Attempts after the first one. */
  readonly maxRetries: number;
  /** Waiting between the attempts of one call, summed, milliseconds. */
  readonly maxWaitMs: number;
  /** First wait, milliseconds; doubled each time. */
  readonly baseMs: number;
  readonly clock: Clock;
  /** From 0 to 1, for the jitter. */
  readonly random: () => number;
}

/**
 * Names that {@link repeats} must know apart: nobody is there, and waiting a few seconds will not
 * change it.
 */
export const unreachableCode = 'upstream_unreachable';

/**
 * The only retry loop of the program: whoever calls an upstream gets an answer that has begun, or
 * the last error. The upstream's own `retry-after` is obeyed; a wait that would pass the total is
 * not begun, and the error then tells the client.
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  policy: RetryPolicy,
  call: UpstreamCall,
): Promise<T> {
  let waitedMs = 0;
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (caught) {
      const error = toProxyError(caught);
      const waitMs = error.parts.retryAfterMs ?? backoffMs(number, policy);
      waitedMs += waitMs;
      if (!repeats(error) || number > policy.maxRetries || waitedMs > policy.maxWaitMs) throw error;
      call.onRetry?.({ number, waitMs, ...failureOf(error) });
      await policy.clock.sleep(waitMs, call.signal).catch(() => {
        throw cancelled(call.signal);
      });
    }
  }
}

/** What may be told of a failure where no text may be: in logs. */
export function failureOf(error: ProxyError): Pick<RetryNotice, 'code' | 'status' | 'cause'> {
  const { code: cause } = (error.parts.cause ?? {}) as { readonly code?: unknown };
  const { code, status } = error;
  return { code, status, ...(typeof cause === 'string' ? { cause } : {}) };
}

/** What an aborted call fails with: the signal's own reason where it is one of ours. */
export function cancelled(signal: AbortSignal): ProxyError {
  const { reason }: { reason?: unknown } = signal;
  if (reason instanceof ProxyError) return reason;
  return new ProxyError('cancelled', 'The request was cancelled.', { cause: reason });
}

/**
 * After a time-out the provider may still be at work on the first attempt: a second one would be
 * paid twice.
 */
function repeats(error: ProxyError): boolean {
  if (error.parts.wireCode === unreachableCode) return false;
  return error.retryable && error.code !== 'upstream_timeout' && error.code !== 'internal';
}

/** Doubling, less up to a quarter, so that parallel calls do not come back together. */
function backoffMs(number: number, policy: RetryPolicy): number {
  return Math.round(policy.baseMs * 2 ** (number - 1) * (1 - policy.random() / 4));
}

/**
 * How long the answer's headers ask us to wait, milliseconds: `retry-after-ms`,
 * `x-ms-retry-after-ms` (Azure), or `retry-after` in seconds or as a date. Undefined when they do
 * not, or not sensibly.
 * @param nowMs Milliseconds since 1970
 */
export function readRetryAfter(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  nowMs: number,
): number | undefined {
  const inMs = Number.parseFloat(
    single(headers['retry-after-ms'] ?? headers['x-ms-retry-after-ms']),
  );
  if (inMs >= 0) return inMs;
  const text = single(headers['retry-after']);
  const seconds = Number(text);
  if (text !== '' && seconds >= 0) return seconds * 1000;
  const untilMs = Date.parse(text) - nowMs;
  return untilMs >= 0 ? untilMs : undefined;
}

function single(value: string | readonly string[] | undefined): string {
  return (typeof value === 'string' ? value : value?.[0]) ?? '';
}
