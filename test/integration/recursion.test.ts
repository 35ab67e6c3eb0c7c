import { afterEach, beforeEach, expect, test } from 'vitest';
import { storeCase } from '../../src/bench/questions/storing.ts';
import type { PlainRequest, Message } from '../../src/wire/types.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  reply,
  stall,
  startScriptedUpstream,
  status,
  type RecordedRequest,
  type Reply,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

const lines = Array.from(
  { length: 400 },
  (_, index) => `item ${index}: ${index % 8 === 0 ? 'red' : 'blue'}\n`,
);

let upstream: ScriptedUpstream;
let proxy: TestProxy | undefined;

beforeEach(async () => {
  upstream = await startScriptedUpstream();
});

afterEach(async () => {
  await proxy?.[Symbol.asyncDispose]();
  proxy = undefined;
  await upstream[Symbol.asyncDispose]();
});

/** A proxy over a session that holds the lines; gives back the headers that name it. */
async function open(
  env: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, string>>> {
  proxy = await startProxy({
    upstream,
    env: { RLM_QUERY_CHUNK_CHARS: '1000', ...env },
  });
  const { sessionId } = await storeCase(proxy.app.sessions, '/project', [
    { path: 'items.txt', chunks: () => lines },
  ]);
  return { 'x-rlm-session': sessionId };
}

async function ask(headers: Readonly<Record<string, string>>) {
  const done = await (proxy as TestProxy).ask(
    { messages: [{ role: 'user', content: 'How many are red?' }] },
    headers,
  );
  return { ...done, text: textOf(done.message) };
}

function textOf(message: Message | undefined): string {
  return typeof message?.content === 'string' ? message.content : '';
}

/**
 * The turn's own requests have the client's question; sub-calls have another system message and no
 * tools.
 */
function isSubCall({ body }: RecordedRequest): boolean {
  return body.tools === undefined;
}

function lastText(request: PlainRequest): string {
  return textOf(request.messages.at(-1));
}

/**
 * Plays a turn: one call, then the answer that repeats its result; sub-calls are answered by `sub`.
 */
function play(
  call: { readonly name: string; readonly args: unknown },
  sub: (request: RecordedRequest) => Reply | Promise<Reply>,
): void {
  upstream.otherwise((request) => {
    if (isSubCall(request)) return sub(request);
    return request.body.messages.at(-1)?.role === 'tool'
      ? answer(`I saw: ${lastText(request.body)}`)
      : callTools(call);
  });
}

function countRed(request: RecordedRequest): Reply {
  return answer(String(lastText(request.body).match(/: red\n/g)?.length ?? 0));
}

const countInParts = {
  name: 'rlm_exec',
  args: {
    code: `const parts = [];
for (let at = 0; at < context.length; at += 900) parts.push(['count red', context.read(at, 900)]);
const counts = llm_query_batched(parts);
counts.reduce((sum, one) => sum + Number(one), 0) + ' in ' + parts.length + ' parts'`,
  },
};

test('a program maps sub-models over parts and adds up what they say', async () => {
  const headers = await open();
  // Nobody is answered before several are under way.
  play(countInParts, async (request) => {
    await upstream.nthRequest(5);
    return countRed(request);
  });
  const { text, usage } = await ask(headers);
  // All completions are billed: two steps and the sub-calls, each as the script counts it.
  expect(usage?.['rlm']).toMatchObject({
    steps: 2,
    tool_calls: 1,
    sub_calls: 7,
    prompt_tokens: (usage?.prompt_tokens ?? 0) * 9,
  });
  const total = lines.join('').length;
  expect(text).toMatch(new RegExp(`=> \\d+ in ${Math.ceil(total / 900)} parts`));
  expect(upstream.requests.filter(isSubCall).length).toBe(Math.ceil(total / 900));
  expect(upstream.mostOverlap).toBeLessThanOrEqual(8);
  expect(upstream.mostOverlap).toBeGreaterThanOrEqual(4);
});

test('rlm_query asks every part once and keeps what failed beside what was answered', async () => {
  const headers = await open();
  let failures = 0;
  play({ name: 'rlm_query', args: { question: 'how many red?' } }, (request) => {
    if (!lastText(request.body).includes('item 0:')) return countRed(request);
    failures += 1;
    return status(400, { error: { message: 'this one is refused' } });
  });
  const { text } = await ask(headers);
  const result = toolResult(text.slice('I saw: '.length)) as {
    asked: number;
    failed: number;
    answers: { part: string; answer?: string; failed?: string }[];
  };
  expect(failures).toBe(1);
  expect(result.failed).toBe(1);
  expect(result.answers[0]?.failed).toContain('refused');
  const counted = result.answers.reduce((sum, one) => sum + Number(one.answer ?? 0), 0);
  const [failed, ...answered] = result.answers.map(({ part }) => linesOf(part));
  expect(failed?.[0]).toBe(1);
  expect(counted).toBe(lines.slice(failed?.[1]).filter((line) => line.includes('red')).length);
  // The parts lie one behind the other, down to the last line.
  expect(answered.map(([first]) => first - 1)).toEqual(
    [failed, ...answered.slice(0, -1)].map((before) => before?.[1]),
  );
  expect(answered.at(-1)?.[1]).toBe(lines.length);
});

/** First and last line that a part names. */
function linesOf(part: string): readonly [number, number] {
  const [, first, last] = /lines (\d+)-(\d+)$/.exec(part) ?? [];
  return [Number(first), Number(last)];
}

test('depth 2: a sub-call explores its slice with tools and asks sub-models of its own', async () => {
  const headers = await open();
  upstream.otherwise((request) => {
    const [system] = request.body.messages;
    const isExplorer = textOf(system).includes('not in this conversation');
    if (isSubCall(request)) return countRed(request);
    const hasResult = request.body.messages.at(-1)?.role === 'tool';
    if (!isExplorer)
      return hasResult
        ? answer(`I saw: ${lastText(request.body)}`)
        : callTools({ name: 'rlm_query', args: { question: 'explore', explore: true } });
    return hasResult
      ? answer(`explored ${lastText(request.body)}`)
      : callTools({
          name: 'rlm_query',
          args: { question: 'count', pattern: 'item 16:', context_lines: 0 },
        });
  });
  const { text } = await ask(headers);
  expect(text).toContain(String.raw`explored {\"asked\":1,\"failed\":0`);
  expect(text).toContain(String.raw`\"answer\":\"1\"`);
});

test.each([
  ['RLM_MAX_SUB_CALLS', '3', /3 sub-calls a turn are used up/],
  ['RLM_MAX_TURN_TOKENS', '60', /60 tokens a turn are used up/],
  ['RLM_MAX_DEPTH', '0', /sub-calls may lie 0 deep/],
])(
  'the budget %s ends a fan-out with a partial answer that names it',
  async (name, value, sentence) => {
    const headers = await open({ [name]: value });
    play({ name: 'rlm_query', args: { question: 'how many red?' } }, countRed);
    const { text, finishReason } = await ask(headers);
    expect(finishReason).toBe('stop');
    expect(text).toMatch(sentence);
    expect(upstream.requests.filter(isSubCall).length).toBeLessThan(6);
  },
);

test('each sub-call is seen as marked reasoning while it runs', async () => {
  const headers = await open();
  play(countInParts, countRed);
  const response = await (proxy as TestProxy).post(
    {
      model: 'rlm-internal.rlm-core-v1',
      stream: true,
      messages: [{ role: 'user', content: 'How many are red?' }],
    },
    headers,
  );
  const shown = [...(await response.text()).matchAll(/\*\*([^*]*?)\u034f\*\*/g)];
  expect(shown.map(([, words]) => words)).toEqual([
    expect.stringContaining('running a program'),
    ...Array.from({ length: 7 }, (_, index) => `↳ question ${index + 1} of 7`),
  ]);
});

test("a day's limit holds over turns and a restart", async () => {
  const headers = await open({ RLM_MAX_DAY_SUB_CALLS: '4' });
  play({ name: 'rlm_query', args: { question: 'how many red?', length: 2500 } }, countRed);
  expect((await ask(headers)).text).toContain('"failed":0');
  const before = upstream.requests.filter(isSubCall).length;
  proxy = await (proxy as TestProxy).restart();
  const { text } = await ask(headers);
  expect(text).toMatch(/4 sub-calls a day are used up/);
  expect(upstream.requests.filter(isSubCall).length).toBe(4);
  expect(before).toBeLessThan(4);
});

test('steps inside sub-calls count for the turn', async () => {
  const headers = await open({ RLM_MAX_STEPS: '6' });
  upstream.otherwise((request) => {
    const isExplorer = textOf(request.body.messages[0]).includes('not in this conversation');
    const depth = request.body.messages.length;
    if (isExplorer && request.body.tool_choice !== 'none' && depth < 12)
      return callTools({ name: 'rlm_find', args: { text: `item ${depth}` } });
    if (request.body.messages.at(-1)?.role !== 'tool')
      return callTools({ name: 'rlm_query', args: { question: 'explore', explore: true } });
    return answer(isExplorer ? 'explored' : `I saw: ${lastText(request.body)}`);
  });
  const { text } = await ask(headers);
  expect(text).toMatch(/6 steps a turn are used up/);
  expect(upstream.requests.length).toBeLessThanOrEqual(8);
});

test('the end of the budget is the same streamed and not', async () => {
  const headers = await open({ RLM_MAX_STEPS: '3' });
  upstream.otherwise((request) =>
    request.body.tool_choice === 'none'
      ? answer('All I know so far.')
      : callTools({ name: 'rlm_find', args: { text: `item ${request.body.messages.length}` } }),
  );
  const { text } = await ask(headers);
  const response = await (proxy as TestProxy).post(
    {
      model: 'rlm-internal.rlm-core-v1',
      stream: true,
      messages: [{ role: 'user', content: 'How many are red?' }],
    },
    headers,
  );
  const streamed = [...(await response.text()).matchAll(/^data: (\{.*\})$/gm)]
    .map(([, data]) => JSON.parse(data ?? '') as { choices: { delta?: { content?: string } }[] })
    .map(({ choices }) => choices[0]?.delta?.content ?? '')
    .join('');
  expect(text).toContain('All I know so far.');
  expect(text).toMatch(/limit|used up/);
  expect(streamed).toBe(text);
});

test('a client that goes in the middle of a fan-out leaves nothing running', async () => {
  const headers = await open();
  const controller = new AbortController();
  play(countInParts, () => reply(stall()));
  const gone = (proxy as TestProxy)
    .post(
      {
        model: 'rlm-internal.rlm-core-v1',
        stream: true,
        messages: [{ role: 'user', content: 'How many?' }],
      },
      headers,
      controller.signal,
    )
    .then(async (response) => response.text())
    .catch((error: unknown) => String(error));
  // The turn's own and all seven sub-calls are in.
  await upstream.nthRequest(8);
  const begun = performance.now();
  controller.abort();
  await gone;
  await Promise.all(upstream.requests.map(async (request) => request.ended));
  expect(performance.now() - begun).toBeLessThan(2000);
  const sub = upstream.requests.filter(isSubCall);
  expect(sub.every((request) => request.aborted)).toBe(true);
  expect(sub.length).toBe(7);
  // The next turn of the chat finds its sandbox free.
  play({ name: 'rlm_exec', args: { code: '6 * 7' } }, countRed);
  expect((await ask(headers)).text).toContain('=> 42');
});
