import { appendFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { faultyFiles, type Fault } from '../../../test/faults/faulty-files.ts';
import { flipByte, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import { ProxyError } from '../../errors.ts';
import { encodeHeader, encodeRecord } from '../format.ts';
import type { Sessions, StoreEvent } from '../types.ts';

const id = 'sess_0000000000000002';
const other = 'sess_00000000000000aa';

function linkNumber(number: number): StoreEvent {
  return { type: 'link', timeMs: number, sessionId: other, as: `other-${number}` };
}

async function addAll(sessions: Sessions, events: readonly StoreEvent[]): Promise<void> {
  const session = await projectSession(sessions);
  await Promise.all(events.map(async (event) => session.events.add(event)));
}

test('events are there in order, also after reopening; without any there is no file', async () => {
  await using data = await temporaryData();
  const events: StoreEvent[] = Array.from({ length: 20 }, (_, n) => linkNumber(n));
  events.push({ type: 'unlink', timeMs: 21, as: 'other-3' });
  {
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    await session.store.append([{ text: 'a', kind: 'user_text' }]);
    expect(session.events.all).toEqual([]);
  }
  await expect(stat(data.paths(id).events)).rejects.toMatchObject({ code: 'ENOENT' });
  {
    await using sessions = await data.open();
    await addAll(sessions, events);
    expect((await projectSession(sessions)).events.all).toEqual(events);
  }
  await using sessions = await data.open();
  expect((await projectSession(sessions)).events.all).toEqual(events);
  await sessions.remove(id);
  await expect(stat(data.paths(id).events)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('an event is one write and one sync, and the file is closed again', async () => {
  await using data = await temporaryData();
  const { files, calls } = faultyFiles(() => ({ kind: 'none' }));
  let open = 0;
  const counted: typeof files = {
    ...files,
    open: async (path, options) => {
      const file = await files.open(path, options);
      open += 1;
      return {
        ...file,
        close: async () => {
          open -= 1;
          await file.close();
        },
      };
    },
  };
  await using sessions = await data.open({ files: counted });
  await addAll(sessions, [linkNumber(1)]);
  const openBefore = open;
  calls.length = 0;
  await addAll(sessions, [linkNumber(2)]);
  expect(calls.map(({ name }) => name)).toEqual(['write', 'datasync']);
  expect(open).toBe(openBefore);
});

const faults: readonly Fault[] = [
  { kind: 'error', code: 'ENOSPC' },
  { kind: 'short-write', code: 'ENOSPC' },
];

test.each(faults)('where any call fails ($kind) events are as before, and go on', async (fault) => {
  const failures: unknown[] = [];
  for (let at = 0; at < 14; at += 1) {
    await using data = await temporaryData();
    let count = 0;
    const { files } = faultyFiles(({ path }) => {
      if (!path.endsWith('_events.jsonl')) return { kind: 'none' };
      count += 1;
      return count === at + 1 ? fault : { kind: 'none' };
    });
    const accepted: StoreEvent[] = [];
    {
      await using sessions = await data.open({ files });
      const { events } = await projectSession(sessions);
      for (let number = 1; number <= 4; number += 1) {
        try {
          await events.add(linkNumber(number));
          accepted.push(linkNumber(number));
        } catch (error) {
          failures.push(error instanceof ProxyError ? error.code : error);
        }
        expect(events.all).toEqual(accepted);
      }
    }
    await using sessions = await data.open();
    expect((await projectSession(sessions)).events.all).toEqual(accepted);
  }
  expect(failures.length).toBeGreaterThan(3);
  expect(new Set(failures)).toEqual(new Set(['store_full']));
});

test('any beginning of the file opens as a beginning of the events, and is cut to it', async () => {
  await using data = await temporaryData();
  const all = [linkNumber(1), linkNumber(2), linkNumber(3)];
  {
    await using sessions = await data.open();
    await addAll(sessions, all);
  }
  const { events: path } = data.paths(id);
  const bytes = await readFile(path);
  const ends = [...bytes.keys()].filter((at) => bytes[at] === 10).map((at) => at + 1);
  for (let size = 0; size <= bytes.length; size += 13) {
    for (const tail of ['', '\0'.repeat(5)]) {
      await writeFile(path, Buffer.concat([bytes.subarray(0, size), Buffer.from(tail)]));
      await using sessions = await data.open();
      const { events } = await projectSession(sessions);
      const whole = Math.max(0, ends.filter((end) => end <= size).length - 1);
      expect(events.all).toEqual(all.slice(0, whole));
      await events.add(linkNumber(9));
      await sessions[Symbol.asyncDispose]();
      await using again = await data.open();
      const { events: reread } = await projectSession(again);
      expect(reread.all).toEqual([...all.slice(0, whole), linkNumber(9)]);
    }
  }
});

test('a changed byte anywhere is damage, named, and nothing is changed', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    await addAll(sessions, [linkNumber(1), linkNumber(2)]);
  }
  const { events: path } = data.paths(id);
  const bytes = await readFile(path);
  for (let at = 0; at < bytes.length; at += 7) {
    await writeFile(path, bytes);
    await flipByte(path, at, 0x20);
    const changed = await readFile(path);
    await using sessions = await data.open();
    const opening = projectSession(sessions);
    await expect(opening, `byte ${at}`).rejects.toMatchObject({ code: 'store_corrupt' });
    await expect(opening).rejects.toThrow(path);
    expect(await readFile(path)).toEqual(changed);
  }
});

test('what a newer program has written is refused as that, and left alone', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    await addAll(sessions, [linkNumber(1)]);
  }
  const { events: path } = data.paths(id);
  const bytes = await readFile(path);
  const newer = encodeHeader('rlm-opencode-events', id, 1).replace('"version":1', '"version":7');
  const open = newer.slice(0, newer.indexOf(',"crc"'));
  const header = encodeRecord(JSON.parse(`${open}}`) as object);
  for (const [text, what] of [
    [header, 'it has format 7'],
    [`${bytes.toString()}${encodeRecord({ type: 'dream', timeMs: 1 })}`, 'of the type "dream"'],
  ] as const) {
    await writeFile(path, text);
    await using sessions = await data.open();
    const opening = projectSession(sessions);
    await expect(opening).rejects.toThrow(/written by a newer version of rlm-opencode/);
    await expect(opening).rejects.toThrow(what);
    expect(await readFile(path, 'utf8')).toBe(text);
  }
});

test('of a store that was deleted no event is left behind', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { events, store } = await projectSession(sessions);
  const paths = data.paths(id);
  for (const path of [paths.journal, store.textPath, paths.metadata, paths.chats]) await rm(path);
  await expect(events.add(linkNumber(1))).rejects.toMatchObject({ code: 'store_corrupt' });
  await expect(stat(paths.events)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a salvaged session keeps those of its links that can be read', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    await addAll(sessions, [linkNumber(1), linkNumber(2), linkNumber(3)]);
    const { store } = await projectSession(sessions);
    await store.append([{ text: 'a', kind: 'user_text' }]);
  }
  const { events: path } = data.paths(id);
  await flipByte(path, (await readFile(path)).indexOf('other-2'));
  await appendFile(path, '{"torn');
  await using sessions = await data.open();
  const { session } = await sessions.salvage(id);
  expect(session.events.all).toEqual([linkNumber(1), linkNumber(3)]);
});
