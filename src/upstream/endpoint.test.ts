import { expect, it } from 'vitest';
import { chatHeaders, parseEndpoint } from './endpoint.ts';
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
  expect(parseEndpoint(baseURL)).toEqual({ origin, chatPath });
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
