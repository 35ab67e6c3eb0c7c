import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { randomIds } from '../../clock.ts';
import { faultyFiles } from '../../../test/faults/faulty-files.ts';
import {
  allTexts,
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../../test/faults/store-harness.ts';
import { strideOf } from '../../../test/faults/stride.ts';

const texts = ['eins\n', 'zwei 日本', 'x'.repeat(2_000_000), 'lone \ud800', 'letzter'];

async function makeSession(data: TemporaryData, own = texts): Promise<string> {
  await using sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  for (const [number, text] of own.entries()) {
    await store.append([{ text, kind: 'tool_result', toolCallId: `call-${number}` }]);
    data.clock.advance(1000);
  }
  return id;
}

test('of a damaged text everything else is saved, with all that was known of it', async () => {
  await using data = await temporaryData();
  const id = await makeSession(data);
  await flipByte(data.paths(id).text, 7);
  const damagedText = await readFile(data.paths(id).text);
  await using sessions = await data.open();
  const textPath = data.paths(id).text;
  expect(await sessions.check(id)).toEqual({
    entries: 5,
    damage: [`${textPath}: entry e2 is not what was stored`],
  });
  const { session, ...found } = await sessions.salvage(id);
  expect(found).toEqual({ kept: 4, keptAliases: 0, lostEntries: ['e2'], lostRecords: 0 });
  expect(await allTexts(session)).toEqual([texts[0], texts[2], 'lone \ufffd', texts[4]]);
  expect(session.store.entries.map((entry) => entry.timeMs - 1_700_000_000_000)).toEqual([
    0, 2000, 3000, 4000,
  ]);
  expect(session.store.outputsOf('', 'call-4')[0]?.entry.id).toBe('e4');
  const pieces = [];
  for await (const piece of session.store.readOriginal(session.store.entries[2]!)) {
    pieces.push(piece);
  }
  expect(Buffer.concat(pieces).toString('utf16le')).toBe('lone \ud800');
  expect(await projectSession(sessions)).toBe(session);
  expect(await sessions.check(session.id)).toEqual({ entries: 4, damage: [] });
  expect((await readFile(textPath)).equals(damagedText)).toBe(true);
  await sessions.remove(id);
  expect((await sessions.list()).map((item) => item.id)).toEqual([session.id]);
});

test('a text whose record is damaged is saved without its record', async () => {
  await using data = await temporaryData();
  const id = await makeSession(data);
  const { journal } = data.paths(id);
  await flipByte(journal, (await readFile(journal, 'utf8')).indexOf('call-1'));
  await using sessions = await data.open();
  const health = await sessions.check(id);
  expect(health.damage).toHaveLength(1);
  expect(health.damage[0]).toContain('line 3, behind entry e1, has a wrong checksum');
  const { session, ...found } = await sessions.salvage(id);
  expect(found).toEqual({ kept: 5, keptAliases: 0, lostEntries: [], lostRecords: 1 });
  const last = session.store.entries.at(-1)!;
  expect(last.note).toBe('salvaged: the record of this text was damaged');
  expect((await session.store.readEntry(last)).trim()).toBe(texts[1]);
});

test('without a journal all of the text is saved, without a text nothing is', async () => {
  await using data = await temporaryData();
  const id = await makeSession(data);
  const text = await readFile(data.paths(id).text);
  await rm(data.paths(id).journal);
  await using sessions = await data.open();
  const whole = await sessions.salvage(id);
  expect([whole.kept, whole.lostRecords]).toEqual([1, 1]);
  const saved = await whole.session.store.readEntry(whole.session.store.entries[0]!);
  expect(Buffer.from(saved).equals(text)).toBe(true);
  await writeFile(data.paths(id).text, Buffer.from([0x61, 0xff, 0x62]));
  const broken = await sessions.salvage(id);
  expect(await allTexts(broken.session)).toEqual(['a\ufffdb']);
  await rm(data.paths(id).text);
  expect((await sessions.salvage(id)).kept).toBe(0);
});

test('calls and files that brought a text again are taken over, too, and the directory with all its names', async () => {
  await using data = await temporaryData();
  const id = await makeSession(data);
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    const source = { sizeBytes: 5, mtimeMs: 77 };
    await store.append([
      { text: texts[0]!, kind: 'file', path: '/project/a', source },
      { text: texts[0]!, kind: 'tool_result', chatId: 'c', toolCallId: 'again' },
      { text: texts[1]!, kind: 'tool_result', chatId: 'c', toolCallId: 'lost' },
    ]);
  }
  await flipByte(data.paths(id).text, 7);
  await using sessions = await data.open();
  const { session, keptAliases } = await sessions.salvage(id);
  expect(keptAliases).toBe(2);
  expect(session.directory).toBe('/project');
  expect(session.store.outputsOf('c', 'again').map(({ entry }) => entry.id)).toEqual(['e1']);
  expect(session.store.outputsOf('c', 'lost')).toEqual([]);
  expect(session.store.source('/project/a')?.file.mtimeMs).toBe(77);
});

test('killed at any write, or failing at it, the directory keeps its old store, and a second try mends', async () => {
  await using master = await temporaryData();
  const small = texts.map((text) => text.slice(0, 2_000));
  const id = await makeSession(master, small);
  await flipByte(master.paths(id).text, 7);
  let reached = true;
  let kept = 0;
  const { first, step } = strideOf(5);
  for (let at = first; reached; at += step) {
    for (const isKilled of [true, false]) {
      await using data = await temporaryData();
      await cp(master.dataDir, data.dataDir, { recursive: true });
      let count = -1;
      reached = false;
      const { files } = faultyFiles(() => {
        if (count < 0) return { kind: 'none' };
        const isHere = count === at;
        count += 1;
        if (isHere) reached = true;
        const fails = isKilled ? reached : isHere;
        return fails ? { kind: 'error', code: 'EIO' } : { kind: 'none' };
      });
      const sessions = await data.open({ files, ids: randomIds });
      count = 0;
      const first = await sessions.salvage(id).catch(() => undefined);
      count = -1;
      await sessions[Symbol.asyncDispose]();
      await using again = await data.open({ ids: randomIds });
      const found = await projectSession(again);
      const isOld = found.id === id;
      // The old one, whole as it was, or the copy; never a part of it.
      expect([first === undefined || !isOld, found.store.entries.length]).toEqual([
        true,
        isOld ? 5 : 4,
      ]);
      if (isOld) {
        kept += 1;
        // It can be saved again, and nothing is left of the first try.
        await again.salvage(id);
      }
      const now = await projectSession(again);
      expect(await allTexts(now)).toEqual([small[0], small[2], 'lone \ufffd', small[4]]);
      expect((await again.list()).map((item) => item.id).sort()).toEqual([id, now.id].sort());
    }
  }
  expect(kept).toBeGreaterThan(8);
}, 120_000);

test('there is nothing to save or to check of a session that does not exist', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  for (const id of ['sess_0123456789abcdef', '../x']) {
    await expect(sessions.salvage(id)).rejects.toMatchObject({ code: 'unknown_session' });
    await expect(sessions.check(id)).rejects.toMatchObject({ code: 'unknown_session' });
  }
});
