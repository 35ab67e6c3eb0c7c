import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultyFiles, type Fault } from '../../../test/faults/faulty-files.ts';
import {
  allTexts,
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../../test/faults/store-harness.ts';
import { strideOf } from '../../../test/faults/stride.ts';
import {
  archiveOf,
  exported,
  imported,
  inPieces,
  membersIn,
  type Member,
} from '../../../test/support/archives.ts';
import { ProxyError } from '../../errors.ts';
import { realFiles } from '../disk/files.ts';
import type { Session, Sessions } from '../types.ts';

async function append(session: Session, ...texts: readonly string[]): Promise<void> {
  await session.store.append(texts.map((text) => ({ text, kind: 'tool_result' as const })));
}

/** Everything in a data directory but what every opening writes. */
async function filesIn({ dataDir }: TemporaryData): Promise<readonly string[]> {
  const names = await readdir(dataDir, { recursive: true });
  return names.filter((name) => !/^(?:owner|mappings)|_index|^importing$/.test(name)).toSorted();
}

/** An archive of `/project` with texts, a lone surrogate and what a chat remembered. */
async function projectArchive(): Promise<Buffer> {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  await append(session, 'first\n', 'lone \ud800', '', 'line\n'.repeat(20_000));
  await session.memory.put([{ key: 'chat', value: 'known' }]);
  await session.events.add({ type: 'link', timeMs: 1, sessionId: session.id, as: 'self' });
  return await exported(sessions, session.id);
}

test('a store goes to another data directory with texts, chats, originals and its directory', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const session = await projectSession(sessions);
  await session.store.append([
    { text: 'first\n', kind: 'tool_result', tool: 'bash', chatId: 'c', toolCallId: 't1' },
    { text: 'lone \ud800', kind: 'tool_result' },
    { text: '', kind: 'message' },
  ]);
  await session.store.append([
    { text: 'first\n', kind: 'tool_result', chatId: 'c', toolCallId: 't2' },
  ]);
  await session.memory.put([{ key: 'chat', value: { known: [1, 2] } }]);
  await sessions.chats.put([
    { key: 'directory:c', value: '/project' },
    { key: 'answer', value: { chat: 'c', at: '/project' } },
    { key: 'other', value: '/elsewhere' },
  ]);
  await using others = await to.open();
  const archive = await exported(sessions, session.id);
  const report = await imported(others, archive, { map: [{ from: '/project', to: '/moved' }] });
  expect(report.sessions).toEqual([
    { session: session.id, from: session.id, role: 'store', entries: 3, directory: '/moved' },
  ]);
  const copy = (await others.forDirectory('/moved', { create: false }))!;
  expect(await allTexts(copy)).toEqual(await allTexts(session));
  expect(copy.store.entries).toEqual(session.store.entries);
  expect(copy.store.outputsOf('c', 't2')).toEqual(session.store.outputsOf('c', 't2'));
  expect(await copy.memory.get('chat')).toEqual({ known: [1, 2] });
  expect(await others.chats.get('directory:c')).toBe('/moved');
  expect(await others.chats.get('answer')).toEqual({ chat: 'c', at: '/moved' });
  expect(others.chats.has('other')).toBe(false);
  expect(await Array.fromAsync(copy.store.readOriginal(copy.store.entries[1]!))).toEqual(
    await Array.fromAsync(session.store.readOriginal(session.store.entries[1]!)),
  );
  expect(await readdir(join(to.dataDir, 'importing'))).toEqual([]);
});

test('a branch takes along what it reads from its base, and nothing that came later there', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const base = await projectSession(sessions);
  await append(base, 'shared', 'lone \ud800');
  const branches = [await sessions.branch(base.id), await sessions.branch(base.id, { seq: 1 })];
  await append(base, 'later, and secret');
  await base.memory.put([{ key: 'chat', value: 'secret' }]);
  for (const [at, branch] of branches.entries()) await append(branch, `of branch ${at}`);
  const archive = await exported(sessions, ...branches.map(({ id }) => id));
  const members = await membersIn(archive);
  expect(members.filter(({ bytes }) => bytes.includes('secret'))).toEqual([]);
  // Shared by both, once.
  expect(members.filter(({ bytes }) => bytes.includes('shared')).map(({ name }) => name)).toEqual([
    `sessions/${base.id}/context.txt`,
  ]);

  await using others = await to.open();
  await projectSession(others);
  const report = await imported(others, archive);
  const stores = report.sessions.filter(({ role }) => role === 'store');
  const texts = [
    ['shared', 'lone \ufffd', 'of branch 0'],
    ['shared', 'of branch 1'],
  ];
  for (const [at, { session }] of stores.entries()) {
    expect(await allTexts(await others.byId(session))).toEqual(texts[at]);
    expect(await others.check(session)).toMatchObject({ damage: [] });
  }
  // The base goes with the last branch that reads it.
  const copy = report.sessions.find(({ role }) => role === 'base')!;
  expect(copy).toMatchObject({ from: base.id, entries: 2 });
  expect(copy.session).not.toBe(base.id);
  await others.remove(stores[0]!.session);
  expect(await allTexts(await others.byId(stores[1]!.session))).toEqual(texts[1]);
  await others.remove(stores[1]!.session);
  expect((await others.list()).map(({ directory }) => directory)).toEqual(['/project']);
});

test('a branch far from its oldest base, and a base that is asked for itself, travel whole', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  let session = await projectSession(sessions);
  const ids = [session.id];
  for (let depth = 0; depth < 11; depth += 1) {
    await append(session, `text of depth ${depth}`);
    session = await sessions.branch(session.id);
    ids.push(session.id);
  }
  const deepest = ids.at(-1)!;
  await using others = await to.open();
  await imported(others, await exported(sessions, deepest, ids[10]!));
  for (const id of [deepest, ids[10]!]) {
    expect(await allTexts(await others.byId(id))).toEqual(await allTexts(await sessions.byId(id)));
  }
  for (const { id } of await others.list()) {
    expect((await others.check(id)).damage).toEqual([]);
  }
});

test('what was forgotten stays forgotten, and its bytes are in no archive', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const session = await projectSession(sessions);
  await append(session, 'kept', 'secret \ud800 word', 'kept too', 'a secret part');
  await sessions.forget(session.id, {
    whole: [2],
    parts: [{ seq: 4, ranges: [[2, 8]] }],
    why: 'asked',
    mayComeAgain: false,
  });
  const archive = await exported(sessions, session.id);
  const members = await membersIn(archive);
  expect(members.filter(({ bytes }) => bytes.includes('secret'))).toEqual([]);
  await using others = await to.open();
  await imported(others, archive);
  const copy = await projectSession(others);
  expect(copy.store.entries).toEqual(session.store.entries);
  expect(copy.store.entries[1]).toMatchObject({ forgotten: { why: 'asked' } });
  for (const seq of [1, 3, 4]) {
    const [there, here] = [session, copy].map(({ store }) =>
      store.readEntry(store.entries[seq - 1]!),
    );
    expect(await here).toBe(await there);
  }
});

test('texts that come, or are forgotten, while a store is exported', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const session = await projectSession(sessions);
  await append(session, 'then', 'x'.repeat(100_000));
  const pieces: Uint8Array[] = [];
  let added = 0;
  for await (const { bytes, doing } of sessions.export([session.id])) {
    if (bytes !== undefined) pieces.push(bytes);
    if (doing === 'pack') await append(session, `now ${(added += 1)}`);
    if (doing === 'pack') await session.memory.put([{ key: 'now', value: 1 }]);
  }
  expect(added).toBeGreaterThan(0);
  await using others = await to.open();
  await imported(others, Buffer.concat(pieces));
  const copy = await projectSession(others);
  expect(await allTexts(copy)).toEqual(['then', 'x'.repeat(100_000)]);
  expect(session.store.totals.entries).toBe(2 + added);

  const work = sessions.export([session.id]);
  const read = async (): Promise<void> => {
    for await (const { doing } of work) {
      if (doing === 'pack' && session.store.entries[0]?.forgotten === undefined) {
        await sessions.forget(session.id, { whole: [1], why: 'asked', mayComeAgain: true });
      }
    }
  };
  // Nothing of it can be used: the journal that was measured is not the one of now.
  await append(session, ...Array.from({ length: 40 }, (_, i) => `${i} ${noise(200_000)}`));
  await expect(read()).rejects.toMatchObject({ code: 'too_busy' });
});

/** Text that zstd cannot make much smaller. */
function noise(chars: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(65_536)))
    .toString('hex')
    .repeat(Math.ceil(chars / 131_072));
}

test('a damaged store is named and not exported', async () => {
  await using data = await temporaryData();
  let id = '';
  {
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    await append(session, 'text of the store');
    ({ id } = session);
  }
  await flipByte(data.paths(id).text, 3);
  await using sessions = await data.open();
  await expect(exported(sessions, id)).rejects.toMatchObject({
    code: 'store_corrupt',
    message: expect.stringContaining('entry e1'),
    parts: { hint: expect.stringContaining(`sessions salvage ${id}`) },
  });
});

test('two imports of one archive at once: one gets the directory, the other is refused', async () => {
  const archive = await projectArchive();
  await using to = await temporaryData();
  await using sessions = await to.open();
  const outcomes = await Promise.allSettled([
    imported(sessions, archive),
    imported(sessions, archive),
    imported(sessions, archive, { as: '/other' }),
  ]);
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
  ]);
  const listed = await sessions.list();
  expect(directoriesOf(listed)).toEqual(['/other', '/project']);
  for (const { id } of listed) expect(await sessions.check(id)).toEqual({ entries: 4, damage: [] });
});

/** Changes that leave the sums right: whoever makes an archive by hand can make those, too. */
const changes: Readonly<Record<string, (members: readonly Member[]) => readonly Member[]>> = {
  'a member is missing': (members) => members.filter(({ name }) => !name.endsWith('/chats.jsonl')),
  'a member stands twice': (members) => [...members.slice(0, 3), ...members.slice(2)],
  'members in another order': ([first, second, third, ...rest]) => [
    first!,
    third!,
    second!,
    ...rest,
  ],
  'the manifest is last': ([first, ...rest]) => [...rest, first!],
  'a member more': (members) => [...members, { name: 'more', bytes: Buffer.from('x') }],
  'a member above the folder': (members) => renamed(members, '../../evil'),
  'an absolute member': (members) => renamed(members, '/tmp/evil'),
  'an id that is a path': (members) =>
    manifestChanged(members, (text) => text.replace(/sess_[0-9a-f]+/, '../../../evil')),
  'an original that is a path': (members) =>
    manifestChanged(members, (text) => text.replace(/"[0-9a-f]{64}"/, '"../../evil"')),
  'a size that is not the member’s': (members) =>
    manifestChanged(members, (text) => text.replace(/"text": \d+/, '"text": 5')),
  'a size that is none': (members) =>
    manifestChanged(members, (text) => text.replace(/"text": \d+/, '"text": -1')),
  'another count of entries': (members) =>
    manifestChanged(members, (text) => text.replace(/"entries": \d+/, '"entries": 3')),
  'no store': (members) =>
    manifestChanged(
      members,
      () => '{"format":"rlm-opencode-archive","version":1,"createdMs":1,"sessions":[]}',
    ),
  'another format': (members) => manifestChanged(members, (text) => text.replace('-archive', '-x')),
  'no JSON': (members) => manifestChanged(members, () => '{'),
};

function renamed(members: readonly Member[], name: string): readonly Member[] {
  return members.map((member, at) => (at === 1 ? { ...member, name } : member));
}

function manifestChanged(
  [manifest, ...rest]: readonly Member[],
  change: (text: string) => string,
): readonly Member[] {
  return [{ ...manifest!, bytes: Buffer.from(change(manifest!.bytes.toString())) }, ...rest];
}

test.each(Object.entries(changes))('an archive with %s is refused whole', async (_, change) => {
  const made = await archiveOf(change(await membersIn(await projectArchive())));
  await using to = await temporaryData();
  await using sessions = await to.open();
  await append(await sessions.forDirectory('/mine', { create: true }).then((own) => own!), 'mine');
  const before = await filesIn(to);
  await expect(imported(sessions, made)).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringMatching(/^This archive is damaged, or is none: .*Nothing was imported/),
  });
  expect(await filesIn(to)).toEqual(before);
});

test('a wrong byte in any part of any member is refused by the store’s own check', async () => {
  const members = await membersIn(await projectArchive());
  await using to = await temporaryData();
  await using sessions = await to.open();
  const before = await filesIn(to);
  let tried = 0;
  for (const [which, { name, bytes }] of members.entries()) {
    // What chats remember may be forgotten, line by line; the sums are made anew here.
    if (/^manifest|SUMS$|chats.jsonl$/.test(name)) continue;
    for (const at of new Set([0, bytes.length >> 2, bytes.length >> 1, bytes.length - 1])) {
      const wrong = Buffer.from(bytes);
      wrong[at]! ^= 1;
      const changed = members.map((member, i) => (i === which ? { name, bytes: wrong } : member));
      await expect(imported(sessions, await archiveOf(changed)), `${name} ${at}`).rejects.toThrow(
        /damaged/,
      );
      tried += 1;
    }
  }
  expect(tried).toBeGreaterThan(12);
  expect(await filesIn(to)).toEqual(before);
});

test('an archive of a newer version is refused politely', async () => {
  const members = await membersIn(await projectArchive());
  const newer = manifestChanged(members, (text) => text.replace('"version": 1', '"version": 3'));
  await using to = await temporaryData();
  await using sessions = await to.open();
  await expect(imported(sessions, await archiveOf(newer))).rejects.toMatchObject({
    code: 'store_newer',
    message: expect.stringContaining('it has format 3, this program reads formats up to 2'),
  });
});

test('what would not fit is refused before a byte is written', async () => {
  const archive = await projectArchive();
  await using to = await temporaryData();
  const opened: string[] = [];
  const files = {
    ...realFiles,
    freeBytes: async () => 100_000,
    open: async (path: string, options: { readonly create: boolean }) => {
      opened.push(path);
      return realFiles.open(path, options);
    },
  };
  await using sessions = await to.open({ files });
  opened.length = 0;
  await expect(imported(sessions, archive)).rejects.toMatchObject({ code: 'store_full' });
  expect(opened).toEqual([]);
});

test('directories: only one store fits --as, and two may not come to one', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const ids: string[] = [];
  for (const directory of ['/a/x', '/a/y']) {
    const session = (await sessions.forDirectory(directory, { create: true }))!;
    await append(session, directory);
    ids.push(session.id);
  }
  const archive = await exported(sessions, ...ids);
  await using others = await to.open();
  await expect(imported(others, archive, { as: '/one' })).rejects.toThrow('/a/x, /a/y');
  const map = [
    { from: '/a', to: '/b' },
    { from: '/a/x', to: '/b/y' },
  ];
  await expect(imported(others, archive, { map })).rejects.toThrow('would have /b/y');
  await imported(others, archive, { map: [{ from: '/a/', to: '/' }] });
  expect(directoriesOf(await others.list())).toEqual(['/x', '/y']);
});

function directoriesOf(listed: Awaited<ReturnType<Sessions['list']>>): readonly string[] {
  return listed.map(({ directory = '' }) => directory).toSorted((a, b) => (a < b ? -1 : 1));
}

/** What imports have left behind. */
async function leftIn({ dataDir }: TemporaryData): Promise<readonly string[]> {
  return readdir(join(dataDir, 'importing')).catch(() => []);
}

/** Whether the import is there, whole; what was there before is in any case. */
async function wholeOrNothing(sessions: Sessions): Promise<boolean> {
  const listed = await sessions.list();
  const mine = await sessions.forDirectory('/mine', { create: false });
  expect(await allTexts(mine!)).toEqual(['mine']);
  const session = await sessions.forDirectory('/project', { create: false });
  expect(listed).toHaveLength(session === undefined ? 1 : 2);
  if (session === undefined) return false;
  expect(await sessions.check(session.id)).toEqual({ entries: 4, damage: [] });
  expect(await session.memory.get('chat')).toBe('known');
  expect(session.events.all).toMatchObject([{ type: 'link', sessionId: session.id }]);
  return true;
}

const faults: readonly (readonly [string, Fault, boolean])[] = [
  ['a full disk', { kind: 'error', code: 'ENOSPC' }, false],
  ['a disk that fails once', { kind: 'error', code: 'EIO' }, false],
  ['a write that stops short', { kind: 'short-write', code: 'ENOSPC' }, false],
  ['a disk that is gone from there on, as after a kill', { kind: 'error', code: 'EIO' }, true],
];

test.each(faults)(
  '%s, at any call: all of the import is there or nothing',
  async (name, fault, stays) => {
    const archive = await projectArchive();
    const failures: unknown[] = [];
    /** What was another way than it had to be, and at which call. */
    const wrong: unknown[] = [];
    const { first, step } = strideOf(
      faults.length,
      faults.findIndex(([each]) => each === name),
    );
    let isReached = true;
    for (let at = first; isReached; at += step) {
      await using to = await temporaryData();
      let left = Infinity;
      const { files } = faultyFiles(() => {
        left -= 1;
        return left === 0 || (stays && left < 0) ? fault : { kind: 'none' };
      });
      let isThere: boolean | undefined;
      {
        await using sessions = await to.open({ files });
        await append((await sessions.forDirectory('/mine', { create: true }))!, 'mine');
        left = at + 1;
        const [outcome] = await Promise.allSettled([imported(sessions, archive)]);
        isReached = left <= 0;
        left = Infinity;
        if (outcome.status === 'rejected') failures.push(outcome.reason);
        // What is written down as done is done, at the latest at the next opening.
        if (!stays) {
          isThere = await wholeOrNothing(sessions);
          wrong.push(...(isThere === (outcome.status === 'fulfilled') ? [] : [at]));
          wrong.push(...(await leftIn(to)));
        }
      }
      await using sessions = await to.open();
      const isThereNow = await wholeOrNothing(sessions);
      if (isThere !== undefined && isThereNow !== isThere) wrong.push(at);
      wrong.push(...(await leftIn(to)));
      if (!isThereNow) await imported(sessions, archive);
    }
    expect(wrong).toEqual([]);
    expect(failures.length).toBeGreaterThan(10 / step);
    expect(failures.filter((failure) => !(failure instanceof ProxyError))).toEqual([]);
  },
);

test('what a killed import has left is gone at the next opening', async () => {
  await using to = await temporaryData();
  const archive = await projectArchive();
  {
    await using sessions = await to.open();
    const work = sessions.import(inPieces(archive, 100), {});
    await work.next();
    expect(await readdir(join(to.dataDir, 'importing'))).toHaveLength(1);
    // A process that is killed cleans up nothing.
    await writeFile(join(to.dataDir, 'importing', 'stray'), 'x');
  }
  await using sessions = await to.open();
  expect(await readdir(join(to.dataDir, 'importing'))).toEqual([]);
  expect(await sessions.list()).toEqual([]);
});

describe('what was forgotten', () => {
  const secret = 'a text that nobody is to see again, wherever it comes from\n';

  async function forgottenArchive(texts: readonly string[]): Promise<Buffer> {
    await using from = await temporaryData();
    await using sessions = await from.open();
    const session = await projectSession(sessions);
    await append(session, ...texts, secret);
    const whole = [texts.length + 1];
    await sessions.forget(session.id, { whole, why: 'asked', mayComeAgain: false });
    return await exported(sessions, session.id);
  }

  test('is not stored again in another data directory, nor in a third one', async () => {
    let archive = await forgottenArchive(['kept\n']);
    for (let journey = 0; journey < 2; journey += 1) {
      await using to = await temporaryData();
      await using others = await to.open();
      // A data directory in which something else was forgotten has a key of its own.
      const other = await projectSession(others);
      await append(other, 'of this machine\n');
      await others.forget(other.id, { whole: [1], why: 'asked', mayComeAgain: false });
      const report = await imported(others, archive, { as: '/elsewhere' });
      const id = report.sessions[0]!.session;
      for (const session of [await others.byId(id), other]) {
        const before = session.store.entries.length;
        const [known] = await session.store.append([
          { text: session === other ? 'of this machine\n' : secret, kind: 'tool_result' },
        ]);
        expect(known).toMatchObject({ forgotten: { why: 'asked' } });
        expect(session.store.entries).toHaveLength(before);
      }
      archive = await exported(others, id);
    }
  });

  test('travels with the keys of its hashes, and an archive without any has none', async () => {
    const names = async (archive: Buffer): Promise<readonly string[]> =>
      (await membersIn(archive)).map(({ name }) => name);
    expect(await names(await forgottenArchive([]))).toContain('forget.keys');
    const plain = await projectArchive();
    expect(await names(plain)).not.toContain('forget.keys');
    // Earlier programs read it.
    expect(JSON.parse(String((await membersIn(plain))[0]!.bytes))).toMatchObject({ version: 1 });
  });

  test('with keys that are none the archive is refused', async () => {
    const members = await membersIn(await forgottenArchive([]));
    const changed = members.map(({ name, bytes }) => ({
      name,
      bytes: name === 'forget.keys' ? Buffer.from(`x${bytes.toString().slice(1)}`) : bytes,
    }));
    await using to = await temporaryData();
    await using others = await to.open();
    await expect(imported(others, await archiveOf(changed))).rejects.toThrow(
      'forget.keys holds no keys',
    );
    expect(await filesIn(to)).toEqual(['sessions']);
  });
});
