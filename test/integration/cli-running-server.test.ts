import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'jsonc-parser';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';

const limits = { context: 200_000, output: 32_000 };

function opencodeFile(home: CliHome): string {
  const folder = join(home.folder, '.config/opencode');
  mkdirSync(folder, { recursive: true });
  return join(folder, 'opencode.json');
}

interface Block {
  readonly options: { readonly baseURL: string };
  readonly models: Record<string, { readonly limit: object }>;
}

function blockIn(path: string): Block {
  const value = parse(readFileSync(path, 'utf8')) as { provider: Record<string, Block> };
  return value.provider['rlm-opencode']!;
}

test('without a server and an upstream the limits of the demo are never written', async () => {
  using home = new CliHome();
  const path = opencodeFile(home);
  const shell = { RLM_PORT: '8768' };
  const first = await home.setup(['install', '--file', path], shell);
  expect(first.stderr).toContain('No model is set up yet');
  expect(blockIn(path).models['rlm-internal.rlm-core-v1']?.limit).toEqual({
    context: 128_000,
    output: 32_000,
  });
  const stated = readFileSync(path, 'utf8').replace('128000', String(limits.context));
  writeFileSync(path, stated);
  const again = await home.setup(['install', '--file', path], shell);
  expect(again.stderr).toContain('stay');
  expect(readFileSync(path, 'utf8')).toBe(stated);
});

test("a key of the user's that stands beside our block is not printed", async () => {
  using home = new CliHome();
  const path = opencodeFile(home);
  writeFileSync(
    path,
    '{\n  "provider": {\n    "x": { "options": {\n      "apiKey": "sk-secret" } }\n  }\n}\n',
  );
  const { stdout } = await home.setup(['install', '--file', path], { RLM_PORT: '8768' });
  expect(stdout).toContain('"apiKey": "***"');
  expect(stdout).toContain('rlm-local');
  expect(stdout).not.toContain('sk-secret');
  expect(readFileSync(path, 'utf8')).toContain('sk-secret');
});

test('in a second terminal setup, doctor, status and config speak of the server that runs', async () => {
  using home = new CliHome();
  await using upstream = await startScriptedUpstream();
  upstream.models = ['scripted'];
  await using server = await home.serveHere({
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_API_KEY: 'sk-only-the-server',
    RLM_UPSTREAM_MODEL: 'scripted',
    RLM_UPSTREAM_CONTEXT_WINDOW: String(limits.context),
  });
  const path = opencodeFile(home);
  // What an earlier version wrote from the demo.
  writeFileSync(path, '{}');
  await home.setup(['install', '--file', path, '--port', '1']);
  const installed = await home.setup(['install', '--file', path]);
  expect(installed).toMatchObject({ code: 0 });
  expect(blockIn(path)).toMatchObject({
    options: { baseURL: `${server.url}/v1` },
    models: { 'rlm-internal.rlm-core-v1': { limit: limits } },
  });
  expect(await home.setup(['status', '--file', path])).toMatchObject({ code: 0 });

  const doctor = await home.runHere(['doctor']);
  expect(doctor.stdout).not.toContain('demo script');
  expect(doctor.stdout).toContain('provider upstream: answers, 1 model (');
  expect(doctor.stdout).toMatch(/other settings than these: .*upstream\.baseURL/);
  expect(upstream.otherRequests.at(-1)?.headers['authorization']).toBe('Bearer sk-only-the-server');

  const status = await home.runHere(['status']);
  expect(status.stdout).toMatch(/model +upstream\.scripted, window 200,000 tokens/);

  const config = await home.runHere(['config']);
  expect(config.stdout).toMatch(/^upstream\.baseURL +=  ?\(not set\)\n +the running server: http/m);
  expect(config.stdout).toContain(
    `the running server: ${upstream.baseURL}  (environment RLM_UPSTREAM_BASE_URL)\n`,
  );
  expect(config.stdout).not.toMatch(/turn\.steps.*running server/);
  const { settings } = JSON.parse((await home.runHere(['config', '--json'])).stdout) as {
    settings: { key: string; server?: object }[];
  };
  expect(settings.find(({ key }) => key === 'upstream.model')?.server).toMatchObject({
    value: 'scripted',
  });
  for (const { stdout, stderr } of [doctor, status, config]) {
    expect(stdout + stderr).not.toContain('sk-only');
  }
});

test('ingest in a sub-directory goes into the store above, unless a directory is named', async () => {
  using home = new CliHome();
  await using _server = await home.serveHere();
  const project = join(home.folder, 'project');
  const inside = join(project, 'src');
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(project, 'a.txt'), 'alpha '.repeat(200));
  writeFileSync(join(inside, 'b.txt'), 'beta '.repeat(200));
  const ingest = async (args: string[], cwd: string) => {
    const before = process.cwd();
    process.chdir(cwd);
    try {
      return await home.runHere(['ingest', ...args]);
    } finally {
      process.chdir(before);
    }
  };
  const first = await ingest(['a.txt'], project);
  const second = await ingest(['b.txt'], inside);
  expect(second.stdout).toContain(` of ${project}`);
  expect(second.stdout.split(' ')[3]).toBe(first.stdout.split(' ')[3]);
  const named = await ingest(['b.txt', '--directory', '.'], inside);
  expect(named.stdout).toContain(` of ${inside}`);
});
