import { expect, it } from 'vitest';
import {
  chatHeaders,
  checkAddress,
  checkHeader,
  checkKey,
  parseEndpoint,
  shownAddress,
  versionAdvice,
} from './endpoint.ts';
import { plainProfile, profiles } from './profiles.ts';

it.each([
  ['https://api.openai.com/v1', 'https://api.openai.com', '/v1/chat/completions'],
  ['https://api.z.ai/api/paas/v4/', 'https://api.z.ai', '/api/paas/v4/chat/completions'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080', '/chat/completions'],
  [
    'https://x.openai.azure.com/openai/deployments/d?api-version=1',
    'https://x.openai.azure.com',
    '/openai/deployments/d/chat/completions?api-version=1',
  ],
  ['http://h/v1/chat/completions', 'http://h', '/v1/chat/completions'],
])('finds the way to %s', (baseURL, origin, chatPath) => {
  const modelsPath = chatPath.replace('/chat/completions', '/models');
  expect(parseEndpoint(baseURL)).toMatchObject({ origin, chatPath, modelsPath });
});

it('a user and a password become basic authorization, to that origin', () => {
  const { origin, authorization } = parseEndpoint('http://me:p%40ss@h:1/v1');
  expect(origin).toBe('http://h:1');
  expect(authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
  const headers = chatHeaders({ profile: plainProfile, authorization, configured: {} });
  expect(headers['authorization']).toBe(authorization);
});

it.each([
  ['http://user:secret@h/v1', 'http://***@h/v1'],
  ['http://h/v1?key=secret', 'http://h/v1?key=***'],
  ['http://u:a@b@h/v1?a=secret&b=secret#c', 'http://***@h/v1?a=***&b=***#c'],
  ['https://h/v1/', 'https://h/v1/'],
])('shows %s without what is secret in it', (address, shown) => {
  expect(shownAddress(address)).toBe(shown);
});

it.each([
  [' https://h/v1\r\n', 'https://h/v1'],
  ['"https://h/v1"', 'https://h/v1'],
  ['h/v1', undefined],
  ['localhost:8080/v1', undefined],
  ['ftp://h/v1', undefined],
  ['http:h', undefined],
  ['http://h/a b', undefined],
])('an address written as %j', (written, meant) => {
  const found = checkAddress(written);
  expect(found.ok ? found.text : undefined).toBe(meant);
  expect(found.ok ? '' : found.fault).not.toContain(written);
});

it.each([
  ['sk-abc\r\n', 'sk-abc'],
  ['\t sk-abc ', 'sk-abc'],
  ['"sk-abc"', 'sk-abc'],
  ["'sk-abc'\n", 'sk-abc'],
  ['Bearer sk-abc', 'sk-abc'],
  ['bearer  "sk-abc"', 'sk-abc'],
  ['""', ''],
  ['sk-abc\nsk-def', undefined],
  ['sk-…abc', undefined],
  ['sk-ключ', undefined],
  ['sk-\u0000', undefined],
])('a key written as %j', (written, meant) => {
  const found = checkKey(written);
  expect(found.ok ? found.text : undefined).toBe(meant);
  expect(found.ok ? '' : found.fault).not.toMatch(/sk-|abc|ключ/);
});

it('a header that no request can hold is a fault, and its value is not repeated', () => {
  expect(checkHeader('X-Title', ' a \n')).toEqual({ ok: true, text: 'a' });
  for (const [name, value] of [
    ['x y', 'a'],
    ['x-key', 'secret\nb'],
    ['Content-Length', '3'],
    ['x-key', 'secret…'],
  ] as const) {
    const found = checkHeader(name, value);
    expect(found.ok).toBe(false);
    expect(found.ok ? '' : found.fault).not.toContain('secret');
  }
});

it('an address that names no version is doubted where there is nothing', () => {
  expect(versionAdvice('http://h:1', 404)).toContain('http://h:1/v1');
  expect(versionAdvice('http://u:secret@h/api/', 405)).toContain('http://***@h/api/v1');
  expect(versionAdvice('http://h', 401)).toBeUndefined();
  expect(versionAdvice('https://api.z.ai/api/paas/v4', 404)).toBeUndefined();
  expect(versionAdvice('https://h/openai/deployments/d?api-version=1', 404)).toBeUndefined();
});

const passed = {
  'x-session-affinity': 'ses_1',
  cookie: 'c',
  authorization: 'Bearer client',
  origin: 'http://evil',
};
const base = {
  'content-type': 'application/json',
  accept: 'text/event-stream',
  'user-agent': 'rlm-opencode',
};

it('sends the configured key and of the client only what keeps its cache warm', () => {
  expect(
    chatHeaders({ profile: plainProfile, apiKey: 'k', configured: { 'X-Title': 't' }, passed }),
  ).toEqual({
    ...base,
    authorization: 'Bearer k',
    'x-title': 't',
    'x-session-affinity': 'ses_1',
  });
  expect(chatHeaders({ profile: { name: 'x' }, configured: {}, passed })).toEqual(base);
  expect(
    chatHeaders({
      profile: { name: 'x', affinityHeaders: ['cookie', 'authorization'] },
      configured: {},
      passed,
    }),
  ).toEqual(base);
});

it('sends Azure its key in its own header', () => {
  const azure = profiles.find((one) => one.name === 'azure')!;
  expect(chatHeaders({ profile: azure, apiKey: 'k', configured: {} })).toEqual({
    ...base,
    'api-key': 'k',
  });
});
