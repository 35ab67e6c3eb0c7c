import { afterEach, beforeEach, expect, test } from 'vitest';
import { storeCase } from '../../src/bench/questions/storing.ts';
import type { TurnView } from '../../src/page/page-protocol.ts';
import type { Message } from '../../src/wire/types.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
} from '../support/conversation.ts';
import { startProxy, type TestProxy, windowOf } from '../support/proxy.ts';
import {
  answer,
  callTools,
  cut,
  done,
  frame,
  Gate,
  reply,
  role,
  stall,
  startScriptedUpstream,
  status,
  text,
  usage,
  withHead,
  type RecordedRequest,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';
const question = { role: 'user', content: 'How many are red?' };

const lines = Array.from(
  { length: 400 },
  (_, index) => `item ${index}: ${index % 8 === 0 ? 'red' : 'blue'}\n`,
);

const countInParts = `context.search('red');
const parts = [];
for (let at = 0; at < context.length; at += 900) parts.push(['count red', context.read(at, 900)]);
llm_query_batched(parts).length`;

let upstream: ScriptedUpstream;
let proxy: TestProxy;

beforeEach(async () => {
  upstream = await startScriptedUpstream();
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

async function open(env: Readonly<Record<string, string>> = {}): Promise<void> {
  proxy = await startProxy({ upstream, env: { RLM_QUERY_CHUNK_CHARS: '1000', ...env } });
}

/** The headers of a chat over a store that holds the lines. */
async function overLines(): Promise<Readonly<Record<string, string>>> {
  const { sessionId } = await storeCase(proxy.app.sessions, '/project', [
    { path: 'items.txt', chunks: () => lines },
  ]);
  return { 'x-rlm-session': sessionId, 'x-session-id': 'chat-1' };
}

/** The turns as they are, when one of them is so. */
async function turnsWhen(is: (turn: TurnView) => boolean): Promise<readonly TurnView[]> {
  const { turns } = proxy.app;
  const found = Promise.withResolvers<void>();
  const end = turns.subscribe((views) => {
    if (views.some(is)) found.resolve();
  });
  if (!turns.turns().some(is)) await found.promise;
  end();
  return turns.turns();
}

async function endedTurns(): Promise<readonly TurnView[]> {
  return turnsWhen(({ state }) => state !== 'running');
}

function isSubCall({ body }: RecordedRequest): boolean {
  return body.tools === undefined;
}

/** The names of the faces, and how each is asked. */
const faces = [
  ['chat/completions', { messages: [question] }],
  ['responses', { input: question.content }],
  ['messages', { messages: [question], max_tokens: 1_000 }],
] as const;

async function post(path: string, body: object, headers = {}, signal?: AbortSignal) {
  return fetch(`${proxy.baseURL}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, ...body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

test.each(
  faces.flatMap(([path, body]) => [
    { path, body, stream: false },
    { path, body, stream: true },
  ]),
)(
  'two hidden steps, a program with sub-calls: $path, streamed: $stream',
  async ({ path, body, stream }) => {
    await open();
    const headers = await overLines();
    upstream.otherwise((request) => {
      if (isSubCall(request)) return answer('3');
      const results = request.body.messages.filter((said: Message) => said.role === 'tool').length;
      if (results === 0) return callTools({ name: 'rlm_search', args: { pattern: 'red' } });
      if (results === 1) return callTools({ name: 'rlm_exec', args: { code: countInParts } });
      return answer('Fifty.');
    });
    const response = await post(path, { ...body, stream }, headers);
    expect(await response.text()).toContain('Fifty.');
    const [turn, ...others] = await endedTurns();
    expect(others).toEqual([]);
    expect(turn).toMatchObject({
      id: response.headers.get('x-request-id'),
      state: 'done',
      session: headers['x-rlm-session'],
      chat: 'chat-1',
      tools: 'active',
      promptTokens: 3_000,
      cachedTokens: 2_700,
      completionTokens: 60,
      largestPromptTokens: 1_000,
      storedTexts: 0,
      demotions: 0,
    });
    expect(turn).not.toHaveProperty('error');
    expect(turn?.model).toMatch(/\.scripted$/);
    expect(turn?.estimatedPromptTokensWithout).toBeGreaterThan(0);
    // The requests of the turn itself, as they were sent; that one a step is larger than the last.
    const sent = upstream.requests.filter((request) => !isSubCall(request));
    expect(turn?.steps).toHaveLength(3);
    for (const [index, step] of (turn?.steps ?? []).entries()) {
      // Without what only the wire asks for: the model's name, the stream and its usage.
      const gap = (sent[index]?.rawBody.length ?? 0) - step.sentBytes;
      expect(Math.abs(gap)).toBeLessThan(200);
      expect(step.startedMs).toBeLessThanOrEqual(step.firstChunkMs ?? -1);
      expect(step.firstChunkMs).toBeLessThanOrEqual(step.endedMs ?? -1);
      expect(step).toMatchObject({ promptTokens: 1_000, cachedTokens: 900, completionTokens: 20 });
    }
    const [search, program] = (turn?.steps ?? []).map(({ calls }) => calls);
    const result = sent.at(-1)!.body.messages.find(({ role: who }) => who === 'tool');
    expect(search).toEqual([
      expect.objectContaining({
        name: 'rlm_search',
        words: expect.stringContaining('red'),
        resultChars: String(result?.content).length,
        reports: [expect.stringContaining('50')],
        subCalls: 0,
      }),
    ]);
    expect(program).toEqual([
      expect.objectContaining({
        name: 'rlm_exec',
        words: expect.stringContaining('program'),
        subCalls: 7,
        reports: expect.arrayContaining(['↳ question 7 of 7']),
      }),
    ]);
    expect(turn?.steps[2]?.calls).toEqual([]);
  },
);

test('a turn is seen while it runs, and a client that leaves has left', async () => {
  await open();
  const headers = await overLines();
  const controller = new AbortController();
  upstream.otherwise((request) =>
    isSubCall(request)
      ? reply(stall())
      : callTools({ name: 'rlm_exec', args: { code: countInParts } }),
  );
  const gone = post('chat/completions', { messages: [question] }, headers, controller.signal)
    .then(async (response) => response.text())
    .catch(() => 'left');
  const [running] = await turnsWhen(({ steps }) => steps[0]?.calls[0]?.subCalls === 7);
  expect(running).toMatchObject({ state: 'running', tools: 'active', chat: 'chat-1' });
  expect(running?.steps[0]?.calls[0]).not.toHaveProperty('endedMs');
  controller.abort();
  expect(await gone).toBe('left');
  const [turn] = await endedTurns();
  expect(turn?.state).toBe('aborted');
  expect(turn).not.toHaveProperty('error');
});

test('a client that leaves a stream has left; so has one whose server stops', async () => {
  await open({ RLM_DRAIN_MS: '1' });
  const controller = new AbortController();
  upstream.otherwise(reply(role(), text('Hel'), stall()));
  const body = { stream: true, messages: [question] };
  const response = await post('chat/completions', body, {}, controller.signal);
  await response.body?.getReader().read();
  controller.abort();
  const [left] = await endedTurns();
  expect(left).toMatchObject({ state: 'aborted', steps: [{ firstChunkMs: expect.any(Number) }] });
  const next = await post('chat/completions', body);
  const { server, turns } = proxy.app;
  await server.close();
  const words = await next.text();
  const stopped = turns.turns().at(-1);
  expect(stopped?.state).toBe('aborted');
  expect(words).toContain(stopped?.error);
});

test.each(faces)('failures are told in the words of the answer: %s', async (path, body) => {
  await open();
  const refusal = status(400, { error: { message: 'The moon is in the wrong place' } });
  upstream.script(refusal, refusal, reply(role(), text('Hel'), cut()));
  const texts = [
    await (await post(path, body)).text(),
    await (await post(path, { ...body, stream: true })).text(),
    await (await post(path, { ...body, stream: true })).text(),
    // Before there is a step.
    await (await post(path, body, { 'x-rlm-session': 'sess_0000000000000009' })).text(),
  ];
  const turns = await turnsWhen(({ state, steps }) => state === 'failed' && steps.length === 0);
  expect(turns).toHaveLength(4);
  for (const [index, turn] of turns.entries()) {
    expect(turn.state).toBe('failed');
    expect(turn.error).toBeTruthy();
    expect(texts[index]).toContain(JSON.stringify(turn.error).slice(1, -1));
  }
  expect(turns.map(({ steps }) => steps.length)).toEqual([1, 1, 1, 0]);
});

test('several answers to one question are one turn of one step', async () => {
  await open();
  const choice = (index: number) => ({ index, delta: { content: 'x' }, finish_reason: 'stop' });
  const two = [choice(0), choice(1)].map((one) => frame({ choices: [one] }));
  upstream.script(reply(...two, usage(), done()), status(400, { error: { message: 'Not two' } }));
  await (await post('chat/completions', { n: 2, messages: [question] })).text();
  await (await post('chat/completions', { n: 2, messages: [question] })).text();
  const turns = await turnsWhen(({ state }) => state === 'failed');
  expect(turns.map(({ state, steps }) => [state, steps.length])).toEqual([
    ['done', 1],
    ['failed', 1],
  ]);
  expect(turns[0]).toMatchObject({ tools: 'none', promptTokens: 1_000 });
});

test('a prompt that is too long, made smaller: one step, and what was stored and moved', async () => {
  await open({ ...windowOf(200_000), RLM_STRIP_MIN_CHARS: '' });
  const tooLong = status(400, {
    error: {
      code: 'context_length_exceeded',
      message: "This model's maximum context length is 20000 tokens.",
    },
  });
  upstream.script(tooLong, answer('Yes.'));
  const messages = [
    systemFor('/work/project'),
    ...Array.from({ length: 40 }, (_, part) => [
      user(`What of part ${part}?`),
      calling(`c${part}`, 'read', { part }),
      resultOf(`c${part}`, longText(4_000, `part-${part}`)),
    ]).flat(),
    user('And all?'),
  ];
  await (await post('chat/completions', { messages, tools: clientTools })).text();
  const [turn] = await endedTurns();
  expect(turn).toMatchObject({ state: 'done', storedTexts: 40, demotions: 1 });
  expect(turn?.steps).toHaveLength(1);
  const [first, second] = upstream.requests.map(({ rawBody }) => rawBody.length);
  expect(second).toBeLessThan(first!);
  expect(turn?.steps[0]?.sentBytes).toBeLessThan(first! / 1.2);
});

test('a limit is told in its words', async () => {
  await open({ RLM_MAX_STEPS: '2' });
  const headers = await overLines();
  upstream.otherwise((request) =>
    request.body.tool_choice === 'none'
      ? answer('All I know.')
      : callTools({ name: 'rlm_find', args: { text: 'red' } }),
  );
  await (await post('chat/completions', { messages: [question] }, headers)).text();
  const [turn] = await endedTurns();
  expect(turn).toMatchObject({ state: 'done', limit: expect.stringContaining('2 steps') });
});

test('many turns at once are all seen, each with its own', async () => {
  await open();
  const gate = new Gate();
  upstream.otherwise((request) =>
    withHead(answer(`to ${String(request.body.messages.at(-1)?.content)}`), { before: [gate] }),
  );
  const asked = Array.from({ length: 60 }, async (_, index) => {
    const messages = [{ role: 'user', content: `question ${index}` }];
    const [path] = faces[0];
    const response = await post(path, { stream: index % 2 === 0, messages });
    await response.text();
    return response.headers.get('x-request-id');
  });
  await upstream.nthRequest(60);
  const running = proxy.app.turns.turns();
  expect(running.map(({ state, steps }) => `${state} ${steps.length}`)).toEqual(
    Array.from({ length: 60 }, () => 'running 1'),
  );
  gate.open();
  const ids = await Promise.all(asked);
  const turns = proxy.app.turns.turns();
  expect(new Set(turns.map(({ id }) => id))).toEqual(new Set(ids));
  expect(turns.every(({ state, promptTokens }) => state === 'done' && promptTokens === 1_000)).toBe(
    true,
  );
});
