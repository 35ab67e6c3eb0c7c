import { chmod, mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { faultyFiles } from '../../test/faults/faulty-files.ts';
import {
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../test/faults/store-harness.ts';
import type { SessionStore } from '../store/types.ts';
import { guardFor } from '../secrets/guard.ts';
import { ingestPaths, type IngestOptions } from './ingest.ts';
import type { IngestProgress } from './progress.ts';

/** Makes files in the folder `tree` beside the store. */
async function makeTree(
  data: TemporaryData,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<string> {
  const tree = join(data.dataDir, 'tree');
  for (const [name, content] of Object.entries(files)) {
    const path = join(tree, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  return tree;
}

function optionsFor(data: TemporaryData, workingDirectory: string): IngestOptions {
  return { clock: data.clock, workingDirectory, signal: new AbortController().signal };
}

function storedPaths(store: SessionStore, tree: string): readonly string[] {
  return store.entries.map((entry) => entry.path!.slice(tree.length + 1));
}

async function original(store: SessionStore, index: number): Promise<Buffer> {
  const pieces = [];
  for await (const piece of store.readOriginal(store.entries[index]!)) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('a folder is taken as git sees it: nested rules, no .git, no links, no binary files', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, {
    '.git/config': 'secret',
    '.gitignore': '*.log\nbuild/\n/only-here.txt\n',
    'a.ts': 'a',
    'keep.log': 'ignored',
    'build/out.js': 'ignored',
    'only-here.txt': 'ignored',
    'sub/only-here.txt': 'not ignored',
    'sub/.gitignore': '!keep.log\n*.tmp\n',
    'sub/keep.log': 'kept after all',
    'sub/deep/x.tmp': 'ignored',
    'sub/deep/y.ts': 'y',
    'image.png': Buffer.from([0x89, 0x50, 0x00, 0x01]),
  });
  await writeFile(join(data.dataDir, 'outside.txt'), 'outside');
  await symlink(join(data.dataDir, 'outside.txt'), join(tree, 'link.txt'));
  await symlink(data.dataDir, join(tree, 'linked-folder'));
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const report = await ingestPaths(session, ['.'], optionsFor(data, tree));
  expect(storedPaths(session.store, tree)).toEqual([
    '.gitignore',
    'a.ts',
    'sub/.gitignore',
    'sub/deep/y.ts',
    'sub/keep.log',
    'sub/only-here.txt',
  ]);
  expect(report).toMatchObject({ stored: 6, binary: 1, special: 2, failed: 0 });
  const below = await ingestPaths(session, ['build'], optionsFor(data, tree));
  expect(below).toMatchObject({ stored: 1 });
  const sub = await ingestPaths(session, ['sub'], optionsFor(data, tree));
  expect(sub).toMatchObject({ stored: 0, unchanged: 4 });
  const all = await ingestPaths(session, ['.'], {
    ...optionsFor(data, tree),
    respectIgnore: false,
  });
  expect(all).toMatchObject({ stored: 0, duplicates: 3, unchanged: 7 });
});

test('files, globs, folders and stdin may be mixed; each file is taken once', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, {
    'src/a.ts': 'a',
    'src/deep/b.ts': 'b',
    'src/deep/c.md': 'c',
    'x[1].txt': 'named like a glob',
  });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const stdin = (async function* stdin() {
    yield Buffer.from('from ');
    yield Buffer.from('a pipe');
  })();
  const paths = ['src/**/*.ts', join(tree, 'src/deep'), 'x[1].txt', '-', '*.nothing', 'absent'];
  const report = await ingestPaths(session, paths, { ...optionsFor(data, tree), stdin });
  expect(report).toMatchObject({ stored: 5, duplicates: 0, failed: 2 });
  expect(report.failures).toEqual([
    { path: join(tree, '*.nothing'), reason: 'no file matches' },
    { path: join(tree, 'absent'), reason: 'there is no such file or folder (ENOENT)' },
  ]);
  const { store } = session;
  const texts = [];
  for (const entry of store.entries) texts.push([await store.readEntry(entry), entry.note]);
  expect(texts).toEqual([
    ['from a pipe', 'from standard input'],
    ['a', undefined],
    ['b', undefined],
    ['c', undefined],
    ['named like a glob', undefined],
  ]);
});

const utf16be = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16();

test.each([
  [
    'UTF-8 with a mark',
    Buffer.from('\ufeffé'),
    '\ufeffé',
    'begins with a UTF-8 byte order mark',
    false,
  ],
  [
    'UTF-16LE',
    Buffer.from('\ufeffné 🙂\n', 'utf16le'),
    'né 🙂\n',
    'decoded from UTF-16LE, byte order mark left out',
    false,
  ],
  ['UTF-16BE', utf16be('né 🙂'), 'né 🙂', 'decoded from UTF-16BE, byte order mark left out', false],
  [
    'UTF-16 with a lone surrogate',
    Buffer.from('\ufeffx\ud800y', 'utf16le'),
    'x\ufffdy',
    'broken UTF-16LE: what is invalid became U+FFFD, the original bytes are kept',
    true,
  ],
  ['Latin-1', Buffer.from('déjà vu\n', 'latin1'), 'déjà vu\n', 'decoded from Latin-1', false],
  [
    'broken UTF-8',
    Buffer.concat([Buffer.from('日本語 né '), Buffer.from([0xe6, 0x97])]),
    '日本語 né \ufffd',
    'broken UTF-8: what is invalid became U+FFFD, the original bytes are kept',
    true,
  ],
])('%s becomes text, with what was done and without loss', async (_, bytes, text, note, kept) => {
  await using data = await temporaryData();
  const tree = await makeTree(data, { 'file.txt': bytes });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const report = await ingestPaths(session, ['file.txt'], optionsFor(data, tree));
  expect(report).toMatchObject({ stored: 1, failed: 0 });
  const [entry] = session.store.entries;
  expect(await session.store.readEntry(entry!)).toBe(text);
  expect(entry!.note).toBe(note);
  expect(entry!.original !== undefined).toBe(kept);
  expect(await original(session.store, 0)).toEqual(kept ? bytes : Buffer.from(text));
  const again = await ingestPaths(session, ['file.txt'], optionsFor(data, tree));
  expect(again).toMatchObject({ unchanged: 1, bytes: 0 });
});

test('a large file that turns out broken at its end is taken all the same', async () => {
  await using data = await temporaryData();
  const bytes = Buffer.concat([
    Buffer.from('日本語のログ\n'.repeat(120_000)),
    Buffer.from([0xff, 0x0a]),
  ]);
  const tree = await makeTree(data, { 'large.log': bytes });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  await ingestPaths(session, ['large.log'], optionsFor(data, tree));
  expect(session.store.entries[0]!.note).toContain('broken UTF-8');
  expect((await original(session.store, 0)).equals(bytes)).toBe(true);
  expect((await session.store.readEntry(session.store.entries[0]!)).endsWith('\n\ufffd\n')).toBe(
    true,
  );
});

test('secrets in files, small and large, are masked, or their files refused', async () => {
  await using data = await temporaryData();
  const token = ['ghp', 'R7k2ZpW9xVb4TnM8sLd3HfJ6gCy5AqE1uYt0'].join('_');
  const lines = 'a line of a log, ü\n'.repeat(120_000);
  const tree = await makeTree(data, {
    'large.log': `${lines}TOKEN=${token}\n${lines}`,
    'small.env': `TOKEN=${token}\n`,
    'utf16.txt': Buffer.from(`\ufeffTOKEN=${token}\n`, 'utf16le'),
    'plain.txt': 'nothing here\n',
  });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const { store } = session;
  const options = optionsFor(data, tree);
  const refused = await ingestPaths(session, ['.'], { ...options, secrets: guardFor('refuse') });
  expect(refused).toMatchObject({ stored: 1, failed: 3 });
  expect(refused.failures[0]!.reason).toContain('GitHub token');
  const masked = await ingestPaths(session, ['.'], { ...options, secrets: guardFor('mask') });
  expect(masked).toMatchObject({ stored: 2, duplicates: 1, failed: 0 });
  const stars = `TOKEN=${'#'.repeat(token.length)}\n`;
  const texts = await Promise.all(store.entries.map(async (entry) => store.readEntry(entry)));
  expect(texts.toSorted()).toEqual(
    [`${lines}${stars}${lines}`, stars, 'nothing here\n'].toSorted(),
  );
  expect(store.entries.filter(({ note }) => note?.includes('masked') === true)).toHaveLength(2);
});

test('running it again reads only what has changed, also after a restart', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, { 'a.txt': 'one', 'b.txt': 'two', 'same-as-a.txt': 'one' });
  {
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    const first = await ingestPaths(session, ['.'], optionsFor(data, tree));
    expect(first).toMatchObject({ stored: 2, duplicates: 1, unchanged: 0, bytes: 9 });
  }
  await writeFile(join(tree, 'b.txt'), 'TWO');
  await utimes(join(tree, 'b.txt'), 1000, 1000);
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const second = await ingestPaths(session, ['.'], optionsFor(data, tree));
  expect(second).toMatchObject({ stored: 1, duplicates: 0, unchanged: 2, bytes: 3 });
  expect(session.store.source(join(tree, 'same-as-a.txt'))?.entry.id).toBe('e1');
  expect(session.store.source(join(tree, 'b.txt'))?.entry.id).toBe('e3');
});

test('what was stored before a stop stays, and the next run goes on from there', async () => {
  await using data = await temporaryData();
  const names = Array.from({ length: 24 }, (_, number) => `f${String(number).padStart(2, '0')}`);
  const large = names.map((name) => [name, `${name} `.repeat(300_000)] as const);
  const tree = await makeTree(data, Object.fromEntries(large));
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const controller = new AbortController();
  const stopped = ingestPaths(session, ['.'], {
    ...optionsFor(data, tree),
    signal: controller.signal,
    onProgress: () => {
      if (session.store.entries.length >= 8) controller.abort();
      data.clock.advance(200);
    },
  });
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
  const before = session.store.entries.length;
  expect(before).toBeGreaterThanOrEqual(8);
  expect(before).toBeLessThan(24);
  const rest = await ingestPaths(session, ['.'], optionsFor(data, tree));
  expect(rest).toMatchObject({ stored: 24 - before, unchanged: before });
  expect(await session.store.verify()).toEqual([]);
});

test('progress tells files, bytes, rate and time left', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, { a: 'x'.repeat(2_000_000), b: 'y'.repeat(6_000_000) });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const told: IngestProgress[] = [];
  await ingestPaths(session, ['.'], {
    ...optionsFor(data, tree),
    onProgress: (progress) => {
      told.push(progress);
      data.clock.advance(1000);
    },
  });
  expect(told.at(-1)).toMatchObject({
    files: 2,
    totalFiles: 2,
    bytes: 8_000_000,
    totalBytes: 8_000_000,
    secondsLeft: 0,
  });
  const early = told[2]!;
  expect(early.path).toBe(join(tree, early.bytes <= 2_000_000 ? 'a' : 'b'));
  expect(early.secondsLeft! * early.bytesPerSecond).toBeCloseTo(8_000_000 - early.bytes);
  expect(told.map((progress) => progress.bytes)).toEqual(
    told.map((progress) => progress.bytes).toSorted((a, b) => a - b),
  );
});

test.skipIf(process.getuid?.() === 0)(
  'a file that may not be read is reported, the others are taken',
  async () => {
    await using data = await temporaryData();
    const tree = await makeTree(data, { a: 'a', b: 'b', c: 'c' });
    await chmod(join(tree, 'b'), 0);
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    const report = await ingestPaths(session, ['.'], optionsFor(data, tree));
    expect(report).toMatchObject({
      stored: 2,
      failed: 1,
      failures: [{ path: join(tree, 'b'), reason: 'this user may not use it (EACCES)' }],
    });
  },
);

test('a full disk ends the ingest with its name; what was committed stays', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, { a: 'x'.repeat(2_000_000), b: 'y'.repeat(2_000_000) });
  let writes = 0;
  const { files } = faultyFiles((call) => {
    if (call.name === 'write' && call.path.endsWith('_context.txt')) writes += 1;
    return writes === 5 ? { kind: 'error', code: 'ENOSPC' } : { kind: 'none' };
  });
  await using sessions = await data.open({ files });
  const session = await projectSession(sessions);
  const filling = ingestPaths(session, ['.'], optionsFor(data, tree));
  await expect(filling).rejects.toMatchObject({ code: 'store_full' });
  expect(storedPaths(session.store, tree)).toEqual(['a']);
  await rm(join(tree, 'a'));
  writes = 6;
  const again = await ingestPaths(session, ['.'], optionsFor(data, tree));
  expect(again).toMatchObject({ stored: 1 });
  expect(await readFile(session.store.textPath, 'utf8')).toHaveLength(4_000_002);
});

test('source maps and minified files of a folder are left out, and read where they are named', async () => {
  await using data = await temporaryData();
  const tree = await makeTree(data, {
    'a.js': 'export const a = 1;\n',
    'a.js.map': '{"mappings":"AAAA"}\n',
    'lib/b.min.js': 'var b=1\n',
    'lib/c.d.ts.map': '{"mappings":"BBBB"}\n',
    'map.md': 'a road map\n',
  });
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const report = await ingestPaths(session, ['.'], optionsFor(data, tree));
  expect(storedPaths(session.store, tree)).toEqual(['a.js', 'map.md']);
  expect(report).toMatchObject({ stored: 2, generated: 3, failed: 0 });
  const named = await ingestPaths(session, ['a.js.map', '**/*.min.js'], optionsFor(data, tree));
  expect(named).toMatchObject({ stored: 2, generated: 0 });
  const all = await ingestPaths(session, ['.'], {
    ...optionsFor(data, tree),
    respectIgnore: false,
  });
  expect(all).toMatchObject({ stored: 1, generated: 0 });
});
