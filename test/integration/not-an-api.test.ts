import { expect, it } from 'vitest';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  raw,
  type Reply,
  reply,
  startScriptedUpstream,
  status,
} from '../support/scripted-upstream.ts';

const ok = (contentType: string, body: string, code = 200, more = {}): Reply => ({
  status: code,
  headers: { 'content-type': contentType, ...more },
  steps: [raw(body)],
});

const page = '<!doctype html><html><head><title>Sign\n in</title></head><body>secret words</body>';
const lines = [1, 2, 3].map((n) => `{"message":{"content":"secret ${n}"},"done":false}`).join('\n');

it.each<[string, Reply, RegExp]>([
  ['a web page', ok('text/html; charset=utf-8', page), /a web page, "Sign in"/],
  [
    'a web page under another type',
    ok('text/event-stream', `\n  ${page}`),
    /a web page, "Sign in"/,
  ],
  ['a web page without a title', ok('text/html', '<html>secret'), /answered with a web page\./],
  ['a JSON value a line', ok('application/x-ndjson', lines), /newline-delimited JSON/],
  ['the same under another type', ok('application/json', lines), /newline-delimited JSON/],
  ['JSON of something else', ok('application/json', '{"hello":"secret"}'), /JSON that is no chat/],
  ['plain words', ok('text/plain', 'It works! secret'), /of the type "text\/plain"/],
  [
    'a redirect to another origin',
    ok('text/plain', 'secret', 307, { location: 'https://login.example/path?token=secret' }),
    /a redirect \(307\) to https:\/\/login\.example\/path\. /,
  ],
  [
    'a redirect on the same origin',
    ok('text/plain', '', 308, { location: '/v1/chat/completions/' }),
    /\(308\) to http:\/\/127/,
  ],
])(
  'tells %s at the base URL apart from a chat API, after one request',
  async (_name, came, words) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.otherwise(came);
    const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
    for (const stream of [true, false]) {
      const response = await proxy.post({ ...body, stream });
      expect(response.status).toBe(502);
      expect(response.headers.get('x-should-retry')).toBe('false');
      const { error } = (await response.json()) as { error: { message: string; code: string } };
      expect(error.message).toMatch(words);
      expect(error.message).toContain('base URL');
      expect(error.message).not.toContain('secret');
      expect(error.code).toBe('not_a_chat_api');
    }
    expect(upstream.requests).toHaveLength(2);
    expect(upstream.otherRequests).toHaveLength(0);
  },
);

it('still takes a whole completion under any type for an answer, and an empty stream for one that was cut', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    env: { RLM_UPSTREAM_MAX_RETRIES: '1', RLM_UPSTREAM_MAX_RETRY_WAIT_MS: '60000' },
  });
  const whole = {
    choices: [
      { index: 0, message: { role: 'assistant', content: 'whole' }, finish_reason: 'stop' },
    ],
  };
  upstream.script(
    ok('text/plain', JSON.stringify(whole, null, 2)),
    reply(),
    answer('after the cut'),
  );
  const messages = [{ role: 'user' as const, content: 'hi' }];
  expect((await proxy.ask({ messages })).message.content).toBe('whole');
  expect((await proxy.ask({ messages })).message.content).toBe('after the cut');
});

const model = 'rlm-internal.rlm-core-v1';

const refusal = (message: string, param?: string): Reply =>
  status(400, { error: { message, type: 'invalid_request_error', param: param ?? null } });

it.each([
  ['OpenAI', refusal('Your organization must be verified to stream this model.', 'stream')],
  ['a server without streams', refusal('Streaming is not supported by this model')],
])(
  'asks a model that refuses to stream for whole answers, from then on (%s)',
  async (_name, refused) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    const message = { role: 'assistant', content: 'whole' };
    const whole = status(200, { choices: [{ index: 0, message, finish_reason: 'stop' }] });
    upstream.script(refused, whole, whole);
    const messages = [{ role: 'user' as const, content: 'hi' }];
    expect((await proxy.ask({ messages })).message.content).toBe('whole');
    const streamed = await proxy.post({ model, stream: true, messages });
    expect(await streamed.text()).toMatch(/"content":"whole"[\s\S]*\[DONE\]/);
    const sent = upstream.requests.map(({ body }) => [body.stream, 'stream_options' in body]);
    expect(sent).toEqual([
      [true, true],
      [false, false],
      [false, false],
    ]);
    expect(upstream.requests[1]?.body.model).toBe(upstream.requests[2]?.body.model);
  },
);

it('leaves stream_options out where they are refused, and gives a second refusal back', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  const refused = refusal('Unrecognized request argument supplied: stream_options');
  upstream.script(refused, answer('one'), answer('two'), refused);
  const messages = [{ role: 'user' as const, content: 'hi' }];
  expect((await proxy.ask({ messages })).message.content).toBe('one');
  expect((await proxy.ask({ messages })).message.content).toBe('two');
  expect(upstream.requests.map(({ body }) => 'stream_options' in body)).toEqual([
    true,
    false,
    false,
  ]);
  expect(upstream.requests[2]?.body.stream).toBe(true);
  const response = await proxy.post({ model, messages });
  expect(response.status).toBe(400);
  expect(upstream.requests).toHaveLength(4);
});
