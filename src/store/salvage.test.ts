import { readFile, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  allTexts,
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../test/faults/store-harness.ts';

const texts = ['eins\n', 'zwei 日本', 'x'.repeat(2_000_000), 'lone \ud800', 'letzter'];

async function makeSession(data: TemporaryData): Promise<string> {
  await using sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  for (const [number, text] of texts.entries()) {
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
  expect(found).toEqual({ kept: 4, lostEntries: ['e2'], lostRecords: 0 });
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
  expect(found).toEqual({ kept: 5, lostEntries: [], lostRecords: 1 });
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
  expect(Buffer.from(await whole.session.store.readEntry(whole.session.store.entries[0]!))).toEqual(
    text,
  );
  await writeFile(data.paths(id).text, Buffer.from([0x61, 0xff, 0x62]));
  const broken = await sessions.salvage(id);
  expect(await allTexts(broken.session)).toEqual(['a\ufffdb']);
  await rm(data.paths(id).text);
  expect((await sessions.salvage(id)).kept).toBe(0);
});

test('there is nothing to save or to check of a session that does not exist', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  for (const id of ['sess_0123456789abcdef', '../x']) {
    await expect(sessions.salvage(id)).rejects.toMatchObject({ code: 'unknown_session' });
    await expect(sessions.check(id)).rejects.toMatchObject({ code: 'unknown_session' });
  }
});
