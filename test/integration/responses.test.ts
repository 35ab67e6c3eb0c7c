import { OpenAI } from 'openai';
import type { ResponseInputItem, Tool } from 'openai/resources/responses/responses';
import { describe, expect, it } from 'vitest';
import { longText } from '../support/conversation.ts';
import { startPair, startProxy, type TestProxy } from '../support/proxy.ts';
import { readResponseEvents } from '../support/response-events.ts';
import {
  answer,
  callTools,
  done,
  finish,
  reasoning,
  reply,
  role,
  startScriptedUpstream,
  text,
  toolCall,
  usage,
} from '../support/scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';

const bash: Tool = {
  type: 'function',
  name: 'bash',
  description: 'runs a command',
  strict: false,
  parameters: { type: 'object', properties: { command: { type: 'string' } } },
};

function clientOf({ baseURL }: TestProxy): OpenAI {
  return new OpenAI({ baseURL, apiKey: 'k', maxRetries: 0 });
}

/** Posts a request and reads its stream. */
async function stream(
  { baseURL }: TestProxy,
  request: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<ReturnType<typeof readResponseEvents>> {
  const response = await fetch(`${baseURL}/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, stream: true, ...request }),
  });
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${body}`);
  return readResponseEvents(body);
}

/** What Codex sends with every request. */
const codex = (thread: string): Record<string, string> => ({
  'session-id': thread,
  'thread-id': thread,
  originator: 'codex_exec',
  'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64)',
});

function environment(directory: string): ResponseInputItem {
  const words = `<environment_context>\n  <cwd>${directory}</cwd>\n  <shell>bash</shell>\n</environment_context>`;
  return { type: 'message', role: 'user', content: [{ type: 'input_text', text: words }] };
}

function says(words: string): ResponseInputItem {
  return { type: 'message', role: 'user', content: [{ type: 'input_text', text: words }] };
}

const thinkAndCall = reply(
  role(),
  reasoning('Hm. '),
  reasoning('So.'),
  text('I shall look'),
  text(' into it.'),
  toolCall('bash', { command: 'ls' }, { id: 'call_a' }),
  toolCall('bash', { command: 'pwd' }, { id: 'call_b', index: 1 }),
  finish('tool_calls'),
  usage(),
  done(),
);

describe('the SDK', () => {
  it('gets a whole answer, with its usage', async () => {
    await using pair = await startPair();
    pair.upstream.script(answer('Hello there.'));
    const response = await clientOf(pair.proxy).responses.create({ model, input: 'hi' });
    expect(response.output_text).toBe('Hello there.');
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      usage: { input_tokens: 1_000, output_tokens: 20, total_tokens: 1_020 },
    });
    expect(response.usage?.input_tokens_details.cached_tokens).toBe(900);
    expect(pair.upstream.requests[0]?.body.messages).toEqual([{ role: 'user', content: 'hi' }]);
  });

  it('gets the same answer streamed, by its helper', async () => {
    await using pair = await startPair();
    pair.upstream.script(thinkAndCall);
    const events: string[] = [];
    const helper = clientOf(pair.proxy)
      .responses.stream({ model, input: 'hi', tools: [bash] })
      .on('event', ({ type }) => events.push(type));
    const response = await helper.finalResponse();
    expect(response.output.map((item) => item.type)).toEqual([
      'reasoning',
      'message',
      'function_call',
      'function_call',
    ]);
    expect(response.output_text).toBe('I shall look into it.');
    expect(response.output[3]).toMatchObject({ call_id: 'call_b', arguments: '{"command":"pwd"}' });
    expect(events.slice(0, 2)).toEqual(['response.created', 'response.in_progress']);
    expect(events.at(-1)).toBe('response.completed');
  });

  it('goes through a loop of tools, and each turn begins with the bytes of the one before', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.script(
      thinkAndCall,
      callTools({ name: 'bash', args: {}, id: 'call_c' }),
      answer('ok'),
    );
    const client = clientOf(proxy);
    const input: ResponseInputItem[] = [says('what is here?')];
    for (let turn = 0; turn < 3; turn += 1) {
      const { output } = await client.responses.create({
        model,
        input,
        instructions: 'Be short.',
        tools: [bash],
      });
      input.push(...(output as ResponseInputItem[]));
      for (const item of output)
        if (item.type === 'function_call')
          input.push({ type: 'function_call_output', call_id: item.call_id, output: 'a\nb' });
    }
    const [first, second, third] = upstream.requests.map(({ body }) => body.messages);
    expect(second).toEqual([
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'what is here?' },
      {
        role: 'assistant',
        content: 'I shall look into it.',
        reasoning_content: 'Hm. So.',
        tool_calls: [
          {
            id: 'call_a',
            type: 'function',
            function: { name: 'bash', arguments: '{"command":"ls"}' },
          },
          {
            id: 'call_b',
            type: 'function',
            function: { name: 'bash', arguments: '{"command":"pwd"}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'call_a', content: 'a\nb' },
      { role: 'tool', tool_call_id: 'call_b', content: 'a\nb' },
    ]);
    expect(second?.slice(0, 2)).toEqual(first);
    expect(third?.slice(0, 5)).toEqual(second);
    const bytes = upstream.requests.map(({ rawBody }) => rawBody.toString().slice(0, -2));
    expect(bytes[2]?.startsWith(bytes[1] ?? '?')).toBe(true);
    // The history is known by its bytes and not parsed again.
    expect((await proxy.health()).parsedMessages).toBe(2 + 3 + 2);
  });
});

describe('the memory', () => {
  it('a large output becomes a stub, the hidden loop runs, and a new process knows it all', async () => {
    await using upstream = await startScriptedUpstream();
    const needle = 'token-7f3a-π🙂';
    upstream.script(
      callTools({ name: 'bash', args: { command: 'make' }, id: 'call_make' }),
      callTools({ name: 'rlm_find', args: { text: needle }, id: 'own' }),
      reply(role(), text('It is there.'), finish(), usage(), done()),
      answer('Still there.'),
    );
    let proxy = await startProxy({ upstream });
    const input: unknown[] = [environment('/work/one'), says('build it')];
    const first = await stream(proxy, { input, tools: [bash] }, codex('thread-1'));
    input.push(...first.response.output, {
      type: 'function_call_output',
      call_id: 'call_make',
      output: `${longText(10_000)}\n${needle}\n${longText(10_000)}`,
    });
    const second = await stream(proxy, { input, tools: [bash] }, codex('thread-1'));
    expect(JSON.stringify(second.response.output)).toContain('It is there.');
    expect(JSON.stringify(second.events)).not.toContain('"name":"rlm_find"');
    const sent = upstream.requests[1]?.body.messages ?? [];
    expect(JSON.stringify(sent)).not.toContain(needle);
    expect(upstream.requests[1]?.body.tools?.map((tool) => tool.function?.name)).toContain(
      'rlm_find',
    );
    expect(JSON.stringify(upstream.requests[2]?.body.messages)).toContain(needle);

    input.push(...second.response.output, says('sure?'));
    proxy = await proxy.restart();
    try {
      await stream(proxy, { input, tools: [bash] }, codex('thread-1'));
      const [before, after] = [upstream.requests[2]!, upstream.requests[3]!];
      expect(after.body.messages.slice(0, before.body.messages.length)).toEqual(
        before.body.messages,
      );
    } finally {
      await proxy[Symbol.asyncDispose]();
    }
  });
});
