import { cp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { heldFiles } from '../../../test/faults/held-files.ts';
import {
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../../test/faults/store-harness.ts';
import type { SessionStore } from '../types.ts';

const mebi = 1024 * 1024;

/** Entries of all sizes, 12 MiB in all; the fourth alone is 5 MiB. */
const texts = [
  'first',
  ...Array.from({ length: 2 }, (_, number) => `${number} 日本語 line\n`.repeat(100_000)),
  `${'x'.repeat(60)}é\n`.repeat(Math.ceil((5 * mebi) / 63)),
  '',
  ...Array.from({ length: 1200 }, (_, number) => `small text ${number}`),
  `${'y'.repeat(99)}\n`.repeat(20_000),
];

/** A closed session of {@link texts}, made once: each test works on a copy. */
let original: TemporaryData;

beforeAll(async () => {
  original = await temporaryData();
  await using sessions = await original.open();
  const { store } = await projectSession(sessions);
  await store.append(texts.map((text) => ({ text, kind: 'tool_result' })));
});
afterAll(async () => original[Symbol.asyncDispose]());

/** A copy of the session, its cached table deleted. */
async function storedTexts(data: TemporaryData): Promise<{
  readonly whole: string;
  readonly cache: string;
  readonly cached: Buffer;
  readonly textPath: string;
}> {
  await cp(original.dataDir, data.dataDir, { recursive: true });
  const names = await readdir(join(data.dataDir, 'sessions'));
  const name = names.find((each) => each.endsWith('_context.txt'));
  const { indexDir, text: textPath } = data.paths(name!.replace('_context.txt', ''));
  const cache = join(indexDir, 'blocks.bin');
  const cached = await readFile(cache);
  await rm(indexDir, { recursive: true });
  return { whole: await readFile(textPath, 'utf8'), cache, cached, textPath };
}

/**
 * Compares reads all over the text with the text itself. `whole` has no code point outside the
 * basic plane.
 */
async function checkReads(store: SessionStore, whole: string): Promise<void> {
  expect(store.totals.chars).toBe(whole.length);
  for (let turn = 0; turn < 24; turn += 1) {
    const from = Math.floor((whole.length * turn) / 24);
    const length = [1, 500, 40_000, 400_000][turn % 4]!;
    const { text } = await store.read(from, length);
    expect(text === whole.slice(from, from + length), `${length} from ${from}`).toBe(true);
  }
  const starts = [0];
  for (let at = 0; (at = whole.indexOf('\n', at) + 1) > 0;) starts.push(at);
  for (let turn = 0; turn <= 16; turn += 1) {
    const first = 1 + Math.floor(((store.totals.lines - 1) * turn) / 16);
    const slice = await store.readLines(first, first + 2);
    const wanted = whole.slice(starts[first - 1], starts[first + 2]);
    expect([slice.offsetChars, slice.text]).toEqual([starts[first - 1], wanted]);
  }
  for (const entry of [store.entries[0]!, store.entries[3]!, store.entries[texts.length - 1]!]) {
    expect((await store.readEntry(entry)) === texts[entry.seq - 1]).toBe(true);
  }
}

test('opening reads nothing of the text, and a read what it needs', async () => {
  await using data = await temporaryData();
  const { whole } = await storedTexts(data);
  const held = heldFiles(1);
  await using sessions = await data.open({ files: held.files });
  // Released before the session is closed, whatever fails.
  using _released = held;
  const { store } = await projectSession(sessions);
  await held.reached;
  expect(held.textBytes()).toBe(0);
  const { offsetChars } = store.entry('e900')!;
  expect((await store.read(offsetChars, 14)).text).toBe('small text 894');
  // The small texts from there on once, and the block that is shown.
  expect(held.textBytes()).toBeLessThan(64 * 1024);
  const before = held.textBytes();
  await store.read(offsetChars + 20, 50);
  expect(held.textBytes() - before).toBeLessThan(33_000);
  const inLarge = store.entry('e4')!.offsetChars + 3_000_000;
  expect((await store.read(inLarge, 100)).text).toBe(whole.slice(inLarge, inLarge + 100));
  const once = held.textBytes();
  expect(once - before).toBeLessThan(6 * mebi);
  await store.read(inLarge + 1_000_000, 100);
  await store.readLines(store.entry('e4')!.lineNumber + 5000, store.entry('e4')!.lineNumber + 5005);
  expect(held.textBytes() - once).toBeLessThan(150_000);
  held.release();
});

test.each([1, 2, 5, 9, 13, 20])(
  'the table held before its reading number %i and made afterwards: the same answers',
  async (number) => {
    await using data = await temporaryData();
    const { whole, cached, cache } = await storedTexts(data);
    const held = heldFiles(number);
    await using sessions = await data.open({ files: held.files });
    // Released before the session is closed, whatever fails.
    using _released = held;
    const { store } = await projectSession(sessions);
    await held.reached;
    await checkReads(store, whole);
    held.release();
    const { blocks, totals } = await store.snapshot();
    expect([totals.bytes, blocks.count > 300]).toEqual([Buffer.byteLength(whole), true]);
    expect((await readFile(cache)).equals(cached)).toBe(true);
    await checkReads(store, whole);
  },
);

test('what is appended meanwhile is in the table that is made', async () => {
  await using data = await temporaryData();
  const { whole } = await storedTexts(data);
  const held = heldFiles(7);
  let appended = '';
  {
    await using sessions = await data.open({ files: held.files });
    // Released before the session is closed, whatever fails.
    using _released = held;
    const { store } = await projectSession(sessions);
    await held.reached;
    for (const text of ['one more\n', `${'日'.repeat(50)}\n`.repeat(10_000), 'and a last one\n']) {
      const [entry] = await store.append([{ text, kind: 'user_text' }]);
      appended += text;
      expect(await store.readEntry(entry!)).toBe(text);
      expect((await store.read(entry!.offsetChars, 9)).text).toBe(text.slice(0, 9));
    }
    expect((await store.append([{ text: texts[2]!, kind: 'file' }]))[0]!.id).toBe('e3');
    await checkReads(store, whole + appended);
    const snapshot = store.snapshot();
    held.release();
    await checkReads(store, whole + appended);
    const last = await store.append([{ text: 'behind it\n', kind: 'user_text' }]);
    expect((await snapshot).totals.entries).toBeGreaterThanOrEqual(texts.length + 3);
    expect((await store.read(last[0]!.offsetChars, 99)).text).toBe('behind it\n');
  }
  const fresh = heldFiles(Infinity);
  await using sessions = await data.open({ files: fresh.files });
  const { store } = await projectSession(sessions);
  await store.snapshot();
  // The table was kept when the session was closed: its last block is all that was looked at.
  expect(fresh.textBytes()).toBeLessThan(33_000);
  await checkReads(store, `${whole}${appended}behind it\n`);
});

test('a session that is closed, or killed, half-way goes on from there or from the start', async () => {
  await using data = await temporaryData();
  const { whole, cached, cache } = await storedTexts(data);
  const held = heldFiles(12);
  const copy = await temporaryData();
  {
    await using sessions = await data.open({ files: held.files });
    // Released before the session is closed, whatever fails.
    using _released = held;
    const { store } = await projectSession(sessions);
    await held.reached;
    await store.append([{ text: 'while it was made\n', kind: 'user_text' }]);
    await cp(data.dataDir, copy.dataDir, { recursive: true });
    await rm(join(copy.dataDir, 'owner.json'));
    const waiting = store.snapshot();
    waiting.catch(() => undefined);
    const closing = sessions[Symbol.asyncDispose]();
    held.release();
    await closing;
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
  }
  expect((await stat(cache)).size).toBeLessThan(cached.length);
  const rest = heldFiles(Infinity);
  for (const [place, files] of [
    [copy, undefined],
    [data, rest.files],
  ] as const) {
    await using sessions = await place.open(files === undefined ? {} : { files });
    const { store } = await projectSession(sessions);
    await checkReads(store, `${whole}while it was made\n`);
    expect((await store.snapshot()).blocks.count).toBeGreaterThan(300);
    await checkReads(store, `${whole}while it was made\n`);
  }
  await copy[Symbol.asyncDispose]();
  await using again = await data.open();
  const { store } = await projectSession(again);
  expect((await store.read(0, 5)).text).toBe('first');
});

test.each([1, 4, Infinity])(
  'damage is found with the table held at reading %f, before and after; what is sound stays where it was',
  async (number) => {
    await using data = await temporaryData();
    const { whole, textPath } = await storedTexts(data);
    // An ASCII character becomes a byte that continues one: from here on the text would have a
    // character less.
    const bytes = await readFile(textPath);
    const at = bytes.indexOf('small text 600\n');
    await flipByte(textPath, at, 0x80);
    const held = heldFiles(number);
    await using sessions = await data.open({ files: held.files });
    // Released before the session is closed, whatever fails.
    using _released = held;
    const { store } = await projectSession(sessions);
    if (number !== Infinity) await held.reached;
    const damaged = store.entry('e606')!;
    const check = async (): Promise<void> => {
      for (const length of [1, 3, 5000]) {
        const reading = store.read(damaged.offsetChars, length);
        await expect(reading).rejects.toMatchObject({ code: 'store_corrupt' });
        await expect(reading).rejects.toThrow(/entry e606 /);
      }
      for (const { seq, offsetChars, lengthChars, lineNumber } of store.entries.slice(606, 615)) {
        const wanted = texts[seq - 1]!;
        expect((await store.read(offsetChars, lengthChars)).text).toBe(wanted);
        expect((await store.readLines(lineNumber, lineNumber)).text).toBe(`${wanted}\n`);
      }
      const { offsetChars, lengthChars } = store.entry('e605')!;
      expect((await store.read(offsetChars, lengthChars)).text).toBe(texts[604]);
      expect((await store.read(whole.length - 100, 100)).text).toBe(whole.slice(-100));
    };
    await check();
    held.release();
    const { checks, blocks } = await store.snapshot();
    const startBytes = damaged.offsetBytes;
    const endBytes = store.entry('e607')!.offsetBytes;
    expect(checks.damaged).toEqual([{ startBytes, endBytes, name: 'e606' }]);
    // What was counted in the damage does not shift what lies behind it.
    const next = blocks.byteStart.findIndex((start) => start > endBytes);
    const start = blocks.byteStart[next]!;
    expect(blocks.charStart[next]).toBe(start - continuationBytes(bytes, start));
    await check();
  },
);

test('a reading that fails stops the making, not the reads; the next question tries again', async () => {
  await using data = await temporaryData();
  const { whole } = await storedTexts(data);
  let fails = 6;
  const held = heldFiles(Infinity);
  const files = {
    ...held.files,
    open: async (...args: Parameters<typeof held.files.open>) => {
      const file = await held.files.open(...args);
      const read: typeof file.read = async (target, positionBytes) => {
        if (target.length > 0 && args[0].endsWith('_context.txt') && --fails === 0) {
          throw Object.assign(new Error('EIO'), { code: 'EIO' });
        }
        return file.read(target, positionBytes);
      };
      return { ...file, read };
    },
  };
  await using sessions = await data.open({ files });
  const { store } = await projectSession(sessions);
  await expect(store.snapshot()).rejects.toMatchObject({ code: 'internal' });
  await checkReads(store, whole);
  expect((await store.snapshot()).blocks.count).toBeGreaterThan(300);
  await checkReads(store, whole);
});

function continuationBytes(bytes: Buffer, end: number): number {
  let count = 0;
  for (const byte of bytes.subarray(0, end)) if ((byte & 0xc0) === 0x80) count += 1;
  return count;
}
