import { deepEqual, equal } from 'node:assert/strict';
import { copyFile, cp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { recoverSession } from '../../src/store/session/recover.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import { sessionPaths } from '../../src/store/disk/session-paths.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { faultyFiles, type Fault } from './faulty-files.ts';
import {
  allTexts,
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from './store-harness.ts';
import { strideOf } from './stride.ts';

/** The texts; the third comes in pieces, of 64 KiB. */
const textsWith = (largeChars: number): readonly string[] => [
  'first\n',
  'zwei 日本',
  'x'.repeat(largeChars),
  '',
  'lone \ud800',
  'last',
];
const sent = textsWith(300_000);
/** What is read back whole after every step of every round. */
const sentOften = textsWith(80_000);

/** What a caller does who goes on after a failure; the texts that were accepted, and the errors. */
async function useStore(
  data: TemporaryData,
  heldTextBytes: number,
  fault: (index: number) => Fault,
): Promise<{ readonly accepted: string[]; readonly errors: unknown[]; readonly calls: number }> {
  let repaired = false;
  const { files, calls } = faultyFiles((_, index) => (repaired ? { kind: 'none' } : fault(index)));
  const accepted: string[] = [];
  const errors: unknown[] = [];
  let sessions: Sessions | undefined;
  let session: Session | undefined;
  for (let turn = 0; turn < sentOften.length || session === undefined; turn += 1) {
    try {
      sessions ??= await data.open({ files, heldTextBytes });
      session ??= await projectSession(sessions);
      const text = sentOften[turn];
      if (text !== undefined) {
        const call = { toolCallId: `call-${turn}` };
        await (turn === 2
          ? session.store.appendStream({ kind: 'file', ...call, chunks: inPieces(text) })
          : session.store.append([{ text, kind: 'tool_result', ...call }]));
        accepted.push(text);
      }
      if (turn % 2 === 0) await session.memory.put([{ key: `turn-${turn}`, value: turn }]);
    } catch (error) {
      errors.push(error);
    }
    if (session !== undefined) await checkTexts(session, accepted);
  }
  repaired = true;
  await session.store.append([{ text: 'afterwards', kind: 'user_text' }]);
  accepted.push('afterwards');
  await checkTexts(session, accepted);
  repaired = false;
  await sessions![Symbol.asyncDispose]();
  return { accepted, errors, calls: calls.length };
}

async function checkTexts(session: Session, texts: readonly string[]): Promise<void> {
  const found = await allTexts(session);
  deepEqual(
    found.map(shown),
    texts.map((text) => shown(text.toWellFormed())),
  );
}

function shown(text: string): string {
  return text.length > 100 ? `${text.length} characters` : text;
}

async function* inPieces(text: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

async function expectOnDisk(data: TemporaryData, texts: readonly string[]): Promise<void> {
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  await checkTexts(session, texts);
  deepEqual(await session.store.verify(), []);
  equal((await stat(session.store.textPath)).size, session.store.totals.bytes);
}

const noRoom = { kind: 'error', code: 'ENOSPC' } as const;
const half = { kind: 'short-write', code: 'ENOSPC' } as const;
/** The text in pieces is held in memory, or comes in through a file of its own. */
const [held, staged] = [1_000_000, 20_000];

const faults: readonly (readonly [
  name: string,
  fault: Fault,
  failing: number,
  code: string,
  heldTextBytes: number,
])[] = [
  ['fails for want of room', noRoom, 1, 'store_full', held],
  ['and the eight after it fail for want of room', noRoom, 9, 'store_full', held],
  ['fails with an I/O error', { kind: 'error', code: 'EIO' }, 1, 'internal', staged],
  ['writes a half, then finds no room', half, 1, 'store_full', staged],
];

describe.each(faults)('each call in turn %s', (name, fault, failing, code, heldTextBytes) => {
  test('nothing accepted is lost, nothing refused is visible, later appends work', async () => {
    await using clean = await temporaryData();
    const { calls } = await useStore(clean, heldTextBytes, () => ({ kind: 'none' }));
    expect(calls).toBeGreaterThan(35);
    let failures = 0;
    const which = faults.findIndex(([each]) => each === name);
    const { first, step } = strideOf(faults.length, which);
    for (let at = first; at < calls; at += step) {
      await using data = await temporaryData();
      const used = await useStore(data, heldTextBytes, (index) =>
        index >= at && index < at + failing ? fault : { kind: 'none' },
      );
      for (const error of used.errors) {
        expect(error, `call ${at}`).toBeInstanceOf(ProxyError);
        expect((error as ProxyError).code, `call ${at}`).toBe(code);
      }
      failures += used.errors.length;
      await expectOnDisk(data, used.accepted);
    }
    expect(failures).toBeGreaterThan(10 / step);
  });
});

test('short writes are continued', async () => {
  await using data = await temporaryData();
  const used = await useStore(data, staged, () => ({ kind: 'short-write' }));
  expect([used.errors, used.accepted.length]).toEqual([[], sent.length + 1]);
  await expectOnDisk(data, used.accepted);
});

/** A closed session with six entries and one alias. */
async function sample(data: TemporaryData): Promise<{
  readonly id: string;
  readonly journal: Buffer;
  readonly text: Buffer;
}> {
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  for (const text of sent) await session.store.append([{ text, kind: 'tool_result' }]);
  await session.store.append([{ text: sent[0]!, kind: 'tool_result', toolCallId: 'again' }]);
  const paths = data.paths(session.id);
  return {
    id: session.id,
    journal: await readFile(paths.journal),
    text: await readFile(paths.text),
  };
}

test('any beginning of the journal opens as a beginning of the entries, the text cut to it', async () => {
  await using data = await temporaryData();
  const { id, journal, text } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const header = journal.indexOf(10) + 1;
  // It says what was there in the end: a crash before that leaves none.
  await rm(join(paths.indexDir, 'checked.json'));
  const seen = new Set<number>();
  for (let size = header; size <= journal.length; size += size % 11 === 0 ? 1 : 5) {
    await writeFile(paths.journal, journal.subarray(0, size));
    await writeFile(paths.text, text);
    const recovered = await recoverSession(realFiles, paths, { sessionId: id });
    const { index } = recovered;
    await recovered.journal.close();
    await recovered.text.close();
    const lines = journal.subarray(header, size).toString('latin1').split('\n').length - 1;
    expect(index.entries.length).toBe(Math.min(lines, sent.length));
    expect((await stat(paths.text)).size).toBe(index.totals.bytes);
    expect((await stat(paths.journal)).size).toBe(journal.lastIndexOf(10, size - 1) + 1);
    expect([...index.damaged]).toEqual([]);
    seen.add(index.entries.length);
  }
  expect(seen.size).toBe(sent.length + 1);
});

test('a text shorter than the journal says is damage, not a torn tail, and nothing is changed', async () => {
  await using data = await temporaryData();
  const { id, text } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  for (const size of [0, 1, 10, 200_000, text.length - 1]) {
    await writeFile(paths.text, text);
    await truncate(paths.text, size);
    await using sessions = await data.open();
    const opening = sessions.byId(id);
    await expect(opening).rejects.toMatchObject({ code: 'store_corrupt' });
    await expect(opening).rejects.toThrow(
      /the text from entry e\d is cut off|rlm-opencode doctor|entry e\d/,
    );
    expect((await stat(paths.text)).size).toBe(size);
  }
});

test('a changed byte anywhere in the journal is damage and names file and line', async () => {
  await using data = await temporaryData();
  const { id, journal } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const last = journal.length - 1;
  for (let at = 0; at <= last; at = at < last ? Math.min(at + 13, last) : Infinity) {
    const changed = Buffer.from(journal);
    changed[at]! ^= 0x20;
    await writeFile(paths.journal, changed);
    await using sessions = await data.open();
    const opening = sessions.byId(id);
    await expect(opening, `byte ${at}`).rejects.toMatchObject({ code: 'store_corrupt' });
    await expect(opening).rejects.toThrow(paths.journal);
    expect(await readFile(paths.journal)).toEqual(changed);
  }
});

test('a record without its newline is a torn tail; one with another byte in its place is damage, and can be saved', async () => {
  await using data = await temporaryData();
  const { id, journal } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const record = journal.subarray(0, -1);
  await rm(join(paths.indexDir, 'checked.json'));
  for (const tail of ['', '\0', '\0\0\0', 'xy']) {
    await writeFile(paths.journal, Buffer.concat([record, Buffer.from(tail)]));
    await using sessions = await data.open();
    const { store } = await sessions.byId(id);
    expect([store.entries.length, store.outputsOf('', 'again')]).toEqual([sent.length, []]);
  }
  // The record of the last entry, not that of the alias behind it; and the header's.
  const entries = journal.subarray(0, journal.lastIndexOf(10, -2));
  const header = journal.subarray(0, journal.indexOf(10));
  for (const lines of [entries, header]) {
    const changed = Buffer.concat([lines, Buffer.from('\x0b')]);
    await writeFile(paths.journal, changed);
    await using sessions = await data.open();
    await expect(sessions.byId(id)).rejects.toThrow(/its last, has no newline/);
    expect(await readFile(paths.journal)).toEqual(changed);
  }
  await writeFile(paths.journal, Buffer.concat([entries, Buffer.from('\x0b')]));
  await using sessions = await data.open();
  const { session, kept, lostEntries } = await sessions.salvage(id);
  expect([kept, lostEntries]).toEqual([sent.length, []]);
  expect((await allTexts(session)).at(-1)).toBe('last');
});

test('a journal that has lost an end that was there when it was closed is damaged, and its text is not cut', async () => {
  await using data = await temporaryData();
  const { id, journal, text } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const lineEnds = [...journal.keys()].filter((at) => journal[at] === 10);
  const ends = [lineEnds.at(-2)! + 1, lineEnds.at(-3)! + 1, journal.length - 5, lineEnds[0]! + 1];
  for (const end of ends) {
    for (const tail of ['', '\0'.repeat(4096)]) {
      await writeFile(paths.journal, Buffer.concat([journal.subarray(0, end), Buffer.from(tail)]));
      await using sessions = await data.open();
      await expect(sessions.byId(id)).rejects.toMatchObject({ code: 'store_corrupt' });
      await expect(sessions.byId(id)).rejects.toThrow(/its end is missing/);
      expect((await readFile(paths.text)).equals(text)).toBe(true);
    }
  }
  // What no record names any more is saved without one.
  await using sessions = await data.open();
  const { session, kept } = await sessions.salvage(id);
  expect(kept).toBeGreaterThan(0);
  expect((await allTexts(session)).join('')).toContain('last');
});

test('lines that are whole but missing, doubled or out of order are damage', async () => {
  await using data = await temporaryData();
  const { id, journal } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const lines = journal.toString('latin1').split(/(?<=\n)/);
  const without = (index: number) => lines.filter((_, at) => at !== index);
  for (const changed of [
    without(0),
    without(2),
    [...lines.slice(0, 3), ...lines.slice(2)],
    [lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)],
    [...lines, lines[0]!],
  ]) {
    await writeFile(paths.journal, changed.join(''), 'latin1');
    await using sessions = await data.open();
    await expect(sessions.byId(id)).rejects.toMatchObject({ code: 'store_corrupt' });
  }
});

test('a changed byte anywhere in the text is never served and is named, with its cache and without', async () => {
  await using data = await temporaryData();
  const { id, text } = await sample(data);
  const paths = sessionPaths(data.dataDir, id);
  const blocks = await readFile(join(paths.indexDir, 'blocks.bin'));
  for (const [turn, at] of [0, 7, 17, 18, 150_000, 300_018, text.length - 3].entries()) {
    await writeFile(paths.text, text);
    await flipByte(paths.text, at);
    await writeFile(join(paths.indexDir, 'blocks.bin'), turn % 2 === 0 ? blocks : 'gone');
    await using sessions = await data.open();
    const { store } = await sessions.byId(id);
    const entry = store.entries.findLast((candidate) => candidate.offsetBytes <= at)!;
    expect((await store.verify()).map((damaged) => damaged.id)).toEqual([entry.id]);
    const reading = store.read(entry.offsetChars, entry.lengthChars + 1);
    await expect(reading, `byte ${at}`).rejects.toMatchObject({ code: 'store_corrupt' });
    await expect(reading).rejects.toThrow(paths.text);
  }
});

test('a damaged session stops neither the others nor the opening of the store', async () => {
  await using data = await temporaryData();
  const { id } = await sample(data);
  await flipByte(data.paths(id).journal, 400);
  await using sessions = await data.open();
  await expect(projectSession(sessions)).rejects.toMatchObject({ code: 'store_corrupt' });
  const other = await sessions.forDirectory('/other', { create: true });
  await other!.store.append([{ text: 'works', kind: 'user_text' }]);
  expect((await other!.store.read(0, 9)).text).toBe('works\n');
  const listed = await sessions.list();
  expect(listed.map((item) => item.directory)).toEqual(
    expect.arrayContaining(['/other', '/project']),
  );
});

test('a copy of a session under another id is refused', async () => {
  await using data = await temporaryData();
  const { id } = await sample(data);
  const other = 'sess_00000000000000ff';
  await copyFile(data.paths(id).journal, data.paths(other).journal);
  await cp(data.paths(id).text, data.paths(other).text);
  await using sessions = await data.open();
  await expect(sessions.byId(other)).rejects.toThrow(`it belongs to session ${id}`);
});
