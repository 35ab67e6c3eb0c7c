import { describe, expect, it } from 'vitest';
import type { ChatRequest, Message } from '../wire/types.ts';
import { findProfile, plainProfile, profiles } from './profiles.ts';
import { applyReasoningPolicy, rewriteRequest } from './rewrite.ts';

const user: Message = { role: 'user', content: 'hi', name: 'me' };
const nameless: Message = { role: 'user', content: 'hi' };
const called: Message = {
  role: 'assistant',
  content: null,
  reasoning_content: 'r',
  reasoning_details: [{ signature: 's' }],
  tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{ }' } }],
};
const answered: Message = { role: 'tool', tool_call_id: 'call_1', content: 'x' };
const tools = [{ type: 'function', function: { name: 'f', strict: true } }];

function profile(name: string) {
  return profiles.find((one) => one.name === name)!;
}

function body(name: string, request: Partial<ChatRequest>): Record<string, unknown> {
  return rewriteRequest({ model: 'm', messages: [user], ...request }, profile(name)).body;
}

describe('the plain profile', () => {
  it('changes nothing but asks for a stream with usage, keeping the order of members', () => {
    const request: ChatRequest = {
      zebra: 1,
      model: 'm',
      temperature: 0,
      max_completion_tokens: 5,
      store: true,
      messages: [{ role: 'developer', content: 'd' }, user, called, answered],
      tools,
      tool_choice: { type: 'function', function: { name: 'f' } },
      stream: false,
      stream_options: { include_usage: false, x: 1 },
      seed: 7,
    };
    const rewritten = rewriteRequest(request, plainProfile);
    expect(JSON.stringify(rewritten.body)).toBe(
      JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true, x: 1 } }),
    );
    expect(rewritten.dropped).toEqual([]);
  });

  it('hands the very messages on', () => {
    const { body: sent } = rewriteRequest({ model: 'm', messages: [user, called] }, plainProfile);
    expect((sent['messages'] as Message[])[1]).toBe(called);
  });
});

describe('GLM', () => {
  it('gets its own spelling and nothing it refuses', () => {
    const rewritten = rewriteRequest(
      {
        model: 'glm-5',
        messages: [{ role: 'developer', content: 'd' }, user, called],
        tools,
        max_completion_tokens: 5,
        store: true,
        frequency_penalty: 1,
        temperature: 0,
        thinking: { type: 'enabled' },
        stream: true,
        stream_options: { include_usage: true },
      },
      profile('zai'),
    );
    expect(rewritten.body).toEqual({
      model: 'glm-5',
      messages: [{ role: 'system', content: 'd' }, nameless, called],
      tools,
      max_tokens: 5,
      temperature: 0.01,
      thinking: { type: 'enabled' },
      stream: true,
      tool_stream: true,
    });
    expect(rewritten.dropped).toEqual(['store', 'frequency_penalty']);
  });

  it('keeps the client’s own tool_stream, and gets none without tools', () => {
    expect(body('zai', { tools, tool_stream: false })['tool_stream']).toBe(false);
    expect(body('zai', {})).not.toHaveProperty('tool_stream');
  });

  it('is told in words not to call tools, behind everything else', () => {
    const sent = body('zai', { tools, tool_choice: 'none' });
    expect(sent).not.toHaveProperty('tool_choice');
    expect(sent['tools']).toBe(tools);
    expect((sent['messages'] as Message[])[0]).toEqual(nameless);
    expect((sent['messages'] as Message[])[1]).toMatchObject({
      role: 'system',
      content: expect.stringMatching(/not call any tool/),
    });
    expect(body('zai', { tools, tool_choice: 'auto' })['tool_choice']).toBe('auto');
    expect(body('zai', { tools, tool_choice: 'required' })).not.toHaveProperty('tool_choice');
  });
});

it('sends the smaller of two limits under the one name', () => {
  expect(body('deepseek', { max_tokens: 9, max_completion_tokens: 5 })).toMatchObject({
    max_tokens: 5,
  });
  expect(body('deepseek', { max_tokens: 9 })).toMatchObject({ max_tokens: 9 });
  expect(body('deepseek', {})).not.toHaveProperty('max_tokens');
  expect(body('openai', { max_completion_tokens: 5 })).toMatchObject({ max_completion_tokens: 5 });
});

it('does not force a call where that is refused, but says none', () => {
  expect(body('moonshot', { tools, tool_choice: 'required' })).not.toHaveProperty('tool_choice');
  expect(body('moonshot', { tools, tool_choice: 'none' })['tool_choice']).toBe('none');
});

describe('reasoning of earlier turns', () => {
  const plain: Message = { role: 'assistant', content: 'a', tool_calls: called.tool_calls ?? [] };
  it.each<[string, 'keep' | 'keep-or-empty' | 'strip' | undefined, Message, Message]>([
    ['is kept', 'keep', called, called],
    ['is kept by default', undefined, called, called],
    ['is not invented', 'keep', plain, plain],
    ['is empty where there is none', 'keep-or-empty', plain, { ...plain, reasoning_content: '' }],
    ['is kept where there is one', 'keep-or-empty', called, called],
    [
      'keeps an empty one',
      'keep-or-empty',
      { ...plain, reasoning_content: '' },
      { ...plain, reasoning_content: '' },
    ],
    [
      'moves to the name that is asked for',
      'keep-or-empty',
      { ...plain, reasoning: 'r' },
      { ...plain, reasoning: 'r', reasoning_content: 'r' },
    ],
    [
      'is not asked of a turn without calls',
      'keep-or-empty',
      { role: 'assistant', content: 'a' },
      { role: 'assistant', content: 'a' },
    ],
    [
      'is taken out',
      'strip',
      called,
      { role: 'assistant', content: null, tool_calls: called.tool_calls ?? [] },
    ],
    ['is nothing to take out', 'strip', plain, plain],
  ])('%s', (_name, policy, message, expected) => {
    expect(applyReasoningPolicy(message, policy)).toEqual(expected);
  });

  it('is taken out only where it is refused or foreign', () => {
    const strips = profiles.filter((one) => one.reasoning === 'strip').map((one) => one.name);
    expect(strips).toEqual(['openai', 'azure', 'groq', 'mistral']);
    expect(body('groq', { messages: [called] })['messages']).not.toHaveProperty(
      '0.reasoning_content',
    );
  });
});

it('takes out of a history what only another provider understands', () => {
  const foreign: Message = {
    role: 'assistant',
    content: 'a',
    refusal: 'no',
    extra_content: { x: 1 },
  };
  expect(body('groq', { messages: [foreign] })['messages']).toEqual([
    { role: 'assistant', content: 'a' },
  ]);
  expect(body('gemini', { messages: [foreign] })['messages']).toEqual([foreign]);
});

it('gives Mistral short call ids, the same for call and answer, and a bridge to the next user message', () => {
  const kept = { role: 'tool', tool_call_id: 'Ab3456789', content: 'x' } as const;
  const sent = body('mistral', { messages: [user, called, answered, user, kept] })[
    'messages'
  ] as Message[];
  const id = sent[1]?.tool_calls?.[0]?.id;
  expect(id).toMatch(/^[A-Za-z0-9]{9}$/);
  expect(sent[2]?.tool_call_id).toBe(id);
  expect(sent.map((message) => message.role)).toEqual([
    'user',
    'assistant',
    'tool',
    'assistant',
    'user',
    'tool',
  ]);
  expect(sent[5]?.tool_call_id).toBe('Ab3456789');
});

it('makes the same beginning of the same messages, however many follow', () => {
  const first: Message[] = [{ role: 'developer', content: 'd' }, user, called, answered];
  for (const one of [...profiles, plainProfile]) {
    const short = rewriteRequest({ model: 'm', messages: first }, one).body['messages'];
    const long = rewriteRequest({ model: 'm', messages: [...first, user] }, one).body['messages'];
    const beginning = JSON.stringify(short).slice(0, -1);
    expect(JSON.stringify(long).startsWith(beginning)).toBe(true);
  }
});

it.each<[string, string | undefined, string]>([
  ['https://api.z.ai/api/paas/v4', undefined, 'zai'],
  ['https://api.z.ai/api/coding/paas/v4/', undefined, 'zai'],
  ['https://open.bigmodel.cn/api/coding/paas/v4', undefined, 'bigmodel'],
  ['https://api.deepseek.com', undefined, 'deepseek'],
  ['https://api.moonshot.cn/v1', undefined, 'moonshot'],
  ['https://api.minimax.io/v1', undefined, 'minimax'],
  ['https://dashscope-intl.aliyuncs.com/compatible-mode/v1', undefined, 'qwen'],
  ['https://openrouter.ai/api/v1', undefined, 'openrouter'],
  ['https://api.openai.com/v1', undefined, 'openai'],
  ['https://me.openai.azure.com/openai/v1?api-version=preview', undefined, 'azure'],
  ['https://api.groq.com/openai/v1', undefined, 'groq'],
  ['https://api.mistral.ai/v1', undefined, 'mistral'],
  ['https://generativelanguage.googleapis.com/v1beta/openai/', undefined, 'gemini'],
  ['http://localhost:11434/v1', undefined, 'ollama'],
  ['http://127.0.0.1:1234/v1', undefined, 'lmstudio'],
  ['http://127.0.0.1:8080/v1', undefined, 'llamacpp'],
  ['http://127.0.0.1:8000/v1', undefined, 'vllm'],
  ['https://llm.example.org/v1', undefined, 'plain'],
  ['https://notz.ai/v1', undefined, 'plain'],
  ['https://llm.example.org/v1', 'zai', 'zai'],
  ['https://llm.example.org/v1', 'zai-coding', 'zai'],
  ['https://api.z.ai/api/paas/v4', 'plain', 'plain'],
])('knows whose %s is (%s)', (baseURL, name, expected) => {
  expect(findProfile(baseURL, name).name).toBe(expected);
});

it('refuses a name that there is not', () => {
  expect(() => findProfile('https://api.z.ai/api/paas/v4', 'nobody')).toThrow(
    /no provider profile `nobody`/,
  );
});
