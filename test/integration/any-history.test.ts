import { expect, it } from 'vitest';
import { fuzzBodies } from '../support/body-fuzz.ts';
import { user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import { answer, raw, reply, startScriptedUpstream, status } from '../support/scripted-upstream.ts';

it('gives an answer to a mutated body, or says what is wrong with it', async () => {
  expect(await fuzzBodies({ count: 250, seed: 11 })).toEqual([]);
}, 120_000);

it.each([
  ['in a message', `{"role":"user","content":"hi","x":DEEP}`, ''],
  ['in the content', `{"role":"user","content":[{"type":"text","text":"hi","x":DEEP}]}`, ''],
  [
    'in a tool',
    `{"role":"user","content":"hi"}`,
    `,"tools":[{"type":"function","function":{"name":"f","parameters":DEEP}}]`,
  ],
  ['in a member', `{"role":"user","content":"hi"}`, `,"metadata":DEEP`],
])('refuses what is nested 100,000 levels deep: %s', async (_where, message, more) => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer('ok'));
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
    const body = `{"model":"m","messages":[${message}]${more}}`.replace('DEEP', () => deep);
    const response = await proxy.post(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_request' } });
  }
  expect(upstream.requests).toHaveLength(0);
});

it('takes arguments of a call that are nested 100,000 levels deep for the text they are', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer('ok'));
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: deep } }];
  await proxy.ask({
    messages: [
      user('hi'),
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', tool_call_id: 'c', content: 'x'.repeat(2_000) },
    ],
  });
  expect(upstream.requests[0]?.body.messages[1]?.tool_calls).toEqual(calls);
});

it('names an answer that is nested 100,000 levels deep as a failure of the upstream, which no repetition cures', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  const deep = `${'['.repeat(100_000)}1${']'.repeat(100_000)}`;
  const choice = (more: string): string =>
    `{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"${more}`;
  const body = { model: 'm', messages: [user('hi')] };
  for (const data of [
    `data: ${choice(`,"odd":${deep}}]}`)}\n\n`,
    `data: ${choice('}]')},"odd":${deep}}\n\n`,
    `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"odd":${deep}}`,
  ]) {
    const from = upstream.requests.length;
    upstream.script(reply(raw(data)));
    const response = await proxy.post(body);
    expect(response.status).toBe(502);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('upstream_failed');
    expect(error.message).toMatch(/nested more than 1000 levels/);
    expect(upstream.requests).toHaveLength(from + 1);
  }
  upstream.script({
    ...status(400, ''),
    steps: [raw(`{"error":{"message":${deep.slice(0, 60_000)}`)],
  });
  expect((await proxy.post(body)).status).toBe(400);
  upstream.script({
    ...status(400, ''),
    steps: [raw(`{"detail":${'['.repeat(20_000)}1${']'.repeat(20_000)}}`)],
  });
  expect((await proxy.post(body)).status).toBe(400);
});

it('sends half a character up as U+FFFD, wherever it stands and in every turn', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer('ok'));
  const half = String.raw`cut emoji \ud83d end`;
  const large = String.raw`a line of text\n`.repeat(120_000);
  const history = [
    `{"role":"system","content":"${half}"}`,
    `{"role":"user","content":[{"type":"text","text":"${half} \\ud83d\\ude00"}],"n\\udc00":1}`,
    `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\":\\"${half}\\"}"}}]}`,
    `{"role":"tool","tool_call_id":"c","content":"${half}"}`,
    `{"role":"user","name":"${half}","content":"${large}"}`,
  ];
  const tools = `[{"type":"function","function":{"name":"f","description":"${half}"}}]`;
  const later = `{"role":"assistant","content":"ok"},{"role":"user","content":"on"}`;
  for (const more of ['', `,${later}`]) {
    const response = await proxy.post(
      `{"model":"m","tools":${tools},"messages":[${history.join(',')}${more}]}`,
    );
    expect(response.status).toBe(200);
  }
  const [first, second] = upstream.requests.map(({ rawBody }) => rawBody.toString());
  expect(first).not.toMatch(/\\u[dD]/);
  expect(first?.match(/cut emoji \uFFFD end/g)).toHaveLength(6);
  expect(first).toContain('\u{1F600}');
  const messagesOf = (body = ''): string => body.slice(body.indexOf('"messages":'), -2);
  expect(messagesOf(second).startsWith(messagesOf(first))).toBe(true);
});

it('keeps the digits of the numbers of a request', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(answer('ok'));
  const numbers =
    '"seed":12345678901234567890,"temperature":1.0,"top_p":1e0,"logit_bias":{"50256":-100.0}';
  const tool =
    '{"type":"function","function":{"name":"f","parameters":{"maximum":12345678901234567890}}}';
  const body = `{"model":"m",${numbers},"tools":[${tool}],"messages":[{"role":"user","content":"hi"}]}`;
  expect((await proxy.post(body)).status).toBe(200);
  const sent = upstream.requests[0]?.rawBody.toString();
  for (const part of [...numbers.split(',"'), tool]) expect(sent).toContain(part);
});
