import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import { ChunkReader } from './chunk.ts';
import type { Chunk } from './types.ts';

type Frame = string | Record<string, unknown>;

interface Options {
  readonly legacyFunctions?: boolean;
  readonly contextWindowTokens?: number;
}

function read(frames: readonly Frame[], options: Options = {}): Chunk[] {
  const reader = new ChunkReader({
    makeId: () => 'made',
    toError: (fault) =>
      new ProxyError('upstream_rejected', `${fault.code ?? '-'}: ${fault.message}`),
    ...options,
  });
  const chunks: Chunk[] = [];
  for (const frame of frames) {
    const data = typeof frame === 'string' ? frame : JSON.stringify(frame);
    reader.read({ name: '', data }, chunks);
  }
  chunks.push(reader.end());
  return chunks;
}

const delta = (members: unknown, more: object = {}): Record<string, unknown> => ({
  choices: [{ index: 0, delta: members, ...more }],
});
const stop = delta({}, { finish_reason: 'stop' });
const end: Chunk = { finishReason: 'stop' };

describe('text and reasoning', () => {
  it.each<[string, Frame[], Chunk[]]>([
    [
      'plain text',
      [delta({ role: 'assistant', content: '' }), delta({ content: 'a' }), stop],
      [{ content: 'a' }, end],
    ],
    [
      'a role that is none',
      [delta({ role: null, content: 'a' }), delta({ role: '', content: 'b' }), stop],
      [{ content: 'a' }, { content: 'b' }, end],
    ],
    ['white space is text', [delta({ content: '\n' }), stop], [{ content: '\n' }, end]],
    [
      'GLM reasoning',
      [delta({ reasoning_content: 'r', content: null }), stop],
      [{ reasoning: 'r', reasoningField: 'reasoning_content' }, end],
    ],
    [
      'OpenRouter reasoning',
      [delta({ reasoning: 'r', reasoning_details: [{ type: 'reasoning.text', text: 'r' }] }), stop],
      [
        {
          reasoning: 'r',
          reasoningField: 'reasoning',
          reasoningDetails: [{ type: 'reasoning.text', text: 'r' }],
        },
        end,
      ],
    ],
    [
      'the same reasoning under two names',
      [delta({ reasoning_content: 'r', reasoning: 'r' }), stop],
      [{ reasoning: 'r', reasoningField: 'reasoning_content' }, end],
    ],
    [
      'an empty reasoning and no other',
      [delta({ reasoning_content: '', content: 'a' }), stop],
      [
        { content: 'a' },
        { reasoning: '', reasoningField: 'reasoning_content', finishReason: 'stop' },
      ],
    ],
    [
      'an empty reasoning before a full one',
      [delta({ reasoning_content: '' }), delta({ reasoning_content: 'r' }), stop],
      [{ reasoning: 'r', reasoningField: 'reasoning_content' }, end],
    ],
    [
      'Mistral content parts',
      [
        delta({
          content: [
            { type: 'thinking', thinking: [{ type: 'text', text: 'r' }] },
            { type: 'text', text: 'a' },
          ],
        }),
        stop,
      ],
      [{ content: 'a', reasoning: 'r', reasoningField: 'reasoning_content' }, end],
    ],
    ['a refusal', [delta({ refusal: 'no' }), stop], [{ refusal: 'no' }, end]],
    [
      'members nobody knows',
      [delta({ annotations: [1], audio_content: '', extra: null, name: 'MiniMax AI' }), stop],
      [{ extra: { annotations: [1] } }, end],
    ],
    [
      'log probabilities',
      [delta({ content: 'a' }, { logprobs: { content: [1] } }), stop],
      [{ content: 'a', logprobs: { content: [1] } }, end],
    ],
    [
      'no object, no id, no index',
      ['{"choices":[{"delta":{"content":"a"}}]}', stop],
      [{ content: 'a' }, end],
    ],
    [
      'empty choices, no choices, no delta (Azure)',
      [
        { id: '', choices: [], prompt_filter_results: [] },
        {},
        { choices: [{ index: 0, content_filter_results: {} }] },
        delta({ content: 'a' }),
        stop,
      ],
      [{ content: 'a' }, end],
    ],
    [
      'a second answer',
      [
        {
          choices: [
            { index: 1, delta: { content: 'b' } },
            { index: 0, delta: { content: 'a' } },
          ],
        },
        stop,
      ],
      [{ content: 'a' }, end],
    ],
    [
      'a whole message',
      [
        {
          object: 'chat.completion',
          choices: [
            {
              message: { role: 'assistant', content: 'a', tool_calls: null },
              finish_reason: 'stop',
            },
          ],
        },
      ],
      [{ content: 'a' }, end],
    ],
    [
      'a whole message after its deltas',
      [
        delta({ content: 'a' }),
        { choices: [{ message: { content: 'a' }, finish_reason: 'stop' }] },
      ],
      [{ content: 'a' }, end],
    ],
    [
      'an end mark and what comes after it',
      [delta({ content: 'a' }), stop, '[DONE]', delta({ content: 'b' })],
      [{ content: 'a' }, end],
    ],
    ['nothing but a finish', [stop], [end]],
  ])('reads %s', (_name, frames, chunks) => {
    expect(read(frames)).toEqual(chunks);
  });
});

describe('frames that are glued or broken', () => {
  const a = JSON.stringify(delta({ content: 'a' }));
  const b = JSON.stringify(delta({ content: 'b data: {}' }));
  const z = JSON.stringify(stop);
  it.each<[string, string]>([
    ['a data field in the middle', `${a}data: ${b}data:${z}`],
    ['nothing between', `${a}${b}${z}`],
    ['a line end between', `${a}\n${b}\n${z}`],
    ['the end mark at the end', `${a}\ndata: ${b}\n${z}\n[DONE]`],
  ])('takes them apart: %s', (_name, data) => {
    expect(read([data])).toEqual([{ content: 'a' }, { content: 'b data: {}' }, end]);
  });

  it('reports a frame that lost a piece', () => {
    expect(() => read([`{"choices":[{"del${a}`, stop])).toThrow(/not JSON/);
  });
});

describe('finish reason and usage', () => {
  const call = { index: 0, id: 'c', function: { name: 'f', arguments: '{}' } };
  it.each<[string, Frame[], string]>([
    ['stop', [stop], 'stop'],
    ['length', [delta({ content: 'a' }, { finish_reason: 'length' })], 'length'],
    ['GLM moderation', [delta({}, { finish_reason: 'sensitive' })], 'content_filter'],
    ['a word nobody knows', [delta({}, { finish_reason: 'happy' })], 'stop'],
    ['upper case', [delta({}, { finish_reason: 'MAX_TOKENS' })], 'length'],
    ['calls that end with stop', [delta({ tool_calls: [call] }), stop], 'tool_calls'],
    [
      'a call on the finish chunk',
      [delta({ tool_calls: [call] }, { finish_reason: 'stop' })],
      'tool_calls',
    ],
    ['a call after the finish', [stop, delta({ tool_calls: [call] })], 'tool_calls'],
    [
      'calls cut by the limit',
      [delta({ tool_calls: [call] }), delta({}, { finish_reason: 'length' })],
      'length',
    ],
    [
      'calls announced and not made',
      [delta({ content: 'a' }, { finish_reason: 'tool_calls' })],
      'stop',
    ],
    ['two reasons, the same', [stop, stop], 'stop'],
    ['two reasons, the second says more', [stop, delta({}, { finish_reason: 'length' })], 'length'],
    ['an empty one before', [delta({ content: 'a' }, { finish_reason: '' }), stop], 'stop'],
    [
      'a window that ran full in the answer',
      [delta({ content: 'a' }), delta({}, { finish_reason: 'model_context_window_exceeded' })],
      'length',
    ],
    [
      'the old function call',
      [
        delta(
          { function_call: { name: 'f', arguments: '{}' } },
          { finish_reason: 'function_call' },
        ),
      ],
      'tool_calls',
    ],
  ])('ends with the right one: %s', (_name, frames, reason) => {
    const chunks = read(frames);
    expect(chunks.filter((chunk) => chunk.finishReason !== undefined)).toEqual([chunks.at(-1)]);
    expect(chunks.at(-1)?.finishReason).toBe(reason);
  });

  it('passes a function call on where the request used functions', () => {
    const legacy = { name: 'f', arguments: '{}' };
    const frames = [delta({ function_call: legacy }, { finish_reason: 'function_call' })];
    expect(read(frames, { legacyFunctions: true })).toEqual([
      { extra: { function_call: legacy } },
      { finishReason: 'function_call' },
    ]);
  });

  const counts = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
  it.each<[string, Frame[], unknown]>([
    ['on a chunk of its own', [stop, { choices: [], usage: counts }], counts],
    ['on the finish chunk', [{ ...stop, usage: counts }], counts],
    ['inside the choice (Kimi)', [delta({}, { finish_reason: 'stop', usage: counts })], counts],
    ['in x_groq', [{ ...stop, x_groq: { usage: counts } }], counts],
    [
      'growing: the last counts',
      [
        { ...delta({ content: 'a' }), usage: { ...counts, prompt_tokens: 1 } },
        { ...stop, usage: counts },
      ],
      counts,
    ],
    [
      'null before',
      [
        { ...stop, usage: counts },
        { choices: [], usage: null },
      ],
      counts,
    ],
    [
      'without a total, with nulls and more',
      [
        {
          ...stop,
          usage: {
            prompt_tokens: 5,
            completion_tokens: 2,
            prompt_tokens_details: null,
            completion_tokens_details: { reasoning_tokens: null, x: 1 },
            cost: 0.5,
          },
        },
      ],
      { ...counts, completion_tokens_details: { x: 1 }, cost: 0.5 },
    ],
    ['no numbers', [{ ...stop, usage: {} }], undefined],
  ])('reads the usage %s', (_name, frames, usage) => {
    expect(read(frames).at(-1)?.usage).toEqual(usage);
  });
});

const anyText = fc.oneof(
  fc.constantFrom('', ' ', 'a', 'b"', '\\n', 'c\\\\d', 'é', '😀', '"content":"x"', 'delta'),
  fc.string({ maxLength: 4 }),
);

const choice = (content: string, more: object = {}): object => ({
  index: 0,
  delta: { content },
  ...more,
});
const usageOf = (tokens: number): object => ({
  prompt_tokens: tokens,
  completion_tokens: 1,
  total_tokens: tokens + 1,
});

/** Frames of all kinds, most of them with a text, as they come in one stream. */
const anyFrame = fc
  .tuple(fc.nat(16), anyText, anyText, fc.nat(2))
  .map(([kind, content, text, number]): Record<string, unknown> => {
    const calls = [{ index: 0, id: 'c', function: { name: text, arguments: '{}' } }];
    switch (kind) {
      case 0:
        return { id: 'x', choices: [choice(content)] };
      case 1:
        return delta({ content, reasoning: text });
      case 2:
        return delta({ content }, { message: { content } });
      case 3:
        return { choices: [{ index: 0, message: { content } }] };
      case 4:
        return delta({ content: [{ type: 'text', text: content }] });
      case 5:
        return { choices: [choice(content)], usage: usageOf(number) };
      case 6:
        return { choices: [choice(content)], other: number };
      case 7:
        return { choices: [choice(content), choice(text, { index: 1 })] };
      case 8:
        return delta({ content, tool_calls: calls });
      case 9:
        return delta({ content }, { finish_reason: 'stop' });
      default:
        return delta({ content });
    }
  });

it.each([undefined, 1])('is the same whether frames are alike or not, indented by %s', (indent) => {
  const told = (frames: readonly object[]): unknown => {
    try {
      return read([...frames.map((frame) => JSON.stringify(frame, null, indent)), stop]);
    } catch (error) {
      return String(error);
    }
  };
  fc.assert(
    fc.property(fc.array(anyFrame, { minLength: 2, maxLength: 12 }), (frames) => {
      // Padding that nobody reads makes each frame another one, which is read for itself.
      const unlike = frames.map((frame, n) => Object.assign({ obfuscation: `${n}` }, frame));
      expect(told(frames)).toEqual(told(unlike));
    }),
    { numRuns: 500 },
  );
});

describe('failures inside a stream', () => {
  it.each<[string, Frame, string]>([
    ['an error object', { error: { message: 'bad', code: 7 } }, '7: bad'],
    ['an error text', { error: 'bad' }, '-: bad'],
    [
      'an error beside choices (OpenRouter)',
      { error: { message: 'bad', code: 502 }, ...delta({}, { finish_reason: 'error' }) },
      '502: bad',
    ],
    ['an error in the choice', { choices: [{ error: { message: 'bad' } }] }, '-: bad'],
    ['object error (vLLM)', { object: 'error', message: 'bad', code: 400 }, '400: bad'],
    ['base_resp (MiniMax)', { base_resp: { status_code: 1008, status_msg: 'bad' } }, '1008: bad'],
    ['bare code and message (GLM)', { code: '1261', message: 'bad' }, '1261: bad'],
    ['a list (Gemini)', '[{"error":{"message":"bad","code":400}}]', '400: bad'],
    [
      'network_error (GLM)',
      delta({ content: 'a' }, { finish_reason: 'network_error' }),
      'network_error: The model stopped with "network_error".',
    ],
    [
      'the window as the only chunk (GLM)',
      delta({}, { finish_reason: 'model_context_window_exceeded' }),
      "context_length_exceeded: The prompt is larger than the model's context window.",
    ],
  ])('throws %s', (_name, frame, message) => {
    expect(() => read([frame])).toThrow(message);
  });

  it('throws what an event named error holds, JSON or not', () => {
    const reader = new ChunkReader({
      makeId: () => 'x',
      toError: (fault) => new ProxyError('internal', fault.message),
    });
    expect(() => reader.read({ name: 'error', data: 'it broke' }, [])).toThrow('it broke');
    expect(() => reader.read({ name: 'error', data: '{"message":"so"}' }, [])).toThrow('so');
  });

  it('takes base_resp with status 0 for what it is', () => {
    expect(read([{ ...delta({ content: 'a' }), base_resp: { status_code: 0 } }, stop])).toEqual([
      { content: 'a' },
      end,
    ]);
  });

  it('does not take an end without a finish reason for a good one', () => {
    expect(() => read([delta({ content: 'a' })])).toThrow(/without a finish reason/);
    expect(() => read(['[DONE]'])).toThrow(/without a finish reason/);
  });

  it('takes an empty answer for an overflow only if the prompt was too large', () => {
    const frames = [{ ...stop, usage: { prompt_tokens: 200, completion_tokens: 0 } }];
    expect(() => read(frames, { contextWindowTokens: 100 })).toThrow(/context_length_exceeded/);
    expect(read(frames, { contextWindowTokens: 200 }).length).toBe(1);
    expect(read([delta({ content: 'a' }), ...frames], { contextWindowTokens: 100 }).length).toBe(2);
  });

  it('reports a call that never got a name', () => {
    expect(() =>
      read([delta({ tool_calls: [{ index: 0, id: 'c', function: { arguments: '{}' } }] }), stop]),
    ).toThrow(/without a name/);
  });
});

it('takes a call that comes under its old and its new name once', () => {
  const called = { name: 'f', arguments: '{}' };
  const twice = delta({
    function_call: called,
    tool_calls: [{ index: 0, id: 'a', function: called }],
  });
  const later = delta({ function_call: { arguments: '' } });
  const chunks = read([twice, later, delta({}, { finish_reason: 'tool_calls' })]);
  expect(chunks).toEqual([
    { toolCalls: [{ index: 0, id: 'a', name: 'f', arguments: '{}' }] },
    { finishReason: 'tool_calls' },
  ]);
});

it('refuses what is nested deeper than anything can be walked over, at once and for good', () => {
  const deep = (levels: number): string => `${'['.repeat(levels)}1${']'.repeat(levels)}`;
  const frameOf = (levels: number): string =>
    `{"choices":[{"index":0,"delta":{"content":"a"}}],"odd":${deep(levels)}}`;
  const readOne = (data: string): void =>
    new ChunkReader({ makeId: () => 'id', toError: () => new Error('other') as never }).read(
      { name: '', data },
      [],
    );
  readOne(frameOf(900));
  for (const data of [frameOf(100_000), deep(100_000), `${frameOf(2)}${frameOf(100_000)}`])
    expect(() => readOne(data)).toThrow(/nested more than 1000 levels/);
});
