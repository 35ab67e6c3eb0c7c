import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  allTexts,
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../../test/faults/store-harness.ts';
import { realFiles, type Files } from '../disk/files.ts';
import type { Session, Sessions } from '../types.ts';

async function add(session: Session, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const toolCallId = `${session.store.totals.entries} ${text}`;
    await session.store.append([{ text, kind: 'tool_result', chatId: 'c', toolCallId }]);
  }
}

/** A base, a branch of its first three texts, and one of that; their ids. */
async function family(sessions: Sessions): Promise<readonly [string, string, string]> {
  const base = await projectSession(sessions);
  await add(base, 'one', 'two', 'three');
  const middle = await sessions.branch(base.id);
  await add(base, 'only in the base');
  await add(middle, 'four', 'five', 'one');
  const last = await sessions.branch(middle.id, { seq: 4 });
  await add(middle, 'only in the middle');
  await add(last, 'six', 'seven', 'one', 'two');
  await sessions.restore(base.id, last.id);
  return [base.id, middle.id, last.id];
}

async function textFiles(data: TemporaryData, ids: readonly string[]): Promise<readonly string[]> {
  const files = ids.flatMap((id) => [data.paths(id).text, data.paths(id).journal]);
  return Promise.all(files.map(async (path) => readFile(path, 'utf8')));
}

test('a check of a branch names the base that is damaged, and salvage copies what is sound of all', async () => {
  await using data = await temporaryData();
  let ids: readonly [string, string, string];
  {
    await using sessions = await data.open();
    ids = await family(sessions);
  }
  const [base, middle, last] = ids;
  await flipByte(data.paths(base).text, 'one\nt'.length);
  await flipByte(data.paths(last).text, 1);
  const before = await textFiles(data, [base, middle]);
  await using sessions = await data.open();
  expect(await sessions.check(last)).toEqual({
    entries: 6,
    damage: [
      `${data.paths(base).text}: entry e2, which is read from ${base}, is not what was stored`,
      `${data.paths(last).text}: entry e5 is not what was stored`,
    ],
  });
  const { session, ...found } = await sessions.salvage(last);
  // "one" came again, "two" did, too, and is lost.
  expect(found).toEqual({
    kept: 4,
    keptAliases: 1,
    lostEntries: ['e2', 'e5'],
    lostRecords: 0,
  });
  expect(await allTexts(session)).toEqual(['one', 'three', 'four', 'seven']);
  expect(session.directory).toBe('/project');
  expect(session.store.outputsOf('c', '3 four').map(({ entry }) => entry.id)).toEqual(['e3']);
  expect(session.store.outputsOf('c', '6 one').map(({ entry }) => entry.id)).toEqual(['e1']);
  expect(await sessions.check(session.id)).toEqual({ entries: 4, damage: [] });
  expect(await textFiles(data, [base, middle])).toEqual(before);
  // It goes on without any of them.
  await sessions.remove(last);
  await sessions.remove(base, 'remove');
  expect(await allTexts(session)).toEqual(['one', 'three', 'four', 'seven']);
});

test('of a branch whose base is gone, or cannot be named any more, its own texts are saved', async () => {
  for (const harm of ['files', 'line'] as const) {
    await using data = await temporaryData();
    let ids: readonly [string, string, string];
    {
      await using sessions = await data.open();
      ids = await family(sessions);
    }
    const [base, , last] = ids;
    const { journal } = data.paths(last);
    if (harm === 'files')
      for (const path of Object.values(data.paths(base)))
        await rm(path, { recursive: true, force: true });
    else await flipByte(journal, (await readFile(journal, 'utf8')).indexOf('"bases"') + 20);
    await using sessions = await data.open();
    const { damage } = await sessions.check(last);
    expect(damage).toHaveLength(1);
    expect(damage[0]).toContain(harm === 'files' ? base : 'line 2');
    const { session, lostRecords } = await sessions.salvage(last);
    expect(lostRecords).toBe(harm === 'files' ? 3 : 1);
    const own = ['six', 'seven'];
    expect(await allTexts(session)).toEqual(harm === 'files' ? ['four', ...own] : own);
  }
});

test('what was forgotten stays so in what was saved, and does not come again', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  const texts = [
    'kept',
    'a secret text',
    'went for room',
    'masked: hunter2 here',
    'may come again',
  ];
  for (const text of texts) await store.append([{ text, kind: 'tool_result' }]);
  const forget = async (seq: number, why: 'asked' | 'quota', mayComeAgain: boolean) =>
    sessions.forget(id, { whole: [seq], why, mayComeAgain });
  await forget(2, 'asked', false);
  data.clock.advance(1_000);
  await forget(3, 'quota', false);
  await forget(5, 'asked', true);
  const parts = [{ seq: 4, ranges: [[8, 15]] as const }];
  await sessions.forget(id, { whole: [], parts, why: 'secret', mayComeAgain: false });
  await flipByte(data.paths(id).text, 1);
  const before = store.entries.map(({ forgotten, masked }) => forgotten ?? masked);
  const { session: saved, lostEntries, kept } = await sessions.salvage(id);
  expect([lostEntries, kept]).toEqual([['e1'], 4]);
  expect(saved.store.entries.map(({ forgotten, masked }) => forgotten ?? masked)).toEqual(
    before.slice(1),
  );
  expect(await saved.store.readEntry(saved.store.entries[2]!)).toBe('masked: ####### here');
  expect(await sessions.check(saved.id)).toEqual({ entries: 4, damage: [] });
  for (const text of texts) await saved.store.append([{ text, kind: 'tool_result' }]);
  expect(saved.store.entries.map(({ forgotten }) => forgotten?.why)).toEqual([
    'asked',
    'quota',
    undefined,
    'asked',
    undefined,
    undefined,
  ]);
  const { text, journal } = data.paths(saved.id);
  for (const path of [text, journal]) {
    const written = await readFile(path, 'utf8');
    for (const gone of ['a secret text', 'hunter2', 'went for room'])
      expect(written).not.toContain(gone);
  }
});

/** What a session's metadata say. */
async function metadataOf(
  data: TemporaryData,
  id: string,
): Promise<{
  readonly name: string;
  readonly place?: object;
  readonly formerNames?: readonly string[];
}> {
  return JSON.parse(await readFile(data.paths(id).metadata, 'utf8')) as Awaited<
    ReturnType<typeof metadataOf>
  >;
}

test('a store that takes over a directory knows at once what the one before knew of it', async () => {
  await using data = await temporaryData();
  const directory = join(data.dataDir, 'project');
  await mkdir(directory);
  const ids: string[] = [];
  {
    await using sessions = await data.open();
    const session = (await sessions.forDirectory(join(data.dataDir, 'before'), { create: true }))!;
    await add(session, 'one');
    await sessions.move(session.id, directory, { replace: false });
    ids.push(session.id);
  }
  const known = await metadataOf(data, ids[0]!);
  expect(known.place).toBeDefined();
  await using sessions = await data.open();
  const branch = await sessions.branch(ids[0]!);
  await sessions.restore(ids[0]!, branch.id);
  expect(await metadataOf(data, branch.id)).toMatchObject(nameless(known));
  expect((await metadataOf(data, ids[0]!)).place).toBe(undefined);
  // And back again, in the same process.
  await sessions.restore(branch.id, ids[0]!);
  expect(await metadataOf(data, ids[0]!)).toMatchObject(nameless(known));
  const { session: saved } = await sessions.salvage(ids[0]!);
  expect(await metadataOf(data, saved.id)).toMatchObject(nameless(known));
  expect((await sessions.forDirectory(directory, { create: false }))?.id).toBe(saved.id);
});

function nameless({ name, place, formerNames }: Awaited<ReturnType<typeof metadataOf>>): object {
  return { name, place, formerNames };
}

test('what is forgotten in a base while a branch of it is salvaged is gone from the copy, too', async () => {
  await using data = await temporaryData();
  let ids: readonly [string, string, string];
  {
    await using sessions = await data.open();
    ids = await family(sessions);
  }
  const [base, , last] = ids;
  await flipByte(data.paths(last).text, 1);
  const asked: Promise<unknown>[] = [];
  let opened: Sessions | undefined;
  const basePath = data.paths(base).text;
  const files: Files = {
    ...realFiles,
    // The texts of the base are being copied: at once somebody wants one of them gone.
    open: async (path, options) => {
      const isCopied = path === basePath && isSalvaging && asked.length === 0;
      if (isCopied)
        asked.push(
          opened!.forget(base, { whole: [1, 3], why: 'asked', mayComeAgain: false }),
          opened!.forget(base, { whole: [4], why: 'asked', mayComeAgain: true }),
        );
      return realFiles.open(path, options);
    },
  };
  let isSalvaging = false;
  await using sessions = await data.open({ files });
  opened = sessions;
  isSalvaging = true;
  const { session } = await sessions.salvage(last);
  await Promise.all(asked);
  expect(asked).toHaveLength(2);
  const forgotten = ({ store }: Session): readonly boolean[] =>
    store.entries.map((entry) => entry.forgotten !== undefined);
  expect(forgotten(await sessions.byId(base))).toEqual([true, false, true, true]);
  expect(forgotten(session)).toEqual([true, false, true, false, false]);
  expect(await readFile(data.paths(session.id).text, 'utf8')).not.toMatch(/one|three/);
  // Nothing is left of the attempt before.
  expect(await sessions.list()).toHaveLength(4);
});
