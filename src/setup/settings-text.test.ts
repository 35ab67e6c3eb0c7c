import { parse } from 'jsonc-parser';
import { expect, test } from 'vitest';
import { type ProviderChoice, withProvider } from './settings-text.ts';

function written(text: string | undefined, choice: ProviderChoice): string {
  const outcome = withProvider(text, choice);
  if (!outcome.ok) throw new Error(outcome.fault);
  return outcome.text;
}

test('a new file has a line that says what it is, the provider and the model', () => {
  const text = written(undefined, { id: 'zai', apiKeyEnv: 'ZAI_API_KEY', model: 'glm-5' });
  expect(text).toMatch(/^\/\/ Settings of rlm-opencode/);
  expect(parse(text)).toEqual({
    providers: { zai: { apiKeyEnv: 'ZAI_API_KEY' } },
    defaultModel: 'zai.glm-5',
  });
});

test('an entry that is there keeps what it says beside; of its keys the chosen one counts', () => {
  const before = `{
  // mine
  "providers": {
    "local": {
      "baseURL": "http://127.0.0.1:1/v1",
      "apiKey": "old", // from the wall
      "inFlight": 2, // slow
      "models": ["a", { "id": "b", "prices": { "input": 1, "output": 2 } }],
    },
  },
  "defaultModel": "local.a",
}
`;
  const text = written(before, {
    id: 'local',
    baseURL: 'http://127.0.0.1:2/v1',
    apiKeyFile: '/keys/local',
    model: 'c',
    isNewModel: true,
    contextWindowTokens: 65_536,
  });
  expect(parse(text)).toEqual({
    providers: {
      local: {
        baseURL: 'http://127.0.0.1:2/v1',
        apiKeyFile: '/keys/local',
        inFlight: 2,
        models: [
          { id: 'c', contextWindow: 65_536 },
          'a',
          { id: 'b', prices: { input: 1, output: 2 } },
        ],
      },
    },
    defaultModel: 'local.c',
  });
  expect(text).toContain('// mine\n');
  expect(text).toContain('"inFlight": 2, // slow');
  // Again: nothing changes.
  const again = { id: 'local', model: 'b', isNewModel: true };
  expect(parse(written(text, again))).toMatchObject({ defaultModel: 'local.b' });
  expect(written(written(text, again), again)).toBe(written(text, again));
});

test('a key stays where no other is chosen', () => {
  const before = '{ "providers": { "zai": { "apiKeyEnv": "MINE" } } }';
  expect(parse(written(before, { id: 'zai', model: 'glm-5' }))).toEqual({
    providers: { zai: { apiKeyEnv: 'MINE' } },
    defaultModel: 'zai.glm-5',
  });
});

test.each([
  ['{ "providers": ', 'not valid JSON'],
  ['[]', 'JSON object'],
  ['{ "providers": [] }', 'not an object'],
])('a file that cannot be understood is left alone: %s', (text, fault) => {
  expect(withProvider(text, { id: 'zai' })).toMatchObject({
    ok: false,
    fault: expect.stringContaining(fault) as unknown,
  });
});
