import { Anthropic } from '@anthropic-ai/sdk';
import type {
  ContentBlockParam,
  MessageParam,
  Tool,
  ToolUseBlock,
} from '@anthropic-ai/sdk/resources/messages';
import { describe, expect, it } from 'vitest';
import { longText } from '../support/conversation.ts';
import { readMessageEvents } from '../support/message-events.ts';
import { startPair, startProxy, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  callTools,
  chunk,
  cut,
  done,
  finish,
  Gate,
  reasoning,
  reply,
  role,
  stall,
  startScriptedUpstream,
  status,
  text,
  thinksAndCalls,
  toolCall,
  toolDelta,
  usage,
  withHead,
} from '../support/scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';

const bash: Tool = {
  name: 'Bash',
  description: 'runs a command',
  input_schema: { type: 'object', properties: { command: { type: 'string' } } },
};

const common = { model, max_tokens: 8_000, tools: [bash] };
const thinking = { type: 'adaptive' } as const;

function clientOf({ origin }: TestProxy): Anthropic {
  return new Anthropic({ baseURL: origin, apiKey: 'k', maxRetries: 0 });
}

async function post(
  { baseURL }: TestProxy,
  request: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${baseURL}/messages?beta=true`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      ...headers,
    },
    body: JSON.stringify({ ...common, ...request }),
  });
}

/** Posts a request and reads its stream. */
async function stream(
  proxy: TestProxy,
  request: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<ReturnType<typeof readMessageEvents>> {
  const response = await post(proxy, { stream: true, thinking, ...request }, headers);
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${body}`);
  return readMessageEvents(body);
}

/** What Claude Code sends with every request. */
const claude = (session: string, agent?: string): Record<string, string> => ({
  'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)',
  'x-claude-code-session-id': session,
  ...(agent === undefined ? {} : { 'x-claude-code-agent-id': agent }),
  'anthropic-beta':
    'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27',
  'x-api-key': 'rlm-local',
});

const cached = { cache_control: { type: 'ephemeral' } };

/** Its members beside the conversation. */
function claudeMembers(session: string): object {
  return {
    system: [
      { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.332.0b8;' },
      { type: 'text', text: 'You are a Claude agent.', ...cached },
      { type: 'text', text: '\nYou are an agent working with the user.', ...cached },
    ],
    metadata: {
      user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: session }),
    },
    thinking: { type: 'adaptive', display: 'omitted' },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    output_config: { effort: 'high' },
    safeguards: [{ type: 'dangerous_tool_use', live_cwd: '/work/one' }],
    tools: [bash, { name: 'DeferredToolPlaceholder', input_schema: {}, defer_loading: true }],
  };
}

/** How its conversations begin: with a model whose name it does not know. */
function claudeBegins(directory: string, words: string): MessageParam[] {
  const environment = `# Environment\nYou have been invoked in the following environment: \n - Primary working directory: ${directory}\n - Is a git repository: false`;
  return [
    { role: 'user', content: words },
    { role: 'system', content: [{ type: 'text', text: environment }] } as never,
  ];
}

function result(id: string, content: unknown, more: object = {}): MessageParam {
  const block = { type: 'tool_result', tool_use_id: id, content, ...more };
  return { role: 'user', content: [block as ContentBlockParam] };
}

const thinkAndCall = thinksAndCalls('Bash');

describe('the SDK', () => {
  it('gets a whole answer, with its usage', async () => {
    await using pair = await startPair();
    pair.upstream.script(answer('Hello there.'));
    const { data: message, response } = await clientOf(pair.proxy)
      .messages.create({ ...common, messages: [{ role: 'user', content: 'hi' }] })
      .withResponse();
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      model,
      content: [{ type: 'text', text: 'Hello there.' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: {
        input_tokens: 100,
        cache_read_input_tokens: 900,
        cache_creation_input_tokens: 0,
        output_tokens: 20,
      },
    });
    expect(response.headers.get('request-id')).toBe(response.headers.get('x-request-id'));
    expect(pair.upstream.requests[0]?.body.messages).toEqual([{ role: 'user', content: 'hi' }]);
  });

  it('gets the same answer streamed, by its helper', async () => {
    await using pair = await startPair();
    pair.upstream.script(thinkAndCall);
    const events: string[] = [];
    const helper = clientOf(pair.proxy)
      .messages.stream({ ...common, thinking, messages: [{ role: 'user', content: 'hi' }] })
      .on('streamEvent', ({ type }) => events.push(type));
    const message = await helper.finalMessage();
    expect(message).toMatchObject({
      content: [
        { type: 'thinking', thinking: 'Hm. So.' },
        { type: 'text', text: 'I shall look into it.' },
        { type: 'tool_use', id: 'call_a', name: 'Bash', input: { command: 'ls' } },
        { type: 'tool_use', id: 'call_b', name: 'Bash', input: { command: 'pwd' } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 100, cache_read_input_tokens: 900, output_tokens: 20 },
    });
    expect(events[0]).toBe('message_start');
    expect(events.slice(-2)).toEqual(['message_delta', 'message_stop']);
  });

  it('gets no thinking that it has not asked for', async () => {
    await using pair = await startPair();
    pair.upstream.script(reply(role(), reasoning('Hm.'), text('Hello'), finish(), usage(), done()));
    const { content } = await clientOf(pair.proxy).messages.create({
      ...common,
      messages: [{ role: 'user', content: 'hi' }],
    });
    expect(content).toEqual([{ type: 'text', text: 'Hello' }]);
  });

  it('goes through a loop of tools, and each turn begins with the bytes of the one before', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.script(
      thinkAndCall,
      callTools({ name: 'Bash', args: {}, id: 'call_c' }),
      answer('ok'),
    );
    const client = clientOf(proxy);
    const messages: MessageParam[] = [{ role: 'user', content: 'what is here?' }];
    for (let turn = 0; turn < 3; turn += 1) {
      const { content } = await client.messages.create({
        ...common,
        thinking,
        system: 'Be short.',
        messages,
      });
      messages.push({ role: 'assistant', content: content as ContentBlockParam[] });
      const calls = content.filter((block): block is ToolUseBlock => block.type === 'tool_use');
      // In the order in which they were done.
      const results = calls.toReversed().map(({ id }) => result(id, 'a\nb').content[0]);
      messages.push({ role: 'user', content: results as ContentBlockParam[] });
    }
    const [first, second, third] = upstream.requests.map(({ body }) => body.messages);
    expect(second).toEqual([
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'what is here?' },
      {
        role: 'assistant',
        content: 'I shall look into it.',
        reasoning_content: 'Hm. So.',
        tool_calls: ['ls', 'pwd'].map((command, at) => ({
          id: at === 0 ? 'call_a' : 'call_b',
          type: 'function',
          function: { name: 'Bash', arguments: JSON.stringify({ command }) },
        })),
      },
      { role: 'tool', tool_call_id: 'call_b', content: 'a\nb' },
      { role: 'tool', tool_call_id: 'call_a', content: 'a\nb' },
    ]);
    expect(second?.slice(0, 2)).toEqual(first);
    expect(third?.slice(0, 5)).toEqual(second);
    const bytes = upstream.requests.map(({ rawBody }) => rawBody.toString().slice(0, -2));
    expect(bytes[2]?.startsWith(bytes[1] ?? '?')).toBe(true);
    // The history is known by its bytes and not parsed again.
    expect((await proxy.health()).parsedMessages).toBe(2 + 3 + 2);
  });

  it('counts tokens: of everything, as the model’s provider has counted before', async () => {
    await using pair = await startPair();
    const client = clientOf(pair.proxy);
    const { max_tokens: _, ...members } = common;
    const counted = async (words: string, more: object = {}): Promise<number> => {
      const messages = [{ role: 'user' as const, content: words }];
      return (await client.messages.countTokens({ ...members, messages, ...more })).input_tokens;
    };
    const small = await counted('foo');
    expect(small).toBeGreaterThan(20);
    expect(await counted('foo', { system: longText(3_600) })).toBeGreaterThan(small + 800);
    const words = longText(40_000);
    const before = await counted(words);
    expect(before).toBeGreaterThan(10_000);
    expect(pair.upstream.requests).toEqual([]);
    const dear = { prompt_tokens: 7_000, completion_tokens: 1, total_tokens: 7_001 };
    pair.upstream.otherwise(reply(role(), text('ok'), finish(), usage(dear), done()));
    for (let turn = 0; turn < 3; turn += 1)
      await client.messages.create({
        ...common,
        tools: [],
        messages: [{ role: 'user', content: `${turn}${'many words '.repeat(800)}` }],
      });
    expect(await counted(words)).toBeGreaterThan(before);
  });

  it('sees the models as its types have them', async () => {
    await using pair = await startPair();
    const client = clientOf(pair.proxy);
    const ids: string[] = [];
    for await (const { id, type, display_name: name, created_at: at } of client.models.list()) {
      expect([type, name, Number.isNaN(Date.parse(at))]).toEqual(['model', id, false]);
      ids.push(id);
    }
    expect(ids).toContain(model);
    expect((await client.models.retrieve(model)).display_name).toBe(model);
  });
});

describe('what Claude Code sends', () => {
  it('goes up as a chat completion: no member too many, and nothing of its billing', async () => {
    await using pair = await startPair();
    pair.upstream.script(answer('hi'));
    const messages = claudeBegins('/work/one', 'say hi');
    await stream(pair.proxy, { ...claudeMembers('s1'), messages }, claude('s1'));
    const { stream: _, stream_options: __, model: ___, ...sent } = pair.upstream.requests[0]!.body;
    expect(sent).toEqual({
      tools: [
        {
          type: 'function',
          function: {
            name: 'Bash',
            description: 'runs a command',
            parameters: bash.input_schema,
          },
        },
      ],
      max_tokens: 8_000,
      messages: [
        {
          role: 'system',
          content: 'You are a Claude agent.\n\n\nYou are an agent working with the user.',
        },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'say hi' },
            {
              type: 'text',
              text: '<system-reminder>\n# Environment\nYou have been invoked in the following environment: \n - Primary working directory: /work/one\n - Is a git repository: false\n</system-reminder>',
            },
          ],
        },
      ],
    });
  });

  it('is the same bytes wherever it marks what is to be cached', async () => {
    await using pair = await startPair();
    pair.upstream.otherwise(answer('hi'));
    const marked = { type: 'text' as const, text: 'say hi', ...cached } as ContentBlockParam;
    const before: MessageParam[] = [{ role: 'user', content: [marked] }];
    const after: MessageParam[] = [
      { role: 'user', content: 'say hi' },
      { role: 'assistant', content: [{ type: 'text', text: 'hi' }] },
      { role: 'user', content: [{ type: 'text', text: 'again', ...cached } as ContentBlockParam] },
    ];
    await stream(pair.proxy, { messages: before }, claude('s1'));
    await stream(pair.proxy, { messages: after }, claude('s1'));
    const [first, second] = pair.upstream.requests.map(({ rawBody }) => rawBody.toString());
    expect(second?.startsWith(first?.slice(0, -2) ?? '?')).toBe(true);
  });

  it('a file that was read becomes a stub, the hidden loop runs, and a new process knows it all', async () => {
    await using upstream = await startScriptedUpstream();
    const needle = 'token-7f3a-π🙂';
    upstream.script(
      callTools({ name: 'Read', args: { file_path: '/work/one/a.log' }, id: 'toolu_read' }),
      callTools({ name: 'rlm_find', args: { text: needle }, id: 'own' }),
      reply(role(), text('It is there.'), finish(), usage(), done()),
      answer('Still there.'),
    );
    let proxy = await startProxy({ upstream });
    const members = { ...claudeMembers('s1'), tools: [bash, { ...bash, name: 'Read' }] };
    const messages = claudeBegins('/work/one', 'what is in a.log?');
    const ask = async (): Promise<ReturnType<typeof readMessageEvents>> => {
      const read = await stream(proxy, { ...members, messages }, claude('s1'));
      messages.push({ role: 'assistant', content: read.message.content as ContentBlockParam[] });
      return read;
    };
    await ask();
    const output = `${longText(15_000)}\n${needle}\n${longText(15_000)}`;
    messages.push(result('toolu_read', [{ type: 'text', text: output }]));
    const { message, events } = await ask();
    const told = message.content.map((block) => (block.type === 'text' ? block.text : ''));
    expect(told.join('')).toContain('It is there.');
    expect(JSON.stringify(events)).not.toContain('"name":"rlm_find"');
    expect(message.content.some((block) => block.type === 'thinking')).toBe(true);
    const sent = upstream.requests[1]!.body;
    expect(JSON.stringify(sent.messages)).not.toContain(needle);
    expect(sent.tools?.map((tool) => tool.function?.name)).toContain('rlm_find');
    expect(JSON.stringify(upstream.requests[2]?.body.messages)).toContain(needle);

    messages.push({ role: 'user', content: 'sure?' });
    proxy = await proxy.restart();
    try {
      await ask();
      const [before, after] = [upstream.requests[2]!, upstream.requests[3]!];
      expect(after.body.messages.slice(0, before.body.messages.length)).toEqual(
        before.body.messages,
      );
    } finally {
      await proxy[Symbol.asyncDispose]();
    }
  });

  it('shows its project: two never mix, and a subagent has its own conversation in it', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('ok'));
    const ask = async (
      directory: string,
      { session, agent, output }: { session: string; agent?: string; output?: string },
    ): Promise<void> => {
      const messages = claudeBegins(directory, 'hi');
      if (output !== undefined)
        messages.push(
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 'c', name: 'Bash', input: {} }],
          },
          result('c', output),
        );
      await stream(proxy, { ...claudeMembers(session), messages }, claude(session, agent));
    };
    await ask('/work/one', { session: 's1', output: `of one ${longText(20_000)}` });
    await ask('/work/two', { session: 's2' });
    await ask('/work/one', { session: 's3' });
    await ask('/work/one', { session: 's1', agent: 'a1' });
    const offered = upstream.requests.map(({ body }) =>
      (body.tools ?? []).some((tool) => tool.function?.name.startsWith('rlm_')),
    );
    expect(offered).toEqual([true, false, true, true]);
    const named = upstream.requests.map(({ headers }) => headers['x-session-id']);
    expect(named).toEqual(['s1', 's2', 's3', 's1/a1']);
  });

  it.each([
    ['its own', JSON.stringify({ device_id: 'd', session_id: 'from-body' }), 'from-body'],
    [
      'that of earlier versions',
      'user_d_account__session_219b8bd0-b44b-4f83-951c-43b6376c6d4d',
      '219b8bd0-b44b-4f83-951c-43b6376c6d4d',
    ],
    ['a user’s of another program', 'user-17', undefined],
  ])(
    'names its conversation in `user_id` where a gateway has taken its header away: %s',
    async (_, userId, named) => {
      await using pair = await startPair();
      pair.upstream.otherwise(answer('ok'));
      const messages = claudeBegins('/work/gateway', 'hi');
      const asked = { ...claudeMembers('s'), metadata: { user_id: userId }, messages };
      const userAgent = { 'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)' };
      await stream(pair.proxy, asked, userAgent);
      expect(pair.upstream.requests[0]?.headers['x-session-id']).toBe(named);
    },
  );

  it('has its tools when it has looked for them, and what was offered stays the beginning', async () => {
    await using pair = await startPair();
    pair.upstream.otherwise(answer('ok'));
    const tool = (name: string, more: object = {}): object => ({
      name,
      input_schema: { type: 'object', properties: {} },
      ...more,
    });
    const deferred = { defer_loading: true };
    const tools = [
      tool('Early', deferred),
      tool('Bash'),
      tool('Other', deferred),
      tool('Late', deferred),
    ];
    const messages: unknown[] = [{ role: 'user', content: 'hi' }];
    await stream(pair.proxy, { tools, messages });
    const names = [
      { type: 'tool_reference', tool_name: 'Late' },
      { type: 'tool_reference', tool_name: 'Gone' },
    ];
    messages.push(
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 'c', name: 'ToolSearch', input: { query: 'late' } }],
      },
      result('c', names),
    );
    await stream(pair.proxy, { tools, messages });
    const change = (type: string, name: string): object => ({
      role: 'system',
      content: [{ type, tool: { type: 'tool_reference', name } }],
    });
    messages.push({ role: 'assistant', content: 'ok' }, change('tool_addition', 'Early'));
    messages.push(change('tool_removal', 'Late'), { role: 'user', content: 'go' });
    await stream(pair.proxy, { tools, messages });
    expect(
      pair.upstream.requests.map(({ body }) => body.tools?.map((each) => each.function?.name)),
    ).toEqual([['Bash'], ['Bash', 'Late'], ['Bash', 'Early']]);
    expect(pair.upstream.requests[1]?.body.messages.at(-1)?.content).toEqual([
      { type: 'text', text: 'The tool Late can be called now.' },
      { type: 'text', text: 'The tool Gone can be called now.' },
    ]);
  });
});

it('everything else of a request goes up under the names of chat completions', async () => {
  await using pair = await startPair({ RLM_UPSTREAM_PROFILE: 'vllm' });
  pair.upstream.script(answer('{}'));
  const png = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
  const schema = { type: 'object', properties: {} };
  await stream(pair.proxy, {
    system: 'Be short.',
    tools: [],
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          png,
          { type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } },
          {
            type: 'document',
            title: 'a.txt',
            source: { type: 'text', media_type: 'text/plain', data: 'words' },
          },
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: 'AA' },
          },
          {
            type: 'search_result',
            title: 'T',
            source: 'u',
            content: [{ type: 'text', text: 'f' }],
          },
          { type: 'block_of_next_month', text: 'kept' },
          { type: 'container_upload', file_id: 'f' },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'of another model', signature: 'EqQB' },
          { type: 'redacted_thinking', data: 'xyz' },
          { type: 'text', text: 'A ' },
          { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
          { type: 'web_search_tool_result', tool_use_id: 's', content: [] },
          { type: 'text', text: 'dot.' },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'I look.' },
          { type: 'tool_use', id: 'to olu/ü', name: 'Read', input: { b: 1, a: 2 } },
          { type: 'tool_use', id: 'c2', name: 'Read', input: { arguments_text: 'ls [' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Here.' },
          { type: 'tool_result', tool_use_id: 'to olu/ü', content: [png] },
          { type: 'tool_result', tool_use_id: 'c2', content: 'no such file', is_error: true },
        ],
      },
      { role: 'user', content: '' },
      { role: 'assistant', content: [{ type: 'thinking', thinking: 'x', signature: '' }] },
      { role: 'user', content: 'And now?' },
    ],
    thinking: { type: 'enabled', budget_tokens: 10_000 },
    output_config: { format: { type: 'json_schema', schema } },
    max_tokens: 50,
    stop_sequences: ['STOP'],
    temperature: 0.5,
    top_p: 0.9,
    top_k: 5,
    service_tier: 'auto',
    metadata: { user_id: 'me' },
    member_of_next_month: { x: 'y' },
  });
  const { stream: _, stream_options: __, model: ___, ...sent } = pair.upstream.requests[0]!.body;
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  expect(sent).toEqual({
    messages: [
      { role: 'system', content: 'Be short.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          image,
          { type: 'image_url', image_url: { url: 'https://a.example/b.png' } },
          { type: 'text', text: 'a.txt\nwords' },
          {
            type: 'file',
            file: { filename: 'document.pdf', file_data: 'data:application/pdf;base64,AA' },
          },
          { type: 'text', text: 'T\nu\nf' },
          { type: 'text', text: 'kept' },
        ],
      },
      {
        role: 'assistant',
        content: 'A dot.\n\nI look.',
        tool_calls: [
          {
            id: 'to olu/ü',
            type: 'function',
            function: { name: 'Read', arguments: '{"b":1,"a":2}' },
          },
          { id: 'c2', type: 'function', function: { name: 'Read', arguments: 'ls [' } },
        ],
      },
      {
        role: 'tool',
        tool_call_id: 'to olu/ü',
        content: 'The output is an image. It follows.',
      },
      { role: 'tool', tool_call_id: 'c2', content: 'Error: no such file' },
      {
        role: 'user',
        content: [{ type: 'text', text: 'Images in the outputs of the tools above:' }, image],
      },
      { role: 'user', content: 'Here.' },
      { role: 'user', content: 'And now?' },
    ],
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema, strict: true } },
    reasoning_effort: 'medium',
    max_tokens: 50,
    stop: ['STOP'],
    temperature: 0.5,
    top_p: 0.9,
  });
});

describe('a request for a title in JSON', () => {
  const schema = {
    type: 'object',
    properties: { title: { type: 'string' } },
    required: ['title'],
    additionalProperties: false,
  };
  const asked = {
    system: [{ type: 'text', text: 'You are naming a coding session. Return JSON.' }],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Fix the tests.' }] }],
    output_config: { effort: 'high', format: { type: 'json_schema', schema } },
    max_tokens: 32_000,
  };

  it.each(['vllm', 'openai', 'ollama', 'mistral', 'gemini'])(
    'brings its schema along where the provider takes one: %s',
    async (profile) => {
      await using pair = await startPair({ RLM_UPSTREAM_PROFILE: profile });
      pair.upstream.script(answer('{"title":"Tests"}'));
      const { message } = await stream(pair.proxy, asked, claude('s1'));
      expect(message?.content).toEqual([{ type: 'text', text: '{"title":"Tests"}' }]);
      expect(pair.upstream.requests[0]?.body).toMatchObject({
        response_format: { type: 'json_schema', json_schema: { schema } },
        messages: [{ content: 'You are naming a coding session. Return JSON.' }, {}],
      });
    },
  );

  it.each(['plain', 'zai', 'deepseek', 'moonshot', 'groq', 'openrouter'])(
    'says it in words where the provider would refuse it, or may: %s',
    async (profile) => {
      await using pair = await startPair({ RLM_UPSTREAM_PROFILE: profile });
      pair.upstream.script(answer('{"title":"Tests"}'));
      await stream(pair.proxy, asked, claude('s1'));
      const [sent] = pair.upstream.requests;
      expect(sent?.body).not.toHaveProperty('response_format');
      const [system] = sent?.body.messages ?? [];
      expect(system?.content).toBe(
        `You are naming a coding session. Return JSON.\n\nAnswer with one JSON value that fits this JSON schema, and with nothing around it: ${JSON.stringify(schema)}`,
      );
    },
  );
});

it('a longer answer than the model can write is not asked for', async () => {
  await using pair = await startPair({ RLM_UPSTREAM_MAX_OUTPUT: '4096' });
  pair.upstream.otherwise(answer('ok'));
  for (const tokens of [32_000, 1_000])
    await stream(pair.proxy, {
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: tokens,
    });
  expect(pair.upstream.requests.map(({ body }) => body['max_tokens'])).toEqual([4_096, 1_000]);
});

it('of a step with calls of both the client gets its own, and the next turn has all of it', async () => {
  await using pair = await startPair();
  const { upstream, proxy } = pair;
  const own = toolCall('rlm_find', { text: 'needle' }, { id: 'own' });
  // Spelled as no client spells it again.
  const args = '{ "command" : "ls", "limit" : 12345678901234567890 }';
  const theirs = toolDelta({
    index: 1,
    id: 'c2',
    type: 'function',
    function: { name: 'Bash', arguments: args },
  });
  upstream.script(
    callTools({ name: 'Bash', args: {}, id: 'c1' }),
    reply(role(), reasoning('Hm.'), own, theirs, finish('tool_calls'), usage(), done()),
    answer('both'),
  );
  const messages = claudeBegins('/work/one', 'look');
  const ask = async (): Promise<void> => {
    const response = await post(proxy, { ...claudeMembers('s1'), messages }, claude('s1'));
    const { content } = (await response.json()) as { content: ContentBlockParam[] };
    messages.push({ role: 'assistant', content });
  };
  await ask();
  messages.push(result('c1', `${longText(20_000)}\nneedle\n`));
  await ask();
  const said = messages.at(-1)?.content as ContentBlockParam[];
  expect(said.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []))).toEqual(['c2']);
  messages.push(result('c2', 'a.txt'));
  await ask();
  const [, before, after] = upstream.requests.map(({ body }) => body.messages);
  expect(after?.slice(0, before?.length)).toEqual(before);
  expect(after?.slice(before?.length)).toEqual([
    {
      role: 'assistant',
      content: null,
      reasoning_content: 'Hm.',
      tool_calls: [
        {
          id: 'own',
          type: 'function',
          function: { name: 'rlm_find', arguments: '{"text":"needle"}' },
        },
        { id: 'c2', type: 'function', function: { name: 'Bash', arguments: args } },
      ],
    },
    { role: 'tool', tool_call_id: 'own', content: expect.stringContaining('needle') as string },
    { role: 'tool', tool_call_id: 'c2', content: 'a.txt' },
  ]);
});

describe('tools', () => {
  const long = `mcp__server__${'long_'.repeat(20)}name`;

  it.each<[string, object, object]>([
    ['auto', { type: 'auto' }, { tool_choice: 'auto' }],
    ['any', { type: 'any' }, { tool_choice: 'required' }],
    ['none', { type: 'none' }, { tool_choice: 'none' }],
    [
      'one, alone',
      { type: 'tool', name: 'Bash', disable_parallel_tool_use: true },
      {
        tool_choice: { type: 'function', function: { name: 'Bash' } },
        parallel_tool_calls: false,
      },
    ],
    ['one that is not here', { type: 'tool', name: 'web_search' }, {}],
  ])('the choice of %s', async (_name, choice, wanted) => {
    await using pair = await startPair();
    pair.upstream.script(answer('ok'));
    const messages = [{ role: 'user', content: 'hi' }];
    await stream(pair.proxy, { messages, tool_choice: choice });
    const { tool_choice: sent, parallel_tool_calls: parallel } = pair.upstream.requests[0]!.body;
    expect({ tool_choice: sent, parallel_tool_calls: parallel }).toEqual({
      tool_choice: undefined,
      parallel_tool_calls: undefined,
      ...wanted,
    });
  });

  it('with longer names than providers take are called by their own', async () => {
    await using pair = await startPair();
    pair.upstream.script(({ body }) =>
      callTools({ name: body.tools?.[0]?.function?.name ?? '', args: { a: 1 }, id: 'c' }),
    );
    const tools = [{ ...bash, name: long }];
    const { message } = await stream(pair.proxy, {
      tools,
      messages: [{ role: 'user', content: 'hi' }],
    });
    expect(pair.upstream.requests[0]?.body.tools?.[0]?.function?.name).toHaveLength(64);
    expect(message.content).toEqual([{ type: 'tool_use', id: 'c', name: long, input: { a: 1 } }]);
  });

  it('that the client runs but only names are described; those that run elsewhere are left out', async () => {
    await using pair = await startPair();
    pair.upstream.otherwise(answer('ok'));
    const messages = [{ role: 'user', content: 'hi' }];
    const search = { type: 'web_search_20260318', name: 'web_search' };
    const tools = [{ type: 'bash_20250124', name: 'bash' }, search];
    await stream(pair.proxy, { tools, messages });
    await stream(pair.proxy, {
      tools: [search],
      tool_choice: { type: 'tool', name: 'web_search' },
      messages,
    });
    const [some, none] = pair.upstream.requests.map(({ body }) => body);
    expect(some?.tools?.map((tool) => tool.function?.name)).toEqual(['bash']);
    expect(JSON.stringify(some?.tools)).toContain('"command"');
    expect(some?.messages).toHaveLength(1);
    expect(none?.tools).toBeUndefined();
    expect(none?.tool_choice).toBeUndefined();
    expect(none?.messages[0]?.content).toContain('not available here: web_search.');
  });

  it('calls whose pieces come mixed are blocks one after the other', async () => {
    await using pair = await startPair();
    const piece = (index: number, more: object, args: string): object => ({
      index,
      ...more,
      function: { ...(index in named ? {} : { name: 'Bash' }), arguments: args },
    });
    const named: Record<number, true> = {};
    const first = [0, 1].map((index) => {
      const made = piece(index, { id: `c${index}`, type: 'function' }, '{"command":');
      named[index] = true;
      return toolDelta(made);
    });
    pair.upstream.script(
      reply(
        role(),
        ...first,
        toolDelta(piece(1, {}, '"b"}')),
        toolDelta(piece(0, {}, '"a"}')),
        finish('tool_calls'),
        usage(),
        done(),
      ),
    );
    const { message } = await stream(pair.proxy, { messages: [{ role: 'user', content: 'hi' }] });
    expect(message.content).toEqual(
      ['a', 'b'].map((command, at) => ({
        type: 'tool_use',
        id: `c${at}`,
        name: 'Bash',
        input: { command },
      })),
    );
  });

  it.each<[string, object]>([
    ['', {}],
    ['"{\\"command\\":\\"ls\\"}"', { command: 'ls' }],
    ['ls -la', { arguments_text: 'ls -la' }],
    ['["ls"]', { arguments_text: '["ls"]' }],
  ])('arguments %j are the input %j, streamed and whole', async (args, input) => {
    await using pair = await startPair();
    const call = { index: 0, id: 'c', type: 'function', function: { name: 'Bash', arguments: '' } };
    const pieces = Array.from(args, (each) =>
      toolDelta({ index: 0, function: { arguments: each } }),
    );
    pair.upstream.otherwise(
      reply(role(), toolDelta(call), ...pieces, finish('tool_calls'), usage(), done()),
    );
    const messages = [{ role: 'user' as const, content: 'hi' }];
    const { message } = await stream(pair.proxy, { messages });
    const whole = await clientOf(pair.proxy).messages.create({ ...common, messages });
    const block = { type: 'tool_use', id: 'c', name: 'Bash', input };
    const calls = message.content.filter(({ type }) => type === 'tool_use');
    expect([calls, whole.content]).toEqual([[block], [block]]);
  });
});

describe('refused', () => {
  const user = (content: unknown): object => ({ messages: [{ role: 'user', content }] });
  it.each<[string, object, number, string, string]>([
    ['no model', { model: null }, 400, 'invalid_request_error', 'model'],
    ['no messages', { messages: null }, 400, 'invalid_request_error', 'messages'],
    ['an empty list', { messages: [] }, 400, 'invalid_request_error', 'messages'],
    ['a role', { messages: [{ role: 'tool' }] }, 400, 'invalid_request_error', 'messages[0].role'],
    [
      'a result without id',
      user([{ type: 'tool_result' }]),
      400,
      'invalid_request_error',
      'messages[0].content[0].tool_use_id',
    ],
    [
      'a file that is not there',
      user([{ type: 'image', source: { type: 'file', file_id: 'f' } }]),
      400,
      'invalid_request_error',
      'messages[0].content[0].source',
    ],
    [
      'tools of a server elsewhere',
      { mcp_servers: [{ type: 'url', url: 'u', name: 'n' }] },
      400,
      'invalid_request_error',
      'mcp_servers',
    ],
    ['a tool without a name', { tools: [{}] }, 400, 'invalid_request_error', 'tools[0].name'],
    ['a temperature', { temperature: 'hot' }, 400, 'invalid_request_error', 'temperature'],
  ])('%s, in words of Anthropic', async (_name, members, code, type, words) => {
    await using pair = await startPair();
    const response = await post(pair.proxy, { ...user('hi'), ...members });
    expect(response.status).toBe(code);
    expect(await response.json()).toEqual({
      type: 'error',
      error: { type, message: expect.stringContaining(words) as string },
      request_id: response.headers.get('request-id'),
    });
    expect(pair.upstream.requests).toEqual([]);
  });

  it('without the token, which may come as either of the two headers', async () => {
    await using pair = await startPair({ RLM_API_TOKEN: 'secret' });
    pair.upstream.otherwise(answer('ok'));
    const tried = async (headers: Record<string, string>): Promise<[number, unknown]> => {
      const response = await post(pair.proxy, user('hi'), headers);
      const body = (await response.json()) as { error?: { type: string } };
      return [response.status, body.error?.type];
    };
    expect(await tried({})).toEqual([401, 'authentication_error']);
    expect(await tried({ 'x-api-key': 'wrong' })).toEqual([401, 'authentication_error']);
    expect(await tried({ 'x-api-key': 'secret' })).toEqual([200, undefined]);
    expect(await tried({ authorization: 'Bearer secret' })).toEqual([200, undefined]);
  });

  it.each([
    [400, 'invalid_request_error'],
    [401, 'authentication_error'],
    [402, 'billing_error'],
    [403, 'permission_error'],
    [429, 'rate_limit_error'],
    [500, 'api_error'],
    [529, 'overloaded_error'],
  ])('a provider’s %i is of the type %s', async (code, type) => {
    await using pair = await startPair({ RLM_UPSTREAM_MAX_RETRIES: '0' });
    pair.upstream.otherwise(status(code, { error: { message: 'The reason.' } }));
    const response = await post(pair.proxy, { ...user('hi'), stream: true });
    expect(response.status).toBe(code);
    const { error } = (await response.json()) as { error: { type: string; message: string } };
    expect(error.type).toBe(type);
    expect(error.message).toContain('The reason.');
  });

  it('a prompt that is too long, in the words by which Claude Code makes it shorter', async () => {
    await using pair = await startPair();
    const message =
      "This model's maximum context length is 1,000 tokens. However, your messages resulted in 1,200 tokens.";
    pair.upstream.otherwise(status(400, { error: { message, code: 'context_length_exceeded' } }));
    const response = await post(pair.proxy, user('hi'));
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: object };
    expect(error).toEqual({
      type: 'invalid_request_error',
      message: 'prompt is too long: 1200 tokens > 1000 maximum',
    });
  });
});

describe('silence and ends', () => {
  const messages = [{ role: 'user' as const, content: 'hi' }];

  it('a long silence is filled with pings that the SDK takes, at the start and in the middle', async () => {
    await using pair = await startPair({ RLM_HEARTBEAT_MS: '1000' });
    const [start, middle] = [new Gate(), new Gate()];
    pair.upstream.otherwise(
      withHead(reply(role(), text('Hel'), middle, text('lo'), finish(), usage(), done()), {
        before: [start],
      }),
    );
    const response = await post(pair.proxy, { messages, stream: true });
    let body = '';
    for await (const bytes of response.body ?? []) {
      body += Buffer.from(bytes).toString();
      const pings = body.split('event: ping').length - 1;
      if (pings > 0) start.open();
      if (body.includes('Hel') && /Hel[\s\S]*event: ping/.test(body)) middle.open();
    }
    expect(body.startsWith('event: ping\ndata: {"type":"ping"}\n\n')).toBe(true);
    expect(readMessageEvents(body).message.content).toEqual([{ type: 'text', text: 'Hello' }]);
    const helper = clientOf(pair.proxy).messages.stream({ ...common, messages });
    expect(await helper.finalText()).toBe('Hello');
  });

  it('an answer that breaks off ends in an error, and the SDK throws it', async () => {
    await using pair = await startPair();
    pair.upstream.otherwise(reply(role(), text('Hel'), cut()));
    const { message, error } = await stream(pair.proxy, { messages });
    expect(error?.type).toBe('api_error');
    expect(message.content).toEqual([{ type: 'text', text: 'Hel' }]);
    const helper = clientOf(pair.proxy).messages.stream({ ...common, messages });
    await expect(helper.finalMessage()).rejects.toMatchObject({ type: 'api_error' });
  });

  it.each<[string, object, string, string | null]>([
    ['length', {}, 'max_tokens', null],
    ['content_filter', {}, 'refusal', null],
    ['stop', {}, 'end_turn', null],
    ['stop', { stop_reason: 'STOP' }, 'stop_sequence', 'STOP'],
    ['stop', { matched_stop: 2 }, 'end_turn', null],
  ])('the end by %s (%j) is %s', async (reason, choice, wanted, sequence) => {
    await using pair = await startPair();
    const last = chunk({}, { finish_reason: reason, ...choice });
    pair.upstream.otherwise(reply(role(), text('Hel'), last, usage(), done()));
    const { message } = await stream(pair.proxy, { messages, stop_sequences: ['END', 'STOP'] });
    expect([message.stop_reason, message.stop_sequence]).toEqual([wanted, sequence]);
  });

  it('a client that leaves ends the upstream’s work', async () => {
    await using pair = await startPair();
    pair.upstream.script(reply(role(), text('Hel'), stall()));
    const leaving = new AbortController();
    const events = await clientOf(pair.proxy).messages.create(
      { ...common, messages, stream: true },
      { signal: leaving.signal },
    );
    for await (const { type } of events) if (type === 'content_block_delta') break;
    leaving.abort();
    const [request] = pair.upstream.requests;
    await request?.ended;
    expect(request?.aborted).toBe(true);
  });
});

it('what a provider wants back with a call comes back to it', async () => {
  await using pair = await startPair();
  const signature = { extra_content: { google: { thought_signature: 'sig-1' } } };
  pair.upstream.script(
    reply(
      role(),
      toolDelta({
        index: 0,
        id: 'c',
        type: 'function',
        function: { name: 'Bash', arguments: '{}' },
        ...signature,
      }),
      finish('tool_calls'),
      usage(),
      done(),
    ),
    answer('ok'),
  );
  const messages: MessageParam[] = [{ role: 'user', content: 'hi' }];
  // Even to a client that has not asked for thinking: without it the provider would refuse.
  const { message } = await stream(pair.proxy, { messages, thinking: undefined });
  messages.push({ role: 'assistant', content: message.content as ContentBlockParam[] });
  messages.push(result('c', 'ok'));
  await stream(pair.proxy, { messages });
  expect(pair.upstream.requests[1]?.body.messages[1]?.tool_calls).toEqual([
    { id: 'c', type: 'function', function: { name: 'Bash', arguments: '{}' }, ...signature },
  ]);
});
