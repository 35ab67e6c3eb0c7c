import type { Scenario } from './scenarios.ts';
import {
  answer,
  chunk,
  comment,
  cut,
  cutAfterBytes,
  done,
  finish,
  frame,
  gzipped,
  raw,
  reply,
  role,
  status,
  text,
  toolDelta,
  usage,
  withHead,
} from './scripted-upstream.ts';

const error = (message: string, more: object = {}) => ({ error: { message, ...more } });
const recovered = { text: 'Hello', finish: 'stop', promptTokens: 1000 } as const;
const tired = error('The engine is tired', { type: 'server_error' });

/** Failures before, at and after the first chunk. */
export const failureScenarios: readonly Scenario[] = [
  {
    name: 'a bad parameter',
    replies: [
      status(
        400,
        error('temperature is wrong', { type: 'invalid_request_error', param: 'temperature' }),
      ),
    ],
    failure: { code: 'upstream_rejected', status: 400, words: 'temperature is wrong' },
  },
  {
    name: 'HTTP 422 in another shape (FastAPI)',
    replies: [status(422, { detail: [{ loc: ['body'], msg: 'field required' }] })],
    failure: { code: 'upstream_rejected', status: 422, words: 'field required' },
  },
  {
    name: 'a wrong key',
    replies: [status(401, error('Incorrect API key'))],
    failure: { code: 'unauthorized', status: 401, words: 'Incorrect API key' },
  },
  {
    name: 'a forbidden region',
    replies: [status(403, error('Not in your country'))],
    failure: { code: 'forbidden', status: 403, words: 'country' },
  },
  {
    name: 'an unknown model',
    replies: [status(404, error('No such model', { code: 'model_not_found' }))],
    failure: { code: 'unknown_model', status: 404, words: 'No such model' },
  },
  {
    name: 'an unknown path, as HTML',
    replies: [status(404, '<html><head><title>404 Not Found</title></head></html>')],
    failure: { code: 'upstream_rejected', status: 404, words: 'Not Found' },
  },
  {
    name: 'an error that is only a text',
    replies: [status(400, { error: 'no such thing' })],
    failure: { code: 'upstream_rejected', status: 400, words: 'no such thing' },
  },
  {
    name: 'an error without a body',
    replies: [status(400, '')],
    failure: { code: 'upstream_rejected', status: 400, words: '400' },
  },
  {
    name: 'an error packed with gzip',
    replies: [gzipped(status(400, error('packed')))],
    failure: { code: 'upstream_rejected', status: 400, words: 'packed' },
  },
  {
    name: 'no money (DeepSeek)',
    profile: 'deepseek',
    replies: [status(402, error('Insufficient Balance'))],
    failure: { code: 'quota_exhausted', status: 402, words: 'Insufficient Balance' },
  },
  {
    name: 'no money, called a rate limit (GLM 1113)',
    profile: 'zai',
    replies: [status(429, error('Insufficient balance', { code: '1113' }))],
    failure: { code: 'quota_exhausted', status: 402, words: 'Insufficient balance' },
  },
  {
    name: 'a plan used up (GLM 1308)',
    profile: 'zai',
    replies: [status(429, error('will reset at 2026-11-23', { code: '1308' }))],
    failure: { code: 'quota_exhausted', status: 402, words: 'will reset at 2026-11-23' },
  },
  {
    name: 'a plan that does not allow the model (GLM 1311, a number)',
    profile: 'zai',
    replies: [status(429, error('not in your plan', { code: 1311 }))],
    failure: { code: 'quota_exhausted', status: 402, words: 'not in your plan' },
  },
  {
    name: 'unsafe content (GLM 1301)',
    profile: 'zai',
    replies: [status(400, error('unsafe', { code: '1301' }))],
    failure: { code: 'upstream_rejected', status: 400, words: 'unsafe' },
  },

  {
    name: 'too long (OpenAI)',
    replies: [status(400, error('This model has a limit', { code: 'context_length_exceeded' }))],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (GLM 1261)',
    profile: 'zai',
    replies: [status(400, error('Prompt exceeds max length', { code: '1261' }))],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (GLM, a finish reason alone at 200)',
    profile: 'zai',
    replies: [
      reply(
        chunk(
          { role: 'assistant', content: '' },
          { finish_reason: 'model_context_window_exceeded' },
        ),
        done(),
      ),
    ],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (GLM, without the error object)',
    profile: 'zai',
    replies: [status(400, { code: 1261, message: 'Prompt too long' })],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (llama.cpp)',
    profile: 'llamacpp',
    replies: [
      status(400, error('request exceeds it', { type: 'exceed_context_size_error', n_ctx: 8 })),
    ],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (llama.cpp, as a 500)',
    profile: 'llamacpp',
    replies: [status(500, error('the request exceeds the available context size'))],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (vLLM)',
    profile: 'vllm',
    replies: [
      status(400, {
        object: 'error',
        message: "This model's maximum context length is 8 tokens",
        code: 400,
      }),
    ],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (Gemini, in a list)',
    profile: 'gemini',
    replies: [
      status(400, [
        error('The input token count exceeds the maximum number of tokens allowed', { code: 400 }),
      ]),
    ],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'too long (HTTP 413)',
    replies: [status(413, '')],
    failure: { code: 'context_length_exceeded', status: 400 },
  },

  {
    name: 'a rate limit, then an answer',
    replies: [status(429, error('slow down'), { 'retry-after': '1' }), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'concurrency (GLM 1302), overload (1305), then an answer',
    profile: 'zai',
    replies: [
      status(429, error('x', { code: '1302' })),
      status(429, error('y', { code: '1305' })),
      answer('Hello'),
    ],
    attempts: 3,
    answer: recovered,
  },
  {
    name: 'an internal error (GLM 1234), then an answer',
    profile: 'zai',
    replies: [status(500, error('x', { code: '1234' })), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a bad gateway in HTML, then an answer',
    replies: [status(502, '<html>bad</html>'), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a socket that breaks before the head, then an answer',
    replies: [withHead(answer('no'), { before: [cut()] }), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a socket that breaks after the head, then an answer',
    replies: [reply(comment('wait'), cut()), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a role and no more, then an answer',
    replies: [reply(role()), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'an error in the first frame, then an answer',
    replies: [reply(frame(error('tired', { code: 502 }))), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a JSON error at 200, then an answer',
    replies: [status(200, tired), answer('Hello')],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a call the provider cannot read (Groq), then an answer',
    profile: 'groq',
    replies: [
      status(
        400,
        error('Failed to call a function', { code: 'tool_use_failed', failed_generation: '<x>' }),
      ),
      answer('Hello'),
    ],
    attempts: 2,
    answer: recovered,
  },
  {
    name: 'a rate limit that does not end',
    replies: [status(429, error('slow down'))],
    attempts: 3,
    failure: { code: 'too_busy', status: 429, words: 'slow down' },
  },
  {
    name: 'an overload that does not end (529)',
    replies: [status(529, error('overloaded', { type: 'overloaded_error' }))],
    attempts: 3,
    failure: { code: 'too_busy', status: 529, words: 'overloaded' },
  },
  {
    name: 'a failure that does not end',
    replies: [status(503, error('down'))],
    attempts: 3,
    failure: { code: 'upstream_failed', status: 503, words: 'down' },
  },
  {
    name: 'an empty stream, again and again',
    replies: [reply()],
    attempts: 3,
    failure: { code: 'upstream_cut', status: 502 },
  },
  {
    name: 'an end mark and nothing else (LM Studio)',
    profile: 'lmstudio',
    replies: [reply(done())],
    attempts: 3,
    failure: { code: 'upstream_cut', status: 502 },
  },
  {
    name: 'comments and nothing else',
    replies: [reply(comment('x'), comment('y'))],
    attempts: 3,
    failure: { code: 'upstream_cut', status: 502 },
  },
  {
    name: 'a usage and no finish reason',
    replies: [reply(usage(), done())],
    attempts: 3,
    failure: { code: 'upstream_cut', status: 502 },
  },
  {
    name: 'a page of HTML at 200',
    replies: [status(200, '<html>Welcome</html>')],
    attempts: 1,
    failure: { code: 'upstream_failed', status: 502, words: 'a web page' },
  },

  {
    name: 'base_resp at 200 (MiniMax)',
    profile: 'minimax',
    replies: [
      status(200, { base_resp: { status_code: 1008, status_msg: 'insufficient balance' } }),
    ],
    failure: { code: 'quota_exhausted', status: 402, words: 'insufficient balance' },
  },
  {
    name: 'object error in a frame (vLLM)',
    profile: 'vllm',
    replies: [reply(frame({ object: 'error', message: 'bad thing', code: 400 }))],
    failure: { code: 'upstream_rejected', status: 400, words: 'bad thing' },
  },
  {
    name: 'an event named error (LM Studio)',
    profile: 'lmstudio',
    replies: [reply(raw('event: error\ndata: {"error":{"message":"bad thing","code":400}}\n\n'))],
    failure: { code: 'upstream_rejected', status: 400, words: 'bad thing' },
  },
  {
    name: 'an error field and an end mark (llama.cpp)',
    profile: 'llamacpp',
    replies: [
      reply(
        raw('error: {"code":400,"message":"bad thing","type":"invalid_request_error"}\n\n'),
        done(),
      ),
    ],
    failure: { code: 'upstream_rejected', status: 400, words: 'bad thing' },
  },
  {
    name: 'a bare code and message in a frame (GLM)',
    profile: 'zai',
    replies: [reply(frame({ code: '1261', message: 'Prompt too long' }))],
    failure: { code: 'context_length_exceeded', status: 400 },
  },
  {
    name: 'a finish reason error (OpenRouter)',
    profile: 'openrouter',
    replies: [
      reply(
        frame({
          ...error('Provider broke', { code: 400 }),
          choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
        }),
      ),
    ],
    failure: { code: 'upstream_rejected', status: 400, words: 'Provider broke' },
  },

  {
    name: 'an error after text',
    replies: [reply(role(), text('Hel'), frame(tired), done())],
    failure: { code: 'upstream_failed', status: 502, words: 'tired', afterText: 'Hel' },
  },
  {
    name: 'an error after text (OpenRouter)',
    profile: 'openrouter',
    replies: [
      reply(
        role(),
        text('Hel'),
        frame({
          ...error('Provider disconnected', { code: 'server_error' }),
          choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
        }),
      ),
    ],
    failure: { code: 'upstream_failed', status: 502, words: 'disconnected', afterText: 'Hel' },
  },
  {
    name: 'network_error after text (GLM)',
    profile: 'zai',
    replies: [reply(role(), text('Hel'), finish('network_error'), done())],
    failure: { code: 'upstream_failed', status: 502, words: 'network_error', afterText: 'Hel' },
  },
  {
    name: 'no finish reason',
    replies: [reply(role(), text('Hel'))],
    failure: { code: 'upstream_cut', status: 502, afterText: 'Hel' },
  },
  {
    name: 'no finish reason, but an end mark',
    replies: [reply(role(), text('Hel'), done())],
    failure: { code: 'upstream_cut', status: 502, afterText: 'Hel' },
  },
  {
    name: 'a socket that breaks after text',
    replies: [reply(role(), text('Hel'), cut())],
    failure: { code: 'upstream_cut', status: 502, afterText: 'Hel' },
  },
  {
    name: 'a socket that breaks inside a frame',
    replies: [
      cutAfterBytes(
        230,
        reply(raw('data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'), text('x'.repeat(500))),
      ),
    ],
    failure: { code: 'upstream_cut', status: 502, afterText: 'Hel' },
  },
  {
    name: 'a frame that lost a piece, the next one glued on (GLM)',
    profile: 'zai',
    replies: [
      reply(
        role(),
        text('Hel'),
        raw('data: {"choices":[{"delta":{"contdata: {"choices":[{"delta":{"content":"lo"}}]}\n\n'),
        finish(),
        done(),
      ),
    ],
    failure: { code: 'upstream_failed', status: 502, afterText: 'Hel' },
  },
  {
    name: 'a call without a name',
    replies: [
      reply(
        role(),
        text('Hel'),
        toolDelta({ index: 0, id: 'call_a', function: { arguments: '{}' } }),
        finish('tool_calls'),
        done(),
      ),
    ],
    failure: { code: 'upstream_failed', status: 502, afterText: 'Hel' },
  },
];
