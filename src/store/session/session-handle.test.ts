import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { temporaryData } from '../../../test/faults/store-harness.ts';
import { openFilesOf } from '../../../test/support/open-files.ts';
import { randomIds, systemClock } from '../../clock.ts';
import { silentLogger } from '../../log.ts';
import { openReplicas } from '../sessions.ts';
import { sessionsForDescriptors } from '../disk/descriptor-room.ts';
import { realFiles, type Files, type OpenFile } from '../disk/files.ts';
import type { Session, Sessions } from '../types.ts';

/**
 * The real files, those of sessions counted while they are open; `mayOpen` is asked before each.
 */
function countedFiles(mayOpen: (open: number) => boolean = () => true): {
  readonly files: Files;
  readonly open: Set<string>;
  most: number;
} {
  const open = new Set<string>();
  const counted = {
    open,
    most: 0,
    files: {
      ...realFiles,
      open: async (path: string, options: { readonly create: boolean }): Promise<OpenFile> => {
        if (!mayOpen(open.size)) throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
        if (path.includes('sess_')) open.add(path);
        const file = await realFiles.open(path, options).catch((error: unknown) => {
          open.delete(path);
          throw error;
        });
        counted.most = Math.max(counted.most, open.size);
        return {
          ...file,
          close: async () => {
            open.delete(path);
            await file.close();
          },
        };
      },
    },
  };
  return counted;
}

async function sessionOf(sessions: Sessions, index: number): Promise<Session> {
  const session = await sessions.forDirectory(`/project/${index}`, { create: true });
  if (session === undefined) throw new Error('no session');
  return session;
}

const text = (index: number, round = 0) => `text ${round} of project ${index}`;

async function store(session: Session, index: number, round = 0): Promise<void> {
  await session.store.append([{ text: text(index, round), kind: 'tool_result' }]);
  await session.memory.put([{ key: 'record:round', value: round }]);
}

test('of many sessions only a few are open; whoever holds one that was closed goes on with it', async () => {
  await using data = await temporaryData();
  const { files, open } = countedFiles();
  await using sessions = await data.open({ files, maxOpen: 4 });
  const held: Session[] = [];
  for (let i = 0; i < 20; i += 1) {
    const session = await sessionOf(sessions, i);
    await store(session, i);
    held.push(session);
    expect(open.size).toBeLessThanOrEqual(4 * 3);
  }
  for (const [i, session] of held.entries()) {
    // Known without the files, then asked of them.
    expect(session.store.totals.entries).toBe(1);
    expect(session.memory.has('record:round')).toBe(true);
    expect(await session.store.readEntry(session.store.entry('e1')!)).toBe(text(i));
    expect(await session.memory.get('record:round')).toBe(0);
    await store(session, i, 1);
    expect(open.size).toBeLessThanOrEqual(4 * 3);
  }
  for (const [i, session] of held.entries()) {
    // There is one of each, so that nobody sees less than another.
    expect(await sessions.byId(session.id)).toBe(session);
    expect(session.store.entryByHash(session.store.entries[1]!.sha256)?.id).toBe('e2');
    expect((await session.store.read(0, 100)).text).toBe(`${text(i)}\n${text(i, 1)}\n`);
  }
});

test('a session that nobody has used for a while is closed, one in use is not', async () => {
  await using data = await temporaryData();
  const { files, open } = countedFiles();
  await using sessions = await data.open({ files, idleMs: 60_000 });
  const [first, second] = [await sessionOf(sessions, 1), await sessionOf(sessions, 2)];
  await store(first, 1);
  const gate = Promise.withResolvers<void>();
  const chunks = (async function* chunks() {
    await gate.promise;
    yield Buffer.from('late');
  })();
  const storing = second.store.appendStream({ kind: 'file', chunks });
  data.clock.advance(30_000);
  await store(first, 1, 1);
  data.clock.advance(40_000);
  await untilQuiet();
  expect(open.size).toBe(6);
  data.clock.advance(60_000);
  await expect.poll(() => open.size).toBe(3);
  expect([...open].every((path) => path.includes(second.id))).toBe(true);
  gate.resolve();
  expect((await storing).id).toBe('e1');
  data.clock.advance(120_000);
  await expect.poll(() => open.size).toBe(0);
  expect(await first.store.readEntry(first.store.entries[1]!)).toBe(text(1, 1));
});

test('many at once over few descriptors: all of them are served', async () => {
  await using data = await temporaryData();
  const counted = countedFiles((open) => open < 17);
  const sessions = await data.open({ files: counted.files, clock: systemClock, maxOpen: 64 });
  const rounds = 3;
  await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      for (let round = 0; round < rounds; round += 1) {
        await store(await sessionOf(sessions, i), i, round);
        await setImmediate();
      }
    }),
  );
  expect(counted.most).toBeLessThanOrEqual(17);
  for (let i = 0; i < 40; i += 1) {
    const session = await sessionOf(sessions, i);
    const texts = session.store.entries.map(async (entry) => session.store.readEntry(entry));
    expect(await Promise.all(texts)).toEqual([text(i, 0), text(i, 1), text(i, 2)]);
    expect(await session.memory.get('record:round')).toBe(rounds - 1);
  }
  await sessions[Symbol.asyncDispose]();
  expect(counted.open.size).toBe(0);
});

test('uses that cross closing and opening see every text that was stored', async () => {
  await using data = await temporaryData();
  const { files } = countedFiles();
  await using sessions = await data.open({ files, maxOpen: 2, clock: systemClock });
  const held = await Promise.all([0, 1, 2, 3, 4].map((i) => sessionOf(sessions, i)));
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const [stored, next] = [held.map(() => 0), held.map(() => 0)];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let step = 0; step < 40; step += 1) {
        const i = random(5);
        const session = random(2) === 0 ? held[i]! : await sessions.byId(held[i]!.id);
        const before = stored[i]!;
        if (random(2) === 0) {
          await store(session, i, (next[i]! += 1));
          stored[i]! += 1;
        } else {
          await session.memory.get('record:round');
        }
        // What had been stored when the step began is seen; what others store meanwhile may be.
        if (before > 0) await session.store.readEntry(session.store.entries[0]!);
      }
    }),
  );
  for (const [i, session] of held.entries()) {
    expect(new Set(session.store.entries.map(({ sha256 }) => sha256)).size).toBe(stored[i]);
    expect(await session.store.verify()).toEqual([]);
  }
});

test('a removed session is unknown to who holds it, and its files stay gone', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await sessionOf(sessions, 1);
  await store(session, 1);
  await sessions.remove(session.id);
  await expect(store(session, 1, 1)).rejects.toMatchObject({ code: 'unknown_session' });
  await expect(sessions.byId(session.id)).rejects.toMatchObject({ code: 'unknown_session' });
  expect(openFilesOf(data.dataDir).filter((path) => path.includes(session.id))).toEqual([]);
});

test('after the end nothing is opened again', async () => {
  await using data = await temporaryData();
  const sessions = await data.open({ maxOpen: 1 });
  const [first] = [await sessionOf(sessions, 1), await sessionOf(sessions, 2)];
  await sessions[Symbol.asyncDispose]();
  await expect(store(first, 1)).rejects.toMatchObject({ code: 'shutting_down' });
  expect(openFilesOf(data.dataDir)).toEqual([]);
});

test('sessions may have an eighth of the descriptors', () => {
  const limits = (soft: string) => `Max open files            ${soft}   4096   files     \n`;
  expect(sessionsForDescriptors(limits('256'))).toBe(10);
  expect(sessionsForDescriptors(limits('8'))).toBe(1);
  expect(sessionsForDescriptors(limits('unlimited'))).toBe(Number.POSITIVE_INFINITY);
  expect(sessionsForDescriptors('')).toBe(Number.POSITIVE_INFINITY);
});

/** Lets what was started in the background come as far as it can at once. */
async function untilQuiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
}

test('who holds a session that was deleted, and made again under its id, does nothing to its files', async () => {
  await using data = await temporaryData();
  const begun = Promise.withResolvers<void>();
  const going = Promise.withResolvers<void>();
  let isHeld = false;
  const files: Files = {
    ...realFiles,
    open: async (path, options) => {
      const file = await realFiles.open(path, options);
      return {
        ...file,
        write: async (...args) => {
          // The text is there, and what says so is not yet.
          if (isHeld && path.endsWith('_entries.jsonl')) {
            begun.resolve();
            await going.promise;
          }
          return file.write(...args);
        },
      };
    },
  };
  const log = silentLogger();
  const common = { dataDir: data.dataDir, clock: data.clock, ids: randomIds, log, files };
  await using sessions = await openReplicas(common);
  const id = 'sess_00000000000000aa';
  await sessions.createAs(id, 'made', 1);
  const before = await sessions.byId(id);
  await store(before, 1);
  await sessions.remove(id);
  await sessions.createAs(id, 'made', 2);
  const now = await sessions.byId(id);
  expect(now).not.toBe(before);
  isHeld = true;
  const storing = store(now, 2);
  await begun.promise;
  isHeld = false;
  await expect(before.store.readEntry(before.store.entry('e1')!)).rejects.toMatchObject({
    code: 'unknown_session',
  });
  going.resolve();
  await storing;
  expect(await sessions.byId(id)).toBe(now);
  expect(await now.store.readEntry(now.store.entry('e1')!)).toBe(text(2));
  expect((await sessions.check(id)).damage).toEqual([]);
});
