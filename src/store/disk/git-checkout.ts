import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, open, realpath, stat } from 'node:fs/promises';
import { basename, delimiter, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';

/** Folders above a directory that are looked at for a checkout, at most. */
const maxLevels = 64;

/** A file of one line: a path, bytes. */
const lineFileBytes = 16 * 1024;

/** A larger configuration tells nothing, bytes: one with thousands of branches has some 200 K. */
const configBytes = 1024 * 1024;

/** Longer addresses are no evidence, UTF-16 units. */
const maxRemoteUnits = 2048;

/** Walking a history of a million commits takes some seconds. */
const firstCommitMs = 30_000;

/** What git's files say of a directory. */
export interface GitCheckout {
  /** Where the repository's objects and settings are, links resolved: all worktrees share it. */
  readonly commonDir: string;
  /** Where the directory lies in its checkout, with `/`; empty for the root. */
  readonly within: string;
  /** Where it comes from, as {@link remoteNameOf} writes it: of `origin`, else of the first one. */
  readonly remote?: string;
  /** Whether its history is cut off, so that the first commit of it is not the project's. */
  readonly isShallow: boolean;
}

/**
 * The checkout that a directory lies in, read from files alone: no process is started, nothing but
 * small ordinary files is opened, whatever stands in them. Undefined where there is none, or a
 * broken one. The files may be anybody's (an unpacked archive), so what they say proves nothing.
 */
export async function readCheckout(directory: string): Promise<GitCheckout | undefined> {
  const found = (await findGit(directory)) ?? (await bareRepository(directory));
  if (found === undefined) return undefined;
  const commonDir = await commonDirOf(found.gitDir);
  if (commonDir === undefined) return undefined;
  const config = await readConfig(commonDir);
  const remote = remoteIn(config);
  return {
    commonDir,
    within: relative(found.root, directory).replaceAll(sep, '/'),
    isShallow: await isThere(join(commonDir, 'shallow')),
    ...(remote === undefined ? {} : { remote }),
  };
}

/**
 * Where a directory of a linked worktree (`git worktree add`) lies in the main tree; of a bare
 * repository its own folder stands for that. Undefined for every other directory, submodules among
 * them.
 *
 * The file `.git` of the worktree may be a stranger's, so it is not believed: the main repository
 * must hold the worktree's entry itself, and that must name this very directory. Only git, run by
 * somebody who may write into the main repository, puts it there.
 */
export async function mainTreeOf(directory: string): Promise<string | undefined> {
  const found = await findGit(directory);
  if (found === undefined) return undefined;
  const { gitDir } = found;
  const worktrees = dirname(gitDir);
  const commonDir = dirname(worktrees);
  if (basename(worktrees) !== 'worktrees') return undefined;
  if ((await commonDirOf(gitDir)) !== commonDir) return undefined;
  const noted = await readLine(join(gitDir, 'gitdir'));
  if (noted === undefined) return undefined;
  const root = await realPath(found.root);
  const there = await realPath(directory);
  const notedRoot = await realPath(dirname(resolve(gitDir, noted)));
  if (root === undefined || there === undefined || notedRoot !== root) return undefined;
  const tree = await treeOf(commonDir);
  return tree === undefined ? undefined : join(tree, relative(root, there));
}

/**
 * The first commit of the current branch's history, by its first parents: one that a merge has
 * brought in from elsewhere is not the project's. Asks git, in a process that can do nothing but
 * read: it must not fetch what a hostile configuration says is missing. Undefined where git is not
 * there, refuses (somebody else's checkout), or needs longer than half a minute.
 * @param from.searchPath Where programs are looked for, as in `PATH`
 */
export async function firstCommitOf(
  directory: string,
  from: { readonly searchPath: string; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const git = await gitIn(from.searchPath);
  if (git === undefined) return undefined;
  const args = ['rev-list', '--first-parent', '--max-parents=0', 'HEAD'];
  const env = {
    PATH: dirname(git),
    GIT_ALLOW_PROTOCOL: 'none',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
  };
  const options = { cwd: directory, env, timeout: firstCommitMs, maxBuffer: lineFileBytes };
  return new Promise((found) => {
    execFile(git, args, { ...options, signal: from.signal }, (error, stdout) => {
      found(error === null ? /^[0-9a-f]{40,64}$/m.exec(stdout)?.[0] : undefined);
    });
  });
}

/**
 * Where git is, looked for in absolute folders only: what stands for the current one would start a
 * program of the checkout's own.
 */
async function gitIn(searchPath: string): Promise<string | undefined> {
  const name = process.platform === 'win32' ? 'git.exe' : 'git';
  for (const folder of searchPath.split(delimiter).filter((each) => isAbsolute(each))) {
    const path = join(folder, name);
    const isProgram = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isProgram) return path;
  }
  return undefined;
}

/**
 * The address of a remote without scheme, credentials, usual port, query and `.git`, so that one
 * repository has one name however it is reached: `github.com/owner/project`. A path on this machine
 * begins with `file:`. Undefined for what is no address.
 */
export function remoteNameOf(url: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  if (url.length > maxRemoteUnits || /[\0-\x1f\x7f]/.test(url)) return undefined;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) return nameOfUrl(url);
  const behindUser = url.slice(url.lastIndexOf('@') + 1);
  const [, host = '', path = ''] = /^(\[[^\]]+\]|[^/\\:]{2,}):(.+)$/.exec(behindUser) ?? [];
  if (host !== '') return joined(host.toLowerCase(), path);
  return url.includes('@') ? undefined : joined('file:', url);
}

function nameOfUrl(url: string): string | undefined {
  const { protocol, hostname, port, pathname } = URL.parse(url) ?? {};
  if (protocol === undefined || hostname === undefined || pathname === undefined) return undefined;
  if (protocol === 'file:') return joined('file:', pathname);
  const isUsual = port === '' || usualPorts[protocol] === port;
  return joined(`${hostname.toLowerCase()}${isUsual ? '' : `:${port}`}`, pathname);
}

/** Of schemes that `URL` knows no port of. */
const usualPorts: Readonly<Record<string, string>> = {
  'ssh:': '22',
  'git+ssh:': '22',
  'git:': '9418',
};

function joined(host: string, path: string): string | undefined {
  const plain = path
    .replace(/^\/+/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
  return plain === '' || host === '' ? undefined : `${host}/${plain}`;
}

interface FoundGit {
  /** The folder that holds `.git`. */
  readonly root: string;
  /** Links resolved. */
  readonly gitDir: string;
}

/** The nearest `.git` above: where that is broken there is no checkout. */
async function findGit(directory: string): Promise<FoundGit | undefined> {
  if (!isAbsolute(directory)) return undefined;
  let root = directory;
  for (let level = 0; level < maxLevels; level += 1) {
    const path = join(root, '.git');
    if (await isThere(path)) {
      const gitDir = await gitDirAt(path);
      return gitDir === undefined ? undefined : { root, gitDir };
    }
    const above = dirname(root);
    if (above === root) return undefined;
    root = above;
  }
  return undefined;
}

/** `.git`: a folder, or a file that says where that is (worktrees, submodules). */
async function gitDirAt(path: string): Promise<string | undefined> {
  const line = await readLine(path);
  const target = line === undefined ? path : /^gitdir: (.+)$/.exec(line)?.[1];
  if (target === undefined) return undefined;
  const gitDir = await realPath(resolve(dirname(path), target));
  return gitDir !== undefined && (await isThere(join(gitDir, 'HEAD'))) ? gitDir : undefined;
}

async function bareRepository(directory: string): Promise<FoundGit | undefined> {
  if (!isAbsolute(directory)) return undefined;
  for (const name of ['HEAD', 'objects', 'refs']) {
    if (!(await isThere(join(directory, name)))) return undefined;
  }
  const gitDir = await realPath(directory);
  return gitDir === undefined ? undefined : { root: directory, gitDir };
}

/** What a worktree shares with its main tree; of every other checkout its own folder. */
async function commonDirOf(gitDir: string): Promise<string | undefined> {
  const line = await readLine(join(gitDir, 'commondir'));
  return line === undefined ? gitDir : realPath(resolve(gitDir, line));
}

/** The main tree of a repository. */
async function treeOf(commonDir: string): Promise<string | undefined> {
  const config = await readConfig(commonDir);
  if (config.get('core.bare') === 'true') return commonDir;
  const named = config.get('core.worktree');
  if (named === undefined) return basename(commonDir) === '.git' ? dirname(commonDir) : undefined;
  // It may say anything: the tree must say the same of the repository.
  const tree = await realPath(resolve(commonDir, named));
  if (tree === undefined) return undefined;
  return (await gitDirAt(join(tree, '.git'))) === commonDir ? tree : undefined;
}

function remoteIn(config: ReadonlyMap<string, string>): string | undefined {
  const first = [...config].find(([key]) => /^remote\..*\.url$/.test(key))?.[1];
  const url = config.get('remote.origin.url') ?? first;
  return url === undefined ? undefined : remoteNameOf(url);
}

/**
 * A repository's settings by `section.name` or `section.sub.name`; of several values the last, of
 * addresses the first, which is the one that git fetches from. Files that it includes are not read.
 */
async function readConfig(commonDir: string): Promise<ReadonlyMap<string, string>> {
  const values = new Map<string, string>();
  const text = (await readSmall(join(commonDir, 'config'), configBytes)) ?? '';
  let section = '';
  for (const line of text.replaceAll(/\\\r?\n/g, '').split(/\r?\n/)) {
    const header = /^\s*\[([\w.-]+)(?:[ \t]+"((?:[^"\\]|\\.)*)")?\](.*)$/.exec(line);
    if (header !== null) {
      const [, name = '', sub] = header;
      section = `${name.toLowerCase()}${sub === undefined ? '' : `.${sub.replaceAll(/\\(.)/g, '$1')}`}.`;
    }
    const [, name, value = 'true'] =
      /^\s*([A-Za-z][\w-]*)\s*(?:=(.*))?$/.exec(header?.[3] ?? line) ?? [];
    const key = `${section}${name?.toLowerCase()}`;
    if (name === undefined || (values.has(key) && key.endsWith('.url'))) continue;
    values.set(key, plainValue(value));
  }
  return values;
}

/** Without quotes, escapes, blanks around and what stands behind `#` or `;`. */
function plainValue(value: string): string {
  let plain = '';
  let isQuoted = false;
  for (let at = 0; at < value.length; at += 1) {
    const character = value[at]!;
    if (character === '"') isQuoted = !isQuoted;
    else if (character === '\\') plain += value[(at += 1)] ?? '';
    else if (!isQuoted && (character === '#' || character === ';')) break;
    else plain += character;
  }
  return plain.trim();
}

/** The one line that a file holds. */
async function readLine(path: string): Promise<string | undefined> {
  const text = (await readSmall(path, lineFileBytes))?.trim();
  return text === undefined || text === '' || /[\n\0]/.test(text) ? undefined : text;
}

/** A small ordinary file; a pipe or a device is not waited for. */
async function readSmall(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { size } = await file.stat().then((found) => (found.isFile() ? found : { size: -1 }));
    if (size < 0 || size > maxBytes) return undefined;
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, 0);
    return bytes.toString('utf8', 0, bytesRead);
  } catch {
    // Not there, not ours to read, a circle of links: it tells nothing.
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function realPath(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}
