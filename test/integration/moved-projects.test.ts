import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { clientTools, longText, outputRequest, systemFor, user } from '../support/conversation.ts';
import { startProxy, type ProxyOptions, type TestProxy } from '../support/proxy.ts';
import {
  answer,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

let folder = '';
let upstream: ScriptedUpstream;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'rlm-moved-')));
  upstream = await startScriptedUpstream();
  upstream.otherwise(answer('ok'));
});

afterEach(async () => {
  await upstream[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs git as somebody, whatever the machine's own settings are. */
function git(cwd: string, ...args: readonly string[]): void {
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
    cwd,
    stdio: 'ignore',
  });
}

/** A repository with a remote and one commit: starting git takes longer than a copy. */
let repository = '';

beforeAll(() => {
  repository = mkdtempSync(join(tmpdir(), 'rlm-repository-'));
  git(repository, 'init', '-q');
  git(repository, 'commit', '-q', '--allow-empty', '-m', 'first');
  git(repository, 'remote', 'add', 'origin', 'https://example.com/owner/project');
  return () => rmSync(repository, { recursive: true });
});

/** A project in the folder, with a remote and one commit where it is a repository. */
function project(name: string, { isRepository = true } = {}): string {
  const path = join(folder, name);
  if (isRepository) cpSync(repository, path, { recursive: true });
  else mkdirSync(path);
  return path;
}

/** A chat in a directory whose command puts out a long text, which is stored. */
async function work(proxy: TestProxy, directory: string, word = 'secret'): Promise<void> {
  await proxy.ask(outputRequest(longText(20_000, word), directory));
}

/** How many texts a chat in a directory finds there: those that its first request is told of. */
async function entriesSeen(proxy: TestProxy, directory: string): Promise<number> {
  const messages = [systemFor(directory), user('What do you know?')];
  await proxy.ask({ messages, tools: clientTools });
  const tools = upstream.requests.at(-1)?.body.tools ?? [];
  const isOffered = JSON.stringify(tools).includes('rlm_');
  const session = await proxy.app.sessions.forDirectory(directory, { create: false });
  expect(isOffered).toBe((session?.store.totals.entries ?? 0) > 0);
  return session?.store.totals.entries ?? 0;
}

interface Log {
  readonly lines: Record<string, unknown>[];
  readonly options: ProxyOptions;
}

function logged(env: Record<string, string> = {}): Log {
  const lines: Record<string, unknown>[] = [];
  const onLog = (line: string): void => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  return { lines, options: { upstream, env, onLog } };
}

/** Waits until something holds that happens beside the turns. */
async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await wait(10);
  }
  throw new Error('It did not happen.');
}

/** Waits until a member is known of the place of the only session there, or of the named one. */
async function noted(
  dataDir: string,
  member: 'identity' | 'firstCommit',
  directory: string,
): Promise<string> {
  const sessions = join(dataDir, 'sessions');
  return until(() => {
    for (const name of readdirSync(sessions).filter((each) => /^sess_\w+\.json$/.test(each))) {
      const text = readFileSync(join(sessions, name), 'utf8');
      const { name: at, place } = JSON.parse(text) as {
        readonly name: string;
        readonly place?: Record<string, string>;
      };
      if (at === directory && place?.[member] !== undefined) return place[member];
    }
    return undefined;
  });
}

test('a renamed project keeps its memory, with and without git, a server between or none', async () => {
  const { lines, options } = logged();
  await using proxy = await startProxy(options);
  for (const isRepository of [true, false]) {
    const before = project(`before-${isRepository}`, { isRepository });
    await work(proxy, before);
    await noted(proxy.dataDir, 'identity', before);
    const after = join(folder, `after-${isRepository}`);
    renameSync(before, after);
    expect(await entriesSeen(proxy, after)).toBe(1);
    // And back, by another name again.
    const last = join(folder, `last-${isRepository}`);
    renameSync(after, last);
    expect(await entriesSeen(proxy, last)).toBe(1);
    const listed = await proxy.app.sessions.list();
    expect(listed.find(({ directory }) => directory === last)).toMatchObject({ formerly: after });
    // A chat that still names the first one is not lost either.
    expect(await entriesSeen(proxy, before)).toBe(1);
    const told = lines.filter(({ msg }) => String(msg).includes('was renamed'));
    expect(told.map(({ from, directory }) => [from, directory]).slice(-2)).toEqual([
      [before, after],
      [after, last],
    ]);
    await work(proxy, last, 'more');
    expect(await entriesSeen(proxy, last)).toBe(2);
  }
  expect(await proxy.app.sessions.list()).toHaveLength(2);
});

test('a project that is renamed while no server runs is found by the next one', async () => {
  const { options } = logged();
  await using proxy = await startProxy(options);
  const before = project('team');
  const inside = join(before, 'packages');
  mkdirSync(inside);
  await work(proxy, inside);
  await noted(proxy.dataDir, 'identity', inside);
  renameSync(before, join(folder, 'crew'));
  await using next = await proxy.restart();
  expect(await entriesSeen(next, join(folder, 'crew/packages'))).toBe(1);
});

test('stores of earlier versions note what their directories are at the next use', async () => {
  const { options } = logged();
  await using proxy = await startProxy(options);
  const before = project('before');
  await work(proxy, before);
  await noted(proxy.dataDir, 'firstCommit', before);
  const { id } = (await proxy.app.sessions.list())[0]!;
  const path = join(proxy.dataDir, 'sessions', `${id}.json`);
  const { place: _, ...old } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify(old));
  await using next = await proxy.restart();
  await entriesSeen(next, before);
  await noted(next.dataDir, 'firstCommit', before);
  renameSync(before, join(folder, 'after'));
  expect(await entriesSeen(next, join(folder, 'after'))).toBe(1);
});

test('a directory that takes the place of a deleted one gets nothing of it, nor with its inode', async () => {
  const { options } = logged();
  let proxy = await startProxy({ ...options, dataDir: join(folder, 'data') });
  const before = project('before', { isRepository: false });
  await work(proxy, before);
  await noted(proxy.dataDir, 'identity', before);
  const { id } = (await proxy.app.sessions.list())[0]!;
  rmSync(before, { recursive: true });
  const other = project('other', { isRepository: false });
  expect(await entriesSeen(proxy, other)).toBe(0);
  expect((await proxy.app.sessions.list())[0]).toMatchObject({ directory: before, isGone: true });
  // Many file systems give a new directory the very inode that has just become free.
  const { dev, ino, birthtimeNs } = statSync(other, { bigint: true });
  const asIf = async (bornNs: bigint): Promise<number> => {
    await proxy[Symbol.asyncDispose]();
    const path = join(proxy.dataDir, 'sessions', `${id}.json`);
    const metadata = JSON.parse(readFileSync(path, 'utf8')) as object;
    const place = { identity: `${dev}:${ino}:${bornNs}` };
    writeFileSync(path, JSON.stringify({ ...metadata, place }));
    proxy = await startProxy({ ...options, dataDir: proxy.dataDir });
    return entriesSeen(proxy, other);
  };
  expect(await asIf(birthtimeNs - 10_000_000n)).toBe(0);
  expect(await asIf(birthtimeNs)).toBe(1);
  await proxy[Symbol.asyncDispose]();
});

test('a copy begins with an empty store, and is told once how to get the other', async () => {
  const { lines, options } = logged();
  await using proxy = await startProxy(options);
  const original = project('original');
  await work(proxy, original);
  await noted(proxy.dataDir, 'firstCommit', original);
  const copy = join(folder, 'the copy');
  cpSync(original, copy, { recursive: true });
  expect(await entriesSeen(proxy, copy)).toBe(0);
  await work(proxy, copy, 'other');
  await work(proxy, copy, 'another');
  const like = (): Record<string, unknown>[] => lines.filter(({ like: of }) => of !== undefined);
  await until(() => like()[0]);
  expect(await entriesSeen(proxy, copy)).toBe(2);
  expect(await entriesSeen(proxy, original)).toBe(1);
  expect(like()).toEqual([
    expect.objectContaining({
      msg: expect.stringContaining('looks like a copy') as string,
      like: original,
      hint: expect.stringContaining(
        `rlm-opencode sessions move --replace ${original} '${copy}'`,
      ) as string,
    }),
  ]);
  const listed = await proxy.app.sessions.list();
  expect(listed.find(({ directory }) => directory === copy)).toMatchObject({
    looksLike: { directory: original, as: 'copy' },
  });
  expect(listed.find(({ directory }) => directory === original)?.looksLike).toBeUndefined();
});

test('an archive with the remote and the first commit of a deleted project gets none of its memory', async () => {
  const { lines, options } = logged();
  await using proxy = await startProxy(options);
  const victim = project('victim');
  await work(proxy, victim);
  await noted(proxy.dataDir, 'firstCommit', victim);
  const fake = join(folder, 'fake');
  cpSync(victim, fake, { recursive: true });
  rmSync(victim, { recursive: true });
  expect(await entriesSeen(proxy, fake)).toBe(0);
  await work(proxy, fake, 'theirs');
  const [told] = await until(() => {
    const found = lines.filter(({ like }) => like !== undefined);
    return found.length > 0 ? found : undefined;
  });
  expect(told).toMatchObject({ like: victim, directory: fake });
  expect(told?.['hint']).toContain(`sessions move --replace ${victim} ${fake}`);
  expect(await entriesSeen(proxy, fake)).toBe(1);
});

test('another project, a fork, and another package of one repository look like nothing', async () => {
  const { options } = logged();
  await using proxy = await startProxy(options);
  const one = project('one');
  mkdirSync(join(one, 'a'));
  mkdirSync(join(one, 'b'));
  const fork = join(folder, 'fork');
  cpSync(one, fork, { recursive: true });
  git(fork, 'remote', 'set-url', 'origin', 'https://example.com/somebody/project');
  for (const directory of [one, join(one, 'a'), join(one, 'b'), fork]) {
    await work(proxy, directory);
    await noted(proxy.dataDir, 'firstCommit', directory);
  }
  for (const { looksLike } of await proxy.app.sessions.list()) expect(looksLike).toBeUndefined();
});

test('a directory that was never on this machine does not count as gone', async () => {
  const { options } = logged();
  await using proxy = await startProxy(options);
  await work(proxy, '/somewhere/else');
  expect(await entriesSeen(proxy, project('here'))).toBe(0);
  const [listed] = await proxy.app.sessions.list();
  expect(listed).toMatchObject({ directory: '/somewhere/else' });
  expect(listed?.isGone).toBeUndefined();
});

test('a worktree has a store of its own, and is told of that of its main tree', async () => {
  const { lines, options } = logged();
  await using proxy = await startProxy(options);
  const main = project('main');
  const tree = join(folder, 'tree');
  git(main, 'worktree', 'add', '-q', tree);
  await work(proxy, main);
  await noted(proxy.dataDir, 'firstCommit', main);
  expect(await entriesSeen(proxy, tree)).toBe(0);
  await work(proxy, tree, 'from the worktree');
  expect(await entriesSeen(proxy, main)).toBe(1);
  const told = await until(() => lines.find(({ like }) => like !== undefined));
  const own = (await proxy.app.sessions.list()).find(({ directory }) => directory === tree);
  expect(own?.looksLike).toMatchObject({ directory: main, as: 'worktree' });
  expect(told['hint']).toContain('RLM_STORE_WORKTREES');
});

test('where worktrees share, a worktree and what lies in it have the stores of the main tree', async () => {
  const { options } = logged({ RLM_STORE_WORKTREES: 'shared' });
  await using proxy = await startProxy(options);
  const main = project('main');
  const tree = join(folder, 'tree');
  git(main, 'worktree', 'add', '-q', tree);
  await work(proxy, main);
  expect(await entriesSeen(proxy, tree)).toBe(1);
  await work(proxy, tree, 'from the worktree');
  expect(await entriesSeen(proxy, main)).toBe(2);
  for (const at of [main, tree]) mkdirSync(join(at, 'packages'));
  await work(proxy, join(tree, 'packages'));
  expect(await entriesSeen(proxy, join(main, 'packages'))).toBe(1);
  expect(await proxy.app.sessions.list()).toHaveLength(2);
});

test('what stands in a foreign .git file shares no store, even where worktrees do', async () => {
  const { options } = logged({ RLM_STORE_WORKTREES: 'shared' });
  await using proxy = await startProxy(options);
  const main = project('main');
  git(main, 'worktree', 'add', '-q', join(folder, 'tree'));
  await work(proxy, main);
  const hostile = join(folder, 'hostile');
  mkdirSync(hostile);
  cpSync(join(folder, 'tree/.git'), join(hostile, '.git'));
  expect(await entriesSeen(proxy, hostile)).toBe(0);
});

test.each(['through a server', 'without one'])('sessions move, %s', async (way) => {
  using home = new CliHome();
  await using stack = new AsyncDisposableStack();
  const from = project('from');
  const to = project('to', { isRepository: false });
  await home.runHere(['ingest', join(from, '.git/HEAD'), '--directory', from]);
  if (way === 'through a server') stack.use(await home.serveHere());
  const found = async (directory: string): Promise<string> =>
    (await home.runHere(['find', '-c', 'refs/heads', '--directory', directory])).stdout.trim();
  const listed = async (): Promise<readonly Record<string, unknown>[]> => {
    const { stdout } = await home.runHere(['sessions', '--json']);
    return JSON.parse(stdout) as Record<string, unknown>[];
  };
  const [{ id }] = (await listed()) as [{ readonly id: string }];

  const typo = await home.runHere(['sessions', 'move', `${folder}/form`, to]);
  expect(typo).toMatchObject({ code: 2, stdout: '' });
  expect(typo.stderr).toContain(`There is no store of ${folder}/form.`);
  expect(typo.stderr).toContain(from);
  const nowhere = await home.runHere(['sessions', 'move', from, 'not/there']);
  expect(nowhere).toMatchObject({ code: 2 });
  expect(nowhere.stderr).toContain('absolute path');
  expect(await home.runHere(['sessions', 'move', from, id])).toMatchObject({ code: 2 });

  const moved = await home.runHere(['sessions', 'move', from, to]);
  expect(moved).toMatchObject({ code: 0, stderr: '' });
  expect(moved.stdout).toContain(`${id} (1 entry) is now the store of\n  ${to}\n`);
  expect(moved.stdout).toContain('begins with an empty one');
  expect(await found(to)).not.toBe('');
  expect(await found(from)).toBe('');
  expect(await listed()).toMatchObject([{ id, directory: to, formerly: from }]);
  const again = await home.runHere(['sessions', 'move', id, to]);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).toContain('already');

  // The one that it was taken from has texts of its own by now.
  await home.runHere(['ingest', join(from, '.git/config'), '--directory', from]);
  const refused = await home.runHere(['sessions', 'move', to, from]);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain(`${from} has a store already: sess_`);
  expect(refused.stderr).toContain('--replace');
  const replaced = await home.runHere(['sessions', 'move', '--replace', '--json', to, from]);
  const { putAside, ...told } = JSON.parse(replaced.stdout) as Record<string, unknown>;
  expect(told).toEqual({ session: id, from: to, to: from, entries: 1 });
  expect(await found(from)).not.toBe('');
  const kept = await home.runHere(['stats', '--json', '--session', String(putAside)]);
  expect(kept.code).toBe(0);
  expect((await listed()).find((each) => each['id'] === putAside)?.['directory']).toBeUndefined();

  // To a directory of another machine, and that of a session without one.
  await home.runHere(['sessions', 'move', from, '/other/machine']);
  expect(await found('/other/machine')).not.toBe('');
  expect(await found(from)).toBe('');
  await home.runHere(['sessions', 'move', String(putAside), from]);
  expect(new Set((await listed()).map((each) => each['directory']))).toEqual(
    new Set(['/other/machine', from]),
  );
});

test('what was moved is where it is after a restart and in a map that is made anew', async () => {
  using home = new CliHome();
  const from = project('from');
  const to = project('to', { isRepository: false });
  for (const directory of [from, to]) {
    await home.runHere(['ingest', join(from, '.git/HEAD'), '--directory', directory]);
  }
  await home.runHere(['sessions', 'move', '--replace', from, to]);
  const whose = async (): Promise<unknown> => {
    const { stdout } = await home.runHere(['sessions', '--json']);
    const sessions = JSON.parse(stdout) as { readonly id: string; readonly directory?: string }[];
    return Object.fromEntries(sessions.map(({ id, directory }) => [id, directory]));
  };
  const before = await whose();
  rmSync(join(home.dataDir, 'mappings/directory_to_rlm.json'));
  expect(await whose()).toEqual(before);
  expect(Object.values(Object(before) as object)).toContain(to);
});

test('the list of stores says what is odd, in 80 columns', async () => {
  using home = new CliHome();
  const server = await home.serveHere();
  const original = project('original');
  for (const name of ['copy', 'gone']) cpSync(original, join(folder, name), { recursive: true });
  const head = join(original, '.git/HEAD');
  for (const name of ['original', 'copy', 'gone']) {
    const directory = join(folder, name);
    await home.runHere(['ingest', head, '--directory', directory]);
    await noted(home.dataDir, 'firstCommit', directory);
  }
  rmSync(join(folder, 'gone'), { recursive: true });
  const { stdout } = await home.runHere(['sessions']);
  await server[Symbol.asyncDispose]();
  expect(stdout).toContain(`  ${join(folder, 'gone')}\n  this directory is not there any more\n`);
  expect(stdout).toContain(
    `  ${original}\n  looks like what is gone from ${join(folder, 'gone')}\n`,
  );
  expect(stdout).toContain('rlm-opencode sessions move FROM TO\n');
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});
