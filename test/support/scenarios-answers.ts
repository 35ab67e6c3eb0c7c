import type { Scenario } from './scenarios.ts';
import {
  answer,
  chunk,
  comment,
  done,
  finish,
  frame,
  gzipped,
  keepOpen,
  raw,
  reasoning,
  reply,
  role,
  scriptedUsage,
  splitEvery,
  status,
  type Step,
  text,
  usage,
  withHead,
} from './scripted-upstream.ts';

const stop = [finish(), done()];
const hello = { text: 'Hello', finish: 'stop' } as const;
const counted = { ...hello, promptTokens: scriptedUsage.prompt_tokens };

/** A chunk with nothing around its choices. */
const bare = (delta: unknown, more: object = {}): Step => frame({ choices: [{ delta, ...more }] });

const whole = {
  id: 'x',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: scriptedUsage,
};

const large = 'x'.repeat(3_000_000);

/** Texts, reasoning, framing, usage, finish reasons. */
export const answerScenarios: readonly Scenario[] = [
  { name: 'a plain answer', replies: [answer('Hello')], answer: counted },
  { name: 'one character at a time', replies: [answer('Hello', 1)], answer: counted },
  {
    name: 'everything in one chunk',
    replies: [
      reply(chunk({ role: 'assistant', content: 'Hello' }, { finish_reason: 'stop' }), done()),
    ],
    answer: hello,
  },
  {
    name: 'letters of many scripts, byte by byte',
    replies: [splitEvery(1, reply(role(), text('äß'), text('日本'), text('👩‍👩‍👧'), ...stop))],
    answer: { text: 'äß日本👩‍👩‍👧', finish: 'stop' },
  },
  {
    name: 'white space kept',
    replies: [reply(role(), text('\n\n  Hello '), text('\t'), text('\n'), ...stop)],
    answer: { text: '\n\n  Hello \t\n', finish: 'stop' },
  },
  {
    name: 'think tags in the text',
    profile: 'minimax',
    replies: [reply(role(), text('<think>x</th'), text('ink>Hello'), ...stop)],
    answer: { text: '<think>x</think>Hello', finish: 'stop' },
  },
  {
    name: 'control characters and quotes',
    replies: [reply(role(), text('"\\\u0000\u2028'), ...stop)],
    answer: { text: '"\\\u0000\u2028', finish: 'stop' },
  },
  { name: 'an empty answer', replies: [reply(role(), ...stop)], answer: { finish: 'stop' } },
  {
    name: 'reasoning and no text',
    profile: 'zai',
    replies: [reply(reasoning('hmm'), ...stop)],
    answer: { reasoning: 'hmm', finish: 'stop' },
  },
  {
    name: 'reasoning, then text, role in every chunk (GLM)',
    profile: 'zai',
    replies: [
      reply(
        chunk({ role: 'assistant', reasoning_content: 'h' }),
        chunk({ role: 'assistant', reasoning_content: 'm' }),
        chunk({ role: 'assistant', content: 'Hello' }),
        finish('stop', { delta: { role: 'assistant', content: '' } }),
        done(),
      ),
    ],
    answer: { reasoning: 'hm', ...hello },
  },
  {
    name: 'reasoning with details (OpenRouter)',
    profile: 'openrouter',
    replies: [
      reply(
        role(),
        chunk({
          content: '',
          reasoning: 'hm',
          reasoning_details: [{ type: 'reasoning.text', text: 'hm', index: 0 }],
        }),
        text('Hello'),
        ...stop,
      ),
    ],
    answer: { reasoning: 'hm', ...hello },
  },
  {
    name: 'the same reasoning under two names',
    profile: 'vllm',
    replies: [reply(chunk({ reasoning: 'hm', reasoning_content: 'hm' }), text('Hello'), ...stop)],
    answer: { reasoning: 'hm', ...hello },
  },
  {
    name: 'reasoning after text',
    replies: [reply(role(), text('Hel'), reasoning('hm'), text('lo'), ...stop)],
    answer: { reasoning: 'hm', ...hello },
  },
  {
    name: 'content in parts (Mistral)',
    profile: 'mistral',
    replies: [
      reply(
        role(),
        chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] }),
        chunk({ content: [{ type: 'text', text: 'Hello' }] }),
        ...stop,
      ),
    ],
    answer: { reasoning: 'hm', ...hello },
  },
  {
    name: 'a refusal',
    replies: [reply(role(), chunk({ refusal: 'I ' }), chunk({ refusal: 'cannot' }), ...stop)],
    answer: { refusal: 'I cannot', finish: 'stop' },
  },
  {
    name: 'a large answer in one frame',
    replies: [reply(role(), text(large), ...stop)],
    answer: { text: large, finish: 'stop' },
  },

  { name: 'a JSON answer instead of a stream', replies: [status(200, whole)], answer: counted },
  {
    name: 'a printed JSON answer, called a stream',
    replies: [
      {
        ...status(200, JSON.stringify(whole, null, 2)),
        headers: { 'content-type': 'text/event-stream' },
      },
    ],
    answer: counted,
  },
  {
    name: 'a stream, called JSON',
    replies: [withHead(answer('Hello'), { headers: { 'content-type': 'application/json' } })],
    answer: counted,
  },
  { name: 'a stream packed with gzip', replies: [gzipped(answer('Hello'))], answer: counted },
  {
    name: 'a JSON answer packed with gzip',
    replies: [gzipped(status(200, whole))],
    answer: counted,
  },

  {
    name: 'comments between everything (OpenRouter)',
    profile: 'openrouter',
    replies: [
      reply(
        comment('OPENROUTER PROCESSING'),
        comment('OPENROUTER PROCESSING'),
        role(),
        comment('x'),
        text('Hello'),
        comment(''),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'CRLF line ends',
    replies: [
      reply(
        raw(
          'data: {"choices":[{"delta":{"content":"Hello"}}]}\r\n\r\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n',
        ),
      ),
    ],
    answer: hello,
  },
  {
    name: 'CRLF line ends, byte by byte',
    replies: [
      splitEvery(
        1,
        reply(
          raw(
            'data: {"choices":[{"delta":{"content":"Hello"}}]}\r\n\r\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n',
          ),
        ),
      ),
    ],
    answer: hello,
  },
  {
    name: 'CR line ends',
    replies: [
      reply(
        raw(
          'data: {"choices":[{"delta":{"content":"Hello"}}]}\r\rdata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\r',
        ),
      ),
    ],
    answer: hello,
  },
  {
    name: 'no space after data:',
    replies: [
      reply(
        raw(
          'data:{"choices":[{"delta":{"content":"Hello"}}]}\n\ndata:{"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata:[DONE]\n\n',
        ),
      ),
    ],
    answer: hello,
  },
  {
    name: 'a byte order mark',
    replies: [reply(raw('\uFEFF'), text('Hello'), ...stop)],
    answer: hello,
  },
  {
    name: 'event, id and retry fields',
    replies: [reply(raw('retry: 100\n\nevent: message\nid: 1\n'), text('Hello'), ...stop)],
    answer: hello,
  },
  {
    name: 'a frame over several data lines',
    replies: [reply(raw('data: {"choices":\ndata: [{"delta":{"content":"Hello"}}]}\n\n'), ...stop)],
    answer: hello,
  },
  {
    name: 'two frames glued by data:',
    profile: 'zai',
    replies: [
      reply(
        raw(
          'data: {"choices":[{"delta":{"content":"Hel"}}]}data: {"choices":[{"delta":{"content":"lo"}}]}\n\n',
        ),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'two frames in two lines of one event',
    replies: [
      reply(
        raw(
          'data: {"choices":[{"delta":{"content":"Hel"}}]}\ndata: {"choices":[{"delta":{"content":"lo"}}]}\n\n',
        ),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'the end mark glued to the last frame',
    replies: [
      reply(
        text('Hello'),
        raw('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\ndata: [DONE]\n\n'),
      ),
    ],
    answer: hello,
  },
  { name: 'no end mark', replies: [reply(role(), text('Hello'), finish())], answer: hello },
  {
    name: 'no blank line after the last frame',
    replies: [
      reply(role(), text('Hello'), raw('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}')),
    ],
    answer: hello,
  },
  {
    name: 'an end mark and a socket left open',
    replies: [keepOpen(answer('Hello'))],
    answer: counted,
  },
  {
    name: 'text behind the end mark',
    replies: [reply(role(), text('Hello'), ...stop, text('!'))],
    answer: hello,
  },
  {
    name: 'empty data frames',
    replies: [
      reply(
        raw('data:\n\ndata: \n\n'),
        role(),
        text('Hello'),
        raw('data: null\n\ndata: {}\n\n'),
        ...stop,
      ),
    ],
    answer: hello,
  },

  {
    name: 'no object, id, created, model or index',
    replies: [reply(bare({ content: 'Hello' }), bare({}, { finish_reason: 'stop' }), done())],
    answer: hello,
  },
  {
    name: 'another id in every chunk',
    replies: [
      reply(
        frame({
          id: 'a',
          model: 'x',
          created: 1,
          choices: [{ index: 0, delta: { content: 'Hel' } }],
        }),
        frame({
          id: 'b',
          model: 'y',
          created: 2,
          choices: [{ index: 0, delta: { content: 'lo' } }],
        }),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'filter chunks without choices or delta (Azure)',
    profile: 'azure',
    replies: [
      reply(
        frame({ id: '', choices: [], prompt_filter_results: [{}] }),
        role(),
        text('Hello'),
        frame({ id: '', choices: [{ index: 0, finish_reason: null, content_filter_results: {} }] }),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'role null, empty, and none',
    replies: [
      reply(chunk({ role: null, content: 'Hel' }), chunk({ role: '', content: 'lo' }), ...stop),
    ],
    answer: hello,
  },
  {
    name: 'a role no client knows',
    replies: [reply(chunk({ role: 'model', content: 'Hello' }), ...stop)],
    answer: hello,
  },
  {
    name: 'nulls everywhere',
    replies: [
      reply(
        chunk(
          {
            role: 'assistant',
            content: null,
            reasoning_content: null,
            tool_calls: null,
            function_call: null,
            refusal: null,
          },
          { logprobs: null },
        ),
        text('Hello'),
        chunk({ content: null }, { finish_reason: 'stop' }),
        done(),
      ),
    ],
    answer: hello,
  },
  {
    name: 'a delta that is null',
    replies: [reply(text('Hello'), chunk(null), chunk(null, { finish_reason: 'stop' }), done())],
    answer: hello,
  },
  {
    name: 'a second choice nobody asked for',
    replies: [
      reply(
        role(),
        frame({ choices: [{ index: 1, delta: { content: 'No' } }] }),
        text('Hello'),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'the whole message again at the end',
    replies: [
      reply(
        role(),
        text('Hello'),
        frame({
          choices: [
            { index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' },
          ],
        }),
        done(),
      ),
    ],
    answer: hello,
  },
  {
    name: 'members nobody knows',
    replies: [
      reply(
        frame({
          x_groq: { id: 'x' },
          provider: 'p',
          choices: [
            { index: 0, delta: { content: 'Hello', channel: 'final' }, native_finish_reason: null },
          ],
        }),
        ...stop,
      ),
    ],
    answer: hello,
  },

  {
    name: 'usage on the finish chunk (GLM)',
    profile: 'zai',
    replies: [
      reply(
        role(),
        text('Hello'),
        frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: scriptedUsage }),
        done(),
      ),
    ],
    answer: counted,
  },
  {
    name: 'usage inside the choice (Kimi)',
    profile: 'moonshot',
    replies: [reply(role(), text('Hello'), finish('stop', { usage: scriptedUsage }), done())],
    answer: counted,
  },
  {
    name: 'usage in every chunk',
    profile: 'vllm',
    replies: [
      reply(
        frame({
          choices: [{ index: 0, delta: { content: 'Hello' } }],
          usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
        }),
        finish(),
        usage(),
        done(),
      ),
    ],
    answer: counted,
  },
  {
    name: 'usage null before the end',
    replies: [
      reply(
        frame({ choices: [{ index: 0, delta: { content: 'Hello' } }], usage: null }),
        finish(),
        usage(),
        done(),
      ),
    ],
    answer: counted,
  },
  {
    name: 'usage with nulls and without a total',
    replies: [
      reply(
        text('Hello'),
        finish(),
        frame({
          choices: [],
          usage: {
            prompt_tokens: 1000,
            completion_tokens: 2,
            prompt_tokens_details: null,
            completion_tokens_details: { reasoning_tokens: null },
          },
        }),
        done(),
      ),
    ],
    answer: counted,
  },
  {
    name: 'usage before the finish reason',
    replies: [reply(text('Hello'), usage(), ...stop)],
    answer: counted,
  },

  {
    name: 'cut by the limit',
    replies: [reply(role(), text('Hello'), finish('length'), done())],
    answer: { ...hello, finish: 'length' },
  },
  {
    name: 'moderation (GLM)',
    profile: 'zai',
    replies: [reply(role(), text('Hello'), finish('sensitive'), done())],
    answer: { ...hello, finish: 'content_filter' },
  },
  {
    name: 'a finish reason nobody knows',
    replies: [reply(role(), text('Hello'), finish('joy'), done())],
    answer: hello,
  },
  {
    name: 'a finish reason in capitals (Gemini)',
    profile: 'gemini',
    replies: [reply(role(), text('Hello'), finish('STOP'), done())],
    answer: hello,
  },
  {
    name: 'two finish reasons',
    replies: [reply(role(), text('Hello'), finish(), finish(), done())],
    answer: hello,
  },
  {
    name: 'an empty finish reason on the way',
    replies: [
      reply(
        chunk({ content: 'Hel' }, { finish_reason: '' }),
        chunk({ content: 'lo' }, { finish_reason: 'null' }),
        ...stop,
      ),
    ],
    answer: hello,
  },
  {
    name: 'text behind the finish reason',
    replies: [reply(role(), text('Hel'), finish(), text('lo'), done())],
    answer: hello,
  },
  {
    name: 'calls announced and none made',
    replies: [reply(role(), text('Hello'), finish('tool_calls'), done())],
    answer: hello,
  },
  {
    name: 'a window that ran full in the answer (GLM)',
    profile: 'zai',
    replies: [reply(role(), text('Hello'), finish('model_context_window_exceeded'), done())],
    answer: { ...hello, finish: 'length' },
  },
];
