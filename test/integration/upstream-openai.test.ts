import { setImmediate as nextRound } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { profiles } from '../../src/upstream/profiles.ts';
import type { Upstream, UpstreamStream } from '../../src/upstream/upstream.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { PlainRequest, Chunk } from '../../src/wire/types.ts';
import { ManualClock } from '../support/manual-clock.ts';
import {
  answer,
  comment,
  done,
  finish,
  flood,
  Gate,
  keepOpen,
  reply,
  role,
  type ScriptedUpstream,
  stall,
  startScriptedUpstream,
  status,
  text,
  withHead,
} from '../support/scripted-upstream.ts';
import { hurriedClock, openTestUpstream } from '../support/test-upstream.ts';

const request: PlainRequest = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

let scripted: ScriptedUpstream;
beforeEach(async () => {
  scripted = await startScriptedUpstream();
});
afterEach(async () => {
  await scripted[Symbol.asyncDispose]();
});

function ask(upstream: Upstream, signal?: AbortSignal): Promise<UpstreamStream> {
  return upstream.complete(request, { signal: signal ?? new AbortController().signal });
}

async function readAll(stream: UpstreamStream): Promise<string | null> {
  const chunks: Chunk[] = [];
  for await (const batch of stream.batches) chunks.push(...batch);
  return foldChunks(chunks).message.content as string | null;
}

/**
 * Moves the clock on until the promise settles: the code under test sets its timers when it gets
 * there.
 */
async function passTime<T>(clock: ManualClock, ms: number, until: Promise<T>): Promise<T> {
  const settled = until.then(
    () => true,
    () => true,
  );
  const tick = async (): Promise<boolean> => {
    clock.advance(ms);
    await nextRound();
    return false;
  };
  while (!(await Promise.race([settled, tick()])));
  return until;
}

describe('what it sends', () => {
  it('is one body, the configured key, and none of the client’s secrets', async () => {
    await using upstream = openTestUpstream(`${scripted.origin}/any/prefix/`, {
      apiKey: 'sk-test',
      headers: { 'X-Title': 'mine' },
    });
    scripted.script(status(500, ''), answer('a'));
    const body: PlainRequest = { ...request, temperature: 0, unknown: { x: [1] } };
    const headers = { 'x-session-affinity': 'ses_1', cookie: 'c', authorization: 'Bearer client' };
    const stream = await upstream.complete(body, { signal: new AbortController().signal, headers });
    expect(stream.model).toBe('m');
    expect(await readAll(stream)).toBe('a');
    const [first, second] = scripted.requests;
    expect(second?.rawBody.equals(first!.rawBody)).toBe(true);
    expect(second?.path).toBe('/any/prefix/chat/completions');
    expect(second?.body).toEqual({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(second?.headers).toMatchObject({
      authorization: 'Bearer sk-test',
      'x-title': 'mine',
      'x-session-affinity': 'ses_1',
      'content-type': 'application/json',
    });
    expect(second?.headers['cookie']).toBeUndefined();
  });

  it('has no key where there is none', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.script(answer('a'));
    expect(await readAll(await ask(upstream))).toBe('a');
    expect(scripted.requests[0]?.headers['authorization']).toBeUndefined();
  });

  it('may be 12 MB', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.script((got) => answer(String(got.rawBody.length)));
    const content = 'ä'.repeat(6_000_000);
    const stream = await upstream.complete(
      { model: 'm', messages: [{ role: 'user', content }] },
      { signal: new AbortController().signal },
    );
    expect(Number(await readAll(stream))).toBeGreaterThan(12_000_000);
  });

  it('reuses its connections', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.otherwise(answer('a'));
    for (let n = 0; n < 10; n += 1) expect(await readAll(await ask(upstream))).toBe('a');
    // The last bytes of an answer may still be on their way when the next call begins.
    expect(scripted.connections).toBeLessThanOrEqual(2);
  });
});

describe('the list of models', () => {
  it('is read in every provider’s dialect, with or without a key', async () => {
    const data = [
      { id: 'a', context_length: 5 },
      { id: 'models/b', max_model_len: 6 },
      { id: 'c' },
      { id: 7 },
      null,
    ];
    scripted.models = status(200, { object: 'list', data });
    await using keyless = openTestUpstream(scripted.baseURL);
    expect(await keyless.models(new AbortController().signal)).toEqual([
      { id: 'a', contextWindowTokens: 5 },
      { id: 'b', contextWindowTokens: 6 },
      { id: 'c' },
    ]);
    await using keyed = openTestUpstream(scripted.baseURL, { apiKey: 'k' });
    await keyed.models(new AbortController().signal);
    expect(scripted.otherRequests.map((got) => got.headers['authorization'])).toEqual([
      undefined,
      'Bearer k',
    ]);
  });

  it('fails with a name, once, and without the key', async () => {
    scripted.models = status(401, { error: { message: 'bad key sk-test' } });
    await using upstream = openTestUpstream(scripted.baseURL, { apiKey: 'sk-test' });
    const error = await upstream
      .models(new AbortController().signal)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ code: 'unauthorized' });
    expect((error as ProxyError).message).not.toContain('sk-test');
    expect(scripted.otherRequests.length).toBe(1);
  });
});

describe('cancelling', () => {
  it('closes the socket in the middle of a stream', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.script(reply(role(), text('a'), stall()));
    const stop = new AbortController();
    const stream = await ask(upstream, stop.signal);
    const reading = readAll(stream);
    stop.abort();
    await expect(reading).rejects.toMatchObject({ code: 'cancelled' });
    await scripted.requests[0]!.ended;
    expect(scripted.requests[0]?.aborted).toBe(true);
  });

  it('closes the socket before the head, and asks no further', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.script(withHead(answer('a'), { before: [stall()] }));
    const stop = new AbortController();
    const asking = ask(upstream, stop.signal);
    const got = await scripted.nthRequest(1);
    const reason = new ProxyError('shutting_down', 'The server stops.');
    stop.abort(reason);
    await expect(asking).rejects.toBe(reason);
    await got.ended;
    expect([got.aborted, scripted.requests.length]).toEqual([true, 1]);
  });

  it('closes the socket of a stream that nobody began to read', async () => {
    await using upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 1 });
    scripted.script(reply(text('a'), stall()), answer('b'));
    const stop = new AbortController();
    await ask(upstream, stop.signal);
    stop.abort();
    await scripted.requests[0]!.ended;
    expect(await readAll(await ask(upstream))).toBe('b');
  });

  it('happens when the reader leaves', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    scripted.script(reply(text('a'), stall()));
    const { batches } = await ask(upstream);
    for await (const batch of batches) {
      expect(batch).toEqual([{ content: 'a' }]);
      break;
    }
    await scripted.requests[0]!.ended;
    expect(scripted.requests[0]?.aborted).toBe(true);
  });

  it('ends the wait for a place', async () => {
    await using upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 1 });
    scripted.script(reply(text('a'), stall()));
    await ask(upstream);
    await expect(ask(upstream, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
    const stop = new AbortController();
    const waiting = ask(upstream, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    expect(scripted.requests.length).toBe(1);
  });
});

describe('load', () => {
  it('reaches the provider as slowly as the answer is read', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    const times = 3000;
    scripted.script(reply(flood('x'.repeat(50_000), times), finish(), done()));
    const { batches } = await ask(upstream);
    const iterator = batches[Symbol.asyncIterator]();
    await iterator.next();
    const got = await scripted.nthRequest(1);
    // It writes until every buffer between is full, and then no more, though 150 MB are there to
    // write.
    let before = -1;
    while (before !== got.sentBytes) {
      before = got.sentBytes;
      await new Promise((resolve) => {
        setTimeout(resolve, 150);
      });
    }
    expect(got.sentBytes).toBeLessThan(60_000_000);
    await iterator.return?.();
    await got.ended;
  });

  it('keeps to the limit of calls in flight, in the order they came', async () => {
    await using upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 3 });
    scripted.otherwise(answer('a'));
    const all = Array.from({ length: 10 }, async () => readAll(await ask(upstream)));
    expect(await Promise.all(all)).toEqual(Array.from({ length: 10 }, () => 'a'));
    expect(scripted.mostOverlap).toBeLessThanOrEqual(3);
  });

  it('gives its place back when an attempt fails', async () => {
    await using upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 1 });
    scripted.script(status(400, ''), status(500, ''), reply(role()), answer('a'));
    await expect(ask(upstream)).rejects.toMatchObject({ code: 'upstream_rejected' });
    expect(await readAll(await ask(upstream))).toBe('a');
  });

  it('does not mix 200 streams', async () => {
    await using upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 200 });
    const gate = new Gate();
    scripted.otherwise((got) => {
      const mark = String(got.body.messages[0]?.content);
      if (scripted.requests.length === 200) gate.open();
      return reply(
        role(),
        gate,
        ...Array.from({ length: 20 }, () => text(`${mark} `)),
        finish(),
        done(),
      );
    });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const messages = [{ role: 'user' as const, content: String(n) }];
        const call = { signal: new AbortController().signal };
        return readAll(await upstream.complete({ model: 'm', messages }, call));
      }),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => `${n} `.repeat(20)));
    expect(scripted.mostOverlap).toBe(200);
  });

  it('hands out the chunks of one read together', async () => {
    await using upstream = openTestUpstream(scripted.baseURL);
    const frames = Array.from({ length: 50 }, () => ({ choices: [{ delta: { content: 'x' } }] }));
    const body = frames.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('');
    scripted.script(reply({ send: body }, finish(), done()));
    const { batches } = await ask(upstream);
    const sizes: number[] = [];
    for await (const batch of batches) sizes.push(batch.length);
    expect(sizes[0]).toBeGreaterThanOrEqual(50);
  });
});

describe('patience', () => {
  const patience = {
    connectTimeoutMs: 1000,
    firstByteTimeoutMs: 5000,
    idleTimeoutMs: 2000,
    maxFrameBytes: 67_108_864,
    maxRetries: 2,
    maxRetryWaitMs: 60_000,
  };

  it('ends while the head does not come, and does not ask again', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.script(withHead(answer('a'), { before: [stall()] }));
    const asking = ask(upstream);
    const got = await scripted.nthRequest(1);
    clock.advance(4999);
    expect(got.aborted).toBe(false);
    clock.advance(1);
    await expect(asking).rejects.toMatchObject({
      code: 'upstream_timeout',
      message: expect.stringMatching(/5000 ms/),
    });
    await got.ended;
    expect(scripted.requests.length).toBe(1);
  });

  it('ends while the body does not begin', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.script(reply(stall()));
    await expect(passTime(clock, 100, ask(upstream))).rejects.toMatchObject({
      code: 'upstream_timeout',
      message: expect.stringMatching(/sent nothing/),
    });
  });

  it('ends in a silence after the beginning', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.script(reply(text('a'), stall()));
    const reading = readAll(await ask(upstream));
    await expect(passTime(clock, 100, reading)).rejects.toMatchObject({
      code: 'upstream_timeout',
      message: expect.stringMatching(/silent for 2000 ms/),
    });
    await scripted.requests[0]!.ended;
    expect(scripted.requests[0]?.aborted).toBe(true);
  });

  it('counts comments as life', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    const gates = Array.from({ length: 5 }, () => new Gate());
    const steps = gates.flatMap((gate) => [gate, comment('wait')]);
    scripted.script(reply(comment('first'), ...steps, text('a'), finish(), done()));
    const asking = ask(upstream);
    const got = await scripted.nthRequest(1);
    for (const gate of gates) {
      const before = got.sentBytes;
      // Let the comment before this one arrive, then be silent for almost the limit.
      while (clock.waiting === 0) await nextRound();
      for (let n = 0; n < 20; n += 1) await nextRound();
      clock.advance(1900);
      gate.open();
      while (got.sentBytes === before) await nextRound();
      for (let n = 0; n < 20; n += 1) await nextRound();
    }
    expect(await readAll(await asking)).toBe('a');
  });

  it('is not tried by a reader that takes its time', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.script(reply(text('a'), text('b'), finish(), done()));
    const { batches } = await ask(upstream);
    const got: Chunk[] = [];
    for await (const batch of batches) {
      got.push(...batch);
      clock.advance(100_000);
      await nextRound();
    }
    expect(foldChunks(got).message.content).toBe('ab');
  });

  it('is short once the finish reason is in: an upstream that then says nothing has ended', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, {
      clock,
      patience: { ...patience, idleTimeoutMs: 1e9 },
    });
    scripted.script(reply(text('a'), finish(), stall()));
    const reading = readAll(await ask(upstream));
    expect(await passTime(clock, 1000, reading)).toBe('a');
  });

  it('is over with the answer: no timer is left', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.otherwise(answer('a'));
    for (let n = 0; n < 3; n += 1) expect(await readAll(await ask(upstream))).toBe('a');
    while (clock.waiting > 0) await nextRound();
    expect(clock.elapsedMs()).toBe(0);
  });

  it('does not keep a connection open that the provider leaves open after the end mark', async () => {
    const clock = new ManualClock();
    await using upstream = openTestUpstream(scripted.baseURL, { clock, patience });
    scripted.script(keepOpen(answer('a')));
    expect(await readAll(await ask(upstream))).toBe('a');
    const { ended } = scripted.requests[0]!;
    await passTime(clock, 100, ended);
    expect(scripted.requests[0]?.aborted).toBe(true);
  });

  it('waits between attempts as the provider asks, and tells of it', async () => {
    const waits: number[] = [];
    const clock = { ...hurriedClock, sleep: async (ms: number) => void waits.push(ms) };
    await using upstream = openTestUpstream(scripted.baseURL, { clock });
    scripted.script(
      status(429, { error: { message: 'slow' } }, { 'retry-after-ms': '70' }),
      status(503, '', { 'retry-after': '3' }),
      answer('a'),
    );
    const told: unknown[] = [];
    const stream = await upstream.complete(request, {
      signal: new AbortController().signal,
      onRetry: (attempt) => told.push(attempt),
    });
    expect(await readAll(stream)).toBe('a');
    expect(waits).toEqual([70, 3000]);
    expect(told).toEqual([
      { number: 1, waitMs: 70, code: 'too_busy', status: 429 },
      { number: 2, waitMs: 3000, code: 'upstream_failed', status: 503 },
    ]);
  });
});

it('says that nobody is there, at once', async () => {
  const gone = await startScriptedUpstream();
  await gone[Symbol.asyncDispose]();
  await using upstream = openTestUpstream(gone.baseURL);
  const retries: unknown[] = [];
  const asking = upstream.complete(request, {
    signal: new AbortController().signal,
    onRetry: (attempt) => retries.push(attempt),
  });
  await expect(asking).rejects.toMatchObject({
    code: 'upstream_failed',
    message: expect.stringMatching(/ECONNREFUSED/),
    parts: { hint: expect.stringMatching(/running/) },
  });
  expect(retries).toEqual([]);
});

it('logs once what a provider does not take', async () => {
  const lines: unknown[] = [];
  const { createLogger } = await import('../../src/log.ts');
  const log = createLogger('silent');
  log.info = (told: unknown): void => void lines.push(told);
  const zai = profiles.find((one) => one.name === 'zai')!;
  await using upstream = openTestUpstream(scripted.baseURL, { profile: zai, log });
  scripted.otherwise(answer('a'));
  const body = { ...request, store: true, logit_bias: {} };
  for (let n = 0; n < 2; n += 1) {
    await readAll(await upstream.complete(body, { signal: new AbortController().signal }));
  }
  expect(lines).toEqual([{ upstream: 'test', members: ['store', 'logit_bias'] }]);
});
