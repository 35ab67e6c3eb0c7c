import { cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allTexts, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import { realFiles, type Files } from '../disk/files.ts';
import type { SessionStore } from '../types.ts';

const mebibyte = 1024 * 1024;
const line = 'a line of a file that is too large to be held in memory\n';

/** A text of so many MiB in pieces of one; it waits before the last until `last` is there. */
async function* large(sizeMib: number, last: Promise<void> = Promise.resolve()) {
  const piece = Buffer.from(line.repeat(Math.ceil(mebibyte / line.length))).subarray(0, mebibyte);
  for (let sent = 1; sent <= sizeMib; sent += 1) {
    if (sent === sizeMib) await last;
    yield piece;
  }
}

/** The real files; `steps` hears of every write and sync of a context file, and may hold it. */
function watched(steps: (name: 'write' | 'datasync', bytes: number) => Promise<void>): Files {
  return {
    ...realFiles,
    open: async (path, options) => {
      const file = await realFiles.open(path, options);
      if (!path.endsWith('_context.txt')) return file;
      return {
        ...file,
        write: async (bytes, position) => {
          await steps('write', bytes.length);
          return file.write(bytes, position);
        },
        datasync: async () => {
          await steps('datasync', 0);
          return file.datasync();
        },
      };
    },
  };
}

const small = (text: string) => [{ text, kind: 'tool_result' as const }];

test('while a large text comes in, other texts are committed, and nothing of it is seen', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const gate = Promise.withResolvers<void>();
  const storing = store.appendStream({ kind: 'file', chunks: large(12, gate.promise) });
  for (const text of ['one', 'two', 'three']) await store.append(small(text));
  expect(store.entries).toHaveLength(3);
  gate.resolve();
  expect((await storing).id).toBe('e4');
  expect(await store.verify()).toEqual([]);
});

test.each([10, 30])(
  'while %i MiB move to their place, an append waits for no more than a step of it',
  async (sizeMib) => {
    await using data = await temporaryData();
    const moving = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let isHeld = true;
    let writtenBytes = 0;
    const files = watched(async (name, bytes) => {
      writtenBytes += bytes;
      if (name !== 'write' || bytes < mebibyte / 2 || !isHeld) return;
      isHeld = false;
      moving.resolve();
      await released.promise;
    });
    await using sessions = await data.open({ files });
    const { store } = await projectSession(sessions);
    await store.append(small('before'));
    const storing = store.appendStream({ kind: 'file', path: '/large', chunks: large(sizeMib) });
    await moving.promise;
    const before = writtenBytes;
    // Nothing is behind it: a search sees what was there, at once.
    expect((await store.snapshot()).totals).toMatchObject({ bytes: 7, entries: 1 });
    const [entry] = await store.append(small('the small one'));
    expect(writtenBytes - before).toBeLessThan(8 * mebibyte + 100);
    expect(entry!.offsetBytes).toBe(7 + sizeMib * mebibyte + 1);
    expect(await store.readEntry(entry!)).toBe('the small one');
    expect((await store.read(entry!.offsetChars, 9)).text).toBe('the small');
    expect((await store.readLines(1, 1)).text).toBe('before\n');
    // What it holds itself is read when it is there.
    const reading = store.readEntry(store.entries[1]!);
    const searched = store.snapshot();
    released.resolve();
    expect((await reading).length).toBe(sizeMib * mebibyte);
    expect((await searched).totals).toEqual(store.totals);
    await storing;
    expect(await readdir(data.paths(store.sessionId).incomingDir)).toEqual([]);
    expect(await store.verify()).toEqual([]);
    await expectSameTable(store, async () => {
      await sessions[Symbol.asyncDispose]();
      await rm(store.indexDir, { recursive: true });
      return projectSession(await data.open());
    });
  },
);

/** The table that was made piece by piece is the one that is made of the whole text. */
async function expectSameTable(
  store: SessionStore,
  reopen: () => Promise<{ readonly store: SessionStore }>,
): Promise<void> {
  const tableOf = ({
    count,
    byteStart,
    charStart,
    lineStart,
  }: Awaited<ReturnType<SessionStore['snapshot']>>['blocks']) =>
    [byteStart, charStart, lineStart].map((column) => column.slice(0, count));
  const made = tableOf((await store.snapshot()).blocks);
  const again = await reopen();
  expect(tableOf((await again.store.snapshot()).blocks)).toEqual(made);
}

test.each([0, 4, 11])(
  'killed after %i MiB have moved, with texts behind: all of it is there when it is opened again',
  async (movedMib) => {
    await using data = await temporaryData();
    await using copy = await temporaryData();
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let writtenBytes = 0;
    const files = watched(async (name, bytes) => {
      if (name === 'write' && bytes >= mebibyte && writtenBytes >= movedMib * mebibyte) {
        reached.resolve();
        await released.promise;
      }
      writtenBytes += bytes;
    });
    await using sessions = await data.open({ files });
    const { store } = await projectSession(sessions);
    const storing = store.appendStream({ kind: 'file', chunks: large(12) });
    await reached.promise;
    await store.append(small('behind it'));
    await cp(data.dataDir, copy.dataDir, { recursive: true });
    await rm(join(copy.dataDir, 'owner.json'));
    released.resolve();
    await storing;
    await using left = await copy.open();
    const found = await projectSession(left);
    expect(await allTexts(found)).toEqual(await allTexts({ ...found, store }));
    expect(await found.store.verify()).toEqual([]);
    expect((await found.store.snapshot()).totals).toEqual(store.totals);
    expect(await readdir(copy.paths(store.sessionId).incomingDir)).toEqual([]);
  },
);

test('what a crash has left of texts that were never committed is removed', async () => {
  await using data = await temporaryData();
  const first = await data.open();
  const { store } = await projectSession(first);
  await store.appendStream({ kind: 'file', chunks: large(10) });
  await first[Symbol.asyncDispose]();
  const { incomingDir } = data.paths(store.sessionId);
  await writeFile(join(incomingDir, 'part-1'), 'half a te');
  await writeFile(join(incomingDir, 'a'.repeat(64)), 'never committed');
  await using again = await data.open();
  await projectSession(again);
  expect(await readdir(incomingDir)).toEqual([]);
});

test('a large text for which there is no room twice is refused, and nothing of it stays', async () => {
  await using data = await temporaryData();
  const files = { ...realFiles, freeBytes: async () => 20 * mebibyte };
  await using sessions = await data.open({ files });
  const { store } = await projectSession(sessions);
  const stored = store.appendStream({ kind: 'file', chunks: large(12) });
  await expect(stored).rejects.toMatchObject({ code: 'store_full' });
  expect(store.entries).toEqual([]);
  expect(await readdir(data.paths(store.sessionId).incomingDir)).toEqual([]);
  await store.append(small('goes on'));
  expect(await allTexts({ ...(await projectSession(sessions)) })).toEqual(['goes on']);
});

test('a large text that is known already is one entry, however often it comes at once', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const entries = await Promise.all(
    [1, 2, 3].map((n) =>
      store.appendStream({ kind: 'file', toolCallId: `call-${n}`, chunks: large(9) }),
    ),
  );
  expect(entries.map(({ id }) => id)).toEqual(['e1', 'e1', 'e1']);
  expect(store.outputsOf('', 'call-3').map(({ entry }) => entry.id)).toEqual(['e1']);
  expect(await store.verify()).toEqual([]);
});
