import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { firstCommitOf, mainTreeOf, readCheckout, remoteNameOf } from './git-checkout.ts';

let folder = '';

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'rlm-git-')));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs git as somebody, whatever the machine's own settings are. */
function git(cwd: string, ...args: readonly string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'protocol.file.allow=always'];
  return execFileSync('git', [...who, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

/** A repository with one commit, and its id. */
function repository(name: string): { readonly path: string; readonly first: string } {
  const path = join(folder, name);
  mkdirSync(path);
  git(path, 'init', '-q', '-b', 'main');
  git(path, 'commit', '-q', '--allow-empty', '-m', 'first');
  return { path, first: git(path, 'rev-parse', 'HEAD') };
}

function write(path: string, text: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
}

/** Just enough of a repository for reading, with such settings. */
function bareBones(path: string, config: string): void {
  write(join(path, '.git/HEAD'), 'ref: refs/heads/main\n');
  write(join(path, '.git/config'), config);
}

const from = {
  searchPath: process.env['PATH'] ?? '',
  signal: new AbortController().signal,
};

test('a checkout tells its remote and where in it a directory lies; nothing tells nothing', async () => {
  const { path } = repository('project');
  mkdirSync(join(path, 'packages/a'), { recursive: true });
  git(path, 'remote', 'add', 'upstream', 'https://example.com/upstream/project');
  git(path, 'remote', 'add', 'origin', 'https://user:secret@Example.com/Owner/project.git?key=1');
  const commonDir = join(path, '.git');
  const remote = 'example.com/Owner/project';
  expect(await readCheckout(path)).toEqual({ commonDir, within: '', remote, isShallow: false });
  expect(await readCheckout(join(path, 'packages/a'))).toMatchObject({ within: 'packages/a' });
  mkdirSync(join(folder, 'plain'));
  expect(await readCheckout(join(folder, 'plain'))).toBeUndefined();
  expect(await readCheckout(join(folder, 'not-there'))).toBeUndefined();
  expect(await readCheckout('C:\\project')).toBeUndefined();
});

test('the first commit is that of the first parents; of no commits there is none', async () => {
  const { path, first } = repository('project');
  const other = repository('other');
  git(path, 'commit', '-q', '--allow-empty', '-m', 'second');
  git(path, 'fetch', '-q', other.path, 'main');
  git(path, 'merge', '-q', '--allow-unrelated-histories', '-m', 'merged', 'FETCH_HEAD');
  expect(await firstCommitOf(path, from)).toBe(first);
  mkdirSync(join(folder, 'empty'));
  git(join(folder, 'empty'), 'init', '-q');
  expect(await firstCommitOf(join(folder, 'empty'), from)).toBeUndefined();
  expect(await firstCommitOf(path, { ...from, searchPath: folder })).toBeUndefined();
});

test('a shallow clone says that it is one', async () => {
  const { path } = repository('project');
  git(path, 'commit', '-q', '--allow-empty', '-m', 'second');
  git(folder, 'clone', '-q', '--depth', '1', `file://${path}`, 'shallow');
  expect(await readCheckout(join(folder, 'shallow'))).toMatchObject({
    isShallow: true,
    remote: `file:${path}`,
  });
});

test('a missing commit is not fetched, whatever command a configuration names for that', async () => {
  const { path, first } = repository('hostile');
  const proof = join(folder, 'was-run');
  git(path, 'commit', '-q', '--allow-empty', '-m', 'second');
  git(path, 'config', 'remote.origin.url', `ext::touch ${proof}`);
  git(path, 'config', 'protocol.ext.allow', 'always');
  git(path, 'config', 'remote.origin.promisor', 'true');
  git(path, 'config', 'extensions.partialClone', 'origin');
  git(path, 'config', 'core.repositoryFormatVersion', '1');
  git(path, 'config', 'core.fsmonitor', `touch ${proof}`);
  rmSync(join(path, '.git/objects', first.slice(0, 2), first.slice(2)));
  expect(await firstCommitOf(path, from)).toBeUndefined();
  expect(() => realpathSync(proof)).toThrow('ENOENT');
  // The same request without that care runs the command.
  try {
    git(path, 'rev-list', '--first-parent', '--max-parents=0', 'HEAD');
  } catch {
    // It fails all the same.
  }
  expect(realpathSync(proof)).toBe(proof);
});

test.each(['', ':', '.', './bin:'])(
  'no program of the checkout is started where programs are looked for in %j',
  async (searchPath) => {
    const { path, first } = repository('hostile');
    const proof = join(folder, 'was-run');
    for (const name of ['git', 'bin/git']) {
      write(join(path, name), `#!/bin/sh\ntouch ${proof}\necho ${first}\n`);
      chmodSync(join(path, name), 0o755);
    }
    expect(await firstCommitOf(path, { ...from, searchPath })).toBeUndefined();
    expect(() => realpathSync(proof)).toThrow('ENOENT');
    const both = `${searchPath}:${from.searchPath}`;
    expect(await firstCommitOf(path, { ...from, searchPath: both })).toBe(first);
    expect(() => realpathSync(proof)).toThrow('ENOENT');
  },
);

describe('worktrees', () => {
  test('a linked worktree leads to its main tree, a directory in it to the same one there', async () => {
    const { path } = repository('project');
    const tree = join(folder, 'tree');
    git(path, 'worktree', 'add', '-q', tree);
    mkdirSync(join(tree, 'packages/a'), { recursive: true });
    expect(await mainTreeOf(tree)).toBe(path);
    expect(await mainTreeOf(join(tree, 'packages/a'))).toBe(join(path, 'packages/a'));
    expect(await mainTreeOf(path)).toBeUndefined();
    expect(await readCheckout(tree)).toMatchObject({ commonDir: join(path, '.git'), within: '' });
  });

  test('of a bare repository its own folder stands for the main tree', async () => {
    const { path } = repository('project');
    const bare = join(folder, 'project.git');
    git(folder, 'clone', '-q', '--bare', path, bare);
    const tree = join(folder, 'tree');
    git(bare, 'worktree', 'add', '-q', tree, 'main');
    expect(await mainTreeOf(tree)).toBe(bare);
    expect(await readCheckout(bare)).toMatchObject({ commonDir: bare, remote: `file:${path}` });
  });

  test('a submodule is its own, and a worktree of it leads to it', async () => {
    const { path } = repository('project');
    const { path: library } = repository('library');
    git(path, 'submodule', '--quiet', 'add', library, 'deps/library');
    const submodule = join(path, 'deps/library');
    expect(await mainTreeOf(submodule)).toBeUndefined();
    expect(await readCheckout(submodule)).toMatchObject({
      commonDir: join(path, '.git/modules/deps/library'),
      within: '',
      remote: `file:${library}`,
    });
    const tree = join(folder, 'tree');
    git(submodule, 'worktree', 'add', '-q', tree);
    expect(await mainTreeOf(tree)).toBe(submodule);
  });

  test.each([
    [
      'a file that names the entry of another worktree',
      (victim: string, hostile: string) => {
        git(victim, 'worktree', 'add', '-q', join(folder, 'tree'));
        write(join(hostile, '.git'), `gitdir: ${join(victim, '.git/worktrees/tree')}\n`);
      },
    ],
    [
      'a file that names the main repository',
      (victim: string, hostile: string) =>
        write(join(hostile, '.git'), `gitdir: ${join(victim, '.git')}\n`),
    ],
    [
      'an entry of its own that names another repository',
      (victim: string, hostile: string) => {
        const entry = join(hostile, 'own/worktrees/tree');
        write(join(entry, 'HEAD'), 'ref: refs/heads/main\n');
        write(join(entry, 'gitdir'), `${join(hostile, '.git')}\n`);
        write(join(entry, 'commondir'), `${join(victim, '.git')}\n`);
        write(join(hostile, '.git'), `gitdir: ${entry}\n`);
      },
    ],
    [
      'a repository of its own that names another tree',
      (victim: string, hostile: string) => {
        const own = join(hostile, 'own');
        write(join(own, 'worktrees/tree/HEAD'), 'ref: refs/heads/main\n');
        write(join(own, 'worktrees/tree/gitdir'), `${join(hostile, '.git')}\n`);
        write(join(own, 'worktrees/tree/commondir'), '../..\n');
        write(join(own, 'config'), `[core]\n\tworktree = ${victim}\n`);
        write(join(hostile, '.git'), `gitdir: ${join(own, 'worktrees/tree')}\n`);
      },
    ],
  ])('%s leads nowhere', async (_, build) => {
    const { path: victim } = repository('victim');
    const hostile = join(folder, 'hostile');
    mkdirSync(hostile);
    build(victim, hostile);
    expect(await mainTreeOf(hostile)).toBeUndefined();
  });

  test('one that was moved by hand leads nowhere until git has mended it', async () => {
    const { path } = repository('project');
    git(path, 'worktree', 'add', '-q', join(folder, 'tree'));
    const moved = join(folder, 'moved');
    renameSync(join(folder, 'tree'), moved);
    expect(await mainTreeOf(moved)).toBeUndefined();
    git(moved, 'worktree', 'repair');
    expect(await mainTreeOf(moved)).toBe(path);
  });
});

describe('what is no checkout', () => {
  test.each([
    ['an empty file', (path: string) => write(join(path, '.git'), '')],
    ['a file of something else', (path: string) => write(join(path, '.git'), 'hello\n')],
    ['a file that leads nowhere', (path: string) => write(join(path, '.git'), 'gitdir: ../no\n')],
    ['a file with a NUL', (path: string) => write(join(path, '.git'), 'gitdir: a\0b\n')],
    ['a large file', (path: string) => write(join(path, '.git'), `gitdir: ${'a/'.repeat(50_000)}`)],
    ['an empty folder', (path: string) => mkdirSync(join(path, '.git'))],
    ['a circle of links', (path: string) => symlinkSync('.git', join(path, '.git'))],
    [
      'a circle by way of a file',
      (path: string) => {
        symlinkSync('b', join(path, 'a'));
        symlinkSync('a', join(path, 'b'));
        write(join(path, '.git'), 'gitdir: a\n');
      },
    ],
    ['a pipe', (path: string) => execFileSync('mkfifo', [join(path, '.git')])],
    ['a device', (path: string) => symlinkSync('/dev/zero', join(path, '.git'))],
  ])('%s', async (_, build) => {
    const path = join(folder, 'project');
    mkdirSync(path);
    build(path);
    expect(await readCheckout(path)).toBeUndefined();
    expect(await mainTreeOf(path)).toBeUndefined();
  });
});

describe('settings that say no remote', () => {
  test.each([
    ['binary', '\0\u{1}[remote "origin"]\0url'],
    ['no address', '[remote "origin"]\n\turl =\n'],
    ['another section', '[remotes "origin"]\n\turl = https://example.com/a/b\n'],
    ['a comment', '[remote "origin"]\n\t# url = https://example.com/a/b\n'],
    ['a huge file', `[remote "origin"]\n\turl = https://example.com/a/b\n${'#\n'.repeat(600_000)}`],
    ['a huge address', `[remote "origin"]\n\turl = https://example.com/${'a'.repeat(5000)}\n`],
    ['a pipe', undefined],
  ])('%s', async (_, config) => {
    const path = join(folder, 'project');
    bareBones(path, config ?? '');
    if (config === undefined) {
      rmSync(join(path, '.git/config'));
      execFileSync('mkfifo', [join(path, '.git/config')]);
    }
    const checkout = await readCheckout(path);
    expect(checkout?.commonDir).toBe(join(path, '.git'));
    expect(checkout?.remote).toBeUndefined();
  });
});

test.each([
  '[remote "origin"]\n\turl = https://example.com/a/b\n\turl = https://example.com/c/d\n',
  '[remote "z"]\n\turl = https://example.com/x\n[REMOTE "origin"]\r\n\tURL = https://example.com/a/b\r\n',
  '[remote "origin"] url = "https://example.com/a/b" ; kept\n',
  '[remote "origin"]\n\turl = https://example.com/\\\na/b\n',
  '[remote "origin"]\n\tfetch\n\turl = https://example.com/a/b # here\n',
])('settings are read as git reads them: %j', async (config) => {
  const { path } = repository('project');
  write(join(path, '.git/config'), config);
  const [url = ''] = git(path, 'config', '--get-all', 'remote.origin.url').split('\n');
  expect(url).toBe('https://example.com/a/b');
  expect((await readCheckout(path))?.remote).toBe('example.com/a/b');
});

test('without an origin the first remote counts', async () => {
  const path = join(folder, 'project');
  bareBones(path, '[remote "b"]\n\turl = https://host/b\n[remote "a"]\n\turl = https://host/a\n');
  expect((await readCheckout(path))?.remote).toBe('host/b');
});

test.each([
  ['https://github.com/owner/project.git', 'github.com/owner/project'],
  ['https://token@GitHub.com:443/owner/project/', 'github.com/owner/project'],
  ['http://user:pass@host:8080/p.git#x', 'host:8080/p'],
  ['git@github.com:owner/project.git', 'github.com/owner/project'],
  ['ssh://git@github.com:22/owner/project', 'github.com/owner/project'],
  ['ssh://git@host:2222/~me/p', 'host:2222/~me/p'],
  ['git://host:9418/p.git', 'host/p'],
  ['/srv/git/project.git', 'file:/srv/git/project'],
  ['file:///srv/git/project.git', 'file:/srv/git/project'],
  ['../project', 'file:/../project'],
  ['C:\\git\\project', 'file:/C:\\git\\project'],
  ['', undefined],
  ['https://', undefined],
  ['https://host', undefined],
  ['user:pass@host/x', undefined],
  ['a\nb', undefined],
])('the remote %j is named %j', (url, name) => {
  expect(remoteNameOf(url)).toBe(name);
});
