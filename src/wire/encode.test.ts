import { expect, it } from 'vitest';
import { completionSchema, readStrictly } from '../../test/support/openai-schema.ts';
import { encodeCompletion, StreamEncoder } from './encode.ts';
import { foldChunks } from './fold.ts';
import type { Chunk } from './types.ts';

const head = { id: 'chatcmpl-1', created: 1, model: 'zai.glm-5' };
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7, rlm: { steps: 3 } };

function stream(batches: readonly (readonly Chunk[])[], includeUsage = true): string {
  const encoder = new StreamEncoder(head, { includeUsage });
  return batches.map((batch) => encoder.encode(batch)).join('') + encoder.done();
}

it('writes a plain answer frame by frame', () => {
  const written = stream([[{ content: 'a "b"\n' }], [{ finishReason: 'stop', usage }]]);
  const start =
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"zai.glm-5"';
  expect(written).toBe(
    [
      `${start},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
      String.raw`${start},"choices":[{"index":0,"delta":{"content":"a \"b\"\n"},"logprobs":null,"finish_reason":null}]}`,
      `${start},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`,
      `${start},"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"rlm":{"steps":3}}}`,
      'data: [DONE]',
      '',
    ].join('\n\n'),
  );
  expect(readStrictly(written).chunks.length).toBe(4);
});

it('numbers calls anew over all steps', () => {
  const written = stream([
    [{ reasoning: 'r', reasoningField: 'reasoning' }, { reasoning: 's' }],
    [
      {
        toolCalls: [{ index: 3, id: 'a', name: 'f', arguments: '{', extra: { extra_content: 1 } }],
      },
    ],
    [{ toolCalls: [{ index: 3, arguments: '}' }] }],
    [
      {
        toolCalls: [
          { index: 0, id: 'b', name: 'g', arguments: '' },
          { index: 3, id: 'c', name: 'h', arguments: '' },
        ],
      },
    ],
    [{ finishReason: 'tool_calls' }],
  ]);
  const deltas = readStrictly(written).chunks.map(({ choices }) => choices[0]?.delta);
  expect(deltas).toEqual([
    { role: 'assistant', content: '' },
    { reasoning: 'r' },
    { reasoning_content: 's' },
    {
      tool_calls: [
        {
          index: 0,
          id: 'a',
          type: 'function',
          function: { name: 'f', arguments: '{' },
          extra_content: 1,
        },
      ],
    },
    { tool_calls: [{ index: 0, function: { arguments: '}' } }] },
    {
      tool_calls: [
        { index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '' } },
        { index: 2, id: 'c', type: 'function', function: { name: 'h', arguments: '' } },
      ],
    },
    {},
  ]);
});

it('writes everything a chunk may hold, and nothing for what is empty', () => {
  const written = stream([
    [
      { reasoning: '' },
      {
        reasoning: 'r',
        content: 'a',
        reasoningDetails: [{ x: 1 }],
        refusal: 'no',
        extra: { annotations: [] },
      },
      { logprobs: { content: [] } },
    ],
    [{ finishReason: 'stop' }],
  ]);
  const { chunks } = readStrictly(written);
  expect(chunks.length).toBe(4);
  expect(chunks[1]?.choices[0]?.delta).toEqual({
    reasoning_content: 'r',
    reasoning_details: [{ x: 1 }],
    content: 'a',
    refusal: 'no',
    annotations: [],
  });
  expect(chunks[2]?.choices[0]?.logprobs).toEqual({ content: [] });
});

it('says nothing after the finish reason, and the usage only to who asked', () => {
  const batches: Chunk[][] = [
    [{ content: 'a' }],
    [{ finishReason: 'stop' }],
    [{ content: 'b' }, { finishReason: 'length' }, { usage }],
  ];
  expect(readStrictly(stream(batches)).chunks.map((chunk) => chunk.usage)).toEqual([
    undefined,
    undefined,
    undefined,
    usage,
  ]);
  expect(readStrictly(stream(batches, false)).chunks.length).toBe(3);
});

it('opens an empty answer with the role', () => {
  expect(readStrictly(stream([[{ finishReason: 'stop' }]])).chunks.length).toBe(2);
});

it('refuses to end a stream that has no finish reason', () => {
  const encoder = new StreamEncoder(head, { includeUsage: false });
  encoder.encode([{ content: 'a' }]);
  expect(encoder.isFinished).toBe(false);
  expect(() => encoder.done()).toThrow(/without a finish reason/);
});

it('writes the same answer as one JSON object', () => {
  const turn = foldChunks([
    { reasoning: 'r', reasoningField: 'reasoning_content' },
    { toolCalls: [{ index: 0, id: 'a', name: 'f', arguments: '{}' }] },
    { finishReason: 'tool_calls', usage },
  ]);
  const answer: unknown = JSON.parse(encodeCompletion(head, turn));
  expect(completionSchema.parse(answer)).toEqual({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'zai.glm-5',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: null,
          reasoning_content: 'r',
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
          refusal: null,
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ],
    usage,
  });
  expect(
    JSON.parse(encodeCompletion(head, foldChunks([{ content: 'a' }, { finishReason: 'stop' }]))),
  ).not.toHaveProperty('usage');
});
