import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { randomIds } from '../clock.ts';
import { silentLogger } from '../log.ts';
import { realFiles, type Files } from './disk/files.ts';
import { openReplicas } from './sessions.ts';
import { flipByte, projectSession, temporaryData } from '../../test/faults/store-harness.ts';

test('a directory has one session, for good, however it is spelled', async () => {
  await using data = await temporaryData();
  let id = '';
  {
    await using sessions = await data.open();
    expect(await sessions.forDirectory('/work/a', { create: false })).toBeUndefined();
    const [first, second] = await Promise.all([
      sessions.forDirectory('/work/a', { create: true }),
      sessions.forDirectory('/work/b/../a//', { create: true }),
    ]);
    expect(first?.id).toMatch(/^sess_[0-9a-f]{16}$/);
    expect(second).toBe(first);
    expect((await sessions.forDirectory('/work/b', { create: true }))?.id).not.toBe(first?.id);
    expect((await sessions.forKey('/work/a', { create: true }))?.id).not.toBe(first?.id);
    id = first!.id;
  }
  await using sessions = await data.open();
  const session = await sessions.forDirectory('/work/a', { create: false });
  expect(session).toMatchObject({ id, directory: '/work/a', createdMs: 1_700_000_000_000 });
  expect(await sessions.byId(id)).toBe(session);
  const map = await readFile(join(data.dataDir, 'mappings/directory_to_rlm.json'), 'utf8');
  expect(JSON.parse(map)).toMatchObject({ '/work/a': id });
});

test('a folder of a project has its session from the first time on, unless it has one of its own', async () => {
  await using data = await temporaryData();
  const part = '/work/a/packages/b';
  let id: string | undefined;
  {
    await using sessions = await data.open();
    const own = await sessions.forDirectory('/work/a/own', { create: true });
    expect(await sessions.forDirectory('/work/a', { create: false, part })).toBeUndefined();
    expect(await sessions.forDirectory(part, { create: false })).toBeUndefined();
    id = (await sessions.forDirectory('/work/a', { create: true, part }))?.id;
    await sessions.forDirectory('/work/a', { create: true, part: '/work/a/own' });
    expect((await sessions.forDirectory('/work/a/own', { create: false }))?.id).toBe(own?.id);
  }
  await using sessions = await data.open();
  const session = await sessions.forDirectory(part, { create: false });
  expect(session).toMatchObject({ id, directory: '/work/a' });
  const listed = new Set((await sessions.list()).map(({ directory }) => directory));
  expect(listed).toEqual(new Set(['/work/a', '/work/a/own']));
});

test('all files are for the owner alone, under the names that users know', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { id } = await projectSession(sessions);
  const modes: Record<string, string> = {};
  for (const entry of await readdir(data.dataDir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(data.dataDir.length + 1).replace(id, 'sess_ID');
    modes[name] = ((await stat(path)).mode & 0o777).toString(8);
  }
  expect(modes).toEqual({
    'owner.json': '600',
    mappings: '700',
    'mappings/chats.jsonl': '600',
    'mappings/directory_to_rlm.json': '600',
    sessions: '700',
    'sessions/sess_ID.json': '600',
    'sessions/sess_ID_chats.jsonl': '600',
    'sessions/sess_ID_context.txt': '600',
    'sessions/sess_ID_entries.jsonl': '600',
    'sessions/sess_ID_index': '700',
  });
});

test.each([
  'sess_0123456789abcdef',
  '../mappings/directory_to_rlm',
  'sess_../../../../etc/passwd',
  'sess_0123456789abcdef\0',
  `sess_${'a'.repeat(5000)}`,
  'sess_',
  'sess_0123456789ABCDEF',
  '',
])('there is no session %j', async (sessionId) => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  await projectSession(sessions);
  const before = await readdir(data.dataDir, { recursive: true });
  await expect(sessions.byId(sessionId)).rejects.toMatchObject({ code: 'unknown_session' });
  await expect(sessions.remove(sessionId)).rejects.toMatchObject({ code: 'unknown_session' });
  expect(await readdir(data.dataDir, { recursive: true })).toEqual(before);
});

test.each(['relative/path', '', '/a\0b', `/${'a'.repeat(5000)}`])(
  'no session is made for the directory %j',
  async (directory) => {
    await using data = await temporaryData();
    await using sessions = await data.open();
    const asked = sessions.forDirectory(directory, { create: true });
    await expect(asked).rejects.toMatchObject({ code: 'invalid_request' });
  },
);

test('the list tells totals of open and of closed sessions, and what is damaged', async () => {
  await using data = await temporaryData();
  const ids: string[] = [];
  {
    await using sessions = await data.open();
    for (const directory of ['/a', '/b', '/c']) {
      const session = await sessions.forDirectory(directory, { create: true });
      ids.push(session!.id);
      if (directory !== '/a') {
        await session!.store.append([{ text: `text of ${directory}`, kind: 'user_text' }]);
      }
    }
    const sizes = (await sessions.list()).map((item) => item.totals.bytes);
    expect(sizes.toSorted((a, b) => a - b)).toEqual([0, 11, 11]);
  }
  const journal = data.paths(ids[2]!).journal;
  await flipByte(journal, (await stat(journal)).size - 4);
  await using sessions = await data.open();
  const listed = new Map((await sessions.list()).map((item) => [item.directory, item]));
  expect(listed.get('/a')).toMatchObject({ id: ids[0], totals: { entries: 0 } });
  expect(listed.get('/b')).toMatchObject({
    totals: { bytes: 11, chars: 11, lines: 1, entries: 1 },
  });
  expect(listed.get('/c')?.damage).toContain('damaged last line');
  await expect(sessions.byId(ids[2]!)).rejects.toMatchObject({ code: 'store_corrupt' });
  const sound = await sessions.byId(ids[1]!);
  expect((await sound.store.read(0, 99)).text).toBe('text of /b\n');
});

test('nobody opens files of a session that is being removed', async () => {
  await using data = await temporaryData();
  const late: { ask?: () => Promise<unknown>; asked?: Promise<unknown> | undefined } = {};
  const files: Files = {
    ...realFiles,
    remove: async (path) => {
      // The journal is still there when the first of its files goes, and has time to be opened.
      late.asked ??= late.ask?.();
      if (late.asked !== undefined) await setImmediate();
      await realFiles.remove(path);
    },
  };
  await using sessions = await data.open({ files });
  const session = await projectSession(sessions);
  await session.store.append([{ kind: 'user_text', text: 'goes\n' }]);
  const asked: unknown[] = [];
  late.ask = async () =>
    Promise.allSettled(
      [
        async () => sessions.byId(session.id),
        async () => session.store.append([{ kind: 'user_text', text: 'too late\n' }]),
      ].map(async (each) => each().catch((error: unknown) => asked.push(error))),
    );
  await sessions.remove(session.id);
  await late.asked;
  expect(asked).toMatchObject([{ code: 'unknown_session' }, { code: 'unknown_session' }]);
  await expect(sessions.byId(session.id)).rejects.toMatchObject({ code: 'unknown_session' });
  const left = await readdir(join(data.dataDir, 'sessions'));
  expect(left.filter((name) => name.startsWith(session.id))).toEqual([]);
});

test('a removed session is gone with all its files, a damaged one too', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  await session.store.append([{ text: 'x\ud800', kind: 'user_text' }]);
  await sessions.remove(session.id);
  expect(await readdir(join(data.dataDir, 'sessions'))).toEqual([]);
  expect(await sessions.forDirectory('/project', { create: false })).toBeUndefined();
  const next = await projectSession(sessions);
  expect(next.id).not.toBe(session.id);
  expect(next.store.totals.entries).toBe(0);
});

test('a damaged directory map is made again from the sessions', async () => {
  await using data = await temporaryData();
  const mapPath = join(data.dataDir, 'mappings/directory_to_rlm.json');
  let id = '';
  {
    await using sessions = await data.open();
    ({ id } = await projectSession(sessions));
  }
  for (const spoil of [() => writeFile(mapPath, '{"/project": "se'), () => rm(mapPath)]) {
    await spoil();
    await using sessions = await data.open();
    expect((await sessions.forDirectory('/project', { create: false }))?.id).toBe(id);
  }
  expect(await readFile(`${mapPath}.damaged`, 'utf8')).toBe('{"/project": "se');
});

test('what is known of chats is there again after a restart; a file that cannot be read is put aside', async () => {
  await using data = await temporaryData();
  const path = join(data.dataDir, 'mappings/chats.jsonl');
  {
    await using sessions = await data.open();
    await sessions.chats.put([{ key: 'directory:a', value: '/project' }]);
  }
  {
    await using sessions = await data.open();
    expect(await sessions.chats.get('directory:a')).toBe('/project');
  }
  await writeFile(path, 'not ours\n');
  await using sessions = await data.open();
  expect(sessions.chats.has('directory:a')).toBe(false);
  await sessions.chats.put([{ key: 'directory:a', value: '/project' }]);
  expect(await readFile(`${path}.damaged`, 'utf8')).toBe('not ours\n');
});

test('a session whose files were deleted by hand starts anew; one that lost its journal is damaged', async () => {
  await using data = await temporaryData();
  let id = '';
  {
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    await session.store.append([{ text: 'kept', kind: 'user_text' }]);
    ({ id } = session);
  }
  const journal = await readFile(data.paths(id).journal);
  await rm(data.paths(id).journal);
  {
    await using sessions = await data.open();
    await expect(sessions.forDirectory('/project', { create: true })).rejects.toMatchObject({
      code: 'store_corrupt',
    });
  }
  await writeFile(data.paths(id).journal, journal);
  await truncate(data.paths(id).text, 2);
  {
    await using sessions = await data.open();
    await expect(sessions.byId(id)).rejects.toThrow('the text from entry e1 on is cut off');
  }
  await rm(join(data.dataDir, 'sessions'), { recursive: true });
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  await using sessions = await data.open({ log });
  expect((await projectSession(sessions)).id).not.toBe(id);
  expect(lines.join('')).toMatch(/store that this directory had is not there any more/);
  expect(lines.join('')).toContain(id);
});

test('a session that takes long to open holds up no other', async () => {
  await using data = await temporaryData();
  let slowId = '';
  {
    await using sessions = await data.open();
    slowId = (await projectSession(sessions)).id;
  }
  const gate = Promise.withResolvers<undefined>();
  const slowFiles: Files = {
    ...realFiles,
    open: async (path, options) => {
      if (path.includes(slowId)) await gate.promise;
      return realFiles.open(path, options);
    },
  };
  await using sessions = await data.open({ files: slowFiles });
  const slow = projectSession(sessions);
  const other = await sessions.forDirectory('/other', { create: true });
  expect(other?.directory).toBe('/other');
  gate.resolve(undefined);
  expect((await slow).id).toBe(slowId);
});

test('of a session that was deleted but for its index nothing is believed under the same id', async () => {
  await using data = await temporaryData();
  const { dataDir, clock } = data;
  const common = { dataDir, clock, ids: randomIds, log: silentLogger() };
  const [id, branch] = ['sess_00000000000000aa', 'sess_00000000000000bb'];
  const made: number[] = [];
  for (const texts of [['one\n', 'two\n'], ['three\n']]) {
    {
      await using sessions = await openReplicas(common);
      await sessions.createAs(id, 'made', 1);
      const { store } = await sessions.byId(id);
      for (const text of texts) await store.append([{ kind: 'user_text', text }]);
      const start = await sessions.branchStart(id, { seq: Infinity });
      await sessions.branchAs(id, start, { id: branch, key: 'branch', createdMs: 1 });
      const there = await sessions.byId(branch);
      made.push(there.store.totals.entries);
      await there.store.append([{ kind: 'user_text', text: 'more\n'.repeat(texts.length) }]);
    }
    // As a process leaves it that ends while it deletes them.
    for (const name of await readdir(join(dataDir, 'sessions')))
      if (!name.endsWith('_index')) await rm(join(dataDir, 'sessions', name), { recursive: true });
  }
  expect(made).toEqual([2, 1]);
});
