import { spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';

test('serve: one line on stdout when ready, what the demo is on stderr, SIGTERM ends it with 0', async () => {
  using home = new CliHome();
  const { url, child, result } = await home.serve();
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  child.kill('SIGTERM');
  const { code, stdout, stderr } = await result;
  expect(code).toBe(0);
  expect(stdout).toBe(`rlm-opencode listening on ${url}\n`);
  expect(stderr).toContain('no language model');
  expect(stderr).toContain('rlm-opencode init');
});

test('a second server on the same data says who holds it; on other data it just runs', async () => {
  using home = new CliHome();
  using other = new CliHome();
  await using first = await home.serveHere();
  const second = await home.run(['serve']);
  expect(second.code).toBe(2);
  expect(second.stdout).toBe('');
  expect(second.stderr).toContain(`process ${process.pid}`);
  expect(second.stderr).toContain(first.url);
  const port = new URL(first.url).port;
  const clash = await other.run(['serve', '--port', port]);
  expect(clash.code).toBe(2);
  expect(clash.stderr).toContain(`Port ${port} on 127.0.0.1 is already in use.`);
  await using running = await other.serveHere();
  expect(running.url).not.toBe(first.url);
});

test('a public address without a token is refused', async () => {
  using home = new CliHome();
  const { code, stderr } = await home.runHere(['serve', '--host', '0.0.0.0']);
  expect(code).toBe(2);
  expect(stderr).toContain('RLM_API_TOKEN');
});

test('background: start, a second start that leaves it, status, logs, stop', async () => {
  using home = new CliHome();
  expect(await home.runHere(['status'])).toMatchObject({ code: 1 });
  const started = await home.run(['serve', '--background']);
  expect(started.code).toBe(0);
  expect(started.stderr).toContain('~/data/server.log');
  expect(started.stderr).toContain('no language model');
  const status = await home.runHere(['status', '--json']);
  expect(status.code).toBe(0);
  const said = JSON.parse(status.stdout) as { address: string; health: { status: string } };
  expect(started.stdout).toBe(`rlm-opencode listening on ${said.address}\n`);
  expect(said.health.status).toBe('ok');
  const again = await home.run(['serve', '--background']);
  expect(again).toMatchObject({ code: 0, stderr: '' });
  expect(again.stdout).toContain(`is listening on ${said.address} already`);
  expect((await home.runHere(['logs'])).stdout).toContain(started.stdout);
  for (const name of ['owner.json', 'server.log']) {
    expect(statSync(join(home.dataDir, name)).mode & 0o777).toBe(0o600);
  }
  const stopped = await home.runHere(['stop']);
  expect(stopped).toMatchObject({ code: 0, stdout: `Stopped the server at ${said.address}.\n` });
  await expect(fetch(said.address)).rejects.toThrow('fetch failed');
  expect(await home.runHere(['stop'])).toMatchObject({
    code: 1,
    stdout: 'No server is running.\n',
  });
});

test('background: a server that does not start shows why', async () => {
  using home = new CliHome();
  const { code, stderr } = await home.run(['serve', '--background', '--host', '0.0.0.0']);
  expect(code).toBe(2);
  expect(stderr).toContain('needs a token');

  // Each shows what it has said itself, not what others have said before it.
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  for (const _ of ['once', 'again']) {
    const second = await home.run(['serve', '--background'], { RLM_PORT: String(port) });
    expect(second.stderr.split('\n').slice(0, 3)).toEqual([
      'The server did not start.',
      `Port ${port} on 127.0.0.1 is already in use.`,
      'Choose another with --port or RLM_PORT; 0 takes any free one.',
    ]);
    expect(second.stderr).not.toContain('token');
  }
  taken.close();
});

test('where no file can be written that is said, in words, before a server is started for nothing', async () => {
  using home = new CliHome();
  writeFileSync(home.dataDir, '');
  const said = `${home.dataDir}: a file stands where a folder should be`;
  for (const args of [['serve', '--background'], ['stats'], ['sessions']]) {
    const { code, stderr } = await home.runHere(args);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toContain(said);
  }
  expect((await home.runHere(['status'])).stdout).toContain('No server is running');
});

test('stop never touches a process that does not prove to be our server', async () => {
  using home = new CliHome();
  await using started = await home.serveHere();
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  // Another server, which answers everything with a pid of its own choice.
  const impostor = createServer((_, response) => response.end('{"result":{"pid":1}}\n'));
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
  const { port } = impostor.address() as AddressInfo;
  const path = join(home.dataDir, 'owner.json');
  const owner = JSON.parse(readFileSync(path, 'utf8')) as object;
  try {
    for (const address of ['http://127.0.0.1:9', `http://127.0.0.1:${port}`, started.url]) {
      const forged = { ...owner, processStart: '', pid: bystander.pid, address };
      writeFileSync(path, JSON.stringify(forged));
      const { code, stderr } = await home.runHere(['stop']);
      expect(code).toBe(2);
      expect(stderr).toContain('left alone');
    }
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
    expect((await fetch(`${started.url}/health`)).status).toBe(200);
  } finally {
    bystander.kill();
    impostor.close();
  }
});

test('keys are never printed', async () => {
  using home = new CliHome();
  const env = {
    RLM_UPSTREAM_BASE_URL: 'http://127.0.0.1:9/v1',
    RLM_UPSTREAM_API_KEY: 'secret-key',
    RLM_API_TOKEN: 'secret-token',
  };
  for (const args of [['config'], ['config', '--json'], ['doctor'], ['doctor', '--json']]) {
    const { stdout, stderr } = await home.runHere(args, env);
    expect(stdout).not.toBe('');
    expect(stdout + stderr).not.toContain('secret-');
  }
  const { url, child, result } = await home.serve({ ...env, RLM_LOG_LEVEL: 'debug' });
  const health = await (await fetch(`${url}/health`)).text();
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret-token' },
    body: JSON.stringify({ model: 'x', messages: [{ role: 'user', content: 'secret-text' }] }),
  });
  const answer = await reply.text();
  child.kill('SIGTERM');
  const { stdout, stderr } = await result;
  expect(stderr).not.toBe('');
  expect(health + answer + stdout + stderr).not.toContain('secret-');
});

test('faults in the settings and in the command line', async () => {
  using home = new CliHome();
  const wrong = await home.runHere(['serve'], { RLM_PORT: 'abc' });
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toContain('server.port (RLM_PORT)');
  expect((await home.runHere(['nonsense'])).code).toBe(2);
  expect((await home.runHere(['search'])).code).toBe(2);
  expect(await home.runHere(['--help'])).toMatchObject({ code: 0, stderr: '' });
});

test('doctor tells of a server that could not store something', async () => {
  using home = new CliHome();
  const env = { RLM_STORE_MAX_BYTES: '1048576' };
  await using server = await home.serveHere(env);
  const before = await home.runHere(['doctor'], env);
  expect(before).toMatchObject({ code: 0 });
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-rlm-directory': '/projects/full' },
    body: JSON.stringify({
      model: 'm',
      tools: clientTools,
      messages: [user('go'), calling('c1', 'bash', {}), resultOf('c1', longText(2_000_000))],
    }),
  });
  expect(response.status).toBe(200);
  await response.text();
  const { code, stdout } = await home.runHere(['doctor'], env);
  expect(code).toBe(1);
  expect(stdout).toMatch(/fail {2}server: .*could not store something.*store_full/);
});
