import { expect, it } from 'vitest';
import { readFault } from '../wire/error-body.ts';
import { faultToError } from './fault.ts';
import { plainProfile, profiles } from './profiles.ts';

type Row = [string, string, number | undefined, string, string, number, boolean];

it.each<Row>([
  // provider, body, HTTP status, our code, the answer's code, the answer's status, retryable
  ['zai', '{"error":{"code":"1302","message":"并发过高"}}', 429, 'too_busy', '1302', 429, true],
  ['zai', '{"error":{"code":"1305","message":"overloaded"}}', 529, 'too_busy', '1305', 529, true],
  [
    'zai',
    '{"error":{"code":"1113","message":"Insufficient balance"}}',
    429,
    'quota_exhausted',
    '1113',
    402,
    false,
  ],
  [
    'zai',
    '{"error":{"code":"1308","message":"will reset at 2026-11-22 18:00:00"}}',
    429,
    'quota_exhausted',
    '1308',
    402,
    false,
  ],
  ['zai', '{"error":{"code":1321,"message":"x"}}', 429, 'quota_exhausted', '1321', 402, false],
  [
    'bigmodel',
    '{"error":{"code":"1261","message":"Prompt exceeds max length"}}',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'zai',
    '{"code":"1261","message":"Prompt too long"}',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'zai',
    '{"error":{"code":"1301","message":"unsafe"}}',
    400,
    'upstream_rejected',
    'content_filter',
    400,
    false,
  ],
  [
    'zai',
    '{"error":{"code":"1234","message":"network"}}',
    500,
    'upstream_failed',
    '1234',
    500,
    true,
  ],
  [
    'zai',
    '{"error":{"code":"1210","message":"bad parameter"}}',
    400,
    'upstream_rejected',
    '1210',
    400,
    false,
  ],
  [
    'zai',
    '{"error":{"code":"1211","message":"no such model"}}',
    400,
    'unknown_model',
    '1211',
    400,
    false,
  ],
  ['zai', '{"error":{"code":"1000","message":"no"}}', 401, 'unauthorized', '1000', 401, false],
  [
    'openai',
    '{"error":{"message":"maximum context length is 8192 tokens","code":"context_length_exceeded"}}',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'openai',
    '{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}',
    429,
    'quota_exhausted',
    'insufficient_quota',
    402,
    false,
  ],
  [
    'openai',
    '{"error":{"message":"Request too large for gpt: Limit 30000, too many tokens per min","code":"rate_limit_exceeded"}}',
    429,
    'too_busy',
    'rate_limit_exceeded',
    429,
    true,
  ],
  [
    'openai',
    '{"error":{"message":"m","type":"invalid_request_error","param":"n"}}',
    400,
    'upstream_rejected',
    '',
    400,
    false,
  ],
  [
    'openai',
    '{"error":{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}}',
    401,
    'unauthorized',
    'invalid_api_key',
    401,
    false,
  ],
  [
    'openai',
    '{"error":{"message":"m","code":"model_not_found"}}',
    404,
    'unknown_model',
    'model_not_found',
    404,
    false,
  ],
  ['openai', '{"error":{"message":"country"}}', 403, 'forbidden', '', 403, false],
  ['openai', '{"error":{"message":"m"}}', 422, 'upstream_rejected', '', 422, false],
  ['openai', '', 408, 'upstream_failed', '', 408, true],
  ['openai', '<html><title>502 Bad Gateway</title>', 502, 'upstream_failed', '', 502, true],
  ['openai', '', 503, 'upstream_failed', '', 503, true],
  ['openai', '', 413, 'context_length_exceeded', '', 400, false],
  [
    'llamacpp',
    '{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":4096}}',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'llamacpp',
    '{"error":{"code":500,"message":"the request exceeds the available context size. try increasing it"}}',
    500,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'vllm',
    '{"object":"error","message":"This model\'s maximum context length is 100 tokens. However, you requested 200","code":400}',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'gemini',
    '[{"error":{"code":400,"message":"The input token count (2000) exceeds the maximum number of tokens allowed (1000).","status":"INVALID_ARGUMENT"}}]',
    400,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'openrouter',
    '{"error":{"code":402,"message":"credits"}}',
    402,
    'quota_exhausted',
    '402',
    402,
    false,
  ],
  [
    'openrouter',
    '{"error":{"code":502,"message":"Provider returned error"}}',
    undefined,
    'upstream_failed',
    '502',
    502,
    true,
  ],
  [
    'openrouter',
    '{"error":{"code":429,"message":"limited"}}',
    undefined,
    'too_busy',
    '429',
    429,
    true,
  ],
  [
    'deepseek',
    '{"error":{"message":"Insufficient Balance","type":"unknown_error"}}',
    402,
    'quota_exhausted',
    '',
    402,
    false,
  ],
  [
    'moonshot',
    '{"error":{"message":"m","type":"exceeded_current_quota_error"}}',
    429,
    'quota_exhausted',
    '',
    402,
    false,
  ],
  [
    'moonshot',
    '{"error":{"message":"m","type":"engine_overloaded_error"}}',
    429,
    'too_busy',
    '',
    429,
    true,
  ],
  [
    'minimax',
    '{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
    undefined,
    'quota_exhausted',
    '1008',
    402,
    false,
  ],
  [
    'minimax',
    '{"base_resp":{"status_code":1002,"status_msg":"rate"}}',
    undefined,
    'too_busy',
    '1002',
    429,
    true,
  ],
  [
    'groq',
    '{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed"}}',
    400,
    'upstream_failed',
    'tool_use_failed',
    502,
    true,
  ],
  [
    'mistral',
    '{"object":"error","message":"bad id","type":"invalid_request_error","code":"3280"}',
    400,
    'upstream_rejected',
    '3280',
    400,
    false,
  ],
  [
    'lmstudio',
    '{"error":"Trying to keep the first 9000 tokens when context the overflows; reduce the length of the prompt"}',
    undefined,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'ollama',
    '{"error":{"message":"registry.ollama.ai/library/gemma3:12b does not support tools","type":"api_error"}}',
    400,
    'upstream_rejected',
    '',
    400,
    false,
  ],
  [
    'ollama',
    '{"error":{"message":"model not found","type":"api_error"}}',
    404,
    'upstream_rejected',
    '',
    404,
    false,
  ],
  [
    'plain',
    '{"error":{"message":"m","type":"server_error","code":"internal_error"}}',
    422,
    'upstream_rejected',
    'internal_error',
    422,
    false,
  ],
  ['plain', '{"error":{"message":"m","type":"api_error"}}', 409, 'upstream_failed', '', 409, true],
  [
    'plain',
    '{"error":{"code":"1113","message":"Insufficient balance"}}',
    429,
    'quota_exhausted',
    '1113',
    402,
    false,
  ],
  ['plain', '{"error":{"code":1308,"message":"m"}}', 500, 'quota_exhausted', '1308', 402, false],
  [
    'openrouter',
    '{"error":{"code":"1211","message":"m"}}',
    500,
    'unknown_model',
    '1211',
    404,
    false,
  ],
  [
    'plain',
    '{"error":{"code":"Arrearage","message":"m"}}',
    429,
    'quota_exhausted',
    'Arrearage',
    402,
    false,
  ],
  // GLM and MiniMax mean different things by this one.
  ['plain', '{"error":{"code":"1002","message":"m"}}', 429, 'too_busy', '1002', 429, true],
  // GLM's passing codes are none that last.
  ['plain', '{"error":{"code":"1302","message":"m"}}', 429, 'too_busy', '1302', 429, true],
  [
    'minimax',
    '{"base_resp":{"status_code":2013,"status_msg":"invalid params, context window exceeds limit"}}',
    undefined,
    'context_length_exceeded',
    '',
    400,
    false,
  ],
  [
    'minimax',
    '{"base_resp":{"status_code":2013,"status_msg":"invalid params"}}',
    undefined,
    'upstream_rejected',
    '2013',
    400,
    false,
  ],
  ['plain', '{"error":{"message":"unknown trouble"}}', undefined, 'upstream_failed', '', 502, true],
  [
    'plain',
    '{"error":{"message":"m","type":"invalid_request_error"}}',
    undefined,
    'upstream_rejected',
    '',
    400,
    false,
  ],
  [
    'plain',
    '{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
    undefined,
    'too_busy',
    '',
    429,
    true,
  ],
])(
  'names what %s says in %s (HTTP %s)',
  (name, body, status, code, wireCode, shownStatus, retryable) => {
    const profile = profiles.find((one) => one.name === name) ?? plainProfile;
    const fault = readFault(body);
    const error = faultToError(fault, {
      profile,
      upstreamId: 'x',
      ...(status === undefined ? {} : { status }),
    });
    expect([error.code, error.parts.wireCode ?? '', error.status, error.retryable]).toEqual([
      code,
      wireCode,
      shownStatus,
      retryable,
    ]);
    // The upstream's own words reach the client; where it has none, ours name the status.
    expect(error.message).toContain(fault.message === '' ? String(status) : fault.message);
  },
);

it('keeps param and waiting time, names the provider of a bad key, and never shows the key', () => {
  const error = faultToError(
    { message: 'Incorrect API key provided: sk-secret.', param: 'p' },
    {
      profile: plainProfile,
      upstreamId: 'zai',
      secrets: ['sk-secret'],
      status: 401,
      retryAfterMs: 5,
    },
  );
  expect(error.message).toBe('Incorrect API key provided: [key].');
  expect(error.parts).toMatchObject({ param: 'p', retryAfterMs: 5 });
  expect(error.parts.hint).toContain('`zai`');
});

it('reads FastAPI’s list of what is wrong as sentences, and as the request’s own fault', () => {
  const body = {
    detail: [
      { loc: ['body', 'messages', 0, 'content'], msg: 'Field required', type: 'missing' },
      { loc: ['body', 'model'], msg: 'Input should be a string', type: 'string_type' },
    ],
  };
  const source = { profile: plainProfile, upstreamId: 'x', status: 422 };
  const error = faultToError(readFault(JSON.stringify(body)), source);
  expect(error.message).toBe('messages.0.content: Field required; model: Input should be a string');
  expect(error.status).toBe(422);
  expect(error.parts).toMatchObject({
    param: 'messages.0.content',
    wireType: 'invalid_request_error',
  });
});

it('keeps the window that a refusal states', () => {
  const message = 'Range of input length should be [1, 129024]';
  const source = { profile: plainProfile, upstreamId: 'x', status: 400 };
  expect(faultToError({ message }, source).parts.windowTokens).toBe(129_024);
});
