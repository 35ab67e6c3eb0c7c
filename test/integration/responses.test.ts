import { OpenAI } from 'openai';
import type { ResponseInputItem, Tool } from 'openai/resources/responses/responses';
import { describe, expect, it } from 'vitest';
import { longText } from '../support/conversation.ts';
import { rawRequest } from '../support/http-server.ts';
import { startPair, startProxy, type TestProxy, windowOf } from '../support/proxy.ts';
import { readResponseEvents } from '../support/response-events.ts';
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
  toolDelta,
  usage,
  withHead,
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

const thinkAndCall = thinksAndCalls('bash');

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

it('of a step with hidden calls and its own a client sees its own, and what was found comes back', async () => {
  await using pair = await startPair();
  const { upstream, proxy } = pair;
  const needle = 'token-7f3a-π🙂';
  upstream.script(
    callTools({ name: 'bash', args: { command: 'make' }, id: 'call_make' }),
    callTools(
      { name: 'bash', args: { command: 'ls' }, id: 'theirs' },
      { name: 'rlm_find', args: { text: needle }, id: 'own' },
    ),
    answer('both'),
  );
  const headers = codex('thread-1');
  const input: unknown[] = [environment('/work/one'), says('build it')];
  const first = await stream(proxy, { input, tools: [bash] }, headers);
  const output = `${longText(10_000)}\n${needle}\n${longText(10_000)}`;
  input.push(...first.response.output, {
    type: 'function_call_output',
    call_id: 'call_make',
    output,
  });
  const second = await stream(proxy, { input, tools: [bash] }, headers);
  const calls = second.response.output.filter(({ type }) => type === 'function_call');
  expect(calls).toMatchObject([{ call_id: 'theirs', name: 'bash' }]);
  input.push(...second.response.output, {
    type: 'function_call_output',
    call_id: 'theirs',
    output: 'a.txt',
  });
  await stream(proxy, { input, tools: [bash] }, headers);
  const sent = upstream.requests[2]?.body.messages.slice(-3) ?? [];
  expect(sent[0]?.tool_calls?.map(({ id }) => id)).toEqual(['theirs', 'own']);
  expect(sent.slice(1).map((message) => message.tool_call_id)).toEqual(['theirs', 'own']);
  expect(JSON.stringify(sent)).toContain(needle);
});

describe('two projects', () => {
  it('never mix, and a new conversation in one knows what was stored there', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('ok'));
    const output = (directory: string): unknown[] => [
      environment(directory),
      says('hi'),
      { type: 'function_call', call_id: 'c', name: 'bash', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: `${directory} ${longText(20_000)}` },
    ];
    await stream(proxy, { input: output('/work/one'), tools: [bash] }, codex('thread-1'));
    const fresh = (directory: string): object => ({
      input: [environment(directory), says('hi')],
      tools: [bash],
    });
    await stream(proxy, fresh('/work/two'), codex('thread-2'));
    await stream(proxy, fresh('/work/one'), codex('thread-3'));
    const offered = upstream.requests.map(({ body }) =>
      (body.tools ?? []).some((tool) => tool.function?.name === 'rlm_search'),
    );
    expect(offered).toEqual([true, false, true]);
    const named = upstream.requests.map(({ headers }) => headers['x-session-id']);
    expect(named).toEqual(['thread-1', 'thread-2', 'thread-3']);
  });

  it('a conversation is known by its members where a gateway has taken its headers away', async () => {
    await using pair = await startPair();
    pair.upstream.otherwise(answer('ok'));
    const headers = { 'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64)' };
    const input = [environment('/work/one'), says('hi')];
    const members = { client_metadata: { thread_id: 'thread-9' }, prompt_cache_key: 'other' };
    await stream(pair.proxy, { input, ...members }, headers);
    expect(pair.upstream.requests[0]?.headers['x-session-id']).toBe('thread-9');
  });

  it('a prompt_cache_key of other clients is no name of a conversation', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('ok'));
    const input = [
      says('hi'),
      { type: 'function_call', call_id: 'c', name: 'bash', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output: longText(20_000) },
    ];
    const tools = [bash];
    await stream(proxy, { input, tools, prompt_cache_key: 'app' });
    await stream(proxy, { input: [says('another user')], tools, prompt_cache_key: 'app' });
    expect(upstream.requests[1]?.body.tools).toHaveLength(1);
    expect(upstream.requests[1]?.headers['x-session-id']).toBeUndefined();
  });
});

describe('a list of models', () => {
  const listFor = async (
    { baseURL }: TestProxy,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ readonly data: object[]; readonly models?: Readonly<Record<string, unknown>>[] }> =>
    (await (await fetch(`${baseURL}/models?client_version=0.171.0`, { headers })).json()) as never;

  it('names our model with its window and Codex’s own prompt for Codex, and says nothing of that to others', async () => {
    await using pair = await startPair(windowOf(90_000));
    const { data, models } = await listFor(pair.proxy, codex('t'));
    expect(models).toHaveLength(1);
    expect(models?.[0]).toMatchObject({
      slug: 'rlm-internal.rlm-core-v1',
      context_window: 90_000,
      supported_reasoning_levels: [],
    });
    expect(models?.[0]?.['base_instructions']).toMatch(
      /^You are a coding agent running in the Codex CLI/,
    );
    const others = await listFor(pair.proxy, { 'user-agent': 'openai-node/7' });
    expect(others).toEqual({ object: 'list', data });
  });

  it('leaves another version of Codex, which has other prompts, to what that assumes', async () => {
    await using pair = await startPair();
    const headers = { 'user-agent': 'codex_cli_rs/0.172.0 (Debian 12.0.0; x86_64)' };
    expect((await listFor(pair.proxy, headers)).models).toEqual([]);
  });
});

describe('tools', () => {
  const patch = '*** Begin Patch\n"quoted" {not json';
  const tools = [
    bash,
    {
      type: 'custom',
      name: 'apply_patch',
      description: 'Patches files.',
      format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' },
    },
    {
      type: 'namespace',
      name: 'mcp__git',
      tools: [{ type: 'function', name: 'log', parameters: { type: 'object', properties: {} } }],
    },
    { type: 'web_search' },
    { type: 'kind_of_next_month', name: 'x' },
  ];

  it('custom ones and those of a namespace are functions upstream, and themselves for the client', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.script(
      callTools(
        { name: 'apply_patch', args: { input: patch }, id: 'call_p' },
        { name: 'mcp__git__log', args: { n: 1 }, id: 'call_l' },
      ),
      answer('done'),
    );
    const input: unknown[] = [says('patch it')];
    const { response, events } = await stream(proxy, { input, tools });
    expect(response.output).toMatchObject([
      { type: 'custom_tool_call', call_id: 'call_p', name: 'apply_patch', input: patch },
      { type: 'function_call', call_id: 'call_l', name: 'log', namespace: 'mcp__git' },
    ]);
    expect(events.map(({ type }) => type)).toContain('response.custom_tool_call_input.done');
    input.push(
      ...response.output,
      { type: 'custom_tool_call_output', call_id: 'call_p', output: 'patched' },
      {
        type: 'function_call_output',
        call_id: 'call_l',
        output: [{ type: 'input_text', text: 'a' }],
      },
    );
    await stream(proxy, { input, tools });
    const [first, second] = upstream.requests.map(({ body }) => body);
    expect(first?.tools?.map((tool) => tool.function?.name)).toEqual([
      'bash',
      'apply_patch',
      'mcp__git__log',
    ]);
    expect(first?.tools?.[1]?.function?.description).toContain('start: "x"');
    expect(second?.messages.slice(1)).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'call_p',
            type: 'function',
            function: { name: 'apply_patch', arguments: JSON.stringify({ input: patch }) },
          },
          {
            id: 'call_l',
            type: 'function',
            function: { name: 'mcp__git__log', arguments: '{"n":1}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'call_p', content: 'patched' },
      { role: 'tool', tool_call_id: 'call_l', content: 'a' },
    ]);
  });

  it.each<[string, unknown, unknown, readonly string[]]>([
    ['auto', 'auto', 'auto', ['bash', 'apply_patch', 'mcp__git__log']],
    ['required', 'required', 'required', ['bash', 'apply_patch', 'mcp__git__log']],
    [
      'a function',
      { type: 'function', name: 'bash' },
      { type: 'function', function: { name: 'bash' } },
      ['bash', 'apply_patch', 'mcp__git__log'],
    ],
    [
      'some that are allowed',
      { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'bash' }] },
      'required',
      ['bash'],
    ],
    ['a hosted one', { type: 'web_search' }, undefined, ['bash', 'apply_patch', 'mcp__git__log']],
  ])('the choice of %s', async (_name, choice, wanted, names) => {
    await using pair = await startPair();
    pair.upstream.script(answer('ok'));
    await stream(pair.proxy, { input: 'hi', tools, tool_choice: choice });
    const { body } = pair.upstream.requests[0]!;
    expect(body.tool_choice).toEqual(wanted);
    expect(body.tools?.map((tool) => tool.function?.name)).toEqual(names);
  });
});

it('everything else of a request goes up under the names of chat completions', async () => {
  await using pair = await startPair();
  pair.upstream.script(answer('{}'));
  const png = 'data:image/png;base64,AAAA';
  const schema = { type: 'object', properties: {} };
  await stream(pair.proxy, {
    instructions: 'Be short.',
    input: [
      { role: 'developer', content: 'Be kind.' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is this?' },
          { type: 'input_image', image_url: png, detail: 'low' },
          { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA' },
        ],
      },
      { type: 'web_search_call', id: 'ws_1', status: 'completed' },
      { type: 'reasoning', id: 'rs_68af', summary: [], encrypted_content: 'gAAAA' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'A dot.' }] },
      { type: 'function_call', call_id: 'c', name: 'view', arguments: '{}' },
      {
        type: 'function_call_output',
        call_id: 'c',
        output: [{ type: 'input_image', image_url: png }],
      },
      { role: 'system', content: 'Later.' },
      { role: 'user', content: 'And now?' },
    ],
    text: { format: { type: 'json_schema', name: 'n', strict: true, schema }, verbosity: 'low' },
    reasoning: { effort: 'high', summary: 'auto' },
    max_output_tokens: 50,
    temperature: 0.5,
    top_p: 0.9,
    user: 'me',
    metadata: { a: 'b' },
    store: true,
    include: ['reasoning.encrypted_content'],
    truncation: 'auto',
    service_tier: 'auto',
    client_metadata: { x: 'y' },
  });
  const { stream: _, stream_options: __, model: ___, ...sent } = pair.upstream.requests[0]!.body;
  const image = { type: 'image_url', image_url: { url: png } };
  expect(sent).toEqual({
    messages: [
      { role: 'system', content: 'Be short.\n\nBe kind.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'What is this?' },
          { type: 'image_url', image_url: { url: png, detail: 'low' } },
          {
            type: 'file',
            file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA' },
          },
        ],
      },
      {
        role: 'assistant',
        content: 'A dot.',
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'view', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c', content: 'The output is an image. It follows.' },
      {
        role: 'user',
        content: [{ type: 'text', text: 'Images in the outputs of the tools above:' }, image],
      },
      { role: 'user', content: '<system-reminder>\nLater.\n</system-reminder>' },
      { role: 'user', content: 'And now?' },
    ],
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'n', strict: true, schema },
    },
    reasoning_effort: 'high',
    max_completion_tokens: 50,
    temperature: 0.5,
    top_p: 0.9,
    user: 'me',
  });
});

it('what a provider cites comes as annotations; what it wants back goes back', async () => {
  await using pair = await startPair();
  const { upstream, proxy } = pair;
  const cited = { url: 'https://a.example', title: 'A', start_index: 0, end_index: 5 };
  const signature = { extra_content: { google: { thought_signature: 'abc' } } };
  upstream.script(
    reply(
      role(),
      reasoning('Hm.', 'reasoning'),
      text('Hello'),
      chunk({ annotations: [{ type: 'url_citation', url_citation: cited }] }),
      toolDelta({
        index: 0,
        id: 'call_a',
        type: 'function',
        function: { name: 'bash', arguments: '{}' },
        ...signature,
      }),
      finish('tool_calls'),
      done(),
    ),
    answer('ok'),
  );
  const input: unknown[] = [says('hi')];
  const { response } = await stream(proxy, { input, tools: [bash] });
  expect(response.output[1]).toMatchObject({
    content: [{ text: 'Hello', annotations: [{ type: 'url_citation', ...cited }] }],
  });
  input.push(...response.output, {
    type: 'function_call_output',
    call_id: 'call_a',
    output: 'out',
  });
  await stream(proxy, { input, tools: [bash] });
  expect(upstream.requests[1]?.body.messages[1]).toEqual({
    role: 'assistant',
    content: 'Hello',
    reasoning: 'Hm.',
    tool_calls: [
      {
        id: 'call_a',
        type: 'function',
        function: { name: 'bash', arguments: '{}' },
        ...signature,
      },
    ],
  });
});

describe('refused', () => {
  it.each<[string, object, number, string, string]>([
    [
      'an earlier response',
      { previous_response_id: 'resp_1' },
      400,
      'previous_response_not_found',
      'previous_response_id',
    ],
    ['a background', { background: true }, 400, 'invalid_request', 'background'],
    ['a conversation', { conversation: 'conv_1' }, 400, 'invalid_request', 'conversation'],
    ['a kept prompt', { prompt: { id: 'p' } }, 400, 'invalid_request', 'prompt'],
    ['no input', { input: null }, 400, 'missing_required_parameter', 'input'],
    ['no model', { model: null }, 400, 'missing_required_parameter', 'model'],
    ['a number as input', { input: 5 }, 400, 'invalid_request', 'input'],
    [
      'an item reference',
      { input: [{ type: 'item_reference', id: 'msg_1' }] },
      404,
      'not_found',
      'input[0]',
    ],
    [
      'a call without id',
      { input: [{ type: 'function_call', name: 'x' }] },
      400,
      'invalid_request',
      'input[0].call_id',
    ],
    [
      'a file that is not there',
      { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
      400,
      'invalid_request',
      'input[0].content[0]',
    ],
    [
      'a tool without a name',
      { tools: [{ type: 'function' }] },
      400,
      'invalid_request',
      'tools[0].name',
    ],
    ['an empty list', { input: [] }, 400, 'invalid_request', 'messages'],
  ])('%s, in words of OpenAI', async (_name, members, status, code, param) => {
    await using pair = await startPair();
    const response = await fetch(`${pair.proxy.baseURL}/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, input: 'hi', ...members }),
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, param } });
    expect(pair.upstream.requests).toEqual([]);
  });
});

describe('silence and breaks', () => {
  it('a long silence is filled with events that the SDK takes, at the start and in the middle', async () => {
    await using pair = await startPair({ RLM_HEARTBEAT_MS: '1000' });
    const [start, middle] = [new Gate(), new Gate()];
    pair.upstream.script(
      withHead(reply(role(), reasoning('Hm.'), text('Hel'), middle, text('lo'), finish(), done()), {
        before: [start],
      }),
    );
    const types: string[] = [];
    const helper = clientOf(pair.proxy)
      .responses.stream({ model, input: 'hi' })
      .on('event', ({ type }) => {
        types.push(type);
        if (type !== 'response.in_progress') return;
        const count = types.filter((each) => each === type).length;
        if (count === 2) start.open();
        if (count === 3) middle.open();
      });
    const { output_text: said, output } = await helper.finalResponse();
    expect(said).toBe('Hello');
    expect(output.map(({ type }) => type)).toEqual(['reasoning', 'message']);
    expect(types.lastIndexOf('response.in_progress')).toBeGreaterThan(
      types.indexOf('response.output_text.delta'),
    );
  });

  it('an answer that breaks off ends in response.failed, with what had come', async () => {
    await using pair = await startPair();
    pair.upstream.script(reply(role(), text('Hel'), cut()));
    const { response, events } = await stream(pair.proxy, { input: 'hi' });
    expect(events.at(-1)?.type).toBe('response.failed');
    expect(response).toMatchObject({
      status: 'failed',
      error: { code: 'server_error' },
      output: [{ type: 'message', content: [{ text: 'Hel' }] }],
    });
  });

  it('an answer that ran out of tokens is incomplete', async () => {
    await using pair = await startPair();
    pair.upstream.script(reply(role(), text('Hel'), finish('length'), usage(), done()));
    const { response } = await stream(pair.proxy, { input: 'hi' });
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete' }],
    });
  });

  it('a client that leaves ends the upstream’s work', async () => {
    await using pair = await startPair();
    pair.upstream.script(reply(role(), text('Hel'), stall()));
    const leaving = new AbortController();
    const events = await clientOf(pair.proxy).responses.create(
      { model, input: 'hi', stream: true },
      { signal: leaving.signal },
    );
    for await (const { type } of events) if (type === 'response.output_text.delta') break;
    leaving.abort();
    const [request] = pair.upstream.requests;
    await request?.ended;
    expect(request?.aborted).toBe(true);
  });

  it.each([
    [400, 'invalid_prompt'],
    [401, 'invalid_prompt'],
    [500, 'server_error'],
  ])('Codex is told of a provider’s %i by an event: %s', async (code, wanted) => {
    await using pair = await startPair({ RLM_UPSTREAM_MAX_RETRIES: '0' });
    pair.upstream.otherwise(status(code, { error: { message: 'The reason.' } }));
    const { response } = await stream(pair.proxy, { input: 'hi' }, codex('t'));
    expect(response.error?.code).toBe(wanted);
    expect(response.error?.message).toContain('The reason.');
    const other = await fetch(`${pair.proxy.baseURL}/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, input: 'hi', stream: true }),
    });
    expect(other.status).toBe(code);
  });

  it('a summary that Codex makes for itself has the chat as the model knows it, and none of our tools', async () => {
    await using pair = await startPair();
    const { upstream, proxy } = pair;
    upstream.otherwise(answer('ok'));
    const output = longText(20_000);
    const input = [
      environment('/work/one'),
      says('hi'),
      { type: 'function_call', call_id: 'c', name: 'bash', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c', output },
    ];
    await stream(proxy, { input, tools: [bash] }, codex('thread-1'));
    await stream(
      proxy,
      { input: [...input, says('Sum it up.')] },
      {
        ...codex('thread-1'),
        'x-codex-turn-metadata': '{"request_kind":"compaction"}',
      },
    );
    const { body } = upstream.requests[1]!;
    expect(body.tools).toBeUndefined();
    expect(body.messages.map(({ role: who }) => who)).toEqual([
      'user',
      'user',
      'assistant',
      'tool',
      'user',
    ]);
    // Whole, it could be longer than the window.
    expect(body.messages[3]?.content).toBe(upstream.requests[0]?.body.messages.at(-1)?.content);
  });
});

it('a socket that is to become a WebSocket is told at once that it cannot', async () => {
  await using pair = await startPair();
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
  const answered = await rawRequest(pair.proxy.origin, { path: '/v1/responses', headers });
  expect(answered.status).toBe(426);
});
