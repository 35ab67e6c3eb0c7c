import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { faultyFiles } from '../../../test/faults/faulty-files.ts';
import { flipByte, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import type { NewEntry, Session } from '../types.ts';

const toolResult = (text: string | Uint8Array, toolCallId?: string): NewEntry => ({
  text,
  kind: 'tool_result',
  tool: 'bash',
  ...(toolCallId !== undefined && { toolCallId }),
});

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield Buffer.from(bytes.subarray(at, at + size));
  }
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts = [];
  for await (const piece of pieces) parts.push(piece);
  return Buffer.concat(parts);
}

test('an entry says where its text lies; entries never share a line', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  await store.append([toolResult('é\nzwei'), toolResult('drei\n'), toolResult('')]);
  await store.append([toolResult('vier')]);
  const places = store.entries.map((entry) => [
    entry.id,
    entry.offsetBytes,
    entry.lengthBytes,
    entry.offsetChars,
    entry.lengthChars,
    entry.lineNumber,
    entry.lineCount,
  ]);
  expect(places).toEqual([
    ['e1', 0, 7, 0, 6, 1, 2],
    ['e2', 8, 5, 7, 5, 3, 1],
    ['e3', 13, 0, 12, 0, 4, 1],
    ['e4', 14, 4, 13, 4, 5, 1],
  ]);
  expect(store.totals).toEqual({ bytes: 19, chars: 18, lines: 5, entries: 4 });
  expect(await readFile(store.textPath, 'utf8')).toBe('é\nzwei\ndrei\n\nvier\n');
});

async function checkAliases(session: Session): Promise<void> {
  const { store } = session;
  expect(store.entries.length).toBe(2);
  expect(store.outputsOf('', 'call-1').at(-1)?.entry.id).toBe('e1');
  expect(store.outputsOf('', 'call-3').at(-1)?.entry.id).toBe('e1');
  expect(store.outputsOf('', 'call-4').at(-1)?.entry.id).toBe('e1');
  expect(store.entryByHash(store.entries[1]!.sha256)?.id).toBe('e2');
  expect([store.entry('e2')?.seq, store.entry('e3'), store.entry('e01')]).toEqual([
    2,
    undefined,
    undefined,
  ]);
}

test('the same content is one entry, found again under every tool call, also after reopening', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    const session = await projectSession(sessions);
    const first = await session.store.append([
      toolResult('same', 'call-1'),
      toolResult('other', 'call-2'),
      toolResult('same', 'call-3'),
    ]);
    expect(first.map((entry) => entry.id)).toEqual(['e1', 'e2', 'e1']);
    const again = await session.store.append([toolResult(Buffer.from('same'), 'call-4')]);
    expect(again[0]).toBe(first[0]);
    await checkAliases(session);
  }
  await using sessions = await data.open();
  await checkAliases(await projectSession(sessions));
});

test('a known text with nothing new to remember writes nothing', async () => {
  await using data = await temporaryData();
  const { files, calls } = faultyFiles(() => ({ kind: 'none' }));
  await using sessions = await data.open({ files });
  const { store } = await projectSession(sessions);
  await store.append([toolResult('same', 'call-1')]);
  calls.length = 0;
  await store.append([toolResult('same', 'call-1'), toolResult('same')]);
  expect(calls).toEqual([]);
});

test('appends of one moment share one sync of the text and one of the journal', async () => {
  await using data = await temporaryData();
  const { files, calls } = faultyFiles(() => ({ kind: 'none' }));
  await using sessions = await data.open({ files });
  const { store } = await projectSession(sessions);
  calls.length = 0;
  await Promise.all(
    Array.from({ length: 50 }, (_, number) => store.append([toolResult(`text ${number}`)])),
  );
  expect(calls.map((call) => call.name)).toEqual(['write', 'datasync', 'write', 'datasync']);
  expect(store.entries.length).toBe(50);
});

test('lines and ranges are clamped, and tell what they are', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  expect(await store.read(0, 10)).toEqual({ text: '', offsetChars: 0, lengthChars: 0 });
  expect((await store.readLines(1, 5)).text).toBe('');
  await store.append([toolResult('1 🙂\n2\r\n3'), toolResult('4')]);
  expect(await store.read(2, 4)).toEqual({ text: '🙂\n2\r', offsetChars: 2, lengthChars: 4 });
  expect(await store.read(-5, 1e12)).toMatchObject({ text: '1 🙂\n2\r\n3\n4\n', lengthChars: 11 });
  expect(await store.read(99, 1)).toEqual({ text: '', offsetChars: 11, lengthChars: 0 });
  expect(await store.read(Number.NaN, Number.NaN)).toMatchObject({ text: '' });
  expect(await store.readLines(2, 3)).toEqual({ text: '2\r\n3\n', offsetChars: 4, lengthChars: 5 });
  expect((await store.readLines(4, 99)).text).toBe('4\n');
  expect((await store.readLines(3, 2)).text).toBe('');
  expect((await store.readLines(0, 1)).text).toBe('1 🙂\n');
  expect((await store.readLines(7, 9)).text).toBe('');
});

test('a read touches the blocks it needs and no more, however much is stored', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const line = 'the same words with ünïcode on every line, number ';
  const lines = Array.from({ length: 200_000 }, (_, number) => line + number);
  await store.append([toolResult(lines.join('\n'))]);
  const [entry] = store.entries;
  expect(await store.readEntry(entry!)).toBe(lines.join('\n'));
  expect((await store.readLines(150_001, 150_002)).text).toBe(
    `${lines[150_000]!}\n${lines[150_001]!}\n`,
  );
  const { chars } = store.totals;
  expect(await store.read(chars - 7, 6)).toMatchObject({ text: lines.at(-1)!.slice(-6) });
  expect((await store.read(0, chars)).text).toBe(`${lines.join('\n')}\n`);
});

test('what UTF-8 cannot hold is shown as U+FFFD, said so, and kept', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const broken = Buffer.from([0x61, 0xff, 0x62, 0xe4, 0x0a]);
  const entries = await store.append([
    toolResult('x\ud800y'),
    toolResult('x\udc00y'),
    toolResult(broken),
    toolResult('x\ud800y'),
  ]);
  expect(entries.map((entry) => entry.id)).toEqual(['e1', 'e2', 'e3', 'e1']);
  const [lone, other, bytes] = entries;
  expect(await store.readEntry(lone!)).toBe('x\ufffdy');
  expect(lone!.note).toContain('1 lone surrogate replaced by U+FFFD');
  expect((await collect(store.readOriginal(lone!))).toString('utf16le')).toBe('x\ud800y');
  expect((await collect(store.readOriginal(other!))).toString('utf16le')).toBe('x\udc00y');
  expect(await store.readEntry(bytes!)).toBe('a\ufffdb\ufffd\n');
  expect(await collect(store.readOriginal(bytes!))).toEqual(broken);
});

test('a stream becomes one entry; a known one writes nothing that stays', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const text = Buffer.from('日本語のテキスト 🙂\n'.repeat(30_000));
  const entry = await store.appendStream({ kind: 'file', path: '/a', chunks: chunked(text, 1001) });
  expect(entry).toMatchObject({ id: 'e1', lengthBytes: text.length, lineCount: 30_000 });
  expect(Buffer.from(await store.readEntry(entry))).toEqual(text);
  const again = await store.appendStream({
    kind: 'file',
    path: '/b',
    chunks: chunked(text, 65_536),
  });
  expect(again.id).toBe('e1');
  expect((await stat(store.textPath)).size).toBe(text.length);
  await store.append([toolResult('after')]);
  expect((await store.read(entry.lengthChars, 6)).text).toBe('after\n');
});

test.each([
  [
    'breaks',
    async function* breaks(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(500_000, 'a');
      throw new RangeError('the file went away');
    },
    'the file went away',
  ],
  ['is no UTF-8', () => chunked(Buffer.from([0x61, 0xc3]), 1), 'not valid UTF-8'],
])('a stream that %s leaves nothing behind', async (_, chunks, message) => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  await store.append([toolResult('before')]);
  await expect(store.appendStream({ kind: 'file', chunks: chunks() })).rejects.toThrow(message);
  expect(store.totals.entries).toBe(1);
  expect((await stat(store.textPath)).size).toBe(7);
  await store.append([toolResult('after')]);
  expect((await store.read(0, 100)).text).toBe('before\nafter\n');
});

test('a session that would grow beyond its limit refuses that text alone', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open({ maxSessionBytes: 100 });
  const { store } = await projectSession(sessions);
  const results = await Promise.allSettled([
    store.append([toolResult('small')]),
    store.append([toolResult('x'.repeat(101))]),
    store.append([toolResult('small too')]),
  ]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(results[1]).toMatchObject({ reason: { code: 'store_full' } });
  expect((await store.read(0, 100)).text).toBe('small\nsmall too\n');
});

test('a read of a damaged place is refused and names file and entry; others are served', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const texts = ['a', 'b', 'c'].map((letter) => `${letter.repeat(99)}\n`.repeat(1000));
  await store.append(texts.map((text) => toolResult(text)));
  const { textPath } = store;
  await flipByte(textPath, 150_000);
  const reading = store.read(149_990, 20);
  await expect(reading).rejects.toMatchObject({ code: 'store_corrupt' });
  await expect(reading).rejects.toThrow(
    `${textPath} is damaged: entry e2 (bytes 100000 to 200000) is not what was stored.`,
  );
  await expect(store.readEntry(store.entries[1]!)).rejects.toThrow('entry e2');
  expect(await store.readEntry(store.entries[2]!)).toBe(texts[2]);
  expect((await store.read(0, 50)).text).toBe('a'.repeat(50));
  expect((await store.verify()).map((entry) => entry.id)).toEqual(['e2']);
});

test('without its cache the block table is made again, and damage is not blessed by it', async () => {
  await using data = await temporaryData();
  let cache = '';
  let textPath = '';
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    await store.append(['a', 'b', 'c'].map((letter) => toolResult(letter.repeat(50_000))));
    cache = join(store.indexDir, 'blocks.bin');
    ({ textPath } = store);
  }
  const cached = await readFile(cache);
  for (const spoil of [
    () => rm(cache),
    () => flipByte(cache, cached.length - 3),
    () => writeFile(cache, cached.subarray(0, 50)),
  ]) {
    await spoil();
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    expect((await store.read(49_999, 4)).text).toBe('a\nbb');
    expect((await store.snapshot()).blocks.count).toBe(6);
  }
  expect(await readFile(cache)).toEqual(cached);
  await flipByte(textPath, 60_000);
  await rm(cache);
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  await expect(store.read(60_000, 1)).rejects.toThrow('entry e2');
  expect((await store.read(0, 10)).text).toBe('aaaaaaaaaa');
});

test('a cached table is used: the text is not read again but for its last block', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    await store.append([toolResult(`${'x'.repeat(99)}\n`.repeat(5000))]);
  }
  // Damage that only a full reading would find on opening; reading the place finds it.
  const textPath = data.paths('sess_0000000000000002').text;
  await flipByte(textPath, 1000);
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  expect((await store.read(499_990, 5)).text).toBe('xxxxx');
  await expect(store.read(1000, 1)).rejects.toMatchObject({ code: 'store_corrupt' });
});

test('a text that comes again under another path has both, written down once, also after reopening', async () => {
  await using data = await temporaryData();
  const read = (path: string): NewEntry => ({ text: 'same', kind: 'attachment', path });
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    await store.append([read('/a'), read('/b'), read('/b')]);
    await store.append([read('/b'), read('/a')]);
    expect(store.list.namings.map(({ path }) => path)).toEqual(['/a', '/b']);
  }
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  expect(store.totals.entries).toBe(1);
  expect(store.list.pathsOf(store.entries[0]!)).toEqual(['/a', '/b']);
  expect(store.list.namings.map(({ path }) => path)).toEqual(['/a', '/b']);
  expect(store.entries[0]?.path).toBe('/a');
});
