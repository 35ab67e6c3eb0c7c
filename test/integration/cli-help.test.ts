import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { everyCommand } from '../../src/cli/nested-options.ts';
import { rlmProgram } from '../../src/cli/program.ts';
import { setupProgram } from '../../src/cli/setup.ts';
import { CliHome } from '../support/cli.ts';

/** The help of a command and of all below it, as it is written into 80 columns. */
function helpsOf(program: Command): readonly (readonly [name: string, help: string])[] {
  const helps: (readonly [string, string])[] = [];
  everyCommand(program, (command) => {
    let shown = '';
    command.configureOutput({
      writeOut: (text) => (shown += text),
      getOutHelpWidth: () => 80,
      getOutHasColors: () => false,
    });
    command.outputHelp();
    helps.push([command.name(), shown]);
  });
  return helps;
}

test('no line of any help is wider than a terminal of 80 columns', async () => {
  const helps = [...helpsOf(await rlmProgram('0.0.0')), ...helpsOf(setupProgram('0.0.0'))];
  expect(helps.length).toBeGreaterThan(40);
  for (const [name, help] of helps) {
    const wide = help.split('\n').filter((line) => line.length > 80);
    expect({ name, wide }).toEqual({ name, wide: [] });
  }
});

test('typed alone it says what to type first, and commands stand in groups', async () => {
  using home = new CliHome();
  const { code, stderr } = await home.runHere([]);
  expect({ code }).toEqual({ code: 2 });
  const first = /\nThe first time:\n {2}\$ rlm-opencode init .*\n {2}\$ rlm-opencode opencode /;
  expect(stderr).toMatch(first);
  expect(stderr).toMatch(/\nTo begin:\n {2}init .*(?:\n {2}.*)+\n\nThe server:\n {2}serve /);
});

test.each([
  [['serch', 'x'], 'There is no command `serch`.\nDid you mean: rlm-opencode search\n'],
  [['frobnicate'], 'There is no command `frobnicate`.\nAll that there are: rlm-opencode --help\n'],
  [
    ['service', 'instal'],
    '`rlm-opencode service` has no command `instal`.\nDid you mean: rlm-opencode service install\n',
  ],
  [
    ['search'],
    'What is missing: rlm-opencode search PATTERN\nExamples: rlm-opencode search --help\n',
  ],
  [
    ['search', 'connection', 'refused'],
    "`rlm-opencode search` takes one, and there are 2. What has blanks stands in quotes:\n  rlm-opencode search 'connection refused'\n",
  ],
  [
    ['stop', 'now'],
    '`rlm-opencode stop` cannot take: now\nWhat it takes: rlm-opencode stop --help\n',
  ],
  [
    ['search', '--ignorecase', 'x'],
    '`rlm-opencode search` has no option --ignorecase.\nDid you mean: --ignore-case\n',
  ],
  [['-v'], '`rlm-opencode` has no option -v.\nDid you mean: --version\n'],
  [
    ['get', '--length', 'x', 'e1'],
    '--length cannot be `x`. It must be a number of characters, such as 100M or 1G.\nExamples: rlm-opencode get --help\n',
  ],
  [
    ['completion', 'csh'],
    '`csh` is not known here. It is one of: bash, zsh, fish.\nExamples: rlm-opencode completion --help\n',
  ],
  [
    ['search', '--path'],
    '--path wants something behind it: --path <pattern>\nExamples: rlm-opencode search --help\n',
  ],
])('what is typed wrong is answered with what to type: %j', async (args, words) => {
  using home = new CliHome();
  expect(await home.runHere(args)).toMatchObject({ code: 2, stdout: '', stderr: words });
});

test('what is not there is said with the command that makes it', async () => {
  using home = new CliHome();
  const said = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await home.runHere(args);
    return stdout + stderr;
  };
  for (const command of [['stats'], ['search', 'x'], ['get', 'e1']]) {
    const words = await said(...command);
    expect(words).toContain('Nothing is stored for this directory yet.\n');
    expect(words).toContain('rlm-opencode ingest PATH');
  }
  expect(await said('sessions')).toContain('rlm-opencode ingest PATH');
  expect(await said('status')).toContain('Start one: rlm-opencode serve --background\n');
  expect(await said('logs')).toContain('Start one: rlm-opencode serve --background\n');
  expect(await said('ingest', 'nosuch')).toContain(
    '/nosuch: there is no such file or folder (ENOENT)\n',
  );
});

test('a path that is mistyped makes no store, and none is named', async () => {
  using home = new CliHome();
  mkdirSync(join(home.folder, 'empty'));
  for (const path of ['nosuch', join(home.folder, 'empty')]) {
    const here = ['--directory', home.folder];
    const { code, stdout } = await home.runHere(['ingest', path, ...here]);
    expect({ path, code, stdout }).toMatchObject({
      stdout: expect.stringMatching(/^0 stored[.;]/),
    });
    expect(code).toBe(path === 'nosuch' ? 2 : 0);
  }
  expect((await home.runHere(['sessions'])).stdout + readdirSync(home.dataDir).join()).not.toMatch(
    /sess_/,
  );
  const asked = await home.runHere(['ask', 'What?', '--file', join(home.folder, 'empty')]);
  expect(asked).toMatchObject({ code: 2, stderr: 'There is no text in what --file names.\n' });
  // One that is there takes them as before.
  const file = join(home.folder, 'one.txt');
  writeFileSync(file, 'one\n');
  const { stdout } = await home.runHere(['ingest', file, 'nosuch', '--directory', home.folder]);
  expect(stdout).toMatch(/^1 stored in sess_\S+ of .*; left out: 1 failed\.\n$/);
});

test('config stands in columns, and says where things are stored where nobody has said it', async () => {
  using home = new CliHome();
  const { stdout } = await home.runHere(['config'], { RLM_DATA_DIR: '', XDG_DATA_HOME: '/xdg' });
  const [, ...lines] = stdout.trimEnd().split('\n').slice(1);
  expect(new Set(lines.map((line) => line.indexOf(' = '))).size).toBe(1);
  expect(stdout).toMatch(/^dataDir +=  ?\/xdg\/rlm-opencode$/m);
  expect(stdout).toMatch(/^server\.port += 0 {2}\(environment RLM_PORT\)$/m);
});

test('settings that cannot be read are answered with the place and what is missing there', async () => {
  using home = new CliHome();
  const path = join(home.folder, 'own.jsonc');
  writeFileSync(path, '{\n  "server": { "port": 1 "host": "x" }\n}\n');
  const { stderr } = await home.runHere(['doctor'], { RLM_CONFIG: path });
  expect(stderr).toContain(
    `${path}:2:25: not valid JSON with comments: a comma is missing in front of this.\n`,
  );
  expect(stderr).toContain('line 2, column 25');
});
