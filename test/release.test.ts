import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { writePackage } from './package.ts';
import { Refusal, release } from './release.ts';

const script = resolve(import.meta.dirname, 'release.ts');

const changelog = `# Changelog

## Unreleased

### Added

- A thing that users notice.

## 0.1.0 (2026-01-31)

- The first.
`;

const packageJson = {
  name: 'a-package',
  version: '0.1.0',
  license: 'MIT',
  type: 'module',
  bin: { 'a-package': 'bin/run.js' },
  files: ['bin'],
  scripts: { check: 'node check.cjs', build: 'node -e ""' },
};

/** Nothing of the machine's git and npm settings is seen. */
const env = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
};

let folder = '';

/** A checkout that has been made once: git takes longer than a copy. */
let fresh = '';

beforeAll(() => {
  stubEnv();
  folder = mkdtempSync(join(tmpdir(), 'rlm-release-'));
  fresh = folder;
  mkdirSync(join(folder, 'bin'));
  write('package.json', `${JSON.stringify(packageJson, undefined, 2)}\n`);
  write('bin/run.js', '#!/usr/bin/env node\n');
  write('check.cjs', '');
  write('CHANGELOG.md', changelog);
  git('init', '--quiet', '--initial-branch=main');
  commit('first');
  vi.unstubAllEnvs();
});

afterAll(() => {
  rmSync(fresh, { recursive: true });
});

beforeEach(() => {
  stubEnv();
  folder = mkdtempSync(join(tmpdir(), 'rlm-release-'));
  cpSync(fresh, folder, { recursive: true, preserveTimestamps: true });
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function stubEnv(): void {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
}

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

function read(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim();
}

function commit(message: string): void {
  git('add', '--all');
  git('commit', '--quiet', '--message', message);
}

/** What is said on the way. @throws Refusal */
async function releaseOf(version: string, isDry = false): Promise<string> {
  let said = '';
  const print = (text: string): void => void (said += text);
  await release({ folder, print, showsCommands: false }, version, isDry);
  return said;
}

/** What a release would change. */
function state(): object {
  return {
    commits: git('log', '--format=%s'),
    tags: git('tag', '--list'),
    changed: git('status', '--porcelain'),
    version: read('package.json'),
  };
}

test('a dry run makes all checks and changes nothing; a release moves the changelog, sets the version, commits and tags', async () => {
  const before = state();
  const planned = await releaseOf('0.2.0', true);
  expect(planned).toContain('nothing is written');
  expect(planned).toContain('- A thing that users notice.');
  expect(state()).toEqual(before);

  expect(await releaseOf('0.2.0')).toContain('v0.2.0 is committed');
  expect(JSON.parse(read('package.json'))).toEqual({ ...packageJson, version: '0.2.0' });
  expect(read('CHANGELOG.md')).toMatch(
    /^# Changelog\n\n## Unreleased\n\n## 0\.2\.0 \(\d{4}-\d\d-\d\d\)\n\n### Added\n\n- A thing that users notice\.\n\n## 0\.1\.0 /,
  );
  expect(git('log', '--format=%s')).toBe('release: v0.2.0\nfirst');
  expect(git('status', '--porcelain')).toBe('');
  expect(git('tag', '--list', '--format=%(contents)', 'v0.2.0')).toBe(
    'v0.2.0\n\n### Added\n\n- A thing that users notice.',
  );
  expect(git('rev-parse', 'v0.2.0^{commit}')).toBe(git('rev-parse', 'HEAD'));
});

test.each<readonly [string, () => void, string, string]>([
  ['a lower version', () => undefined, '0.0.9', 'lower than the present version, 0.1.0'],
  ['a tag that there is', () => git('tag', 'v0.2.0'), '0.2.0', 'a tag v0.2.0 already'],
  ['a changed file', () => write('check.cjs', '//'), '0.2.0', 'not clean'],
  [
    'nothing under Unreleased',
    () => {
      write('CHANGELOG.md', changelog.replace('- A thing', 'A thing'));
      commit('no line');
    },
    '0.2.0',
    'no line under "## Unreleased"',
  ],
  [
    'a failing check',
    () => {
      write('check.cjs', 'process.exit(1)');
      commit('failing');
    },
    '0.2.0',
    '`node --run check` failed',
  ],
  [
    'a package that names a file that is not in it',
    () => {
      write('package.json', read('package.json').replace('bin/run.js', 'bin/gone.js'));
      commit('gone');
    },
    '0.2.0',
    'bin/gone.js',
  ],
])('%s is refused before anything is written', async (_, prepare, version, words) => {
  prepare();
  const before = state();
  const refused: unknown = await releaseOf(version).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Refusal);
  expect(String(refused)).toContain(words);
  expect(state()).toEqual(before);
});

test('the command refuses in a sentence, and tells its usage', () => {
  const command = (...args: readonly string[]) =>
    spawnSync(process.execPath, [script, ...args], { cwd: folder, encoding: 'utf8' });
  const { status, stderr } = command('0.0.9');
  expect([status, stderr]).toEqual([1, expect.stringContaining('No release: 0.0.9 is lower')]);
  for (const args of [[], ['1.2']]) {
    const wrong = command(...args);
    expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('usage:')]);
  }
});

test('the package has what is published and nothing of the work on it', () => {
  mkdirSync(join(folder, 'bin/deep'));
  write('bin/deep/data.txt', 'data');
  write('package.json', JSON.stringify({ ...packageJson, devDependencies: { vitest: '1' } }));
  const target = join(folder, 'build', 'package');
  writePackage(folder, target);
  expect(JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'))).toEqual({
    name: 'a-package',
    version: '0.1.0',
    license: 'MIT',
    type: 'module',
    bin: { 'a-package': 'bin/run.js' },
    files: ['bin'],
  });
  expect(readFileSync(join(target, 'bin/deep/data.txt'), 'utf8')).toBe('data');
});

test('workflows and image build what a release checks, on the Node of the checkout', () => {
  const checkout = resolve(import.meta.dirname, '..');
  const textOf = (path: string): string => readFileSync(join(checkout, path), 'utf8');
  const { scripts, devDependencies } = JSON.parse(textOf('package.json')) as {
    readonly scripts: Readonly<Record<string, string>>;
    readonly devDependencies: Readonly<Record<string, string>>;
  };
  const dockerfile = textOf('Dockerfile');
  expect(dockerfile.match(/^FROM node:[\d.]+/gm)).toEqual(
    Array.from({ length: 2 }, () => `FROM node:${devDependencies['node']}`),
  );
  const files = [
    dockerfile,
    textOf('.github/workflows/ci.yml'),
    textOf('.github/workflows/release.yml'),
  ];
  const run = files.join('\n').matchAll(/npm run ([\w:]+)/g);
  for (const [, name = ''] of run) expect(Object.keys(scripts)).toContain(name);
  // What is published is the folder that was linted, under the tag that was checked.
  expect(files[2]).toContain('./build/package');
  expect(files[2]).toContain('tags: [');
});
