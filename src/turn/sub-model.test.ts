import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { memorySearch, memorySession } from '../../test/support/memory-session.ts';
import { ProxyError } from '../errors.ts';
import { queryTool } from '../tools/query/query.ts';
import { searchTool } from '../tools/searching/search.ts';
import { ToolRegistry } from '../tools/registry.ts';
import type { ToolContext } from '../tools/tool.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Chunk, Message, PlainRequest, Usage } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { Budget, type TurnLimits } from './budget.ts';
import { DayLedger } from './day-ledger.ts';
import { Semaphore } from '../base/semaphore.ts';
import { createSubModel } from './sub-model.ts';
import { toolResult } from '../../test/support/tool-results.ts';

const usage: Usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };

function say(text: string): readonly Chunk[] {
  return [{ content: text }, { finishReason: 'stop', usage }];
}

function callTool(name: string, args: unknown): readonly Chunk[] {
  return [
    { toolCalls: [{ index: 0, id: 'c1', name, arguments: JSON.stringify(args) }] },
    { finishReason: 'tool_calls', usage },
  ];
}

type Script = (request: PlainRequest, signal: AbortSignal) => Promise<readonly Chunk[]>;

function play(script: Script, limits: Partial<TurnLimits> = {}) {
  const requests: PlainRequest[] = [];
  const reports: string[] = [];
  let running = 0;
  const most = { running: 0 };
  const upstream: Upstream = {
    id: 'scripted',
    models: async () => [],
    complete: async (sent, { signal }) => {
      const request = { ...sent, messages: sent.messages.map(parsed) };
      requests.push(request);
      running += 1;
      most.running = Math.max(most.running, running);
      try {
        const chunks = await script(request, signal);
        return {
          model: request.model,
          batches: (async function* () {
            yield chunks;
          })(),
        };
      } finally {
        running -= 1;
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const clock = new ManualClock();
  const turn = { steps: 50, subCalls: 20, depth: 2, tokens: 1e6, wallClockMs: 1e6, ...limits };
  const budget = new Budget({ clock, turn, day: {}, ledger: new DayLedger(clock) });
  const text = Array.from({ length: 50 }, (_, index) => `line ${index} of the text\n`).join('');
  const context = {
    session: memorySession([
      { text, path: 'a' },
      { text: 'the NEEDLE is 42\n', path: 'b' },
    ]),
    search: memorySearch(),
    clock,
    searchDeadlineMs: 1000,
    maxResultChars: 20_000,
  };
  const subModel = createSubModel({
    upstream,
    model: 'small',
    budget,
    slots: new Semaphore(2),
    concurrency: 4,
    maxTextChars: 200,
    tools: new ToolRegistry([searchTool, queryTool] as never),
    context,
    report: (line) => reports.push(line),
    asks: () => undefined,
    limits: { steps: 5, callsPerStep: 4 },
    onRetry: () => undefined,
  });
  const controller = new AbortController();
  const run = async (args: Record<string, unknown>): Promise<Record<string, unknown>> => {
    const toolContext: ToolContext = { ...context, signal: controller.signal, subModel };
    const result = await queryTool.run(
      queryTool.args.parse({ question: 'what?', ...args }),
      toolContext,
    );
    return toolResult(result);
  };
  return { run, requests, reports, budget, controller, most, running: () => running };
}

function textOf(message: Message | undefined): string {
  return typeof message?.content === 'string' ? message.content : '';
}

/** Lets promises that are ready go on. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('parts are asked side by side, as many as there are slots, and paid for', async () => {
  const { run, requests, budget, most } = play(async (request) => {
    await settle();
    return say(`saw ${textOf(request.messages[1]).length}`);
  });
  const result = await run({ entries: ['e1'] });
  expect(result['failed']).toBe(0);
  expect(requests.length).toBe(result['asked']);
  expect(most.running).toBe(2);
  expect(budget.spent).toMatchObject({
    subCalls: requests.length,
    promptTokens: 100 * requests.length,
    completionTokens: 10 * requests.length,
  });
  expect(requests[0]).toMatchObject({ model: 'small' });
  expect(requests[0]?.tools).toBeUndefined();
});

test('parts beyond the budget are failed with its sentence, the others answered', async () => {
  const { run, requests } = play(async () => say('yes'), { subCalls: 3 });
  const result = await run({ entries: ['e1'] });
  expect(requests.length).toBe(3);
  const answers = result['answers'] as { answer?: string; failed?: string }[];
  expect(answers.filter((one) => one.answer === 'yes').length).toBe(3);
  expect(answers.at(-1)?.failed).toContain('3 sub-calls a turn are used up');
});

test('tokens that run out in the middle fail the rest', async () => {
  const { run, requests } = play(async () => say('yes'), { tokens: 300 });
  const result = await run({ entries: ['e1'] });
  expect(requests.length).toBeLessThan(5);
  expect(JSON.stringify(result)).toContain('300 tokens a turn are used up');
});

test('a part whose upstream fails, or says nothing, is failed alone', async () => {
  let number = 0;
  const { run } = play(async () => {
    number += 1;
    if (number === 1) throw new ProxyError('upstream_failed', 'the provider is down');
    return say(number === 2 ? ' ' : 'fine');
  });
  const result = await run({ entries: ['e1'] });
  expect(result['failed']).toBe(2);
  expect(JSON.stringify(result)).toContain('the provider is down');
  expect(JSON.stringify(result)).toContain('gave no answer (stop)');
});

test('depth 2: a sub-call explores its slice with tools, asks sub-models itself, and those have none', async () => {
  const { run, requests, reports, budget } = play(async (request) => {
    const last = request.messages.at(-1);
    if (request.tools === undefined) return say('a leaf read it');
    if (last?.role === 'user') return callTool('rlm_search', { pattern: 'NEEDLE' });
    if (request.messages.length === 4)
      return callTool('rlm_query', { question: 'deeper?', pattern: 'NEEDLE', context_lines: 0 });
    if (request.messages.length === 6)
      return callTool('rlm_query', { question: 'too deep?', explore: true });
    return say(`explored: ${textOf(request.messages[5])} ${textOf(last)}`);
  });
  const result = await run({ explore: true, entries: ['e2'] });
  const text = JSON.stringify(result);
  expect(text).toContain('a leaf read it');
  expect(text).toContain('gets no tools');
  expect(budget.spent).toMatchObject({ subCalls: 2, depth: 1 });
  expect(reports).toEqual([
    '↳ part 1, 17 characters',
    expect.stringMatching(/^↳↳ searching [\d,]+ characters for "NEEDLE"$/),
    '↳↳ asking a sub-model about the lines around hits',
    '↳↳ part 1, 17 characters',
    expect.stringMatching(/^↳↳ asking a sub-model about [\d,]+ characters$/),
  ]);
  const leaf = requests.find((request) => request.tools === undefined);
  expect(leaf?.messages[1]?.content).toContain('the NEEDLE is 42');
});

test('a sub-call with tools finds nothing outside its slice', async () => {
  const { run } = play(async (request) =>
    request.messages.length === 2
      ? callTool('rlm_search', { pattern: 'NEEDLE' })
      : say(textOf(request.messages.at(-1))),
  );
  const { answers } = await run({ explore: true, entries: ['e1'] });
  expect(toolResult((answers as { answer: string }[])[0]?.answer)).toMatchObject({ total: 0 });
});

test('an abort in the middle of a fan-out ends the running and starts no other', async () => {
  const { run, requests, controller, running } = play(async (_, signal) => {
    const ended = Promise.withResolvers<readonly Chunk[]>();
    signal.addEventListener('abort', () => ended.reject(signal.reason), { once: true });
    return ended.promise;
  });
  const answer = run({ entries: ['e1'] });
  answer.catch(() => undefined);
  while (requests.length < 2) await settle();
  controller.abort(new Error('client gone'));
  await expect(answer).rejects.toThrow('client gone');
  expect(requests.length).toBe(2);
  expect(running()).toBe(0);
});
