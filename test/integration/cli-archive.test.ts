import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { clientTools, systemFor, user } from '../support/conversation.ts';
import { answer, callTools, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { toolResult } from '../support/tool-results.ts';

interface Moved {
  readonly sessions: readonly {
    readonly session: string;
    readonly from?: string;
    readonly directory?: string;
    readonly entries: number;
  }[];
}

let home: CliHome;
let other: CliHome;
/** Of one project with two texts. */
let archive = '';
/** What its export said. */
let said = '';

beforeAll(async () => {
  home = new CliHome();
  archive = join(home.folder, 'project.tar.zst');
  for (const name of ['one', 'two']) {
    const path = join(home.folder, `${name}.txt`);
    writeFileSync(path, `the needle of ${name}\n${'hay\n'.repeat(5_000)}`);
    await home.runHere(['ingest', path, '--directory', '/work/project']);
  }
  const made = await home.runHere(['sessions', 'export', '/work/project', '--out', archive]);
  said = made.stdout;
  return () => home[Symbol.dispose]();
});

beforeEach(() => {
  other = new CliHome();
  return () => other[Symbol.dispose]();
});

/** Searches the store of a directory; what was found. */
async function search(where: CliHome, ...flags: readonly string[]): Promise<string> {
  return (await where.runHere(['search', 'needle', ...flags])).stdout;
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
}

test('the archive is its owner alone to read, and says what it holds', () => {
  expect(said).toContain('2 entries');
  expect(said).toContain('keys and passwords');
  expect(statSync(archive).mode & 0o777).toBe(0o600);
  expect(readdirSync(home.folder).filter((name) => name.includes('.part'))).toEqual([]);
});

test('without a server: imported under its directory, another one, or none', async () => {
  const first = await other.runHere(['sessions', 'import', archive]);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(await search(other, '--directory', '/work/project')).toContain('needle of two');

  const before = filesIn(other.dataDir);
  const again = await other.runHere(['sessions', 'import', archive]);
  expect(again.code).toBe(2);
  expect(again.stderr).toContain('/work/project has a store already');
  expect(again.stderr).toContain('--as DIRECTORY');
  expect(again.stderr).toContain('--unnamed');
  expect(filesIn(other.dataDir)).toEqual(before);

  for (const flags of [
    ['--as', '/else'],
    ['--map', '/work=/there'],
  ]) {
    const { stdout, code } = await other.runHere([
      'sessions',
      'import',
      archive,
      '--json',
      ...flags,
    ]);
    expect(code).toBe(0);
    const [store] = (JSON.parse(stdout) as Moved).sessions;
    expect(store?.session).not.toBe(store?.from);
    expect(store?.directory).toMatch(/^\/else$|^\/there\/project$/);
    expect(await search(other, '--directory', store!.directory!)).toContain('needle of one');
  }
  const unnamed = await other.runHere(['sessions', 'import', archive, '--json', '--unnamed']);
  const [store] = (JSON.parse(unnamed.stdout) as Moved).sessions;
  expect(store?.directory).toBeUndefined();
  expect(await search(other, '--session', store!.session)).toContain('needle of one');
});

test('through a running server, whose next chat finds the texts', async () => {
  await using upstream = await startScriptedUpstream();
  await using server = await other.serveHere({
    RLM_UPSTREAM_BASE_URL: upstream.baseURL,
    RLM_UPSTREAM_MODEL: 'scripted',
    RLM_UPSTREAM_API_KEY: 'test-key',
  });
  const made = await other.runHere(['sessions', 'import', archive, '--as', '/work/here']);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  upstream.script(
    callTools({ name: 'rlm_search', args: { pattern: 'needle of' } }),
    answer('found'),
  );
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'scripted',
      messages: [systemFor('/work/here'), user('Where?')],
      tools: clientTools,
    }),
  });
  expect(await response.text()).toContain('found');
  const result = upstream.requests.at(-1)?.body.messages.findLast(({ role }) => role === 'tool');
  expect(toolResult(result?.content)).toMatchObject({ total: 2 });

  // Out again, through the server, and what it refuses it says.
  const out = join(other.folder, 'out.tar.zst');
  const exported = await other.runHere(['sessions', 'export', '--all', '--out', out, '--json']);
  expect(JSON.parse(exported.stdout)).toMatchObject({
    file: out,
    sessions: [{ directory: '/work/here', entries: 2, role: 'store' }],
  });
  const broken = readFileSync(out);
  broken[broken.length >> 1]! ^= 1;
  writeFileSync(out, broken);
  const stores = join(other.dataDir, 'sessions');
  const before = filesIn(stores);
  const refused = await other.runHere(['sessions', 'import', out, '--as', '/work/broken']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('This archive is damaged');
  expect(filesIn(stores)).toEqual(before);
  expect(filesIn(join(other.dataDir, 'importing'))).toEqual([]);
});

test('a server refuses a long archive before all of it has come, and the command says why', async () => {
  await using server = await other.serveHere();
  await other.runHere(['sessions', 'import', archive]);
  const long = join(other.folder, 'long.tar.zst');
  writeFileSync(long, Buffer.concat([readFileSync(archive), Buffer.alloc(30_000_000)]));
  const refused = await other.runHere(['sessions', 'import', long]);
  // Whichever it sees first: what is asked cannot be, or what stands behind the archive's end.
  expect(refused.stderr).toMatch(/has a store already|something stands behind its end/);
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
});

test('where the disk is full that is said by name, and nothing half is left', async () => {
  const out = join(home.folder, 'full.tar.zst');
  // Noise: it does not compress.
  const path = join(home.folder, 'noise.txt');
  writeFileSync(path, randomBytes(300_000).toString('base64'));
  await home.runHere(['ingest', path, '--directory', '/work/noise']);
  // No file may become longer than 64 KiB: writing fails as on a full disk.
  const args = ['sessions', 'export', '/work/noise', '--out', out];
  const { code, stderr } = await home.run(args, {}, 'ulimit -f 128; exec "$@"');
  expect(code).not.toBe(0);
  expect(stderr).toContain(`There is no room for ${out} (EFBIG)`);
  expect(readdirSync(home.folder).filter((name) => name.startsWith('full'))).toEqual([]);
});

test('from standard output to standard input', async () => {
  const main = resolve(import.meta.dirname, '../../src/cli/main.ts');
  const command = `"$0" "$1" sessions export /work/project --data-dir "$2" --out - | "$0" "$1" sessions import - --data-dir "$3"`;
  const args = ['-c', command, process.execPath, main, home.dataDir, other.dataDir];
  const { stdout, stderr } = await promisify(execFile)('/bin/sh', args, {
    env: { HOME: home.folder, PATH: process.env['PATH'] },
  });
  expect(stdout).toContain('Imported 1 store');
  expect(stderr).toContain('keys and passwords');
  expect(await search(other, '--directory', '/work/project')).toContain('needle of two');
});

test.each([
  [['export', '/work/project', '--out', 'ARCHIVE'], 'is there already'],
  [
    ['export', '/work/project', '--out', '/nowhere/a.tar.zst'],
    'cannot be written: there is no such file or folder (ENOENT)',
  ],
  [['export', '/work/project', '--all'], '--all is every store'],
  [['export', 'sess_00000000'], 'There is no session'],
  [['export', '/work/none', '--out', '/tmp/none.tar.zst'], 'Nothing is stored for /work/none'],
  [['import', '/nowhere/a.tar.zst'], '/nowhere/a.tar.zst is not there'],
  [['import', '/'], 'is a folder'],
  [['import', 'ARCHIVE', '--map', 'x'], '--map takes OLD=NEW'],
  [['import', 'NOTES'], 'not compressed with zstd'],
])('what is wrong with %j is said', async (args, words) => {
  const given = args.map((arg) =>
    arg.replace('ARCHIVE', archive).replace('NOTES', join(home.folder, 'one.txt')),
  );
  const { code, stderr, stdout } = await home.runHere(['sessions', ...given]);
  expect(code).not.toBe(0);
  expect(stderr).toContain(words);
  expect(stdout).toBe('');
});
