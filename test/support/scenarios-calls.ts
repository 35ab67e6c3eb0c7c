import type { Scenario } from './scenarios.ts';
import {
  callTools,
  chunk,
  done,
  finish,
  gzipped,
  reasoning,
  reply,
  role,
  splitEvery,
  status,
  text,
  toolCall,
  toolDelta,
  usage,
} from './scripted-upstream.ts';

const end = [finish('tool_calls'), done()];
const args = '{"city":"Wien"}';
const one = { name: 'lookup', arguments: args, id: 'call_a' };
const two = { name: 'lookup', arguments: '{"city":"Rom"}', id: 'call_b' };
const called = { calls: [one], finish: 'tool_calls' } as const;
const calledTwice = { calls: [one, two], finish: 'tool_calls' } as const;
const fn = (name: unknown, json: unknown) => ({
  type: 'function',
  function: { name, arguments: json },
});
const large = JSON.stringify({ city: 'x'.repeat(1_500_000) });

/** Calls of the tool `lookup`, in every way they have been seen. */
export const callScenarios: readonly Scenario[] = [
  {
    name: 'a call in one piece',
    replies: [callTools({ name: 'lookup', args, id: 'call_a' })],
    answer: { ...called, promptTokens: 1000 },
  },
  {
    name: 'a call in pieces',
    replies: [
      reply(
        role(),
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '') }),
        toolDelta({ index: 0, function: { arguments: '{"city"' } }),
        toolDelta({ index: 0, function: { arguments: ':"Wien"}' } }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'a call in pieces, byte by byte',
    replies: [
      splitEvery(
        1,
        reply(
          toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"city"') }),
          toolDelta({ index: 0, function: { arguments: ':"Wien"}' } }),
          ...end,
        ),
      ),
    ],
    answer: called,
  },
  {
    name: 'two calls, one after the other',
    replies: [
      callTools(
        { name: 'lookup', args, id: 'call_a' },
        { name: 'lookup', args: two.arguments, id: 'call_b' },
      ),
    ],
    answer: { ...calledTwice, promptTokens: 1000 },
  },
  {
    name: 'two calls in one delta',
    replies: [
      reply(
        toolDelta(
          { index: 0, id: 'call_a', ...fn('lookup', args) },
          { index: 1, id: 'call_b', ...fn('lookup', two.arguments) },
        ),
        ...end,
      ),
    ],
    answer: calledTwice,
  },
  {
    name: 'two calls, their pieces interleaved',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"city"') }),
        toolDelta({ index: 1, id: 'call_b', ...fn('lookup', '{"city":') }),
        toolDelta({ index: 0, function: { arguments: ':"Wien"}' } }),
        toolDelta({ index: 1, function: { arguments: '"Rom"}' } }),
        ...end,
      ),
    ],
    answer: calledTwice,
  },
  {
    name: 'indexes from 1, with a gap',
    replies: [
      reply(
        toolDelta({ index: 1, id: 'call_a', ...fn('lookup', args) }),
        toolDelta({ index: 4, id: 'call_b', ...fn('lookup', two.arguments) }),
        ...end,
      ),
    ],
    answer: calledTwice,
  },
  {
    name: 'no indexes, finish stop (Gemini)',
    profile: 'gemini',
    replies: [
      reply(
        toolDelta({ id: 'call_a', ...fn('lookup', args) }),
        toolDelta({ id: 'call_b', ...fn('lookup', two.arguments) }),
        finish(),
        done(),
      ),
    ],
    answer: calledTwice,
  },
  {
    name: 'a signature beside the call (Gemini)',
    profile: 'gemini',
    replies: [
      reply(
        toolDelta({
          id: 'call_a',
          ...fn('lookup', args),
          extra_content: { google: { thought_signature: 's' } },
        }),
        finish(),
        done(),
      ),
    ],
    answer: called,
  },
  {
    name: 'a signature on a delta of its own (Gemini)',
    profile: 'gemini',
    replies: [
      reply(
        toolDelta({ id: 'call_a', ...fn('lookup', args) }),
        chunk({ extra_content: { google: { thought_signature: 's' } } }),
        finish(),
        done(),
      ),
    ],
    answer: called,
  },
  {
    name: 'the id in every piece (GLM with tool_stream)',
    profile: 'zai',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"ci') }),
        toolDelta({ index: 0, id: 'call_a', function: { arguments: 'ty":' } }),
        chunk(
          {
            role: 'assistant',
            tool_calls: [{ index: 0, id: 'call_a', function: { arguments: '"Wien"}' } }],
          },
          { finish_reason: 'tool_calls' },
        ),
        done(),
      ),
    ],
    answer: called,
  },
  {
    name: 'id and name in every piece',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"city"') }),
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', ':"Wien"}') }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'empty ids and null names in later pieces (Qwen)',
    profile: 'qwen',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"city"') }),
        toolDelta({ index: 0, id: '', ...fn(null, ':"Wien"}') }),
        toolDelta({ index: 0, id: '', ...fn(null, null) }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'empty names in later pieces',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', '{"city"') }),
        toolDelta({ index: 0, ...fn('', ':"Wien"}') }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'every call at index 0, finish stop (Ollama)',
    profile: 'ollama',
    replies: [
      reply(
        toolCall('lookup', args, { id: 'call_a' }),
        toolCall('lookup', two.arguments, { id: 'call_b' }),
        finish(),
        done(),
      ),
    ],
    answer: calledTwice,
  },
  {
    name: 'no ids',
    replies: [
      reply(
        toolDelta({ index: 0, ...fn('lookup', args) }),
        toolDelta({ index: 1, ...fn('lookup', two.arguments) }),
        ...end,
      ),
    ],
    answer: {
      calls: [
        { name: 'lookup', arguments: args },
        { name: 'lookup', arguments: two.arguments },
      ],
      finish: 'tool_calls',
    },
  },
  {
    name: 'one id for two calls',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', ...fn('lookup', args) }),
        toolDelta({ index: 1, id: 'call_a', ...fn('lookup', two.arguments) }),
        ...end,
      ),
    ],
    answer: { calls: [one, { name: 'lookup', arguments: two.arguments }], finish: 'tool_calls' },
  },
  {
    name: 'the name in the second piece',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', type: 'function' }),
        toolDelta({ index: 0, function: { name: 'lookup', arguments: args } }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'no type',
    replies: [
      reply(
        toolDelta({ index: 0, id: 'call_a', function: { name: 'lookup', arguments: args } }),
        ...end,
      ),
    ],
    answer: called,
  },
  {
    name: 'arguments as an object',
    replies: [
      reply(toolDelta({ index: 0, id: 'call_a', ...fn('lookup', { city: 'Wien' }) }), ...end),
    ],
    answer: called,
  },
  {
    name: 'arguments with spaces, kept as they are',
    replies: [reply(toolCall('lookup', '{ "city" : "Wien" }', { id: 'call_a' }), ...end)],
    answer: { calls: [{ ...one, arguments: '{ "city" : "Wien" }' }], finish: 'tool_calls' },
  },
  {
    name: 'arguments of 1.5 MB in one frame',
    replies: [reply(toolCall('lookup', large, { id: 'call_a' }), ...end)],
    answer: { calls: [{ ...one, arguments: large }], finish: 'tool_calls' },
  },
  {
    name: 'arguments cut by the limit',
    replies: [reply(toolCall('lookup', '{"city":"Wi', { id: 'call_a' }), finish('length'), done())],
    answer: { calls: [{ ...one, arguments: '{"city":"Wi' }], finish: 'length' },
  },
  {
    name: 'a nine-character id (Mistral)',
    profile: 'mistral',
    replies: [reply(toolCall('lookup', args, { id: 'Ab3dEf6h9' }), ...end)],
    answer: { calls: [{ ...one, id: 'Ab3dEf6h9' }], finish: 'tool_calls' },
  },
  {
    name: 'the old function call',
    replies: [
      reply(
        chunk({ function_call: { name: 'lookup', arguments: '{"city"' } }),
        chunk({ function_call: { arguments: ':"Wien"}' } }),
        finish('function_call'),
        done(),
      ),
    ],
    answer: { calls: [{ name: 'lookup', arguments: args }], finish: 'tool_calls' },
  },
  {
    name: 'a call on the finish chunk',
    replies: [
      reply(
        role(),
        chunk(
          { tool_calls: [{ index: 0, id: 'call_a', ...fn('lookup', args) }] },
          { finish_reason: 'tool_calls' },
        ),
        usage(),
        done(),
      ),
    ],
    answer: { ...called, promptTokens: 1000 },
  },
  {
    name: 'a call behind the finish reason',
    replies: [reply(role(), finish(), toolCall('lookup', args, { id: 'call_a' }), done())],
    answer: called,
  },
  {
    name: 'text before a call',
    replies: [reply(role(), text('I look.'), toolCall('lookup', args, { id: 'call_a' }), ...end)],
    answer: { ...called, text: 'I look.' },
  },
  {
    name: 'reasoning before a call',
    profile: 'deepseek',
    replies: [reply(reasoning('hm'), toolCall('lookup', args, { id: 'call_a' }), ...end)],
    answer: { ...called, reasoning: 'hm' },
  },
  {
    name: 'a JSON answer with a call',
    replies: [
      status(200, {
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: null,
              tool_calls: [{ id: 'call_a', ...fn('lookup', args) }],
            },
            finish_reason: 'tool_calls',
          },
        ],
      }),
    ],
    answer: called,
  },
  {
    name: 'calls packed with gzip',
    replies: [gzipped(callTools({ name: 'lookup', args, id: 'call_a' }))],
    answer: { ...called, promptTokens: 1000 },
  },
];
