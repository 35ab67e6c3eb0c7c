import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from './load.ts';
import { settingLeaves } from './schema.ts';
import { settingLines, shownSettings } from './show.ts';

let homeDir: string;
beforeEach(() => {
  homeDir = mkdtempSync(join(tmpdir(), 'rlm-config-'));
});
afterEach(() => rmSync(homeDir, { recursive: true }));

function writeConfig(text: string): string {
  const path = join(homeDir, '.config/rlm-opencode/config.jsonc');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function load(env: Record<string, string> = {}, flags: Record<string, string> = {}) {
  return loadConfig({ env, flags, homeDir });
}

function fault(env: Record<string, string> = {}, flags: Record<string, string> = {}): string {
  try {
    load(env, flags);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('no fault was found');
}

describe('precedence', () => {
  test('flag over environment over file over default, each with its source', () => {
    const path = writeConfig('{ "server": { "port": 1, "host": "::1" }, "turn": { "steps": 7 } }');
    const { config, sources } = load({ RLM_PORT: '2', RLM_MAX_STEPS: '8' }, { port: '3' });
    expect(config.server).toMatchObject({ port: 3, host: '::1', heartbeatMs: 10_000 });
    expect(config.turn.steps).toBe(8);
    expect(sources.get('server.port')).toEqual({ kind: 'flag', name: '--port' });
    expect(sources.get('turn.steps')).toEqual({ kind: 'environment', name: 'RLM_MAX_STEPS' });
    expect(sources.get('server.host')).toEqual({ kind: 'file', name: path });
    expect(sources.get('server.heartbeatMs')?.kind).toBe('default');
  });

  test.each(['', ' \n', '// nothing yet\n'])(
    'a file that says nothing sets nothing: %j',
    (text) => {
      writeConfig(text);
      expect(load().config.server.port).toBe(8768);
    },
  );

  test('an empty variable counts as absent; numbers may have underscores; lists have commas', () => {
    const { config } = load({
      RLM_PORT: '',
      RLM_STRIP_MIN_CHARS: '20_000',
      RLM_ALLOWED_HOSTS: 'a.lan, b.lan,',
    });
    expect(config.server.port).toBe(8768);
    expect(config.strip).toEqual({
      minChars: 20_000,
      perTool: { read: 40_000 },
      isFixed: true,
      fixedTools: [],
    });
    expect(config.server.allowedHosts).toEqual(['a.lan', 'b.lan']);
  });

  test('the names that users rely on, and their defaults', () => {
    const byEnv = new Map(settingLeaves.map((leaf) => [leaf.env, leaf.defaultValue]));
    for (const [name, value] of [
      ['RLM_HOST', '127.0.0.1'],
      ['RLM_PORT', 8768],
      ['RLM_STRIP_MIN_CHARS', 10_000],
      ['RLM_CAPTURE_MIN_CHARS', 500],
      ['RLM_INJECT', 'auto'],
      ['RLM_MAX_STEPS', 50],
    ] as const) {
      expect([name, byEnv.get(name)]).toEqual([name, value]);
    }
    for (const name of [
      'RLM_DATA_DIR',
      'RLM_UPSTREAM_BASE_URL',
      'RLM_UPSTREAM_API_KEY',
      'RLM_UPSTREAM_MODEL',
      'RLM_UPSTREAM_CONTEXT_WINDOW',
      'RLM_UPSTREAM_IDLE_TIMEOUT_MS',
      'RLM_API_TOKEN',
      'RLM_LOG_LEVEL',
    ]) {
      expect(byEnv.has(name)).toBe(true);
    }
  });

  test('every setting has one name in the environment, and no two share one', () => {
    const names = settingLeaves.map((leaf) => leaf.env).filter((name) => name !== undefined);
    expect(new Set(names).size).toBe(names.length);
    const fileOnly = settingLeaves.filter((leaf) => leaf.env === undefined);
    expect(fileOnly.map((leaf) => leaf.key)).toEqual(['providers', 'strip.perTool']);
    for (const leaf of settingLeaves) expect(leaf.description).toMatch(/\S/);
  });

  test('the data and configuration homes of XDG; a relative one is ignored', () => {
    expect(load().config.dataDir).toBe(join(homeDir, '.local/share/rlm-opencode'));
    expect(load({ XDG_DATA_HOME: '/data' }).config.dataDir).toBe('/data/rlm-opencode');
    expect(load({ XDG_DATA_HOME: 'data' }).config.dataDir).toContain(homeDir);
    expect(load({ XDG_CONFIG_HOME: '/conf' }).filePath).toBe('/conf/rlm-opencode/config.jsonc');
    const elsewhere = join(homeDir, 'other.jsonc');
    writeFileSync(elsewhere, '{ "server": { "port": 5 } }');
    expect(load({ RLM_CONFIG: elsewhere }).config.server.port).toBe(5);
  });
});

describe('faults are told readably', () => {
  test.each([
    [{ RLM_PORT: 'abc' }, 'server.port (RLM_PORT): must be a number.'],
    [{ RLM_PORT: '70000' }, 'server.port (RLM_PORT): must be at most 65535.'],
    [{ RLM_INJECT: 'sometimes' }, 'inject (RLM_INJECT): must be one of: auto, always, never.'],
    [{ RLM_UPSTREAM_BASE_URL: 'api.z.ai' }, 'must be an http or https URL'],
    [{ RLM_WINDOW_LOW_WATER: '0.8' }, 'lowWater must be below highWater'],
  ])('%o', (env, message) => {
    expect(fault(env)).toContain(message);
  });

  test.each([
    ['{ "server": { "prot": 1 } }', 'server.prot', 'Known here: host, port'],
    ['{ "sever": {} }', 'sever', 'no such setting'],
    ['{ "server": 5 }', 'server', 'must be an object'],
    ['{ "port" 1 }', 'config.jsonc:1:10', 'not valid JSON'],
    ['[]', 'config.jsonc', 'one JSON object'],
    ['{ "providers": { "my.one": {} } }', 'providers.my.one', 'is no name that can be given'],
    ['{ "providers": { "mine": {} } }', 'providers.mine', 'no such preset'],
    ['{ "providers": { "zai": { "apiKeyy": "secret-1" } } }', 'providers.zai.apiKeyy', 'no such'],
  ])('%s', (text, place, message) => {
    writeConfig(text);
    expect(fault()).toContain(place);
    expect(fault()).toContain(message);
    expect(fault()).not.toContain('secret-1');
  });

  test('all at once, and a flag with the file wrong beside it', () => {
    writeConfig('{ "server": 5, "inject": "x" }');
    const message = fault({}, { port: '1' });
    expect(message).toContain('server');
    expect(message).toContain('inject');
  });

  test('a file that is named must be there and readable', () => {
    expect(fault({ RLM_CONFIG: join(homeDir, 'missing.jsonc') })).toContain('cannot be read');
    mkdirSync(join(homeDir, 'folder'));
    expect(fault({ RLM_CONFIG: join(homeDir, 'folder') })).toContain('cannot be read');
  });
});

describe('providers', () => {
  test('nothing configured: none, which means the demo upstream', () => {
    expect(load().config.providers).toEqual([]);
    expect(load().config.defaultModel).toBeUndefined();
  });

  test('the upstream of the environment, by its preset where its URL has one', () => {
    const env = { RLM_UPSTREAM_BASE_URL: 'https://api.z.ai/api/coding/paas/v4/' };
    const { config } = load({ ...env, ZAI_API_KEY: 'from-vendor-variable' });
    expect(config.providers).toMatchObject([
      {
        id: 'zai-coding',
        baseURL: 'https://api.z.ai/api/coding/paas/v4',
        apiKey: 'from-vendor-variable',
      },
    ]);
    expect(config.defaultModel).toEqual({ providerId: 'zai-coding', modelId: 'glm-5' });
    const own = load({ ...env, ZAI_API_KEY: 'a', RLM_UPSTREAM_API_KEY: 'b' });
    expect(own.config.providers[0]?.apiKey).toBe('b');
  });

  test('an unknown URL: no key is taken from anywhere', () => {
    const { config } = load({
      RLM_UPSTREAM_BASE_URL: 'http://[::1]:1234/v1',
      RLM_UPSTREAM_MODEL: 'org/name:tag.v2',
      RLM_UPSTREAM_CONTEXT_WINDOW: '32768',
      OPENAI_API_KEY: 'never',
      ZAI_API_KEY: 'never',
    });
    expect(config.providers).toMatchObject([
      {
        id: 'upstream',
        models: [{ id: 'org/name:tag.v2', contextWindowTokens: 32_768, maxOutputTokens: 32_000 }],
      },
    ]);
    expect(config.providers[0]).not.toHaveProperty('apiKey');
    expect(config.defaultModel).toEqual({ providerId: 'upstream', modelId: 'org/name:tag.v2' });
  });

  test('of the file: presets filled in, own numbers first', () => {
    writeConfig(`{
      "defaultModel": "mine.big.one",
      "providers": {
        "zai": { "models": ["glm-4.7", { "id": "glm-5", "contextWindow": 100000 }] },
        "mine": { "baseURL": "http://127.0.0.1:1/v1", "apiKeyEnv": "MINE", "maxOutput": 999, "models": ["big.one"] },
        "second": { "preset": "openrouter", "apiKey": "k", "inFlight": 3, "fallback": ["zai.glm-5"] },
      },
    }`);
    const { config, warnings } = load({ ZAI_API_KEY: 'z' });
    const [zai, mine, second] = config.providers;
    expect(zai).toMatchObject({
      baseURL: 'https://api.z.ai/api/paas/v4',
      apiKey: 'z',
      models: [
        { id: 'glm-4.7', contextWindowTokens: 202_752 },
        { id: 'glm-5', contextWindowTokens: 100_000, maxOutputTokens: 131_072 },
      ],
    });
    expect(mine).toMatchObject({ models: [{ id: 'big.one', maxOutputTokens: 999 }] });
    expect(second).toMatchObject({ apiKey: 'k', maxInFlight: 3, fallback: ['zai.glm-5'] });
    expect(config.defaultModel).toEqual({ providerId: 'mine', modelId: 'big.one' });
    expect(warnings).toEqual(['providers.mine takes its key from MINE, which is not set.']);
  });

  test('a default model that names no provider', () => {
    writeConfig('{ "defaultModel": "x.y", "providers": { "zai": {}, "openai": {} } }');
    expect(fault()).toContain('`x.y` names no provider');
    writeConfig('{ "defaultModel": "org/x.y", "providers": { "ollama": {} } }');
    expect(load().config.defaultModel).toEqual({ providerId: 'ollama', modelId: 'org/x.y' });
  });
});

test('a sub-model or a fallback that names no provider', () => {
  const providers = (fallback: string) =>
    `{ "providers": { "zai": { "fallback": ["${fallback}"] }, "openai": {} } }`;
  writeConfig(providers('openai.gpt-5'));
  expect(load({ RLM_SUB_MODEL: 'zai.glm-4.7' }).config.subModel).toBe('zai.glm-4.7');
  expect(load({ RLM_SUB_MODEL: 'rlm-internal.rlm-core-v1' }).config.subModel).toContain('core');
  expect(fault({ RLM_SUB_MODEL: 'glm-4.7' })).toContain('subModel: `glm-4.7` names no provider');
  writeConfig(providers('gpt-5'));
  expect(fault()).toContain('providers.zai.fallback: `gpt-5` names no provider');
});

test('things that are probably not meant are said', () => {
  expect(load({ RLM_PROT: '1', RLM_UPSTREAM_API_KEY: 'k' }).warnings).toEqual([
    'RLM_PROT is set, but there is no such setting.',
    'RLM_UPSTREAM_API_KEY is set without RLM_UPSTREAM_BASE_URL, so it is not used.',
  ]);
});

test('what is shown holds no secret, wherever it was set', () => {
  writeConfig(`{ "providers": { "mine": {
    "baseURL": "http://user:secret-1@127.0.0.1:1/v1", "headers": { "x-key": "secret-3" } },
    "yours": { "baseURL": "http://127.0.0.1:1/v1?key=secret-6", "apiKey": "secret-2" } } }`);
  const loaded = load({ RLM_UPSTREAM_API_KEY: 'secret-4' }, { 'api-token': 'secret-5' });
  const text = settingLines(shownSettings(loaded)) + JSON.stringify(shownSettings(loaded));
  expect(text).not.toContain('secret-');
  expect(text).toMatch(/^server\.apiToken += \(set, not shown\) +\(flag --api-token\)$/m);
  expect(text).toMatch(/^server\.port += 8768$/m);
  expect(text).toMatch(/^upstream\.model += \(not set\)$/m);
  expect(text).toContain('http://***@127.0.0.1:1/v1');
  expect(text).toContain('http://127.0.0.1:1/v1?key=***');
});

test('a key is taken as meant, wherever it comes from, and what no header can hold is a fault of its setting', () => {
  const env = { RLM_UPSTREAM_BASE_URL: '"http://h/v1"\n', RLM_UPSTREAM_API_KEY: 'Bearer sk-a\r\n' };
  expect(load(env).config.providers[0]).toMatchObject({ baseURL: 'http://h/v1', apiKey: 'sk-a' });
  const torn = fault({ ...env, RLM_UPSTREAM_API_KEY: 'sk-a\nsk-b' });
  expect(torn).toContain('upstream.apiKey (RLM_UPSTREAM_API_KEY): holds a line break');
  expect(torn).not.toContain('sk-');
  writeConfig(`{ "providers": {
    "a": { "baseURL": "http://h/v1", "apiKeyEnv": "A_KEY", "headers": { "x-a": " v " } } } }`);
  const [provider] = load({ A_KEY: "'sk-c'" }).config.providers;
  expect(provider).toMatchObject({ apiKey: 'sk-c', headers: { 'x-a': 'v' } });
  expect(fault({ A_KEY: 'sk-…' })).toContain('providers.a.apiKeyEnv (A_KEY): holds U+2026');
  writeConfig(`{ "providers": { "a": { "baseURL": "http://h/v1", "apiKey": "sk-\\u0007",
    "headers": { "content-length": "1" } } } }`);
  const both = fault();
  expect(both).toContain('providers.a.apiKey');
  expect(both).toContain('providers.a.headers.content-length');
  expect(both).not.toContain('sk-');
});

test('a user and a password in the address, together with a key, are a choice to make', () => {
  const env = { RLM_UPSTREAM_BASE_URL: 'http://user:secret-1@h/v1' };
  expect(load(env).config.providers[0]).not.toHaveProperty('apiKey');
  const both = fault({ ...env, RLM_UPSTREAM_API_KEY: 'secret-2' });
  expect(both).toContain('a user and a password');
  expect(both).not.toContain('secret-');
});
