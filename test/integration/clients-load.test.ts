import { request as openRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readStrictly } from '../support/openai-schema.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  callTools,
  done,
  finish,
  flood,
  Gate,
  reply,
  role,
  type ScriptedUpstream,
  stall,
  startScriptedUpstream,
  text,
  withHead,
} from '../support/scripted-upstream.ts';

/** Many clients, slow clients, and clients that go: from socket to socket. */
let scripted: ScriptedUpstream;
let proxy: TestProxy;

beforeAll(async () => {
  scripted = await startScriptedUpstream();
  const env = { RLM_UPSTREAM_MAX_IN_FLIGHT: '200', RLM_INJECT: 'always' };
  proxy = await startProxy({ upstream: scripted, env });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await scripted[Symbol.asyncDispose]();
});

beforeEach(() => {
  scripted.requests.length = 0;
});

const model = 'rlm-internal.rlm-core-v1';
const directory = { 'x-rlm-directory': '/work/load' };
const asking = (content: string, stream: boolean) => ({
  model,
  stream,
  messages: [{ role: 'user', content }],
});

it('200 streams at once do not mix', async () => {
  const gate = new Gate();
  scripted.otherwise(({ body }) => {
    const mark = String(body.messages.findLast((message) => message.role === 'user')?.content);
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
      const response = await proxy.post(asking(`client ${n}`, true), directory);
      const { chunks } = readStrictly(await response.text());
      return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    }),
  );
  expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => `client ${n} `.repeat(20)));
  expect(scripted.mostOverlap).toBe(200);
});

it('a client that does not read stops the provider', async () => {
  scripted.script(reply(flood('x'.repeat(50_000), 4000), finish(), done()));
  const outgoing = openRequest(`${proxy.baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  outgoing.end(JSON.stringify(asking('hi', true)));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  response.pause();
  const got = await scripted.nthRequest(1);
  let before = -1;
  while (before !== got.sentBytes) {
    before = got.sentBytes;
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
  }
  // 200 MB were there to be written; what has been is what fits into the buffers between.
  expect(got.sentBytes).toBeLessThan(100_000_000);
  outgoing.destroy();
  await got.ended;
  expect(got.aborted).toBe(true);
});

describe('a client that goes cancels the provider’s work', () => {
  it.each([true, false])('before the head has come (streaming %s)', async (stream) => {
    scripted.script(withHead(reply(), { before: [stall()] }));
    const gone = new AbortController();
    const pending = proxy.post(asking('hi', stream), {}, gone.signal);
    const got = await scripted.nthRequest(1);
    gone.abort();
    await expect(pending).rejects.toThrow(/abort/i);
    await got.ended;
    expect([got.aborted, scripted.requests.length]).toEqual([true, 1]);
  });

  it.each([true, false])('in the middle of the answer (streaming %s)', async (stream) => {
    scripted.script(reply(role(), text('a'), stall()));
    const gone = new AbortController();
    const pending = proxy.post(asking('hi', stream), {}, gone.signal);
    const got = await scripted.nthRequest(1);
    const first = stream ? (await pending).body?.getReader().read() : undefined;
    await first;
    gone.abort();
    const ending = pending.catch((error: unknown) => error);
    await got.ended;
    await ending;
    expect([got.aborted, scripted.requests.length]).toEqual([true, 1]);
  });

  it('in a hidden step, and no further step is made', async () => {
    scripted.script(callTools({ name: 'rlm_stats', args: {} }), reply(role(), stall()));
    const gone = new AbortController();
    const pending = proxy.post(
      { ...asking('hi', true), tools: [{ type: 'function', function: { name: 'bash' } }] },
      directory,
      gone.signal,
    );
    const got = await scripted.nthRequest(2);
    gone.abort();
    const ending = pending.catch((error: unknown) => error);
    await got.ended;
    await ending;
    expect([got.aborted, scripted.requests.length]).toEqual([true, 2]);
  });
});
