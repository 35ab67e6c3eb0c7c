import { expect, it } from 'vitest';
import { secretsOf, withoutSecrets } from './secrets.ts';

it('takes key, headers, password and query out of a text', () => {
  const secrets = secretsOf({
    baseURL: 'http://me:pa%24s1-word@h/v1?key=query-secret-9&v=1',
    apiKey: 'sk-a1',
    headers: { 'x-key': 'header-secret-9' },
  });
  const text = 'GET /v1?key=query-secret-9&v=1 by me:pa$s1-word (pa%24s1-word), header-secret-9';
  expect(withoutSecrets(text, secrets)).toBe('GET /v1?key=[key]&v=1 by me:[key] ([key]), [key]');
});

it.each(['ollama', 'x', 'k', 'EMPTY', 'none', 'lm-studio', 'not-needed'])(
  'a word that local servers take for a key (%s) spoils no text',
  (apiKey) => {
    const secrets = secretsOf({ baseURL: 'http://h/v1', apiKey, headers: {} });
    const text = `registry.ollama.ai: exit, click, key EMPTY none lm-studio not-needed: ${apiKey}`;
    expect(withoutSecrets(text, secrets)).toBe(text);
  },
);

it('a short key is cut out where it stands alone, a long one everywhere', () => {
  const short = secretsOf({ baseURL: 'http://h/v1', apiKey: 'hunter2', headers: {} });
  expect(withoutSecrets('bad key hunter2. hunter22', short)).toBe('bad key [key]. hunter22');
  const long = secretsOf({ baseURL: 'http://h/v1', apiKey: 'sk-0123456789abcdef', headers: {} });
  expect(withoutSecrets('xsk-0123456789abcdefx', long)).toBe('x[key]x');
});
