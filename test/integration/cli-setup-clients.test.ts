import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse as parseJsonc } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { knownSetups } from '../../src/setup/known-setups.ts';
import { CliHome } from '../support/cli.ts';

const env = { RLM_PORT: '8768', RLM_UPSTREAM_BASE_URL: 'https://api.z.ai/api/paas/v4' };
const core = 'rlm-internal.rlm-core-v1';

/** A client's file: where it lies, what a user has in it, and what ours adds to it. */
const clients: readonly {
  readonly name: string;
  readonly path: string;
  readonly before: string;
  readonly read: (text: string) => unknown;
  readonly added: object;
}[] = [
  {
    name: 'opencode',
    path: '.config/opencode/opencode.json',
    before:
      '{\n  // mine\n  "theme": "dark", // night\n  "provider": {\n    "x": {} // other\n  }\n}\n',
    read: parseJsonc,
    added: { provider: { 'rlm-opencode': { options: { baseURL: 'http://127.0.0.1:8768/v1' } } } },
  },
  {
    name: 'kilo',
    path: '.config/kilo/kilo.jsonc',
    before: '{\n  // mine\n  "theme": "dark",\n}\n',
    read: parseJsonc,
    added: {
      provider: { 'rlm-opencode': { models: { [core]: { limit: { context: 202_752 } } } } },
    },
  },
  {
    name: 'codex',
    path: '.codex/rlm-opencode.config.toml',
    before: '# mine\napproval_policy = "never" # always\n',
    read: (text) => ({ text }),
    added: {
      text: expect.stringMatching(
        /^model_context_window = 202752$[\s\S]*^\[model_providers\.rlm-opencode\]$[\s\S]*^base_url = "http:\/\/127\.0\.0\.1:8768\/v1"$\nwire_api = "responses"/m,
      ) as unknown,
    },
  },
  {
    name: 'claude',
    path: '.claude/settings.json',
    before:
      '{\n  "model": "opus",\n  "env": {\n    "ANTHROPIC_BASE_URL": "https://api.z.ai/api/anthropic",\n    "ANTHROPIC_AUTH_TOKEN": "zai-secret",\n    "MINE": "1"\n  }\n}\n',
    read: parseJsonc,
    added: {
      model: 'opus',
      env: {
        MINE: '1',
        ANTHROPIC_BASE_URL: 'http://127.0.0.1:8768',
        ANTHROPIC_AUTH_TOKEN: 'rlm-local',
        ANTHROPIC_MODEL: core,
        CLAUDE_CODE_MAX_CONTEXT_TOKENS: '202752',
      },
    },
  },
  {
    name: 'qwen',
    path: '.qwen/settings.json',
    before:
      '{\n  // mine\n  "modelProviders": {\n    "openai": [\n      // first\n      { "id": "other", "envKey": "OTHER" } // one line\n    ]\n  }\n}\n',
    read: parseJsonc,
    added: {
      env: { QWEN_RLM_KEY: 'rlm-local' },
      modelProviders: {
        openai: [
          { id: core, baseUrl: 'http://127.0.0.1:8768/v1', envKey: 'QWEN_RLM_KEY' },
          { id: 'other' },
        ],
      },
    },
  },
  {
    name: 'pi',
    path: '.pi/agent/models.json',
    before:
      '{\n  "providers": {\n    "ollama": { "apiKey": "ollama-secret", "models": [] }\n  }\n}\n',
    read: parseJsonc,
    added: {
      providers: {
        ollama: {},
        'rlm-opencode': {
          baseUrl: 'http://127.0.0.1:8768/v1',
          api: 'openai-completions',
          models: [{ id: core, contextWindow: 202_752, maxTokens: 131_072 }],
        },
      },
    },
  },
  {
    name: 'continue',
    path: '.continue/config.yaml',
    before:
      'name: Mine # my own\nversion: 1.0.0\nschema: v1\nmodels: # two\n  # the fast one\n  - name: Fast\n    provider: x\n    apiKey: x-secret\n  - name: Slow\n    provider: y # own\n\n# rules\nrules:\n  - be brief\n',
    read: (text) => parseYaml(text) as unknown,
    added: {
      name: 'Mine',
      rules: ['be brief'],
      models: [
        { name: 'Fast' },
        { name: 'Slow' },
        {
          model: core,
          apiBase: 'http://127.0.0.1:8768/v1',
          defaultCompletionOptions: { contextLength: 202_752, maxTokens: 131_072 },
        },
      ],
    },
  },
  {
    name: 'cline',
    path: '.cline/data/settings/providers.json',
    before: `${JSON.stringify(
      {
        version: 1,
        lastUsedProvider: 'openai-compatible',
        providers: {
          'openai-compatible': {
            settings: { provider: 'openai-compatible', apiKey: 'my-secret', model: 'm' },
            updatedAt: '2026-02-02T00:00:00.000Z',
          },
        },
      },
      null,
      2,
    )}\n`,
    read: parseJsonc,
    added: {
      providers: {
        'openai-compatible': {
          settings: { model: core, baseUrl: 'http://127.0.0.1:8768/v1', apiKey: 'rlm-local' },
          updatedAt: '2026-02-02T00:00:00.000Z',
        },
      },
    },
  },
];

test('every client that can be set up is tried here', () => {
  expect(clients.map(({ name }) => name).toSorted()).toEqual(Object.keys(knownSetups).toSorted());
});

test.each([
  [
    'qwen',
    '.qwen/settings.json',
    '{"theme": "dark", "modelProviders": {"openai": [{"id": "other", "envKey": "OTHER"}]}}\n',
  ],
  [
    'pi',
    '.pi/agent/models.json',
    '{\n  "theme": "dark",\n  "providers": {"ollama": {"apiKey": "x", "models": []}}\n}\n',
  ],
  [
    'opencode',
    '.config/opencode/opencode.json',
    '{\n  "theme": "dark",\n  "provider": {"x": {"npm": "y"}} // mine\n}\n',
  ],
  ['claude', '.claude/settings.json', '{ "theme": "dark", "env": { "MINE": "1" } }\n'],
])(
  'objects on one line in the settings of %s are on one line again',
  async (name, place, before) => {
    using home = new CliHome();
    const path = home.put(place, before);
    await home.setup(['install', name], env);
    await home.setup(['uninstall', name], env);
    expect(readFileSync(path, 'utf8')).toBe(before);
    if (!before.startsWith('{\n')) return;
    // With something changed in between: all that was not changed.
    await home.setup(['install', name], env);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"dark"', '"light"'));
    await home.setup(['uninstall', name], env);
    expect(readFileSync(path, 'utf8')).toBe(before.replace('"dark"', '"light"'));
  },
);

test('doctor looks at every client that has the proxy, and says what brings it up to date', async () => {
  using home = new CliHome();
  const none = await home.runHere(['doctor', '--offline'], env);
  expect(none.stdout).toContain('ok    clients: none has the proxy in its configuration\n');
  for (const name of ['codex', 'qwen']) await home.setup(['install', name], env);
  const { stdout } = await home.runHere(['doctor', '--offline'], env);
  expect(stdout).toMatch(/^ok {4}Codex: set up in .*rlm-opencode\.config\.toml$/m);
  expect(stdout).toMatch(/^ok {4}Qwen Code: set up in .*settings\.json$/m);
  expect(stdout).not.toContain('OpenCode:');
  const moved = await home.runHere(['doctor', '--offline'], { ...env, RLM_PORT: '8769' });
  expect(moved.stdout).toMatch(
    /^note {2}Codex: set up in .* with other settings than these\n {6}rlm-opencode setup codex$/m,
  );
});

describe.each(clients)('$name', ({ name, path: place, before, read, added }) => {
  test('dry run, install, again, status, uninstall: the file is what it was, byte for byte', async () => {
    using home = new CliHome();
    const path = home.put(place, before);
    const dry = await home.setup(['install', name, '--dry-run'], env);
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toContain('+ ');
    expect(dry.stdout).not.toContain('-secret');
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(await home.setup(['status', name], env)).toMatchObject({ code: 1 });

    expect(await home.runHere(['setup', name], env)).toMatchObject({ code: 0 });
    const installed = readFileSync(path, 'utf8');
    expect(read(installed)).toMatchObject(added);
    for (const comment of before.match(/(?:\/\/|#) .*/g) ?? [])
      expect(installed).toContain(comment);
    expect((await home.setup(['install', name], env)).stdout).toContain('nothing to change');
    expect(await home.setup(['status', name], env)).toMatchObject({ code: 0 });

    // Another port: what stands there is brought up to date, once.
    const moved = { ...env, RLM_PORT: '8769' };
    expect(await home.setup(['status', name], moved)).toMatchObject({ code: 1 });
    await home.setup(['install', name], moved);
    const again = readFileSync(path, 'utf8');
    expect(again).toBe(installed.replaceAll('8768', '8769'));

    expect(await home.setup(['uninstall', name], env)).toMatchObject({ code: 0 });
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(dirname(path))).toHaveLength(1);
    expect((await home.setup(['uninstall', name], env)).stdout).toContain('nothing to take out');
  });

  test('no file yet: one is made, and removed again', async () => {
    using home = new CliHome();
    expect(await home.setup(['install', name], env)).toMatchObject({ code: 0, stderr: '' });
    const [made = ''] = knownSetups[name]!.paths({
      configHome: join(home.folder, '.config'),
      homeDir: home.folder,
      env: {},
    });
    expect(readFileSync(made, 'utf8')).toContain(core);
    expect(await home.setup(['status', name], env)).toMatchObject({ code: 0 });
    await home.setup(['uninstall', name], env);
    // Nor is a folder left that was made for it.
    expect(readdirSync(home.folder)).toEqual(['data']);
    expect(readdirSync(home.dataDir)).toEqual([]);
  });

  test('a folder that was there before, or has something in it by now, stays', async () => {
    using home = new CliHome();
    const folder = dirname(home.put(place, before));
    rmSync(join(home.folder, place));
    await home.setup(['install', name], env);
    await home.setup(['uninstall', name], env);
    expect(readdirSync(folder)).toEqual([]);

    rmSync(folder, { recursive: true });
    await home.setup(['install', name], env);
    writeFileSync(join(folder, 'history'), '');
    await home.setup(['uninstall', name], env);
    expect(readdirSync(folder)).toEqual(['history']);
  });

  test('what the user adds afterwards stays; a token is not copied', async () => {
    using home = new CliHome();
    const path = home.put(place, before);
    await home.setup(['install', name], { ...env, RLM_API_TOKEN: 'the-token' });
    const comment = name === 'codex' || name === 'continue' ? '# later' : '';
    const changed = `${readFileSync(path, 'utf8')}${comment}\n`;
    writeFileSync(path, changed);
    await home.setup(['uninstall', name], env);
    expect(changed).not.toContain('the-token');
    expect(readFileSync(path, 'utf8')).toBe(`${before}${comment}\n`);
  });
});

test.each([
  ['codex', { CODEX_HOME: 'moved' }, 'moved/rlm-opencode.config.toml'],
  ['claude', { CLAUDE_CONFIG_DIR: 'moved' }, 'moved/settings.json'],
  ['qwen', { QWEN_HOME: 'moved' }, 'moved/settings.json'],
  ['pi', { PI_CODING_AGENT_DIR: 'moved' }, 'moved/models.json'],
  ['continue', { CONTINUE_GLOBAL_DIR: 'moved' }, 'moved/config.yaml'],
  ['cline', { CLINE_DIR: 'moved' }, 'moved/data/settings/providers.json'],
  ['cline', { CLINE_DATA_DIR: 'moved', CLINE_DIR: 'not' }, 'moved/settings/providers.json'],
  ['cline', { CLINE_PROVIDER_SETTINGS_PATH: 'moved.json', CLINE_DIR: 'not' }, 'moved.json'],
  ['opencode', { XDG_CONFIG_HOME: 'moved' }, 'moved/opencode/opencode.jsonc'],
  ['kilo', { XDG_CONFIG_HOME: 'moved' }, 'moved/kilo/kilo.jsonc'],
])('%s is set up where its own variables say: %o', async (name, variables, place) => {
  using home = new CliHome();
  const moved = Object.entries(variables).map(([key, path]) => [key, join(home.folder, path)]);
  const all = { ...env, ...(Object.fromEntries(moved) as Record<string, string>) };
  expect(await home.setup(['install', name], all)).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(join(home.folder, place), 'utf8')).toContain(core);
  expect(await home.setup(['status', name], all)).toMatchObject({ code: 0 });
  expect(await home.setup(['status', name], env)).toMatchObject({ code: 1 });
});

test.each([
  ['claude', '.claude/settings.json', '{ "env": "none" }', '"env" is not an object'],
  ['claude', '.claude/settings.json', '{ "env": ', 'not valid JSON'],
  ['claude', '.claude/settings.json', '{ "env": {"A":"1"}, "env": {} }', 'edited safely'],
  ['qwen', '.qwen/settings.json', '{ "modelProviders": { "openai": {} } }', 'no list'],
  ['continue', '.continue/config.yaml', 'models: [a, {]\n', 'not valid YAML'],
  ['continue', '.continue/config.yaml', 'models: []\n', 'no list with models'],
  ['continue', '.continue/config.yaml', '- a\n', 'no mapping'],
])(
  '%s: a file of a form that we do not understand is left alone: %s %s',
  async (name, place, text, fault) => {
    using home = new CliHome();
    const path = home.put(place, text);
    const { code, stdout, stderr } = await home.setup(['install', name], env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(fault);
    expect(stderr).toContain('127.0.0.1:8768');
    expect(readFileSync(path, 'utf8')).toBe(text);
  },
);

test('setup alone says what is set up; a name that is none is answered with those that are', async () => {
  using home = new CliHome();
  await home.runHere(['setup', 'pi'], env);
  const { stdout } = await home.runHere(['setup'], env);
  expect(stdout).toMatch(/^pi +set up {2}.*models\.json$/m);
  expect(stdout).toMatch(/^codex +not set up$/m);
  const wrong = await home.runHere(['setup', 'codx'], env);
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toContain('`codx` is no client');
  expect(wrong.stderr).toContain('codex');
});
