import { expect, test } from 'vitest';
import { type StartableClient, startableClients } from './runs.ts';

const proxy = {
  address: 'http://127.0.0.1:8768',
  hasToken: false,
  contextWindowTokens: 202_752,
  maxOutputTokens: 131_072,
};
const guarded = { ...proxy, hasToken: true, token: 'the-token' };
const { opencode, kilo, codex, claude, qwen } = startableClients;

function contentOf(env: Readonly<Record<string, string | undefined>>, name: string) {
  return JSON.parse(env[name] ?? '') as Record<string, unknown>;
}

test('OpenCode and Kilo find provider, limits and model in a variable of theirs', () => {
  for (const [client, variable] of [
    [opencode, 'OPENCODE_CONFIG_CONTENT'],
    [kilo, 'KILO_CONFIG_CONTENT'],
  ] as const) {
    const { env, args } = client.settingsFor(proxy, {});
    expect(args).toEqual([]);
    expect(contentOf(env, variable)).toMatchObject({
      model: 'rlm-opencode/rlm-internal.rlm-core-v1',
      provider: {
        'rlm-opencode': {
          options: { baseURL: 'http://127.0.0.1:8768/v1', apiKey: 'rlm-local' },
          models: { 'rlm-internal.rlm-core-v1': { limit: { context: 202_752, output: 131_072 } } },
        },
      },
    });
  }
});

test('what the user has in that variable stays, and what is no JSON is named', () => {
  const given = '{ "model": "x/y", "share": "disabled", "provider": { "x": { "name": "X" } } }';
  const { env } = opencode.settingsFor(proxy, { OPENCODE_CONFIG_CONTENT: given });
  const content = contentOf(env, 'OPENCODE_CONFIG_CONTENT');
  expect(content).toMatchObject({ model: 'x/y', share: 'disabled' });
  expect(Object.keys(content['provider'] as object)).toEqual(['x', 'rlm-opencode']);
  for (const odd of ['{ "model": ', '[]', '3'])
    expect(() => opencode.settingsFor(proxy, { OPENCODE_CONFIG_CONTENT: odd })).toThrow(
      'OPENCODE_CONFIG_CONTENT is set, but not to a JSON object',
    );
});

test('Codex is told everything in values of its own configuration', () => {
  const { env, args } = codex.settingsFor(proxy);
  expect(env).toEqual({});
  expect(args.filter((arg) => arg === '-c')).toHaveLength(args.length / 2);
  expect(args).toEqual(
    expect.arrayContaining([
      'model="rlm-internal.rlm-core-v1"',
      'model_provider="rlm-opencode"',
      'model_context_window=202752',
      'model_providers.rlm-opencode.base_url="http://127.0.0.1:8768/v1"',
      'model_providers.rlm-opencode.wire_api="responses"',
      // So that its first screen has no warning: without a key it asks nobody for models.
      'model_providers.rlm-opencode.model_catalog_url="http://127.0.0.1:8768/v1/models"',
      'model_providers.rlm-opencode.experimental_bearer_token="rlm-local"',
      // A quarter of the window: what is larger makes it compact at once.
      'tool_output_token_limit=50688',
    ]),
  );
});

test('Codex shows the proxy a token that is wanted, by the name of its variable', () => {
  const { env, args } = codex.settingsFor({ ...proxy, hasToken: true, token: 'the-token' });
  expect(env).toEqual({ RLM_API_TOKEN: 'the-token' });
  expect(args.join(' ')).toContain('env_key="RLM_API_TOKEN"');
  expect(args.join(' ')).not.toMatch(/the-token|bearer/);
});

test("Claude Code is sent to the proxy alone, and the user's own key is not", () => {
  const { env, args } = claude.settingsFor(proxy);
  const settings = JSON.parse(args[1] ?? '') as { env: Record<string, string> };
  expect(args).toHaveLength(2);
  expect(args[0]).toBe('--settings');
  expect(settings).toMatchObject({
    env: {
      ANTHROPIC_BASE_URL: 'http://127.0.0.1:8768',
      ANTHROPIC_AUTH_TOKEN: 'rlm-local',
      ANTHROPIC_MODEL: 'rlm-internal.rlm-core-v1',
      CLAUDE_CODE_MAX_CONTEXT_TOKENS: '202752',
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: '32000',
    },
  });
  // Nor by a variable in the environment, nor by one in his settings files.
  for (const name of ['ANTHROPIC_API_KEY', 'CLAUDE_CODE_USE_BEDROCK']) {
    expect(Object.keys(env)).toContain(name);
    expect(env[name]).toBeUndefined();
    expect(settings.env[name]).toBe('');
  }
  const withToken = JSON.parse(claude.settingsFor(guarded).args[1] ?? '') as object;
  expect(withToken).toMatchObject({ apiKeyHelper: 'printenv RLM_API_TOKEN' });
});

test('Qwen Code gets address, key and model', () => {
  expect(qwen.settingsFor(proxy).env).toMatchObject({
    OPENAI_BASE_URL: 'http://127.0.0.1:8768/v1',
    OPENAI_API_KEY: 'rlm-local',
    OPENAI_MODEL: 'rlm-internal.rlm-core-v1',
  });
});

test('a token goes into the environment and into no argument, which everybody can see', () => {
  for (const client of Object.values<StartableClient>(startableClients)) {
    const { env, args } = client.settingsFor(guarded, {});
    expect(Object.values(env)).toContain('the-token');
    expect(args.join(' ')).not.toContain('the-token');
  }
});
