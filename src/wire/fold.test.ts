import { expect, it } from 'vitest';
import { foldChunks } from './fold.ts';
import type { Chunk, Message } from './types.ts';

const end: Chunk = { finishReason: 'stop' };

it.each<[string, Chunk[], Message]>([
  ['text', [{ content: 'a' }, { content: 'b' }, end], { role: 'assistant', content: 'ab' }],
  ['nothing', [end], { role: 'assistant', content: '' }],
  [
    'reasoning under its own name',
    [
      { reasoning: 'r', reasoningField: 'reasoning' },
      { reasoning: 's', reasoningField: 'reasoning' },
      { content: 'a' },
      end,
    ],
    { role: 'assistant', content: 'a', reasoning: 'rs' },
  ],
  [
    'an empty reasoning',
    [{ content: 'a' }, { ...end, reasoning: '', reasoningField: 'reasoning_content' }],
    { role: 'assistant', content: 'a', reasoning_content: '' },
  ],
  [
    'a refusal',
    [{ refusal: 'n' }, { refusal: 'o' }, end],
    { role: 'assistant', content: '', refusal: 'no' },
  ],
  [
    'a signature on a delta of its own',
    [{ content: 'a' }, { extra: { extra_content: { google: { thought_signature: 's' } } } }, end],
    { role: 'assistant', content: 'a', extra_content: { google: { thought_signature: 's' } } },
  ],
  [
    'lists and pieces of unknown members',
    [
      { extra: { annotations: [1], audio: { id: 'x', data: 'a' } } },
      { extra: { annotations: [2], audio: { id: 'x', data: 'b' } } },
      end,
    ],
    { role: 'assistant', content: '', annotations: [1, 2], audio: { id: 'x', data: 'ab' } },
  ],
  [
    'the old function call',
    [
      { extra: { function_call: { name: 'f', arguments: '{' } } },
      { extra: { function_call: { arguments: '}' } } },
      { finishReason: 'function_call' },
    ],
    { role: 'assistant', content: '', function_call: { name: 'f', arguments: '{}' } },
  ],
  [
    'calls, with the bytes of their arguments and a signature that comes twice',
    [
      { content: '\n' },
      {
        toolCalls: [
          {
            index: 0,
            id: 'a',
            name: 'f',
            arguments: '{ "x":',
            extra: { extra_content: { google: { thought_signature: 's' } } },
          },
        ],
      },
      { toolCalls: [{ index: 1, id: 'b', name: 'g', arguments: '' }] },
      {
        toolCalls: [
          {
            index: 0,
            arguments: ' 1 }',
            extra: { extra_content: { google: { thought_signature: 's' } } },
          },
        ],
      },
      { finishReason: 'tool_calls' },
    ],
    {
      role: 'assistant',
      content: '\n',
      tool_calls: [
        {
          id: 'a',
          type: 'function',
          function: { name: 'f', arguments: '{ "x": 1 }' },
          extra_content: { google: { thought_signature: 's' } },
        },
        { id: 'b', type: 'function', function: { name: 'g', arguments: '' } },
      ],
    },
  ],
  [
    'calls without text',
    [{ toolCalls: [{ index: 0, id: 'a', name: 'f', arguments: '{}' }] }, end],
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
    },
  ],
])('folds %s', (_name, chunks, message) => {
  expect(foldChunks(chunks).message).toEqual(message);
});

it('joins the texts of each block of structured reasoning and touches nothing else', () => {
  const details = [
    { type: 'reasoning.text', index: 0, text: 'I ', signature: null },
    { type: 'reasoning.summary', index: 1, summary: 'S' },
    { type: 'reasoning.text', index: 0, text: 'think', format: 'x' },
    { type: 'reasoning.text', index: 0, text: '', signature: 'sig==' },
    { type: 'reasoning.text', index: 0, text: 'Next' },
    { type: 'reasoning.encrypted', index: 2, data: 'abc', id: 'e1' },
    { type: 'reasoning.encrypted', index: 2, data: 'def', id: 'e2' },
  ];
  const chunks: Chunk[] = details.map((detail) => ({ reasoningDetails: [detail] }));
  expect(foldChunks([...chunks, end]).message['reasoning_details']).toEqual([
    { type: 'reasoning.text', index: 0, text: 'I think', signature: 'sig==', format: 'x' },
    { type: 'reasoning.summary', index: 1, summary: 'S' },
    { type: 'reasoning.text', index: 0, text: 'Next' },
    { type: 'reasoning.encrypted', index: 2, data: 'abc', id: 'e1' },
    { type: 'reasoning.encrypted', index: 2, data: 'def', id: 'e2' },
  ]);
});

it('joins log probabilities and keeps the usage', () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const turn = foldChunks([
    { content: 'a', logprobs: { content: [1], refusal: null } },
    { content: 'b', logprobs: { content: [2] } },
    { finishReason: 'stop', usage },
  ]);
  expect(turn.logprobs).toEqual({ content: [1, 2], refusal: null });
  expect(turn.usage).toEqual(usage);
  expect(foldChunks([{ content: 'cut' }]).finishReason).toBe('length');
});
