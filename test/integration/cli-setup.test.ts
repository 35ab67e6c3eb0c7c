import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parse } from 'jsonc-parser';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';

const env = { RLM_PORT: '8768', RLM_UPSTREAM_BASE_URL: 'https://api.z.ai/api/paas/v4' };

function opencodeFolder(home: CliHome): string {
  const folder = join(home.folder, '.config/opencode');
  mkdirSync(folder, { recursive: true });
  return folder;
}

function block(path: string): { options: object; models: Record<string, { limit: object }> } {
  const value = parse(readFileSync(path, 'utf8')) as { provider: Record<string, never> };
  return value.provider['rlm-opencode'] as never;
}

test('install, again, status, uninstall: the file is what it was, byte for byte', async () => {
  using home = new CliHome();
  const path = join(opencodeFolder(home), 'opencode.json');
  const before = '\uFEFF// mine\r\n{\r\n\t"theme": "dark", // night\r\n}\r\n';
  writeFileSync(path, before);
  chmodSync(path, 0o640);

  const dry = await home.setup(['install', '--dry-run'], env);
  expect(dry.code).toBe(0);
  expect(dry.stdout).toContain('+ \t\t"rlm-opencode": {');
  expect(readFileSync(path, 'utf8')).toBe(before);

  expect(await home.setup(['status'], env)).toMatchObject({ code: 1 });
  expect((await home.setup(['install'], env)).stdout).toContain('opencode models');
  expect(block(path)).toMatchObject({
    options: { baseURL: 'http://127.0.0.1:8768/v1' },
    models: { 'rlm-internal.rlm-core-v1': { limit: { context: 202_752, output: 131_072 } } },
  });
  expect(statSync(path).mode & 0o777).toBe(0o640);
  const installed = readFileSync(path, 'utf8');
  expect((await home.setup(['install'], env)).stdout).toContain('nothing to change');
  expect(readFileSync(path, 'utf8')).toBe(installed);
  expect(await home.setup(['status'], env)).toMatchObject({ code: 0 });
  expect((await home.setup(['status', 'opencode', '--port', '9'], env)).stdout).toContain(
    'not with these',
  );

  expect(await home.setup(['uninstall'], env)).toMatchObject({ code: 0 });
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(readdirSync(opencodeFolder(home))).toEqual(['opencode.json']);
  expect((await home.setup(['uninstall'], env)).stdout).toContain('nothing to take out');
});

test('no file yet: one is made, private, and removed again', async () => {
  using home = new CliHome();
  const path = join(home.folder, '.config/opencode/opencode.jsonc');
  expect(await home.setup(['install'], env)).toMatchObject({ code: 0, stderr: '' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await home.setup(['uninstall'], env);
  expect(existsSync(path)).toBe(false);
});

test('a link into a dotfile repository stays a link; what the user added since stays too', async () => {
  using home = new CliHome();
  const folder = opencodeFolder(home);
  const real = join(home.folder, 'dotfiles.json');
  writeFileSync(real, '{ "theme": "dark" }');
  symlinkSync(real, join(folder, 'opencode.json'));
  await home.setup(['install'], env);
  expect(lstatSync(join(folder, 'opencode.json')).isSymbolicLink()).toBe(true);
  expect(block(real).options).toMatchObject({ apiKey: 'rlm-local' });
  writeFileSync(real, readFileSync(real, 'utf8').replace('"dark"', '"light" /* new */'));
  await home.setup(['uninstall'], env);
  expect(readFileSync(real, 'utf8')).toContain('"theme": "light" /* new */');
  expect(readFileSync(real, 'utf8')).not.toContain('rlm-opencode');
});

test('the file that has our block is the one that is edited; a token is not copied', async () => {
  using home = new CliHome();
  const folder = opencodeFolder(home);
  writeFileSync(join(folder, 'opencode.jsonc'), '{}');
  writeFileSync(join(folder, 'config.json'), '{ "provider": { "rlm-opencode": {} } }');
  await home.setup(['install'], { ...env, RLM_API_TOKEN: 'secret-token' });
  expect(readFileSync(join(folder, 'opencode.jsonc'), 'utf8')).toBe('{}');
  expect(block(join(folder, 'config.json')).options).toMatchObject({
    apiKey: '{env:RLM_API_TOKEN}',
  });
});

test('a file that cannot be read is left alone, and the block to paste is shown', async () => {
  using home = new CliHome();
  const path = join(opencodeFolder(home), 'opencode.json');
  writeFileSync(path, '{ "theme": ');
  for (const command of ['install', 'install --dry-run']) {
    const { code, stdout, stderr } = await home.setup(command.split(' '), env);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('line 1');
    expect(stderr).toContain('"baseURL": "http://127.0.0.1:8768/v1"');
  }
  expect(readFileSync(path, 'utf8')).toBe('{ "theme": ');
  expect(await home.setup(['install'], { ...env, RLM_PORT: '0' })).toMatchObject({ code: 2 });
});

test('a window that nobody stated is said to be assumed', async () => {
  using home = new CliHome();
  opencodeFolder(home);
  const unknown = { RLM_PORT: '8768', RLM_UPSTREAM_BASE_URL: 'http://127.0.0.1:1/v1' };
  expect((await home.setup(['install'], unknown)).stderr).toContain('RLM_UPSTREAM_CONTEXT_WINDOW');
  const stated = { ...unknown, RLM_UPSTREAM_CONTEXT_WINDOW: '32768' };
  expect((await home.setup(['install'], stated)).stderr).toBe('');
  const path = join(opencodeFolder(home), 'opencode.jsonc');
  expect(block(path).models['rlm-internal.rlm-core-v1']?.limit).toMatchObject({ context: 32_768 });
});
