import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { CliHome } from '../support/cli.ts';
import {
  answer,
  done,
  finish,
  reply,
  type ScriptedUpstream,
  startScriptedUpstream,
  status,
  toolCall,
} from '../support/scripted-upstream.ts';
import { Terminal } from '../support/terminal.ts';

const called = reply(toolCall('report', { word: 'ready' }), finish('tool_calls'), done());

const settingsPath = '.config/rlm-opencode/config.jsonc';

function settingsOf(home: CliHome): string {
  return join(home.folder, settingsPath);
}

/** What the program makes of the settings that were written. */
function resolved(home: CliHome, env: Record<string, string> = {}) {
  return loadConfig({ env, homeDir: home.folder }).config;
}

async function upstreamWith(models: readonly string[]): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  upstream.models = models;
  upstream.otherwise(called);
  return upstream;
}

test('with flags: key, model and address are tried and written, and nothing else changes', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith(['one', 'two']);
  const before = '// mine\n{\n  "logLevel": "warn", // quiet\n}\n';
  const path = home.put(settingsPath, before, 0o640);
  const env = { MY_KEY: 'sk-secret' };
  const { code, stdout, stderr } = await home.runHere(
    ['init', '--base-url', upstream.baseURL, '--key-env', 'MY_KEY', '--model', 'two', '--yes'],
    env,
  );
  expect({ code }).toEqual({ code: 0 });
  expect(stdout).toMatch(/two answered in [\d.]+ s and used the tool/);
  expect(stdout).toContain('rlm-opencode opencode');
  expect(stdout + stderr).not.toContain('sk-secret');
  const text = readFileSync(path, 'utf8');
  expect(text).toContain('// mine\n');
  expect(text).toContain('"logLevel": "warn", // quiet');
  expect(text).not.toContain('sk-secret');
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(readFileSync(`${path}.before-rlm`, 'utf8')).toBe(before);
  const { providers, defaultModel, logLevel } = resolved(home, env);
  expect({ defaultModel, logLevel }).toEqual({
    defaultModel: { providerId: 'local', modelId: 'two' },
    logLevel: 'warn',
  });
  expect(providers).toMatchObject([{ baseURL: upstream.baseURL, apiKey: 'sk-secret' }]);
  const [asked] = upstream.requests;
  expect(asked?.headers['authorization']).toBe('Bearer sk-secret');
  expect(asked?.body).toMatchObject({ model: 'two', tools: [{ function: { name: 'report' } }] });

  // Again, with the other model: the same entry, brought up to date.
  await home.runHere(['init', '--base-url', upstream.baseURL, '--model', 'one', '--yes'], env);
  expect(resolved(home, env)).toMatchObject({
    defaultModel: { modelId: 'one' },
    providers: [{ apiKey: 'sk-secret', namedModels: ['one', 'two'] }],
  });
});

test('a key in a file: the file is named in the settings, and read', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith(['only']);
  const keyFile = home.put('key', 'sk-in-file\n');
  const args = ['init', '--base-url', upstream.baseURL, '--key-file', keyFile, '--yes'];
  expect(await home.runHere(args)).toMatchObject({ code: 0 });
  const text = readFileSync(settingsOf(home), 'utf8');
  expect(text).toContain(`"apiKeyFile": "${keyFile}"`);
  expect(text).not.toContain('sk-in-file');
  expect(statSync(settingsOf(home)).mode & 0o777).toBe(0o600);
  expect(resolved(home)).toMatchObject({
    defaultModel: { modelId: 'only' },
    providers: [{ apiKey: 'sk-in-file' }],
  });
  writeFileSync(keyFile, '');
  expect(() => resolved(home)).toThrow('apiKeyFile');
});

test('the window that the list states is written; a preset is written by its name alone', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith([]);
  upstream.models = {
    status: 200,
    headers: { 'content-type': 'application/json' },
    steps: [{ send: '{"data":[{"id":"big","context_length":65536}]}' }],
  };
  await home.runHere(['init', '--base-url', upstream.baseURL, '--yes']);
  expect(resolved(home).providers[0]?.models).toMatchObject([
    { id: 'big', contextWindowTokens: 65_536 },
  ]);
  using other = new CliHome();
  const known = ['init', '--provider', 'zai', '--key-env', 'K', '--model', 'glm-5', '--no-try'];
  // Nobody answers behind that proxy: the provider cannot be asked for its list.
  const env = { K: 'sk', HTTPS_PROXY: 'http://127.0.0.1:9', ALL_PROXY: 'http://127.0.0.1:9' };
  expect(await other.runHere([...known, '--yes'], env)).toMatchObject({ code: 2 });
  expect(existsSync(settingsOf(other))).toBe(false);
});

test('what goes wrong is said in words, and nothing is written', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith(['one', 'two']);
  const url = ['--base-url', upstream.baseURL];
  const said = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await home.runHere(['init', ...args]);
    expect({ args, code }).toEqual({ args, code: 2 });
    return stderr;
  };
  expect(await said()).toContain('no terminal');
  expect(await said('--yes')).toContain('--provider NAME, or --base-url URL');
  expect(await said('--provider', 'zia', '--yes')).toContain('Known: zai');
  expect(await said('--base-url', 'example.com', '--yes')).toContain('http or https URL');
  expect(await said(...url, '--key-env', 'NOT_SET', '--yes')).toContain('export NOT_SET=');
  expect(await said(...url, '--key-file', '/no/such', '--yes')).toContain('no such file');
  expect(await said(...url, '--yes')).toContain('--model');
  upstream.script(answer('I would rather not.'));
  expect(await said(...url, '--model', 'one', '--yes')).toContain('did not use the tool');
  upstream.script(status(400, { error: { message: 'no tools here' } }));
  expect(await said(...url, '--model', 'one', '--yes')).toContain('no tools here');
  upstream.models = status(401, { error: { message: 'bad key' } });
  // What was typed is not in any settings yet, so `doctor` would know nothing of it.
  const refused = await said(...url, '--model', 'one', '--yes');
  expect(refused).toBe(
    'bad key\nIt wants a key: --key-env NAME (a variable), or --key-file PATH. Nothing was written.\n',
  );
  expect(await said('--provider', 'zai', '--yes')).toContain('export ZAI_API_KEY=');
  expect(existsSync(settingsOf(home))).toBe(false);
  const broken = home.put(settingsPath, '{ "providers": ');
  upstream.models = ['one'];
  expect(await said(...url, '--yes')).toContain('was left alone');
  expect(readFileSync(broken, 'utf8')).toBe('{ "providers": ');
});

test('without the trial the settings are written unseen', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith(['one']);
  const args = ['init', '--base-url', upstream.baseURL, '--no-try', '--yes'];
  expect(await home.runHere(args)).toMatchObject({ code: 0 });
  expect(upstream.requests).toEqual([]);
  expect(resolved(home).defaultModel).toEqual({ providerId: 'local', modelId: 'one' });
});

test('an address without its /v1 is found out, said and mended', async () => {
  using home = new CliHome();
  const provider = createServer(({ url }, response) => {
    response.writeHead(url === '/v1/models' ? 200 : 404, { 'content-type': 'application/json' });
    response.end(url === '/v1/models' ? '{"data":[{"id":"one"}]}' : '{"error":{"message":"no"}}');
  }).listen(0, '127.0.0.1');
  await once(provider, 'listening');
  const short = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  const args = ['init', '--base-url', short, '--no-try', '--yes'];
  const { code, stderr } = await home.runHere(args);
  provider.close();
  expect({ code }).toEqual({ code: 0 });
  expect(stderr).toContain(`${short} has no API; ${short}/v1 has, and is taken.\n`);
  expect(resolved(home).providers[0]?.baseURL).toBe(`${short}/v1`);
});

test('on a terminal a key that is refused is asked for again, and nothing else', async () => {
  using home = new CliHome();
  await using upstream = await upstreamWith(['one']);
  upstream.models = status(401, { error: { message: 'bad key' } });
  using terminal = new Terminal(home, `init --base-url ${upstream.baseURL}`);
  // Each step is about what comes after its key: the same words have stood there before.
  const givesKey = async (key: string): Promise<void> => {
    await terminal.says(/● I paste it .*kept in a file/);
    terminal.forget();
    terminal.type('\r');
    await terminal.says(/◆ {2}The key\?/);
    terminal.forget();
    terminal.type(`${key}\r`);
  };
  await terminal.says(/● it wants none/);
  terminal.forget();
  terminal.type('\u001b[A');
  await givesKey('sk-wrong');
  // Who has pasted one, or learns that one is wanted, pastes the next.
  await terminal.says(/▲ {2}It refuses the key: bad key/);
  upstream.models = ['one'];
  await givesKey('sk-right');
  await terminal.says(/Which model\? \(1 model;/);
  terminal.type('\r');
  await terminal.says(/How many tokens/);
  terminal.type('\r');
  await terminal.says(/Written\./);
  expect(resolved(home).providers[0]?.apiKey).toBe('sk-right');
  // A window that was stated is not said to be assumed.
  expect((await home.runHere(['doctor', '--offline'])).stdout).not.toContain('assumed');
});
