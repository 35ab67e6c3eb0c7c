import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { faultyFiles, type Fault } from '../../test/faults/faulty-files.ts';
import { killableFiles } from '../../test/faults/killed-files.ts';
import { allTexts, projectSession, temporaryData } from '../../test/faults/store-harness.ts';
import { strideOf } from '../../test/faults/stride.ts';
import { randomIds } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { realFiles, type Files } from './disk/files.ts';
import { encodeRecord } from './format.ts';
import type { Session } from './types.ts';

/** Counts what is opened, and bytes written to texts. */
function countedFiles(): { readonly files: Files; readonly opened: string[]; textBytes: number } {
  const counted = {
    opened: [] as string[],
    textBytes: 0,
    files: {
      ...realFiles,
      open: async (path: string, options: { readonly create: boolean }) => {
        counted.opened.push(path);
        const file = await realFiles.open(path, options);
        const write = async (bytes: Uint8Array, at: number): Promise<number> => {
          if (path.endsWith('_context.txt')) counted.textBytes += bytes.length;
          return file.write(bytes, at);
        };
        return { ...file, write };
      },
    },
  };
  return counted;
}

async function appendText(session: Session, text: string): Promise<void> {
  await session.store.append([{ text, kind: 'tool_result' }]);
}

test('a branch copies no text, and goes on beside its base', async () => {
  await using data = await temporaryData();
  const counted = countedFiles();
  await using sessions = await data.open({ files: counted.files });
  const base = await projectSession(sessions);
  await appendText(base, 'line of the base\n'.repeat(50_000));
  await appendText(base, 'later');
  counted.textBytes = 0;
  const branch = await sessions.branch(base.id, { seq: 1 });
  expect(counted.textBytes).toBe(0);
  await appendText(branch, 'on the branch');
  await appendText(base, 'on the base');
  expect((await allTexts(branch)).slice(1)).toEqual(['on the branch']);
  expect((await allTexts(base)).slice(1)).toEqual(['later', 'on the base']);
  // What the base held is known, and stored once.
  const [again] = await branch.store.append([
    { text: 'line of the base\n'.repeat(50_000), kind: 'tool_result' },
  ]);
  expect(again?.id).toBe('e1');
  expect((await stat(data.paths(branch.id).text)).size).toBe('on the branch\n'.length);
});

test('a branch of a branch of ten reads from eight files of others at most', async () => {
  await using data = await temporaryData();
  const counted = countedFiles();
  const texts: string[] = [];
  let id = '';
  {
    await using sessions = await data.open({ files: counted.files });
    let session = await projectSession(sessions);
    for (let depth = 0; depth < 11; depth += 1) {
      texts.push(`text of depth ${depth}`);
      await appendText(session, texts.at(-1)!);
      session = await sessions.branch(session.id);
    }
    id = session.id;
    expect(await allTexts(session)).toEqual(texts);
  }
  await using sessions = await data.open({ files: counted.files });
  counted.opened.length = 0;
  const { store } = await sessions.byId(id);
  expect(new Set(counted.opened.filter((path) => path.endsWith('_context.txt'))).size).toBe(9);
  expect((await store.snapshot()).spans.length).toBe(9);
  expect((await store.read(0, 1_000)).text).toBe(texts.map((text) => `${text}\n`).join(''));
  expect(await sessions.check(id)).toEqual({ entries: 11, damage: [] });
});

const faults: readonly Fault[] = [
  { kind: 'error', code: 'ENOSPC' },
  { kind: 'error', code: 'EIO' },
];

test.each(faults)(
  'where any call fails ($code) there is no branch, and the base is as it was',
  async (fault) => {
    const failures: unknown[] = [];
    const { first, step } = strideOf(faults.length, faults.indexOf(fault));
    let isReached = true;
    for (let at = first; isReached; at += step) {
      await using data = await temporaryData();
      let left = Infinity;
      const { files } = faultyFiles(() => {
        left -= 1;
        return left === 0 ? fault : { kind: 'none' };
      });
      const made: string[] = [];
      {
        await using sessions = await data.open({ files });
        const base = await projectSession(sessions);
        await appendText(base, 'text of the base\n'.repeat(5_000));
        left = at + 1;
        const [outcome] = await Promise.allSettled([sessions.branch(base.id)]);
        isReached = left <= 0;
        left = Infinity;
        if (outcome.status === 'fulfilled') made.push(outcome.value.id);
        else failures.push(outcome.reason);
        await appendText(base, 'goes on');
        expect(await allTexts(base)).toEqual(['text of the base\n'.repeat(5_000), 'goes on']);
      }
      await using sessions = await data.open();
      const listed = (await sessions.list()).filter(({ directory }) => directory === undefined);
      expect(listed.map(({ id, totals }) => [id, totals.entries])).toEqual(
        made.map((id) => [id, 1]),
      );
    }
    expect(failures.length).toBeGreaterThan(5 / step);
    expect(failures.every((failure) => failure instanceof ProxyError)).toBe(true);
  },
);

test('a store of a newer version is refused as it is, others are not', async () => {
  await using data = await temporaryData();
  let id = '';
  {
    await using sessions = await data.open();
    ({ id } = await projectSession(sessions));
  }
  const { journal } = data.paths(id);
  const header = JSON.parse(await readFile(journal, 'utf8')) as { version: number; crc?: string };
  delete header.crc;
  const newer = encodeRecord({ ...header, version: 3 });
  await writeFile(journal, newer);
  await using sessions = await data.open();
  await expect(projectSession(sessions)).rejects.toMatchObject({
    code: 'store_newer',
    message: expect.stringContaining('written by a newer version'),
  });
  expect(await readFile(journal, 'utf8')).toBe(newer);
  expect((await sessions.check(id)).damage).toEqual([expect.stringContaining('newer version')]);
  expect(await sessions.forDirectory('/other', { create: true })).toBeDefined();
});

test('what chats remembered at the moment goes along, what came later does not', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await base.memory.put([{ key: 'chat', value: 'then' }]);
  await appendText(base, 'first');
  data.clock.advance(1_000);
  await base.memory.put([
    { key: 'chat', value: 'later' },
    { key: 'other', value: 1 },
  ]);
  await appendText(base, 'second');
  const branch = await sessions.branch(base.id, { seq: 1 });
  expect(await branch.memory.get('chat')).toBe('then');
  expect(branch.memory.has('other')).toBe(false);
  expect(await base.memory.get('chat')).toBe('later');
});

test('the bytes of an original are read through a branch, with and without its base', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await appendText(base, 'lone \ud800');
  const branch = await sessions.branch(base.id);
  const original = async (): Promise<string> => {
    const pieces = [];
    for await (const piece of branch.store.readOriginal(branch.store.entries[0]!))
      pieces.push(piece);
    return Buffer.concat(pieces).toString('utf16le');
  };
  expect(await original()).toBe('lone \ud800');
  await sessions.remove(base.id, 'detach');
  expect(await original()).toBe('lone \ud800');
  const ids = (await sessions.list()).map(({ id }) => id);
  expect(ids).toContain(branch.id);
  // The copy that was made for it goes with it.
  await sessions.remove(branch.id);
  expect(await sessions.list()).toEqual([]);
});

test('of now all goes along that chats remembered; of a snapshot what they did when it was taken', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await appendText(base, 'text');
  data.clock.advance(1_000);
  await base.memory.put([{ key: 'chat', value: 'behind the text' }]);
  const taken = await sessions.nameMoment(base.id, 'here');
  data.clock.advance(1_000);
  await base.memory.put([{ key: 'chat', value: 'now' }]);
  const { ranges, timeMs: takenMs } = taken;
  const then = await sessions.branch(base.id, { ranges, takenMs });
  expect(await then.memory.get('chat')).toBe('behind the text');
  expect(await (await sessions.branch(base.id)).memory.get('chat')).toBe('now');
});

test('a snapshot goes along to the branches that hold it, and means the same without their base', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await appendText(base, 'one');
  const one = await sessions.nameMoment(base.id, 'one');
  await expect(sessions.nameMoment(base.id, 'one')).rejects.toMatchObject({
    code: 'invalid_request',
  });
  await appendText(base, 'two');
  await sessions.nameMoment(base.id, 'two');
  const branch = await sessions.branch(base.id, { seq: 1 }, 'try');
  expect(branch.events.all.map((event) => 'name' in event && event.name)).toEqual(['one', 'try']);
  await appendText(branch, 'on the branch');
  const later = await sessions.nameMoment(branch.id, 'later');
  await appendText(branch, 'last');
  await sessions.remove(base.id, 'detach');
  const textsAt = async ({ ranges }: typeof one): Promise<readonly string[]> => {
    const store = await branch.store.at({ ranges });
    return allTexts({ ...branch, store });
  };
  expect(await textsAt(one)).toEqual(['one']);
  expect(await textsAt(later)).toEqual(['one', 'on the branch']);
});

test('who holds a session while another is restored goes on with it, and it stays the only one', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await appendText(base, 'one');
  const branch = await sessions.branch(base.id);
  await sessions.restore(base.id, branch.id);
  expect([base.directory, branch.directory]).toEqual([undefined, '/project']);
  expect((await projectSession(sessions)).id).toBe(branch.id);
  const listed = await sessions.list();
  expect(listed.find(({ id }) => id === base.id)?.earlierDirectory).toBe('/project');
  // A turn that began before stores what it has.
  await appendText(base, 'two');
  const again = await sessions.byId(base.id);
  await appendText(again, 'three');
  await appendText(base, 'four');
  expect(await allTexts(again)).toEqual(['one', 'two', 'three', 'four']);
  await sessions.restore(branch.id, base.id);
  expect(base.directory).toBe('/project');
  expect((await sessions.list()).find(({ id }) => id === base.id)).not.toHaveProperty(
    'earlierDirectory',
  );
});

test('a branch that is written to while it gets copies of its texts loses none', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await projectSession(sessions);
  await appendText(base, 'text of the base\n'.repeat(20_000));
  const branch = await sessions.branch(base.id);
  const removed = sessions.remove(base.id, 'detach');
  const texts = Array.from({ length: 40 }, (_, at) => `text ${at}`);
  for (const text of texts) await appendText(branch, text);
  await removed;
  await appendText(branch, 'last');
  expect((await allTexts(branch)).slice(1)).toEqual([...texts, 'last']);
  expect(await sessions.check(branch.id)).toEqual({ entries: 42, damage: [] });
});

test('of a branch that is killed while it is made nothing is there after the next opening, or all of it', async () => {
  await using master = await temporaryData();
  let id: string;
  {
    await using sessions = await master.open();
    const session = await projectSession(sessions);
    id = session.id;
    await appendText(session, 'one');
    await session.events.add({ type: 'pin', timeMs: 1, whole: [1] });
    // The ninth reads a copy of the oldest ones.
    for (let depth = 0; depth < 8; depth += 1) {
      const branch = await sessions.branch(id);
      await appendText(branch, `text ${depth}`);
      id = branch.id;
    }
  }
  let isWhole = false;
  const { first, step } = strideOf(2);
  for (let calls = first; !isWhole; calls += step) {
    await using data = await temporaryData();
    await cp(master.dataDir, data.dataDir, { recursive: true });
    const disk = killableFiles();
    {
      const sessions = await data.open({ files: disk.files, ids: randomIds });
      await sessions.byId(id);
      disk.killIn(calls);
      const made = await sessions.branch(id).catch(() => undefined);
      isWhole = made !== undefined && !disk.isDead;
      await sessions[Symbol.asyncDispose]().catch(() => undefined);
    }
    disk.revive();
    // The owner of it is this process, which lives.
    await rm(join(data.dataDir, 'owner.json'), { force: true });
    await using sessions = await data.open();
    const left = await sessions.list();
    const branches = left.filter((each) => each.copyOf === undefined);
    expect(branches.length === 9 || branches.length === 10).toBe(true);
    expect(isWhole && branches.length === 9).toBe(false);
    expect(left.length - branches.length).toBe(branches.length - 9);
    for (const { id: found, bases } of branches) {
      if (bases?.length !== 8) continue;
      const texts = await allTexts(await sessions.byId(found));
      expect(texts.slice(0, 8)).toEqual([
        'one',
        ...Array.from({ length: 7 }, (_, n) => `text ${n}`),
      ]);
      // What it has inherited came before its name.
      expect((await sessions.byId(found)).events.all).toHaveLength(1);
    }
    const names = await readdir(join(data.dataDir, 'sessions'));
    const ids = new Set(names.map((name) => name.slice(0, 'sess_0000000000000000'.length)));
    expect(ids.size).toBe(left.length);
  }
}, 120_000);
