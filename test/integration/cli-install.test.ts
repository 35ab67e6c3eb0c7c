import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serviceFile } from '../../src/cli/service.ts';
import { CliHome } from '../support/cli.ts';

/** What bash offers for a line, its last word being typed. */
function offered(script: string, line: string): string[] {
  const words = line.split(' ');
  const ask = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_rlm_opencode; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' }).trim().split('\n');
}

test('a shell completes commands, commands in commands and options', async () => {
  using home = new CliHome();
  const { stdout: script, code } = await home.runHere(['completion', 'bash']);
  expect(code).toBe(0);
  expect(offered(script, 'rlm-opencode sea')).toEqual(['search']);
  expect(offered(script, 'rlm-opencode sessions sa')).toEqual(['salvage']);
  expect(offered(script, 'rlm-opencode sessions rm --y')).toEqual(['--yes']);
  expect(offered(script, 'rlm-opencode serve --back')).toEqual(['--background']);
  // The shell's own names of files follow where nothing is offered.
  expect(offered(script, 'rlm-opencode ingest RE')).toEqual(['']);
  for (const shell of ['zsh', 'fish']) {
    const { stdout } = await home.runHere(['completion', shell]);
    expect(stdout).toContain('salvage');
    expect(stdout).toContain('background');
  }
  expect((await home.runHere(['completion', 'tcsh'])).stderr).toContain('bash, zsh, fish');
});

test('a service is written, said how to start, and taken away; a dry run writes nothing', async () => {
  using home = new CliHome();
  const env = { XDG_CONFIG_HOME: join(home.folder, 'config'), RLM_API_TOKEN: 'secret-token' };
  const dry = await home.runHere(['service', 'install', '--dry-run'], env);
  const path = /^Would write (\S+):$/m.exec(dry.stdout)?.[1] ?? '';
  expect(existsSync(path)).toBe(false);
  const written = await home.runHere(['service', 'install'], env);
  expect(written.code).toBe(0);
  const text = readFileSync(path, 'utf8');
  expect(dry.stdout).toContain(text);
  expect(text).toContain(home.dataDir);
  expect(text + written.stdout).not.toContain('secret-');
  expect(written.stdout).toContain('rlm-opencode service uninstall');
  expect((await home.runHere(['service', 'uninstall'], env)).code).toBe(0);
  expect(existsSync(path)).toBe(false);
  expect((await home.runHere(['service', 'uninstall'], env)).code).toBe(1);
});

test('words of a service are those of its manager, whatever they hold', () => {
  const facts = {
    configHome: '/home/me/.config',
    home: '/home/me',
    command: ['/opt/my $node/bin/node', '/opt/a&b/rlm.js', 'serve'],
    env: { RLM_UPSTREAM_BASE_URL: 'http://h/v1?x=100%&y=$z"' },
    logFile: '/home/me/log',
  };
  const unit = serviceFile({ ...facts, platform: 'linux' });
  expect(unit.path).toBe('/home/me/.config/systemd/user/rlm-opencode.service');
  expect(unit.text).toContain('ExecStart="/opt/my $$node/bin/node" "/opt/a&b/rlm.js" serve\n');
  expect(unit.text).toContain(
    String.raw`Environment="RLM_UPSTREAM_BASE_URL=http://h/v1?x=100%%&y=$z\""`,
  );
  const agent = serviceFile({ ...facts, platform: 'darwin' });
  expect(agent.path).toBe('/home/me/Library/LaunchAgents/rlm-opencode.plist');
  expect(agent.text).toContain('<string>/opt/a&amp;b/rlm.js</string>');
  expect(() => serviceFile({ ...facts, platform: 'win32' })).toThrow('no service for win32');
});
