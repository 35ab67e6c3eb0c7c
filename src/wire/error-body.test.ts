import { describe, expect, it } from 'vitest';
import { errorSchema } from '../../test/support/openai-schema.ts';
import { ProxyError } from '../errors.ts';
import { calmText } from './calm-text.ts';
import { errorBody, errorHeaders, readFault, streamErrorBody } from './error-body.ts';

const openCode = 'opencode/1.18.33 ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14';

describe('what an upstream says', () => {
  it.each<[string, string, object]>([
    [
      'OpenAI',
      '{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
      { message: 'm', type: 't', param: 'p', code: 'c' },
    ],
    ['GLM', '{"error":{"code":"1302","message":"m"}}', { message: 'm', code: '1302' }],
    ['GLM, bare', '{"code":1261,"message":"m"}', { message: 'm', code: '1261' }],
    ['a text', '{"error":"m"}', { message: 'm' }],
    ['a text with a code beside it', '{"error":"m","code":7}', { message: 'm', code: '7' }],
    [
      'a list (Gemini)',
      '[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]',
      { message: 'm', code: '400' },
    ],
    [
      'OpenRouter',
      '{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"m"}}}',
      { message: 'Provider returned error m', code: '429' },
    ],
    [
      'vLLM',
      '{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}',
      { message: 'm', type: 'BadRequestError', code: '400' },
    ],
    ['FastAPI', '{"detail":"m"}', { message: 'm' }],
    ['FastAPI with a list', '{"detail":[{"loc":["body"],"msg":"m"}]}', { message: 'm' }],
    [
      'MiniMax',
      '{"base_resp":{"status_code":1008,"status_msg":"m"}}',
      { message: 'm', code: '1008' },
    ],
    [
      'Anthropic form',
      '{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
      { message: 'm', type: 'overloaded_error' },
    ],
    ['a list of errors', '{"errors":[{"message":"m","code":7}]}', { message: 'm', code: '7' }],
    ['a JSON text', '"m"', { message: 'm' }],
    ['any other object', '{"x":1}', { message: '{"x":1}' }],
    ['plain text', ' m \n', { message: 'm' }],
    [
      'a page',
      '<html><head><title> 502 Bad Gateway </title></head>...',
      { message: '502 Bad Gateway' },
    ],
    ['a page without a title', '<!doctype html><p>x', { message: '' }],
    ['nothing', '', { message: '' }],
  ])('is understood: %s', (_name, body, fault) => {
    expect(readFault(body)).toEqual(fault);
  });

  it('is cut where it is endless', () => {
    expect(
      readFault(JSON.stringify({ error: { message: 'x'.repeat(10_000) } })).message.length,
    ).toBe(2001);
  });
});

describe('what a client is told', () => {
  const cases = [
    new ProxyError('invalid_request', 'n must be 1.', { param: 'n' }),
    new ProxyError('upstream_rejected', 'max_tokens must be at most 15000', {
      status: 422,
      wireCode: '1210',
      wireType: 'bad',
    }),
    new ProxyError('quota_exhausted', 'Rate limit: try again later.', { hint: 'Top up.' }),
    new ProxyError('context_length_exceeded', 'maximum context length is 5000 tokens'),
    new ProxyError('upstream_failed', 'overloaded', { retryAfterMs: 1500 }),
    new ProxyError('internal', 'secret path'),
  ];

  it.each(cases)('is in OpenAI’s form: $message', (error) => {
    expect(() => errorSchema.parse(errorBody(error))).not.toThrow();
    expect(() => errorSchema.parse(streamErrorBody(error))).not.toThrow();
    expect(() => errorSchema.parse(streamErrorBody(error, openCode))).not.toThrow();
  });

  it('begins a new sentence with the hint, however the provider has ended', () => {
    for (const [said, shown] of [
      ['Incorrect API key provided', 'Incorrect API key provided. Check it.'],
      ['No.', 'No. Check it.'],
    ] as const)
      expect(
        errorBody(new ProxyError('unauthorized', said, { hint: 'Check it.' })).error.message,
      ).toBe(shown);
  });

  it('keeps message, type, code and param, adds the hint, and hides a bug', () => {
    expect(errorBody(cases[1]!)).toEqual({
      error: {
        message: 'max_tokens must be at most 15000',
        type: 'bad',
        param: null,
        code: '1210',
      },
    });
    expect(errorBody(cases[2]!).error.message).toBe('Rate limit: try again later. Top up.');
    expect(errorBody(cases[0]!).error.param).toBe('n');
    expect(JSON.stringify(errorBody(cases[5]!))).not.toContain('secret');
  });

  it('has no word in it that makes OpenCode repeat a final error', () => {
    const final = errorBody(cases[1]!, openCode).error.message;
    expect(final).not.toMatch(/500/);
    expect(final.replaceAll('\u2060', '')).toBe('max_tokens must be at most 15000');
    expect(errorBody(cases[2]!, openCode).error.message).not.toMatch(/rate limit|try again/i);
    expect(errorBody(cases[3]!, openCode).error.message).toBe(
      'maximum context length is 5000 tokens',
    );
    expect(errorBody(cases[4]!, openCode).error.message).toBe('overloaded');
  });

  it.each([
    [cases[1]!, 'invalid_prompt'],
    [cases[2]!, 'invalid_prompt'],
    [cases[3]!, 'context_length_exceeded'],
    [cases[4]!, 'server_error'],
  ])('tells OpenCode inside a stream what to do: %s', (error, code) => {
    const body = streamErrorBody(error, openCode);
    const inner = JSON.parse(body.error.message) as { error: { code: string; message: string } };
    expect(inner.error.code).toBe(code);
    expect(inner.error.message).toBe(errorBody(error, openCode).error.message);
    expect(streamErrorBody(error, 'curl/8').error.message).toBe(errorBody(error).error.message);
  });

  it('comes with the headers that clients obey', () => {
    expect(errorHeaders(cases[4]!)).toEqual({ 'retry-after': '2', 'retry-after-ms': '1500' });
    expect(errorHeaders(cases[2]!)).toEqual({ 'x-should-retry': 'false' });
  });
});

it('calms numbers wherever the digits lie', () => {
  for (const text of [
    '429',
    '15000',
    '50429',
    '4295002',
    'x524y',
    'Rate-Limit',
    'rate_limit_error',
    'Service Unavailable',
    'internal server error',
    'ECONNRESET',
    'request timed out',
    'too_many_requests',
  ]) {
    const calm = calmText(text);
    expect(calm).not.toMatch(
      /429|50[0234]|524|rate[ _-]limit|unavailable|server error|econn|timed out|too_many/i,
    );
    expect(calm.replaceAll('\u2060', '')).toBe(text);
  }
  expect(calmText('at most 4096 tokens')).toBe('at most 4096 tokens');
});
