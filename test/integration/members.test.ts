import { expect, it } from 'vitest';
import { user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  callTools,
  chunk,
  done,
  finish,
  frame,
  type Reply,
  reply,
  role,
  startScriptedUpstream,
  status,
  withHead,
} from '../support/scripted-upstream.ts';

const outer = {
  id: 'gen-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'real',
  provider: 'P',
};

/** Members that nobody here knows, on frames and choices, as providers send them. */
const rich: Reply = reply(
  frame({ ...outer, choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
  frame({
    ...outer,
    system_fingerprint: 'fp',
    choices: [{ index: 0, delta: { role: 'assistant', content: '' } }],
  }),
  frame({
    ...outer,
    system_fingerprint: 'fp',
    obfuscation: 'xx',
    choices: [{ index: 0, delta: { content: 'a' }, content_filter_results: {} }],
  }),
  frame({
    ...outer,
    system_fingerprint: 'fp',
    citations: ['u'],
    choices: [
      { index: 0, delta: { content: 'b' }, content_filter_results: { hate: { filtered: false } } },
    ],
  }),
  frame({
    ...outer,
    system_fingerprint: 'fp',
    timings: { n: 2 },
    choices: [
      { index: 0, delta: {}, finish_reason: 'stop', native_finish_reason: 'STOP', matched_stop: 7 },
    ],
  }),
  frame({
    ...outer,
    service_tier: 'default',
    choices: [],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  }),
  done(),
);

const expected = {
  frame: {
    provider: 'P',
    system_fingerprint: 'fp',
    service_tier: 'default',
    citations: ['u'],
    timings: { n: 2 },
    prompt_filter_results: [{ prompt_index: 0 }],
  },
  choice: {
    content_filter_results: { hate: { filtered: false } },
    native_finish_reason: 'STOP',
    matched_stop: 7,
  },
};

interface Frame {
  readonly [member: string]: unknown;
  readonly choices: readonly Record<string, unknown>[];
}

const headers = {
  'x-request-id': 'req_up',
  'x-ratelimit-remaining-tokens': '7',
  'openai-processing-ms': '12',
  'retry-after': '3',
  'set-cookie': 'secret',
  server: 'x',
};

it.each(['never', 'always'])(
  'passes members and headers that it does not know on (%s)',
  async (inject) => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream, env: { RLM_INJECT: inject } });
    const hidden = callTools({ name: 'rlm_stats', args: {} });
    if (inject === 'always') upstream.script(hidden, withHead(rich, { headers }), hidden);
    else upstream.script(withHead(rich, { headers }));
    upstream.otherwise(withHead(rich, { headers }));
    const body = { model: 'm', messages: [user('hi')] };

    const whole = await proxy.post(body);
    const answer = (await whole.json()) as Frame;
    expect(answer).toMatchObject({ ...expected.frame, model: 'm' });
    expect(answer.choices[0]).toMatchObject({ ...expected.choice, message: { content: 'ab' } });
    expect(JSON.stringify(answer)).not.toContain('obfuscation');
    expect(whole.headers.get('x-upstream-request-id')).toBe('req_up');
    expect(whole.headers.get('x-request-id')).toMatch(/^req_/);
    expect(whole.headers.get('x-ratelimit-remaining-tokens')).toBe('7');
    expect(whole.headers.get('openai-processing-ms')).toBe('12');
    expect(whole.headers.has('set-cookie') || whole.headers.has('server')).toBe(false);

    const streamed = await proxy.post({
      ...body,
      stream: true,
      stream_options: { include_usage: true },
    });
    const frames = (await streamed.text())
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)) as Frame);
    expect(Object.assign({}, ...frames)).toMatchObject(expected.frame);
    expect(Object.assign({}, ...frames.map(({ choices }) => choices[0] ?? {}))).toMatchObject(
      expected.choice,
    );
    const last = frames.find(({ choices }) => typeof choices[0]?.['finish_reason'] === 'string');
    expect(last?.choices[0]).toMatchObject({ native_finish_reason: 'STOP', matched_stop: 7 });
    // What is simple stands in every frame after the first that had it, the usage's too; the rest
    // where it came.
    expect(frames.at(-1)).toMatchObject({ system_fingerprint: 'fp', provider: 'P' });
    expect(frames.filter((one) => 'citations' in one)).toHaveLength(1);
    // Where a hidden step comes first, the head has gone out by then.
    const id = streamed.headers.get('x-upstream-request-id');
    expect(id).toBe(inject === 'never' ? 'req_up' : id);
  },
);

it('names a request by its answer where no header does, and passes headers of a refusal', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.script(rich, withHead(status(400, { error: { message: 'no' } }), { headers }));
  const body = { model: 'm', messages: [user('hi')] };
  expect((await proxy.post(body)).headers.get('x-upstream-request-id')).toBe('gen-1');
  const refused = await proxy.post(body);
  expect(refused.status).toBe(400);
  expect(refused.headers.get('x-ratelimit-remaining-tokens')).toBe('7');
  expect(refused.headers.get('x-upstream-request-id')).toBe('req_up');
});

const piece = (index: number, delta: unknown, reason: string | null = null) =>
  frame({ ...outer, choices: [{ index, delta, finish_reason: reason }] });

const two: Reply = reply(
  piece(0, { role: 'assistant', content: 'A' }),
  piece(1, { role: 'assistant', content: 'B' }),
  piece(1, { tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }] }),
  piece(0, { content: 'a' }, 'stop'),
  piece(1, {}, 'tool_calls'),
  frame({
    ...outer,
    choices: [],
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  }),
  done(),
);

it('passes several answers on where nothing is hidden', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream });
  upstream.otherwise(two);
  const body = { model: 'm', n: 2, messages: [user('hi')] };
  const whole = (await (await proxy.post(body)).json()) as Frame;
  expect(whole.choices).toMatchObject([
    { index: 0, message: { content: 'Aa' }, finish_reason: 'stop' },
    { index: 1, message: { content: 'B', tool_calls: [{ id: 'c' }] }, finish_reason: 'tool_calls' },
  ]);
  expect(whole['usage']).toMatchObject({ total_tokens: 7 });
  expect(upstream.requests[0]?.body).toMatchObject({ n: 2 });

  const streamed = await proxy.post({
    ...body,
    stream: true,
    stream_options: { include_usage: true },
  });
  const frames = (await streamed.text()).split('\n\n').filter((line) => line !== '');
  expect(frames.at(-1)).toBe('data: [DONE]');
  const choices = frames
    .slice(0, -1)
    .flatMap((line) => (JSON.parse(line.slice(6)) as Frame).choices);
  const texts = [0, 1].map((index) =>
    choices
      .filter((choice) => choice['index'] === index)
      .map((choice) => (choice['delta'] as { content?: string }).content ?? '')
      .join(''),
  );
  expect(texts).toEqual(['Aa', 'B']);
  const reasons = choices.flatMap((choice) =>
    choice['finish_reason'] === null ? [] : [[choice['index'], choice['finish_reason']]],
  );
  expect(reasons.toSorted(([one], [other]) => Number(one) - Number(other))).toEqual([
    [0, 'stop'],
    [1, 'tool_calls'],
  ]);
});

it('refuses several answers where the model may look things up, and says why', async () => {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({ upstream, env: { RLM_INJECT: 'always' } });
  const response = await proxy.post({ model: 'm', n: 2, messages: [user('hi')] });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { param: 'n', code: 'invalid_request' } });
  expect(upstream.requests).toHaveLength(0);
});

it('functions of the old kind pass, to the provider and back', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(
    reply(
      role(),
      chunk({ function_call: { name: 'lookup', arguments: '{}' } }),
      finish('function_call'),
      done(),
    ),
  );
  await using proxy = await startProxy({ upstream });
  const functions = [{ name: 'lookup', parameters: { type: 'object' } }];
  const response = await proxy.post({ model: 'm', messages: [user('hi')], functions });
  expect(upstream.requests[0]?.body['functions']).toEqual(functions);
  expect(await response.json()).toMatchObject({
    choices: [{ message: { function_call: { name: 'lookup' } }, finish_reason: 'function_call' }],
  });
});
