import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PlainRequest, Message } from '../../src/wire/types.ts';
import { bytesOf, expectPrefix, expectWellFormed } from '../property/weave-checks.ts';
import { clientTools, longText, outputRequest, user } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
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

/** A conversation that has a stored text, so that our tools are offered. */
const active = outputRequest(longText(20_000));

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

it('a change of the model keeps hidden steps, without the reasoning that the other provider refuses', async () => {
  await using upstream = await startScriptedUpstream();
  const folder = await mkdtemp(join(tmpdir(), 'rlm-models-'));
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
