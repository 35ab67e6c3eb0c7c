import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse as parseJsonc } from 'jsonc-parser';
import { describe, expect, test } from 'vitest';
import { mcpClientNames } from '../../src/setup/mcp-setups.ts';
import { CliHome } from '../support/cli.ts';

const main = resolve(import.meta.dirname, '../../bin/rlm-opencode.js');

/** Where a client has its servers, what a user has there, and how it is told what to start. */
const clients: readonly {
  readonly name: string;
  readonly path: string;
  readonly before: string;
  /** Of the text afterwards, given what is started. */
  readonly added: (command: readonly string[]) => object;
}[] = [
  {
    name: 'opencode',
    path: '.config/opencode/opencode.json',
    before:
      '{\n  // mine\n  "theme": "dark", // night\n  "mcp": {\n    "x": { "type": "local", "command": ["x"] } // other\n  }\n}\n',
    added: (command) => ({
      mcp: { x: {}, 'rlm-opencode': { type: 'local', enabled: true, command } },
    }),
  },
  {
    name: 'kilo',
    path: '.config/kilo/kilo.jsonc',
    before: '{\n  // mine\n  "theme": "dark",\n}\n',
    added: (command) => ({ theme: 'dark', mcp: { 'rlm-opencode': { type: 'local', command } } }),
  },
  {
    name: 'claude',
    path: '.claude.json',
    before: '{\n  "numStartups": 3,\n  "mcpServers": {\n    "x": { "command": "x" }\n  }\n}\n',
    added: ([command, ...args]) => ({
      numStartups: 3,
      mcpServers: { x: {}, 'rlm-opencode': { type: 'stdio', command, args } },
    }),
  },
  ...[
    ['qwen', '.qwen/settings.json'],
    ['gemini', '.gemini/settings.json'],
    ['cursor', '.cursor/mcp.json'],
    ['cline', '.cline/data/settings/cline_mcp_settings.json'],
  ].map(([name = '', path = '']) => ({
    name,
    path,
    before:
      '{\n  "mcpServers": {\n    // one\n    "x": {\n      "command": "x-secret"\n    }\n  }\n}',
    added: ([command, ...args]: readonly string[]) => ({
      mcpServers: { x: {}, 'rlm-opencode': { command, args } },
    }),
  })),
  {
    name: 'vscode',
    path:
      process.platform === 'darwin'
        ? 'Library/Application Support/Code/User/mcp.json'
        : '.config/Code/User/mcp.json',
    before: '{\n\t"servers": {},\n\t"inputs": []\n}\n',
    added: ([command, ...args]) => ({
      inputs: [],
      servers: { 'rlm-opencode': { type: 'stdio', command, args } },
    }),
  },
  {
    name: 'codex',
    path: '.codex/config.toml',
    before: '# mine\nmodel = "x" # always\n\n[mcp_servers.x]\ncommand = "x"\n',
    added: ([command, ...args]) => ({
      toml: expect.stringContaining(
        `\n\n[mcp_servers.rlm-opencode]\ncommand = ${JSON.stringify(command)}\nargs = [${args.map((arg) => JSON.stringify(arg)).join(', ')}]\n`,
      ) as unknown,
    }),
  },
];

function read(name: string, text: string): unknown {
  return name === 'codex' ? { toml: text } : (parseJsonc(text) as unknown);
}

test('every client that can have it is tried here', () => {
  expect(clients.map(({ name }) => name).toSorted()).toEqual(mcpClientNames.toSorted());
});

describe.each(clients)('$name', ({ name, path: place, before, added }) => {
  test('dry run, install, again, status, uninstall: the file is what it was, byte for byte', async () => {
    using home = new CliHome();
    const path = home.put(place, before);
    const dry = await home.setup(['install', name, '--mcp', '--dry-run']);
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toContain('+ ');
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(await home.setup(['status', name, '--mcp'])).toMatchObject({ code: 1 });

    // The home of a test has a data directory of its own, which what is started has to know.
    const command = [process.execPath, main, 'mcp', '--data-dir', home.dataDir];
    expect(await home.runHere(['setup', name, '--mcp'])).toMatchObject({ code: 0, stderr: '' });
    const installed = readFileSync(path, 'utf8');
    expect(read(name, installed)).toMatchObject(added(command));
    for (const comment of before.match(/(?:\/\/|#) .*/g) ?? [])
      expect(installed).toContain(comment);
    expect((await home.setup([name, '--mcp'])).stdout).toContain('nothing to change');
    expect(await home.setup(['status', name, '--mcp'])).toMatchObject({ code: 0 });

    // The data are somewhere else: what stands there is brought up to date, once.
    const moved = { RLM_DATA_DIR: `${home.dataDir}-2` };
    expect(await home.setup(['status', name, '--mcp'], moved)).toMatchObject({ code: 1 });
    await home.setup([name, '--mcp'], moved);
    expect(readFileSync(path, 'utf8')).toBe(installed.replace(home.dataDir, `${home.dataDir}-2`));

    expect(await home.setup(['uninstall', name, '--mcp'])).toMatchObject({ code: 0 });
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(dirname(path)).filter((file) => /before|tmp/.test(file))).toEqual([]);
    const again = await home.setup(['uninstall', name, '--mcp']);
    expect(again.stdout).toContain('nothing to take out');
  });

  test('no file yet: one is made, and removed again with its folders', async () => {
    using home = new CliHome();
    expect(await home.setup([name, '--mcp'], { RLM_PORT: '0' })).toMatchObject({ code: 0 });
    expect(await home.setup(['status', name, '--mcp'])).toMatchObject({ code: 0 });
    await home.setup(['uninstall', name, '--mcp']);
    expect(readdirSync(home.folder, { recursive: true })).toEqual(
      existsSync(home.dataDir) ? ['data'] : [],
    );
  });

  test('what the user adds to our entry stays, whoever brings it up to date', async () => {
    using home = new CliHome();
    const path = home.put(place, before);
    await home.setup([name, '--mcp']);
    const text = readFileSync(path, 'utf8');
    const changed =
      name === 'codex'
        ? `${text}enabled = false\n[mcp_servers.rlm-opencode.env]\nA = "1"\n`
        : text.replace('"rlm-opencode": {', '"rlm-opencode": { "timeout": 7,');
    writeFileSync(path, changed);
    await home.setup([name, '--mcp'], { RLM_DATA_DIR: `${home.dataDir}-2` });
    const after = readFileSync(path, 'utf8');
    expect(after).toContain(`${home.dataDir}-2`);
    expect(after).toMatch(/"timeout": 7|enabled = false\n\[mcp_servers\.rlm-opencode\.env\]\nA/);
    await home.setup(['uninstall', name, '--mcp']);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });
});

test.each(['opencode', 'qwen'])(
  'proxy and tools of %s stand in one file, and each goes without the other',
  async (name) => {
    for (const first of [[], ['--mcp']]) {
      using home = new CliHome();
      const { path: place, before } = clients.find((client) => client.name === name)!;
      const path = home.put(place, before);
      const second = first.length === 0 ? ['--mcp'] : [];
      const env = { RLM_PORT: '8768' };
      await home.setup([name, ...first], env);
      const one = readFileSync(path, 'utf8');
      await home.setup([name, ...second], env);
      expect((await home.setup([], env)).stdout).toMatch(
        new RegExp(`^${name} +set up[^]*^${name} +MCP: set up`, 'm'),
      );
      await home.setup(['uninstall', name, ...second], env);
      expect(parseJsonc(readFileSync(path, 'utf8'))).toEqual(parseJsonc(one));
      await home.setup([name, ...second], env);
      await home.setup(['uninstall', name, ...first], env);
      await home.setup(['uninstall', name, ...second], env);
      expect(readFileSync(path, 'utf8')).toBe(before);
    }
  },
);

test('codex writes its tables anew and loses comments: ours is known by its name', async () => {
  using home = new CliHome();
  const path = home.put('.codex/config.toml', 'model = "x"');
  await home.setup(['codex', '--mcp']);
  // As `codex mcp add other` leaves it.
  writeFileSync(path, `${readFileSync(path, 'utf8')}\n[mcp_servers.other]\ncommand = "o"\n`);
  expect((await home.setup(['codex', '--mcp'])).stdout).toContain('nothing to change');
  await home.setup(['uninstall', 'codex', '--mcp']);
  expect(readFileSync(path, 'utf8')).toBe('model = "x"\n\n[mcp_servers.other]\ncommand = "o"\n');
});

test.each([
  ['codex', '.codex/config.toml', 'mcp_servers = { x = { command = "x" } }\n', 'tables'],
  ['codex', '.codex/config.toml', '[mcp_servers]\nrlm-opencode = { command = "x" }\n', 'tables'],
  ['codex', '.codex/config.toml', 'mcp_servers.x.command = "x"\n', 'tables'],
  ['cursor', '.cursor/mcp.json', '{ "mcpServers": [] }', 'not an object'],
  ['claude', '.claude.json', '{ "a": ', 'not valid JSON'],
  ['opencode', '.config/opencode/opencode.json', '{ "mcp": 1 }', 'not an object'],
])(
  '%s: a form that we do not understand is left alone: %s %s',
  async (name, place, text, fault) => {
    using home = new CliHome();
    const path = home.put(place, text);
    const { code, stdout, stderr } = await home.setup(['install', name, '--mcp']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(fault);
    expect(stderr).toContain(main);
    expect(readFileSync(path, 'utf8')).toBe(text);
  },
);

test('an entry that somebody wrote by hand under our name is brought up to date', async () => {
  using home = new CliHome();
  const rest = '# of x\n[other]\nx = 1\n';
  const hand = '[mcp_servers."rlm-opencode"]\ncommand = "mine"\nargs = [\n  "a",\n]\n\n';
  const path = home.put('.codex/config.toml', hand + rest);
  await home.setup(['codex', '--mcp']);
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(main);
  expect(text).not.toContain('mine');
  expect(text.match(/args|"a",/g)).toEqual(['args']);
  await home.setup(['uninstall', 'codex', '--mcp']);
  expect(readFileSync(path, 'utf8').trimStart()).toBe(rest);
});

test('doctor says who has it, and what brings one up to date that starts something else', async () => {
  using home = new CliHome();
  const env = { RLM_PORT: '8768' };
  await home.setup(['cursor', '--mcp'], env);
  const path = await home.setup(['codex', '--mcp'], env);
  expect(path.code).toBe(0);
  const config = join(home.folder, '.codex/config.toml');
  writeFileSync(config, readFileSync(config, 'utf8').replace(process.execPath, '/gone/node'));
  const { stdout } = await home.runHere(['doctor', '--offline'], env);
  expect(stdout).toMatch(/^ok {4}Cursor: has the tools over MCP, set up in .*mcp\.json$/m);
  expect(stdout).toMatch(/^note {2}Codex: has the tools .*\n {6}rlm-opencode setup codex --mcp$/m);
  expect(stdout).not.toContain('Gemini');
});

test('who types the wrong one is told the right one', async () => {
  using home = new CliHome();
  const env = { RLM_PORT: '8768' };
  expect((await home.setup(['cursor'], env)).stderr).toContain('add --mcp');
  expect((await home.setup(['pi', '--mcp'], env)).stderr).toContain('pi cannot be given');
  expect((await home.setup(['cursr', '--mcp'], env)).stderr).toContain('cursor');
  await home.setup(['cursor', '--mcp'], env);
  const none = await home.setup(['uninstall', 'codex'], env);
  expect(none.stdout).toContain('It is in Cursor: rlm-opencode setup uninstall cursor --mcp');
  const list = await home.setup(['--mcp'], env);
  expect(list.stdout).toMatch(/^cursor +MCP: set up {2}.*mcp\.json$/m);
  expect(list.stdout).toMatch(/^codex +MCP: not set up$/m);
  expect(existsSync(join(home.folder, '.codex'))).toBe(false);
});

test.each([
  ['codex', { CODEX_HOME: 'moved' }, 'moved/config.toml'],
  ['claude', { CLAUDE_CONFIG_DIR: 'moved' }, 'moved/.claude.json'],
  ['cline', { CLINE_MCP_SETTINGS_PATH: 'moved.json' }, 'moved.json'],
  ['cline', { CLINE_DIR: 'moved' }, 'moved/data/settings/cline_mcp_settings.json'],
  ['qwen', { QWEN_HOME: 'moved' }, 'moved/settings.json'],
  ['opencode', { XDG_CONFIG_HOME: 'moved' }, 'moved/opencode/opencode.jsonc'],
])('%s is set up where its own variables say: %o', async (name, variables, place) => {
  using home = new CliHome();
  const moved = Object.entries(variables).map(([key, path]) => [key, join(home.folder, path)]);
  await home.setup([name, '--mcp'], Object.fromEntries(moved) as Record<string, string>);
  expect(readFileSync(join(home.folder, place), 'utf8')).toContain(main);
});
