import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';

/**
 * Puts a program of that name on the PATH of a home: it prints what it was given, and ends as its
 * first argument says.
 */
function install(home: CliHome, name: string): Record<string, string> {
  const folder = join(home.folder, 'bin');
  mkdirSync(folder, { recursive: true });
  const program = `#!${process.execPath}
const args = process.argv.slice(2);
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => /^(OPENCODE|ANTHROPIC|OPENAI|RLM_API)/.test(name)),
);
if (args.includes('fail')) process.exitCode = 7;
if (args.includes('wait')) {
  setInterval(() => undefined, 1000);
  for (const signal of ['SIGINT', 'SIGHUP'])
    process.on(signal, () => { console.log('got ' + signal); process.exit(9); });
}
console.log(JSON.stringify({ args, env, cwd: process.cwd() }));
`;
  writeFileSync(join(folder, name), program, { mode: 0o755 });
  return { PATH: folder };
}

interface Seen {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

function seenIn(stdout: string): Seen {
  return JSON.parse(stdout.split('\n')[0] ?? '') as Seen;
}

test('with no server running one is started and stays, and the client talks to it', async () => {
  using home = new CliHome();
  // Also where something fails below: the server is nobody's child.
  await using _stopped = {
    [Symbol.asyncDispose]: async () => void (await home.run(['stop'])),
  };
  const env = install(home, 'opencode');
  const first = await home.run(['opencode', 'run', 'fail'], env);
  expect(first).toMatchObject({ code: 7 });
  expect(first.stderr).toContain('started a server');
  expect(first.stderr).toContain('the built-in demo answers');
  const { args, env: given, cwd } = seenIn(first.stdout);
  expect(args).toEqual(['run', 'fail']);
  expect(cwd).toBe(home.folder);
  const { provider } = JSON.parse(given['OPENCODE_CONFIG_CONTENT'] ?? '') as {
    provider: Record<string, { options: { baseURL: string } }>;
  };
  const { baseURL } = provider['rlm-opencode']!.options;
  expect(await (await fetch(`${baseURL}/models`)).text()).toContain('rlm-internal.rlm-core-v1');

  const again = await home.run(['opencode'], env);
  expect(again.stderr).not.toContain('started a server');
  expect(again.stderr.trim().split('\n')).toHaveLength(1);
  expect(seenIn(again.stdout).env['OPENCODE_CONFIG_CONTENT']).toContain(baseURL);
  expect(existsSync(join(home.folder, '.config'))).toBe(false);
});

test('everything behind the name is the client’s, dashes and all', async () => {
  using home = new CliHome();
  await using server = await home.serveHere();
  const env = install(home, 'codex');
  const given = ['exec', '--help', '-V', '--', '-x', 'two words', ''];
  const { stdout, code } = await home.run(['codex', ...given], env);
  expect(code).toBe(0);
  const { args } = seenIn(stdout);
  expect(args.slice(-given.length)).toEqual(given);
  expect(args).toContain(`model_providers.rlm-opencode.base_url="${server.url}/v1"`);
});

test('what the provider says is told in a line before the client starts', async () => {
  using home = new CliHome();
  await using upstream = await startScriptedUpstream();
  upstream.models = ['other-model'];
  await using server = await home.serveHere({
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_MODEL: 'scripted',
    RLM_API_TOKEN: 'the-token',
  });
  const env = install(home, 'claude');
  const refused = await home.run(['claude'], env);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain('RLM_API_TOKEN');
  const { stdout, stderr } = await home.run(['claude'], {
    ...env,
    RLM_API_TOKEN: 'the-token',
    RLM_UPSTREAM_MODEL: 'mine',
    ANTHROPIC_API_KEY: 'sk-own',
  });
  expect(stderr).toContain('upstream.scripted');
  expect(stderr).toContain('its list has no model `scripted`');
  expect(stderr).toContain('other settings than these: upstream.model.');
  const { env: given, args } = seenIn(stdout);
  expect(given).toMatchObject({ RLM_API_TOKEN: 'the-token' });
  expect(args.join(' ')).toContain(`"ANTHROPIC_BASE_URL":"${server.url}"`);
  expect(given).not.toHaveProperty('ANTHROPIC_API_KEY');
});

test('an inner command that refuses arguments of ours is given none', async () => {
  using home = new CliHome();
  await using _server = await home.serveHere();
  const env = install(home, 'qwen');
  expect(seenIn((await home.run(['qwen', 'mcp', 'list'], env)).stdout).args).toEqual([
    'mcp',
    'list',
  ]);
  const { args } = seenIn((await home.run(['qwen', '-p', 'mcp'], env)).stdout);
  expect(args).toEqual([
    '--auth-type',
    'openai',
    '--model',
    'rlm-internal.rlm-core-v1',
    '-p',
    'mcp',
  ]);
});

test('a client that is not there: what to type, and nothing is started', async () => {
  using home = new CliHome();
  const { code, stdout, stderr } = await home.runHere(['qwen'], { PATH: home.folder });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('npm install -g @qwen-code/qwen-code');
  expect(existsSync(home.dataDir)).toBe(false);
});

test.each([
  ['SIGINT', 9],
  ['SIGHUP', 9],
  ['SIGTERM', 'SIGTERM'],
] as const)('%s reaches the client, and its end is the end', async (signal, end) => {
  using home = new CliHome();
  await using _server = await home.serveHere();
  const child = home.spawn(['opencode', 'wait'], install(home, 'opencode'));
  await firstLine(child);
  child.kill(signal);
  const [code, killer] = (await once(child, 'exit')) as [number | null, string | null];
  expect(code ?? killer).toBe(end);
});

async function firstLine(child: ChildProcess): Promise<void> {
  await once(child.stdout!, 'data');
}

test('a command that there is not is answered with the one that is meant', async () => {
  using home = new CliHome();
  const said = async (typed: string): Promise<string> => (await home.runHere([typed])).stderr;
  expect(await said('serch')).toBe(
    'There is no command `serch`.\nDid you mean: rlm-opencode search\n',
  );
  expect(await said('install')).toContain('rlm-opencode setup');
  expect(await said('claude-code')).toContain('rlm-opencode claude');
  expect(await said('version')).toContain('rlm-opencode --version');
  expect(await said('qqqqqqqq')).toContain('rlm-opencode --help');
  // What is said to a model names its tools.
  const missing = await home.runHere(['get', 'e9', '--directory', home.folder]);
  expect(missing.stderr).not.toContain('rlm_');
});
