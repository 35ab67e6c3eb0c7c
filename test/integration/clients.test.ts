import { OpenAI } from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Message } from '../../src/wire/types.ts';
import { generateWithAiSdk, streamWithAiSdk } from '../support/ai-sdk.js';
import { scanEndpoint } from '../support/compatcanary.js';
import { loopWithLangChain } from '../support/langchain.js';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reasoning,
  reply,
  role,
  type ScriptedUpstream,
  scriptedUsage,
  startScriptedUpstream,
  text,
  toolCall,
  usage,
} from '../support/scripted-upstream.ts';

/**
 * The loops of real client libraries through the proxy: the model first uses one of our tools,
 * which no client may notice, then one of the client's, then both in one turn, then it answers.
 */
let scripted: ScriptedUpstream;
let proxy: TestProxy;
let headers: Readonly<Record<string, string>>;
let count = 0;

beforeAll(async () => {
  scripted = await startScriptedUpstream();
  const env = { RLM_INJECT: 'always', RLM_PROGRESS: 'off' };
  proxy = await startProxy({ upstream: scripted, env });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await scripted[Symbol.asyncDispose]();
});
beforeEach(() => {
  // A project of its own for each test: nothing is remembered from the one before.
  count += 1;
  headers = { 'x-rlm-directory': `/work/weather-${count}` };
  scripted.requests.length = 0;
});

const model = 'rlm-internal.rlm-core-v1';
const parameters = { type: 'object', properties: { city: { type: 'string' } } };
const prompt = 'Is it warm?';

function play(): void {
  scripted.script(
    callTools({ name: 'rlm_stats', args: {}, id: 'hidden_1' }),
    reply(
      reasoning('hm'),
      role(),
      text('I look. '),
      toolCall('weather', '{ "city": "Wien" }', { id: 'call_1' }),
      finish('tool_calls'),
      usage(),
      done(),
    ),
    callTools(
      { name: 'weather', args: { city: 'Rom' }, id: 'call_2' },
      { name: 'rlm_stats', args: {}, id: 'hidden_2' },
    ),
    answer('Both are warm.'),
  );
}

/** The client's tool, which remembers what it was asked. */
function weather(): {
  readonly asked: unknown[];
  readonly run: (input: { city: string }) => Promise<string>;
} {
  const asked: unknown[] = [];
  return {
    asked,
    run: async (input) => {
      asked.push(input.city);
      return `${input.city}: warm`;
    },
  };
}

/**
 * The last request must hold every step, ours and the client's, each call answered right after its
 * message.
 */
function expectWholeHistory(): void {
  expect(scripted.requests.length).toBe(4);
  const { messages, tools } = scripted.requests[3]!.body;
  const history = messages.slice(messages.findIndex((message) => message.role === 'user'));
  expect(history.map((message) => outline(message))).toEqual([
    'user',
    'hidden_1',
    '=hidden_1',
    'call_1',
    '=call_1',
    'call_2 hidden_2',
    '=call_2',
    '=hidden_2',
  ]);
  // Byte for byte as the model wrote it, though clients write arguments anew and drop the
  // reasoning.
  expect(history[3]).toMatchObject({ content: 'I look. ', reasoning_content: 'hm' });
  expect(history[3]?.tool_calls?.[0]?.function?.arguments).toBe('{ "city": "Wien" }');
  expect(history[4]?.content).toBe('Wien: warm');
  expect(tools?.[0]?.function?.name).toBe('weather');
  // Each request begins with the one before it.
  const bodies = scripted.requests.map((request) =>
    JSON.stringify(request.body.messages).slice(0, -1),
  );
  for (let n = 1; n < bodies.length; n += 1)
    expect(bodies[n]?.startsWith(bodies[n - 1]!)).toBe(true);
}

function outline(message: Message): string {
  if (message.role === 'tool') return `=${message.tool_call_id}`;
  const calls = message.tool_calls?.map((call) => call.id) ?? [];
  return calls.length === 0 ? message.role : calls.join(' ');
}

describe('openai', () => {
  const client = (): OpenAI =>
    new OpenAI({ baseURL: proxy.baseURL, apiKey: 'any', maxRetries: 0, defaultHeaders: headers });
  const messages = [{ role: 'user' as const, content: prompt }];
  const runnable = (run: (input: { city: string }) => Promise<string>) => [
    {
      type: 'function' as const,
      function: {
        name: 'weather',
        description: 'The weather of a city.',
        parameters,
        parse: (json: string) => JSON.parse(json) as { city: string },
        function: run,
      },
    },
  ];

  it('runs its tools', async () => {
    play();
    const { asked, run } = weather();
    const runner = client().chat.completions.runTools({ model, messages, tools: runnable(run) });
    expect(await runner.finalContent()).toBe('Both are warm.');
    expect(asked).toEqual(['Wien', 'Rom']);
    expectWholeHistory();
  });

  it('runs its tools in a stream', async () => {
    play();
    const { asked, run } = weather();
    const runner = client().chat.completions.runTools({
      model,
      messages,
      stream: true,
      tools: runnable(run),
    });
    let shown = '';
    runner.on('content', (piece) => {
      shown += piece;
    });
    expect(await runner.finalContent()).toBe('Both are warm.');
    expect(shown).toBe('I look. Both are warm.');
    expect(asked).toEqual(['Wien', 'Rom']);
    expectWholeHistory();
  });

  it('lists the models and finds one', async () => {
    const page = await client().models.list();
    expect(page.data.map((one) => one.id)).toContain(model);
    expect((await client().models.retrieve(model)).object).toBe('model');
  });
});

describe('the AI SDK', () => {
  const asked = (run: (input: { city: string }) => Promise<string>) => ({
    baseURL: proxy.baseURL,
    model,
    prompt,
    headers,
    maxSteps: 5,
    tools: { weather: { description: 'The weather of a city.', parameters, execute: run } },
  });

  it('takes several steps in a stream', async () => {
    play();
    const tool = weather();
    let shown = '';
    for await (const part of streamWithAiSdk(asked(tool.run))) {
      if (part.type === 'text-delta') shown += part.text;
      expect(part.type).not.toBe('error');
    }
    expect(shown).toBe('I look. Both are warm.');
    expect(tool.asked).toEqual(['Wien', 'Rom']);
    expectWholeHistory();
  });

  it('takes several steps', async () => {
    play();
    const tool = weather();
    const { text: last, steps, usage: counts } = await generateWithAiSdk(asked(tool.run));
    // The SDK sums over its steps; of ours each turn reports only the last.
    const sum = 3 * scriptedUsage.prompt_tokens;
    expect([last, steps.length, counts.inputTokens]).toEqual(['Both are warm.', 3, sum]);
    expect(tool.asked).toEqual(['Wien', 'Rom']);
    expectWholeHistory();
  });
});

describe.each([true, false])('LangChain, streaming %s', (streaming) => {
  it('loops until no tool is called', async () => {
    play();
    const tool = weather();
    const outcome = await loopWithLangChain(
      {
        baseURL: proxy.baseURL,
        model,
        prompt,
        headers,
        tools: {
          weather: { description: 'The weather of a city.', parameters, execute: tool.run },
        },
      },
      streaming,
    );
    expect(outcome).toEqual({
      text: 'Both are warm.',
      turns: 3,
      finish: 'stop',
      promptTokens: scriptedUsage.prompt_tokens,
    });
    expect(tool.asked).toEqual(['Wien', 'Rom']);
    expectWholeHistory();
  });
});

it('passes CompatCanary', async () => {
  scripted.otherwise(({ body }) => {
    if (body.tools?.some((tool) => tool.function?.name.startsWith('compat'))) {
      const { name } = body.tools[0]!.function!;
      return callTools({ name, args: { value: 'ok' } });
    }
    return answer(body['response_format'] === undefined ? 'ok' : '{"status":"ok"}');
  });
  const report = await scanEndpoint({ baseUrl: proxy.baseURL, model, profile: 'chat' });
  expect(report.results.map(({ name, status }) => `${name}: ${status}`)).toEqual(
    report.results.map(({ name }) => `${name}: pass`),
  );
  expect(report).toMatchObject({ score: 100, compatible: true });
  expect(report.results.length).toBe(5);
});
