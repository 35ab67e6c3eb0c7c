import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { PlainRequest, Message } from '../../src/wire/types.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../property/weave-checks.ts';
import { CliHome } from '../support/cli.ts';
import {
  calling,
  clientTools,
  longText,
  resultOf,
  systemFor,
  user,
  outputRequest,
} from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  chunk,
  done,
  finish,
  reasoning,
  reply,
  role,
  startScriptedUpstream,
  status,
  text,
  toolCall,
} from '../support/scripted-upstream.ts';

/** Behaviours of the whole that no other test shows: what a request keeps, what a step that fails or is cut becomes, what is logged. */

const directory = '/projects/audit';

/** A conversation that has a stored text, so that our tools are offered. */
const active = outputRequest(longText(20_000), directory);

describe('with our tools in a request', () => {
  it.each<Partial<PlainRequest>>([
    { tool_choice: { type: 'function', function: { name: 'bash' } } },
    { tool_choice: 'none' },
    { tool_choice: 'required', parallel_tool_calls: false },
    { prompt_cache_key: 'my-project', user: 'me', logprobs: true, top_logprobs: 2 },
    { temperature: 0, max_tokens: 7, reasoning_effort: 'low', seed: 3 },
  ])('everything else is as the client sent it: %j', async (more) => {
    await using upstream = await startScriptedUpstream();
    upstream.otherwise(answer('ok'));
    await using proxy = await startProxy({ upstream });
    await proxy.ask({ ...active, ...more });
    const { body } = upstream.requests[0]!;
    expect(body).toMatchObject(more);
    const names = body.tools?.map((tool) => tool.function?.name) ?? [];
    expect(names.slice(0, 2)).toEqual(['bash', 'read']);
    expect(names.slice(2).every((name) => name?.startsWith('rlm_'))).toBe(true);
    expect(new Set(names).size).toBe(names.length);
    expect(body.tools?.slice(0, 2)).toEqual(clientTools);
  });

  it('a hidden call that the length limit has cut is not run', async () => {
    await using upstream = await startScriptedUpstream();
    upstream.otherwise(
      reply(role(), text('So '), toolCall('rlm_find', '{"text":"qui'), finish('length'), done()),
    );
    await using proxy = await startProxy({ upstream });
    const { message, finishReason } = await proxy.ask(active);
    expect(finishReason).toBe('length');
    expect(message.content).toBe('So ');
    expect(message.tool_calls).toBeUndefined();
    expect(upstream.requests).toHaveLength(1);
  });

  it.each([true, false])(
    'a failure in a later step is a failure (streaming %s)',
    async (stream) => {
      await using upstream = await startScriptedUpstream();
      upstream.script(
        reply(role(), text('Wait. '), toolCall('rlm_stats', '{}'), finish('tool_calls'), done()),
        status(400, { error: { message: 'no more of this', code: 'odd' } }),
      );
      await using proxy = await startProxy({ upstream });
      const response = await proxy.post({ model: 'm', stream, ...active });
      const body = await response.text();
      expect(response.status).toBe(stream ? 200 : 400);
      expect(body).toContain('no more of this');
      expect(body).toContain('"error"');
      expect(body).not.toContain('"finish_reason":"stop"');
      expect(upstream.requests).toHaveLength(2);
    },
  );

  it('every tool answers the smallest arguments that its schema allows', async () => {
    await using upstream = await startScriptedUpstream();
    await using proxy = await startProxy({ upstream });
    upstream.script((request) => {
      const ours = (request.body.tools ?? []).slice(clientTools.length);
      return callTools(
        ...ours.map(({ function: tool }, index) => ({
          name: tool?.name ?? '',
          args: smallest(tool?.parameters as Schema),
          id: `own_${index}`,
        })),
      );
    });
    upstream.otherwise(answer('ok'));
    const { message } = await proxy.ask(active);
    expect(message.content).toBe('ok');
    const told = (upstream.requests.at(-1)?.body.messages ?? []).slice(active.messages.length + 1);
    expect(told.map(({ tool_call_id: id }) => id)).toEqual(told.map((_, index) => `own_${index}`));
    expect(told).toHaveLength(6);
    for (const { content } of told) {
      expect(content).not.toBe('');
      expect(content).not.toMatch(/do not fit|could not be run/);
    }
  });
});

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/** What has to be there and no more. */
function smallest({ properties = {}, required = [] }: Schema): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    required.map((name) => [name, properties[name]?.type === 'string' ? 'quick' : 1]),
  );
}

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

it('D3: a history that does not fit leaves no tool message without its call', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
  await using proxy = await startProxy({
    upstream,
    env: { RLM_UPSTREAM_CONTEXT_WINDOW: '32000' },
  });
  const messages: Message[] = [systemFor(directory)];
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

it('a change of the model keeps hidden steps, without the reasoning that the other provider refuses', async () => {
  await using upstream = await startScriptedUpstream();
  const folder = await mkdtemp(join(tmpdir(), 'rlm-audit-'));
  try {
    const file = join(folder, 'config.jsonc');
    const provider = { baseURL: upstream.baseURL, models: ['one'] };
    await writeFile(
      file,
      JSON.stringify({
        providers: { first: provider, second: { ...provider, profile: 'groq' } },
        defaultModel: 'first.one',
      }),
    );
    await using proxy = await startProxy({ env: { RLM_CONFIG: file } });
    upstream.script(
      reply(
        role(),
        reasoning('thinking'),
        toolCall('rlm_stats', '{ }', { id: 'own' }),
        finish('tool_calls'),
        done(),
      ),
    );
    upstream.otherwise(answer('ok'));
    const first = await proxy.ask(active);
    const ask = async (model: string, question: string): Promise<readonly Message[]> => {
      const messages = [...active.messages, first.message, user(question)];
      const response = await proxy.post({ model, ...active, messages });
      expect(response.status).toBe(200);
      return upstream.requests.at(-1)?.body.messages ?? [];
    };
    const before = upstream.requests.at(-1)?.body.messages ?? [];
    const there = await ask('second.one', 'and there?');
    expectWellFormed(there);
    expect(there.flatMap(({ tool_calls: calls = [] }) => calls.map(({ id }) => id))).toContain(
      'own',
    );
    expect(JSON.stringify(there)).not.toContain('thinking');
    const back = await ask('first.one', 'and here?');
    expectPrefix(back, bytesOf(before));
    expect(JSON.stringify(back)).toContain('thinking');
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('neither text nor key is logged, however much is told, while our tools run', async () => {
  await using upstream = await startScriptedUpstream();
  upstream.script(
    callTools({ name: 'rlm_find', args: { text: 'hush-query' } }),
    answer('hush-answer'),
    status(400, { error: { message: 'hush-refusal' } }),
  );
  using home = new CliHome();
  const { url, child, result } = await home.serve({
    RLM_LOG_LEVEL: 'debug',
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_API_KEY: 'hush-key',
  });
  const ask = async (content: string): Promise<string> => {
    const messages = [...active.messages.slice(0, 3), resultOf('call_1', content)];
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer hush-client' },
      body: JSON.stringify({ model: 'm', tools: clientTools, messages }),
    });
    return response.text();
  };
  expect(await ask(longText(20_000, 'hush-text'))).toContain('hush-answer');
  expect(await ask(longText(20_000, 'hush-other'))).toContain('hush-refusal');
  child.kill('SIGTERM');
  const { stderr } = await result;
  expect(stderr).toContain('"steps":2');
  expect(stderr).not.toMatch(/hush-|quick brown fox/);
});

it('the commands that the README shows for curl do what it says', async () => {
  const readme = await readFile(resolve(import.meta.dirname, '../../README.md'), 'utf8');
  const shown = /^curl -N [\s\S]*?'$/m.exec(readme.replaceAll('\\\n', ''))?.[0] ?? '';
  await using proxy = await startProxy();
  const stored = `${longText(20_000)}\n12:00 deadlock between worker 3 and 4\n${longText(5_000)}`;
  const there = { 'x-rlm-directory': '/home/me/project' };
  await proxy.ask(
    { messages: [...active.messages.slice(1, 3), resultOf('call_1', stored)] },
    there,
  );
  const run = async (command: string): Promise<string> => {
    const args = ['-c', command.replaceAll('http://127.0.0.1:8768', proxy.origin)];
    return (await promisify(execFile)('sh', args)).stdout;
  };
  const streamed = await run(shown);
  const pieces = streamed
    .split('\n\n')
    .filter((frame) => frame.startsWith('data: {'))
    .map((frame) => JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] });
  expect(pieces.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toContain(
    '12:00 deadlock between worker 3 and 4',
  );
  expect(streamed.trimEnd().endsWith('data: [DONE]')).toBe(true);
  const whole = await run(shown.replace('"stream": true,', ''));
  expect(JSON.parse(whole)).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { content: expect.stringContaining('12:00 deadlock') } }],
  });
});
