import { setImmediate as nextRound } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Watchdog } from '../clock.ts';
import { ProxyError, type ErrorParts } from '../errors.ts';
import { readRetryAfter, type RetryPolicy, unreachableCode, withRetries } from './retry.ts';

const signal = new AbortController().signal;

/**
 * Runs attempts that fail with these errors in turn and then succeed; the clock moves on as soon as
 * somebody sleeps.
 */
async function run(errors: readonly ProxyError[], more: Partial<RetryPolicy> = {}) {
  const clock = new ManualClock();
  const waits: number[] = [];
  let attempts = 0;
  const queue = [...errors];
  const attempt = async (): Promise<string> => {
    attempts += 1;
    const error = queue.shift();
    if (error !== undefined) throw error;
    return 'answer';
  };
  const policy = {
    maxRetries: 4,
    maxWaitMs: 60_000,
    baseMs: 1000,
    clock,
    random: () => 0,
    ...more,
  };
  const outcome = withRetries(attempt, policy, {
    signal,
    onRetry: ({ waitMs }) => {
      waits.push(waitMs);
      setImmediate(() => clock.advance(waitMs));
    },
  }).catch((error: unknown) => error);
  const result = await outcome;
  return { result, attempts, waits };
}

const busy = (parts: ErrorParts = {}) => new ProxyError('too_busy', 'busy', parts);

describe('repeating', () => {
  it('doubles its waits and ends with the answer', async () => {
    expect(await run([busy(), new ProxyError('upstream_failed', 'x'), busy()])).toEqual({
      result: 'answer',
      attempts: 4,
      waits: [1000, 2000, 4000],
    });
  });

  it('takes up to a quarter off by chance', async () => {
    expect((await run([busy(), busy()], { random: () => 1 })).waits).toEqual([750, 1500]);
  });

  it('obeys the upstream', async () => {
    expect((await run([busy({ retryAfterMs: 12_345 })])).waits).toEqual([12_345]);
  });

  it('ends with the last error after the last attempt', async () => {
    const outcome = await run([busy(), busy(), busy()], { maxRetries: 2 });
    expect(outcome.attempts).toBe(3);
    expect(outcome.result).toMatchObject({ code: 'too_busy' });
  });

  it('does not begin a wait that passes the total, and keeps the upstream’s word for the client', async () => {
    const outcome = await run([busy({ retryAfterMs: 50_000 }), busy({ retryAfterMs: 20_000 })]);
    expect(outcome.waits).toEqual([50_000]);
    expect(outcome.result).toMatchObject({ parts: { retryAfterMs: 20_000 } });
  });

  it.each([
    new ProxyError('quota_exhausted', 'x'),
    new ProxyError('upstream_rejected', 'x'),
    new ProxyError('context_length_exceeded', 'x'),
    new ProxyError('upstream_timeout', 'x'),
    new ProxyError('upstream_failed', 'x', { wireCode: unreachableCode }),
    new ProxyError('cancelled', 'x'),
  ])('does not happen after $code', async (error) => {
    expect(await run([error])).toEqual({ result: error, attempts: 1, waits: [] });
  });

  it('does not hide a bug', async () => {
    const clock = new ManualClock();
    const policy = { maxRetries: 4, maxWaitMs: 1, baseMs: 1, clock, random: () => 0 };
    const bug = new TypeError('x is not a function');
    const outcome = withRetries(() => Promise.reject(bug), policy, { signal });
    await expect(outcome).rejects.toMatchObject({ code: 'internal', cause: bug });
  });

  it('stops in the middle of a wait when the client goes', async () => {
    const clock = new ManualClock();
    const gone = new AbortController();
    const outcome = withRetries(
      () => Promise.reject(busy()),
      { maxRetries: 9, maxWaitMs: 1e9, baseMs: 1000, clock, random: () => 0 },
      { signal: gone.signal },
    );
    await nextRound();
    expect(clock.waiting).toBe(1);
    gone.abort();
    await expect(outcome).rejects.toMatchObject({ code: 'cancelled' });
    expect(clock.waiting).toBe(0);
  });
});

it.each<[Record<string, string>, number | undefined]>([
  [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1500],
  [{ 'x-ms-retry-after-ms': '250' }, 250],
  [{ 'retry-after': '2' }, 2000],
  [{ 'retry-after': '0' }, 0],
  [{ 'retry-after': 'Tue, 14 Nov 2023 22:13:30 GMT' }, 10_000],
  [{ 'retry-after': 'Tue, 14 Nov 2023 22:13:10 GMT' }, undefined],
  [{ 'retry-after': '-1' }, undefined],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '' }, undefined],
  [{}, undefined],
])('reads %j', (headers, waitMs) => {
  expect(readRetryAfter(headers, 1_700_000_000_000)).toBe(waitMs);
});

function kennel() {
  const clock = new ManualClock();
  let barks = 0;
  const watchdog = new Watchdog(clock);
  const bark = (): void => {
    barks += 1;
  };
  const dog = {
    start: (limitMs: number) => watchdog.start(limitMs, bark),
    stop: () => watchdog.stop(),
    close: () => watchdog.close(),
  };
  return { clock, dog, barks: () => barks };
}

describe('the watchdog', () => {
  it('barks when a wait is too long, and not before', () => {
    const { clock, dog, barks } = kennel();
    dog.start(100);
    clock.advance(99);
    expect(barks()).toBe(0);
    clock.advance(1);
    expect(barks()).toBe(1);
  });

  it('looks once more after a pause of the process, before it barks', () => {
    const { clock, dog, barks } = kennel();
    dog.start(2_000);
    clock.standStill(6_000);
    expect(barks()).toBe(0);
    // The words that lay in the socket.
    dog.stop();
    dog.start(2_000);
    clock.advance(1_999);
    expect(barks()).toBe(0);
    clock.standStill(6_000);
    clock.advance(999);
    expect(barks()).toBe(0);
    clock.advance(1);
    expect(barks()).toBe(1);
  });

  it('counts only what is waited', () => {
    const { clock, dog, barks } = kennel();
    for (let n = 0; n < 10; n += 1) {
      dog.start(100);
      clock.advance(60);
      dog.stop();
      clock.advance(1000);
    }
    expect(barks()).toBe(0);
    expect(clock.waiting).toBeLessThanOrEqual(1);
  });

  it('minds a shorter limit after a longer one', () => {
    const { clock, dog, barks } = kennel();
    dog.start(1000);
    dog.stop();
    dog.start(50);
    clock.advance(50);
    expect(barks()).toBe(1);
  });

  it('is quiet when it is closed', () => {
    const { clock, dog, barks } = kennel();
    dog.start(100);
    dog.close();
    clock.advance(1000);
    expect([barks(), clock.waiting]).toEqual([0, 0]);
  });
});
