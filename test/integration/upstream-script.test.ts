import { once } from 'node:events';
import { expect, it } from 'vitest';
import {
  answer,
  callTools,
  cutAfterBytes,
  done,
  finish,
  flood,
  Gate,
  gzipped,
  reply,
  splitEvery,
  stall,
  startScriptedUpstream,
  status,
  text,
} from '../support/scripted-upstream.ts';

async function post(baseURL: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-mark': 'here' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }),
    ...(signal === undefined ? {} : { signal }),
  });
}

it('plays its replies in order and records each request', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    answer('Hello, world'),
    (request) => status(429, { error: { message: request.body.model } }, { 'retry-after': '1' }),
    callTools({ name: 'bash', args: { command: 'ls' } }),
  );
  const first = await (await post(upstream.baseURL)).text();
  const second = await post(upstream.baseURL);
  const third = await (await post(upstream.baseURL)).text();
  const fourth = await post(upstream.baseURL);
  expect(first).toContain('"content":"Hello, w"');
  expect(first.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(second.status).toBe(429);
  expect(second.headers.get('retry-after')).toBe('1');
  expect(await second.text()).toBe('{"error":{"message":"m"}}');
  expect(third).toContain(String.raw`"arguments":"{\"command\":\"ls\"}"`);
  expect(fourth.status).toBe(500);
  await fourth.text();
  expect(upstream.requests.map((request) => request.headers['x-mark'])).toEqual(
    Array.from({ length: 4 }, () => 'here'),
  );
  expect(upstream.requests[0]?.body.messages).toEqual([{ role: 'user', content: 'hi' }]);
});

it('splits, packs and cuts a reply', async () => {
  await using upstream = await startScriptedUpstream();
  const plain = reply(text('äöü'), finish(), done());
  upstream.script(plain, splitEvery(3, plain), gzipped(plain), cutAfterBytes(40, plain));
  const whole = await (await post(upstream.baseURL)).text();
  expect(await (await post(upstream.baseURL)).text()).toBe(whole);
  const packed = await post(upstream.baseURL);
  expect(packed.headers.get('content-encoding')).toBe('gzip');
  expect(await packed.text()).toBe(whole);
  const reader = (await post(upstream.baseURL)).body!.getReader();
  const { value } = await reader.read();
  expect(Buffer.from(value).toString()).toBe(Buffer.from(whole).subarray(0, 40).toString());
  await expect(reader.read()).rejects.toThrow(/terminated/);
  expect(upstream.requests[3]?.aborted).toBe(false);
});

it('holds at a gate, sees the client go, and counts what overlaps', async () => {
  await using upstream = await startScriptedUpstream();
  const gate = new Gate();
  const stop = new AbortController();
  upstream.script(reply(text('a'), gate, text('b'), finish(), done()), reply(text('c'), stall()));
  const held = post(upstream.baseURL);
  await upstream.nthRequest(1);
  const stalled = await post(upstream.baseURL, stop.signal);
  stop.abort();
  await upstream.requests[1]!.ended;
  expect(upstream.requests[1]?.aborted).toBe(true);
  expect(stalled.ok).toBe(true);
  gate.open();
  expect(await (await held).text()).toContain('[DONE]');
  await upstream.requests[0]!.ended;
  expect(upstream.requests[0]?.aborted).toBe(false);
  expect(upstream.mostOverlap).toBe(2);
});

it('writes a flood only as fast as it is read', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(reply(flood('x'.repeat(60_000), 2_000), finish(), done()));
  const { request } = await import('node:http');
  const outgoing = request(`${upstream.baseURL}/chat/completions`, { method: 'POST' });
  outgoing.end('{"messages":[]}');
  const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream];
  const seen = await upstream.nthRequest(1);
  response.pause();
  let before = -1;
  while (before !== seen.sentBytes) {
    before = seen.sentBytes;
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
  expect(seen.sentBytes).toBeLessThan(60_000_000);
  outgoing.destroy();
  await seen.ended;
});
