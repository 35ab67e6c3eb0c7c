import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  ownResults,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startPair, startProxy, windowOf } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reply,
  role,
  startScriptedUpstream,
  status,
  text,
  usage,
  type Reply,
} from '../support/scripted-upstream.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../property/weave-checks.ts';

const windowTokens = 32_000;
const env = windowOf(windowTokens);

/** An answer by a provider that counts honestly. */
function counted(words: string, sizeBytes: number): Reply {
  const promptTokens = Math.round(sizeBytes / 3.6);
  const counts = {
    prompt_tokens: promptTokens,
    completion_tokens: 9,
    total_tokens: promptTokens + 9,
  };
  return reply(role(), text(words), finish(), usage(counts), done());
}

const question = 'What is the newest state of all this?';

/**
 * A history of turns whose outputs stay below the size at which they are stripped, if they are not
 * longer than this.
 */
function history(turns: number, outputChars = 5_000): readonly Message[] {
  const messages: Message[] = [systemFor('/work/window')];
  for (let turn = 1; turn <= turns; turn += 1)
    messages.push(
      user(`Request ${turn}`),
      calling(`call-${turn}`, 'bash', { command: `run ${turn}` }),
      resultOf(`call-${turn}`, longText(outputChars, `output-${turn}-of`)),
      { role: 'assistant', content: `Conclusion ${turn}: that run was fine.` },
    );
  return messages;
}

describe('the window guard', () => {
  it('demotes in one large step, and the prefix holds until the next; nothing is lost', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.otherwise(({ rawBody }) => counted('Go on.', rawBody.length));
    const messages = [...history(2)];
    for (let turn = 3; turn <= 30; turn += 1) {
      messages.push(user(`${question} ${turn}`));
      const { message } = await proxy.ask({ messages, tools: clientTools });
      messages.push(
        message,
        user(`Then ${turn}`),
        calling(`more-${turn}`, 'bash', { command: `more ${turn}` }),
        resultOf(`more-${turn}`, longText(4_000, `later-${turn}-of`)),
        message,
      );
    }
    let breaks = 0;
    for (const [index, { body, rawBody }] of upstream.requests.entries()) {
      expectWellFormed(body.messages);
      expect(rawBody.length).toBeLessThan(windowTokens * 0.75 * 3.6);
      expect(body.messages[0]?.role).toBe('system');
      expect(JSON.stringify(body.messages[0])).toContain('You are a coding assistant.');
      expect(body.messages.at(-1)?.content).toContain(question);
      const before = upstream.requests[index - 1];
      if (before === undefined) continue;
      if (bytesOf(body.messages).startsWith(bytesOf(before.body.messages))) continue;
      breaks += 1;
      // From near the high mark down to three quarters of it: a turn here is a tenth of that.
      expect(rawBody.length).toBeLessThan(before.rawBody.length * 0.85);
    }
    const { demotions: steps } = await proxy.health();
    expect(steps).toBeGreaterThan(1);
    expect(steps).toBeLessThan(upstream.requests.length / 3);
    // The first step is the activation, too: nothing had left the prompt before.
    expect(breaks).toBe(steps);
    const { store } =
      (await proxy.app.sessions.forDirectory('/work/window', { create: false })) ?? {};
    const whole = (await store?.read(0, 10_000_000))?.text ?? '';
    for (const wanted of ['output-1-of 7:', 'Request 1', 'run 1', 'Conclusion 1', 'later-3-of 9:'])
      expect(whole).toContain(wanted);
  });

  it('remembers what it did over a restart', async () => {
    const bodies: string[] = [];
    for (const restarts of [false, true]) {
      await using upstream = await startScriptedUpstream();
      upstream.otherwise(answer('Go on.'));
      let proxy = await startProxy({ upstream, env });
      const messages = [...history(16), user(question)];
      await proxy.ask({ messages, tools: clientTools });
      if (restarts) proxy = await proxy.restart();
      await using last = proxy;
      const next = [
        ...messages,
        { role: 'assistant' as const, content: 'Go on.' },
        user('And now?'),
      ];
      await last.ask({ messages: next, tools: clientTools });
      const [first, second] = upstream.requests.map(({ body }) => body.messages);
      expectPrefix(second ?? [], bytesOf(first ?? []));
      bodies.push(bytesOf(second ?? []));
    }
    expect(bodies[1]).toBe(bodies[0]);
  });

  it('that has moved turns out gives them back, byte for byte, when the client takes back what came after them', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Go on.'));
    const early = [...history(4), user(question)];
    await proxy.ask({ messages: early, tools: clientTools });
    const said = { role: 'assistant' as const, content: 'Go on.' };
    const later: Message[] = [...early, said, ...history(80).slice(17), user(question)];
    // The second time it is known that the first turns have left; the third time their bytes are
    // not even kept.
    for (let times = 0; times < 3; times += 1) {
      await proxy.ask({ messages: later, tools: clientTools });
      later.push(said, user(`${question} ${times}`));
    }
    await proxy.ask({ messages: early, tools: clientTools });
    await proxy.ask({ messages: early, tools: clientTools });
    const bodies = upstream.requests.map(({ body }) => bytesOf(body.messages));
    expect(bodies[1]).not.toContain('output-1-of 7:');
    expect(bodies[3]).not.toContain('output-1-of 7:');
    expect(bodies[4]).toContain('output-1-of 7:');
    expect(bodies[5]).toBe(bodies[4]);
    const sent = JSON.stringify(early.filter(({ role: each }) => each === 'tool'));
    const got = upstream.requests[4]?.body.messages.filter(({ role: each }) => each === 'tool');
    expect(JSON.stringify(got)).toBe(sent);
  });

  it('that has moved turns out gives them back with the stubs that they had', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Go on.'));
    // The first request has nothing by which its conversation would be known again.
    const chat = { 'x-session-id': 'takes-back' };
    const early = [...history(4, 20_000), user(question)];
    await proxy.ask({ messages: early, tools: clientTools }, chat);
    const said = { role: 'assistant' as const, content: 'Go on.' };
    const later: Message[] = [...early, said, ...history(100, 20_000).slice(17), user(question)];
    for (let times = 0; times < 3; times += 1) {
      await proxy.ask({ messages: later, tools: clientTools }, chat);
      later.push(said, user(`${question} ${times}`));
    }
    await proxy.ask({ messages: early, tools: clientTools }, chat);
    const bodies = upstream.requests.map(({ body }) => bytesOf(body.messages));
    expect(bodies[0]).toContain('output-1-of 7:');
    expect(bodies[3]).not.toContain('output-1-of 7:');
    expect(bodies[4]).toBe(bodies[0]);
  });

  it('that has moved large texts out gives them back, also those that settings keep out of the store', async () => {
    await using setup = await startPair({
      ...windowOf(600_000),
      RLM_CAPTURE_MIN_CHARS: '200000',
      RLM_STRIP_MIN_CHARS: '5000000',
    });
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Go on.'));
    const chat = { 'x-session-id': 'takes-back' };
    const parts = [150_000, 1_100_000].map((size) => ({ type: 'text', text: longText(size) }));
    const early: Message[] = [
      systemFor('/work/window'),
      user('Request 0'),
      calling('large', 'bash', { command: 'run' }),
      { role: 'tool', tool_call_id: 'large', content: parts },
      user(question),
    ];
    await proxy.ask({ messages: early, tools: clientTools }, chat);
    const said = { role: 'assistant' as const, content: 'Go on.' };
    const later: Message[] = [...early, said, ...history(12, 150_000).slice(1), user(question)];
    for (let times = 0; times < 3; times += 1) {
      await proxy.ask({ messages: later, tools: clientTools }, chat);
      later.push(said, user(`${question} ${times}`));
    }
    await proxy.ask({ messages: early, tools: clientTools }, chat);
    const sent = upstream.requests.map(({ body }) =>
      JSON.stringify(body.messages.filter(({ tool_call_id: id }) => id === 'large')),
    );
    expect(sent[3]).toBe('[]');
    // Compared as a whole, its difference would take a minute to be shown.
    expect(sent[4] === JSON.stringify([early[3]])).toBe(true);
  });

  it('says where the old turns went, and the model finds them there', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.script(
      callTools(
        { name: 'rlm_find', args: { text: 'Conclusion 2' } },
        { name: 'rlm_find', args: { text: 'output-2-of 3:' }, id: 'second' },
      ),
      answer('found'),
    );
    await proxy.ask({ messages: [...history(60), user(question)], tools: clientTools });
    const [first, second] = upstream.requests;
    const note = first?.body.messages.find(({ content }) =>
      String(content).startsWith('[rlm] The earlier part'),
    );
    expect(note?.role).toBe('user');
    expect(String(note?.content)).toContain('Request 1');
    expect(
      ownResults(second?.body.messages ?? []).map((result) => Number(result['total']) > 0),
    ).toEqual([true, true]);
  });

  it('keeps the question of a long turn that outgrows the window, also when the next one comes', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Go on, please, and look at the rest of it.'));
    const [system, ...rest] = history(40);
    const work = rest.filter(({ role }) => role !== 'user');
    const messages = [system as Message, user('The one long task'), ...work];
    await proxy.ask({ messages, tools: clientTools });
    const { content } =
      (upstream.requests[0]?.body.messages ?? []).findLast(({ role }) => role === 'user') ?? {};
    expect(content).toBe('The one long task');
    const next = [
      ...messages,
      { role: 'assistant' as const, content: 'Go on, please, and look at the rest of it.' },
      user('Another'),
    ];
    await proxy.ask({ messages: next, tools: clientTools });
    const [first, second] = upstream.requests.map(({ body }) => body.messages);
    expectPrefix(second ?? [], bytesOf(first ?? []));
  });

  it('puts stubs even for the newest outputs where they alone are too much', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    upstream.otherwise(answer('Much.'));
    const ids = Array.from({ length: 20 }, (_, index) => `p-${index}`);
    const calls = ids.flatMap((id) => calling(id, 'bash', { command: id }).tool_calls ?? []);
    const outputs = ids.map((id) => resultOf(id, longText(9_000, id)));
    const messages: Message[] = [
      systemFor('/work/window'),
      user(question),
      { role: 'assistant', content: null, tool_calls: calls },
      ...outputs,
    ];
    await proxy.ask({ messages, tools: clientTools });
    const [request] = upstream.requests;
    expect(request?.rawBody.length).toBeLessThan(windowTokens * 3.6);
    expectWellFormed(request?.body.messages ?? []);
    expect(request?.body.messages[1]).toEqual(user(question));
  });

  it('shortens even the newest results of ours where they alone are too much', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    const reads = ['x', 'y', 'z'].map((id) => ({
      name: 'rlm_get_context',
      args: { offset: 0, length: 45_000 },
      id,
    }));
    upstream.script(
      callTools(...reads, { name: 'bash', args: { command: 'ls' }, id: 'theirs' }),
      answer('Seen.'),
    );
    const messages = [
      systemFor('/work/window'),
      user(question),
      calling('big', 'bash', { command: 'cat big' }),
      resultOf('big', longText(100_000)),
    ];
    const { message } = await proxy.ask({ messages, tools: clientTools });
    const next = [...messages, message, resultOf('theirs', 'a.ts')];
    await proxy.ask({ messages: next, tools: clientTools });
    const [, second] = upstream.requests;
    expect(second?.rawBody.length).toBeLessThan(windowTokens * 3.6);
    expectWellFormed(second?.body.messages ?? []);
    expect(second?.body.messages.at(-1)).toEqual(resultOf('theirs', 'a.ts'));
  });
});

describe('a prompt that the upstream finds too long', () => {
  const refusals: readonly (readonly [string, Reply])[] = [
    [
      'OpenAI',
      status(400, {
        error: {
          message: "This model's maximum context length is 8192 tokens.",
          type: 'invalid_request_error',
          code: 'context_length_exceeded',
        },
      }),
    ],
    ['GLM', status(400, { error: { code: '1261', message: 'Prompt exceeds max length' } })],
    ['GLM as a finish reason', reply(role(), finish('model_context_window_exceeded'), done())],
    [
      'vLLM',
      status(400, {
        object: 'error',
        message:
          "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
        code: 400,
      }),
    ],
  ];

  it.each(refusals)('is made smaller and sent again, once: %s', async (_, refusal) => {
    await using setup = await startPair(windowOf(200_000));
    const { upstream, proxy } = setup;
    upstream.script(refusal, answer('It fits now.'));
    const { message } = await proxy.ask({
      messages: [...history(12), user(question)],
      tools: clientTools,
    });
    expect(message.content).toBe('It fits now.');
    const [first, second] = upstream.requests;
    expect(second?.rawBody.length).toBeLessThan((first?.rawBody.length ?? 0) * 0.75);
    expect(second?.body.messages.at(-1)).toEqual(user(question));
    expectWellFormed(second?.body.messages ?? []);
  });

  it('is an error the second time', async () => {
    await using setup = await startPair(env);
    const { upstream, proxy } = setup;
    const [, refusal] = refusals[0] as (typeof refusals)[number];
    upstream.otherwise(refusal);
    const response = await proxy.post({
      model: 'x',
      messages: [...history(12), user(question)],
      tools: clientTools,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'context_length_exceeded' } });
    expect(upstream.requests).toHaveLength(2);
  });

  it('can call our tools after it was made smaller, even if they were not offered before', async () => {
    await using setup = await startPair(windowOf(200_000));
    const { upstream, proxy } = setup;
    const [, refusal] = refusals[0] as (typeof refusals)[number];
    upstream.script(
      refusal,
      callTools({ name: 'rlm_find', args: { text: 'Conclusion 1:' } }),
      answer('Seen.'),
    );
    const { message } = await proxy.ask({
      messages: [...history(12), user(question)],
      tools: clientTools,
    });
    expect(message.content).toBe('Seen.');
    expect(
      Number(ownResults(upstream.requests[2]?.body.messages ?? [])[0]?.['total']),
    ).toBeGreaterThan(0);
  });
});

describe('results of our own tools in one turn', () => {
  it('stay inside the window through 48 reads of 40,000 characters, and the next turn repeats what was sent', async () => {
    await using setup = await startPair(windowOf(128_000));
    const { upstream, proxy } = setup;
    let reads = 0;
    upstream.otherwise(({ rawBody }) => {
      reads += 1;
      if (reads > 48) return counted('That was all of it.', rawBody.length);
      return callTools({
        name: 'rlm_get_context',
        args: { offset: reads * 3_000, length: 40_000 },
        id: `read-${reads}`,
      });
    });
    const messages = [
      systemFor('/work/window'),
      user('Read it all.'),
      calling('big', 'bash', { command: 'cat big' }),
      resultOf('big', longText(250_000)),
    ];
    const { message } = await proxy.ask({ messages, tools: clientTools });
    expect(message.content).toBe('That was all of it.');
    expect(upstream.requests).toHaveLength(49);
    let breaks = 0;
    for (const [index, { rawBody, body }] of upstream.requests.entries()) {
      expect(rawBody.length).toBeLessThan(128_000 * 3.6);
      expectWellFormed(body.messages);
      // The newest result is always whole.
      const newest = String(body.messages.at(-1)?.content).length;
      expect(index === 0 || newest > 30_000).toBe(true);
      const before = upstream.requests[index - 1]?.body.messages;
      if (before !== undefined && !bytesOf(body.messages).startsWith(bytesOf(before))) breaks += 1;
    }
    expect(breaks).toBeGreaterThan(2);
    expect(breaks).toBeLessThan(17);
    const last = upstream.requests.at(-1)?.body.messages ?? [];
    await proxy.ask({ messages: [...messages, message, user('Thanks.')], tools: clientTools });
    expectPrefix(upstream.requests.at(-1)?.body.messages ?? [], bytesOf(last));
  });
});

it('a history that does not fit leaves no tool message without its call', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  await using proxy = await startProxy({ upstream, env });
  const messages: Message[] = [systemFor('/projects/window')];
  for (let turn = 0; turn < 60; turn += 1) {
    const ids = [`a${turn}`, `b${turn}`];
    messages.push(
      user(`Question ${turn}`),
      {
        role: 'assistant',
        content: null,
        tool_calls: ids.flatMap((id) => calling(id, 'bash', { id }).tool_calls ?? []),
      },
      ...ids.map((id) => resultOf(id, longText(3_000, `out-${id}`))),
    );
  }
  await proxy.ask({ messages, tools: clientTools });
  const [request] = upstream.requests;
  expect(request?.rawBody.length).toBeLessThan(120_000);
  expectWellFormed(request?.body.messages ?? []);
  expect(JSON.stringify(request?.body.messages)).toContain('Question 59');
});
