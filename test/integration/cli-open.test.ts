import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { CliHome, type CliResult } from '../support/cli.ts';
import { login, loginAs, otherUser } from '../support/page-visitor.ts';

const wasTerminal = process.stdout.isTTY;
afterEach(() => {
  process.stdout.isTTY = wasTerminal;
});

/** Server and code of a printed link. */
function linkIn({ stdout }: CliResult): { readonly origin: string; readonly code: string } {
  const [, origin = '', code = ''] =
    /^(http:\/\/[^/]+)\/#code=([0-9a-f]{64})\n$/.exec(stdout) ?? [];
  return { origin, code };
}

/** A folder of programs with one that opens links: it writes down what it was given. */
function fakeOpener(home: CliHome): { readonly path: string; readonly opened: string } {
  const path = join(home.folder, 'programs');
  const opened = join(home.folder, 'opened');
  mkdirSync(path);
  const program = join(path, 'xdg-open');
  writeFileSync(program, `#!/bin/sh\necho "$1" > ${opened}.new; /bin/mv ${opened}.new ${opened}\n`);
  chmodSync(program, 0o755);
  return { path, opened };
}

test('without a server open says how to start one', async () => {
  using home = new CliHome();
  const { code, stdout, stderr } = await home.runHere(['open']);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toContain('rlm-opencode serve --background');
});

test('the link lets one browser in, another link another one; clients need a token all the same', async () => {
  using home = new CliHome();
  await using server = await home.serveHere({ RLM_API_TOKEN: 'good' });
  const first = await home.runHere(['open', '--print']);
  expect([first.code, first.stderr]).toEqual([0, 'Good for one browser, within 60 seconds.\n']);
  const { origin, code } = linkIn(first);
  expect(origin).toBe(server.url);
  const second = linkIn(await home.runHere(['open']));
  expect(second.code).not.toBe(code);
  for (const each of [code, second.code]) {
    expect((await login({ origin }, each)).status).toBe(204);
    expect((await login({ origin }, each)).status).toBe(401);
  }
  expect((await fetch(`${origin}/v1/models`)).status).toBe(401);
});

test('a server that listens everywhere is reached on this machine', async () => {
  using home = new CliHome();
  await using server = await home.serveHere({ RLM_API_TOKEN: 'good', RLM_HOST: '0.0.0.0' });
  const { origin, code } = linkIn(await home.runHere(['open', '--print']));
  expect(origin).toBe(server.url.replace('0.0.0.0', '127.0.0.1'));
  expect((await login({ origin }, code)).status).toBe(204);
});

test.runIf(process.platform === 'linux')(
  'a browser is opened where somebody can see it, and nowhere else',
  async () => {
    using home = new CliHome();
    await using _server = await home.serveHere();
    const { path, opened } = fakeOpener(home);
    const here = { PATH: path, DISPLAY: ':0', WAYLAND_DISPLAY: '', SSH_CONNECTION: '' };
    for (const [isTerminal, args, env] of [
      [false, ['open'], here],
      [true, ['open', '--print'], here],
      [true, ['open'], { ...here, DISPLAY: '' }],
      [true, ['open'], { ...here, SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }],
      [true, ['open'], { ...here, PATH: home.folder }],
    ] as const) {
      process.stdout.isTTY = isTerminal;
      expect((await home.runHere(args, env)).code).toBe(0);
    }
    expect(existsSync(opened)).toBe(false);
    process.stdout.isTTY = true;
    const result = await home.runHere(['open'], here);
    expect(result.code).toBe(0);
    await vi.waitUntil(() => existsSync(opened), 10_000);
    expect(readFileSync(opened, 'utf8')).toBe(result.stdout);
    // Everybody has seen it among the arguments.
    const { origin, code } = linkIn(result);
    const stranger = otherUser === undefined ? 401 : await loginAs(otherUser, { origin }, code);
    expect(stranger).toBe(401);
    expect((await login({ origin }, code)).status).toBe(204);
  },
);
