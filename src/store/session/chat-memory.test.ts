import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { faultyFiles } from '../../../test/faults/faulty-files.ts';
import { flipByte, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import { type Files, realFiles } from '../disk/files.ts';

const id = 'sess_0000000000000002';
// Keys that begin with `record:` are read from the file each time; others are kept at hand.

test('the newest value of a key wins, also after reopening', async () => {
  await using data = await temporaryData();
  const longKey = '\u0001'.repeat(10_000);
  {
    await using sessions = await data.open();
    const { memory } = await projectSession(sessions);
    await memory.put([
      { key: 'a', value: 1 },
      { key: 'b "quoted"\n', value: { nested: ['é', '\ud800'] } },
    ]);
    await memory.put([
      { key: 'a', value: 2 },
      { key: longKey, value: 'long' },
    ]);
    expect(await memory.get('a')).toBe(2);
    await expect(memory.put([{ key: `${longKey}x`, value: 1 }])).rejects.toMatchObject({
      code: 'limit_reached',
    });
  }
  await using sessions = await data.open();
  const { memory } = await projectSession(sessions);
  expect(await memory.get('a')).toBe(2);
  expect(await memory.get(longKey)).toBe('long');
  expect(await memory.get('b "quoted"\n')).toEqual({ nested: ['é', '\ud800'] });
  expect([memory.has('a'), memory.has('c'), await memory.get('c')]).toEqual([
    true,
    false,
    undefined,
  ]);
});

test('puts of one moment share one write and one sync; a get reads its record alone', async () => {
  await using data = await temporaryData();
  const { files, calls } = faultyFiles(() => ({ kind: 'none' }));
  await using sessions = await data.open({ files });
  const { memory } = await projectSession(sessions);
  calls.length = 0;
  await Promise.all(
    Array.from({ length: 30 }, (_, number) =>
      memory.put([{ key: `record:${number}`, value: number }]),
    ),
  );
  expect(calls.map((call) => call.name)).toEqual(['write', 'datasync']);
  expect(await memory.get('record:17')).toBe(17);
});

test('a torn tail is cut; a damaged record is forgotten, the others are not', async () => {
  await using data = await temporaryData();
  const { chats } = data.paths(id);
  {
    await using sessions = await data.open();
    const { memory } = await projectSession(sessions);
    for (const key of ['a', 'b', 'c']) await memory.put([{ key, value: `value of ${key}` }]);
  }
  const whole = (await stat(chats)).size;
  await appendFile(chats, '{"k":"d","t":17000000');
  const text = await readFile(chats, 'utf8');
  await flipByte(chats, text.indexOf('value of b'));
  await using sessions = await data.open();
  const { memory } = await projectSession(sessions);
  expect((await stat(chats)).size).toBe(whole);
  expect([memory.has('a'), memory.has('b'), memory.has('c'), memory.has('d')]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  await memory.put([{ key: 'e', value: 'new' }]);
  expect([await memory.get('c'), await memory.get('e')]).toEqual(['value of c', 'new']);
});

test('a value that was damaged behind our back is forgotten, not served', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { memory } = await projectSession(sessions);
  await memory.put([{ key: 'record:a', value: 'secret' }]);
  const { chats } = data.paths(id);
  await flipByte(chats, (await readFile(chats, 'utf8')).indexOf('secret'));
  expect([await memory.get('record:a'), memory.has('record:a')]).toEqual([undefined, false]);
  await memory.put([{ key: 'record:a', value: 'new' }]);
  expect(await memory.get('record:a')).toBe('new');
});

test('a file beyond its limit is compacted: only the oldest and the superseded are forgotten', async () => {
  await using data = await temporaryData();
  const limits = { chatMemory: { maxBytes: 20_000, maxAgeMs: 1e9 } };
  const { chats } = data.paths(id);
  {
    await using sessions = await data.open(limits);
    const { memory } = await projectSession(sessions);
    for (let turn = 0; turn < 400; turn += 1) {
      const records = [
        { key: `record:${turn}`, value: 'x'.repeat(100) },
        { key: 'window', value: turn },
      ];
      await Promise.all([memory.put(records), memory.get(`record:${turn - 1}`)]);
      expect((await stat(chats)).size).toBeLessThan(20_400);
    }
    expect(await memory.get('window')).toBe(399);
    const known = Array.from({ length: 400 }, (_, turn) => memory.has(`record:${turn}`));
    const first = known.indexOf(true);
    expect(first).toBeGreaterThan(200);
    expect(first).toBeLessThan(399);
    expect(known.slice(first).every(Boolean)).toBe(true);
  }
  await using sessions = await data.open(limits);
  const { memory } = await projectSession(sessions);
  expect(await memory.get('record:399')).toBe('x'.repeat(100));
});

test('a compaction reads and writes many short records at once, and keeps what is whole', async () => {
  await using data = await temporaryData();
  let calls = 0;
  const files: Files = {
    ...realFiles,
    open: async (path, options) => {
      const file = await realFiles.open(path, options);
      return {
        ...file,
        read: async (bytes, positionBytes) => {
          calls += 1;
          return file.read(bytes, positionBytes);
        },
        write: async (bytes, positionBytes) => {
          calls += 1;
          return file.write(bytes, positionBytes);
        },
      };
    },
  };
  const limits = { chatMemory: { maxBytes: 1_000_000, maxAgeMs: 1e9 }, files };
  {
    await using sessions = await data.open(limits);
    const { memory } = await projectSession(sessions);
    const recordsFrom = (first: number, length: number) =>
      Array.from({ length }, (_, at) => ({
        key: `record:${first + at}`,
        value: `${first + at} ${'x'.repeat(100)}`,
      }));
    await memory.put(recordsFrom(0, 4_000));
    await flipByte(data.paths(id).chats, (await stat(data.paths(id).chats)).size - 1_000);
    calls = 0;
    await memory.put(recordsFrom(4_000, 2_500));
    // What is put now has waited for the compaction.
    await memory.put([{ key: 'last', value: 1 }]);
    expect((await stat(data.paths(id).chats)).size).toBeLessThan(600_000);
    expect(calls).toBeLessThan(20);
  }
  await using sessions = await data.open(limits);
  const { memory } = await projectSession(sessions);
  const kept = Array.from({ length: 6_500 }, (_, number) => number).filter((number) =>
    memory.has(`record:${number}`),
  );
  expect(kept.length).toBeGreaterThan(2_900);
  // All but the damaged one, from the oldest that is kept on.
  expect(6_500 - kept[0]! - kept.length).toBe(1);
  for (const number of kept.slice(0, 1_000))
    expect(await memory.get(`record:${number}`)).toBe(`${number} ${'x'.repeat(100)}`);
  expect([memory.has('record:10'), await memory.get('last')]).toEqual([false, 1]);
});

test('a compaction forgets what is too old', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open({ chatMemory: { maxBytes: 5000, maxAgeMs: 1000 } });
  const { memory } = await projectSession(sessions);
  await memory.put([{ key: 'old', value: 1 }]);
  data.clock.advance(2000);
  await memory.put([{ key: 'new', value: 'x'.repeat(100) }]);
  await memory.put([{ key: 'large', value: 'x'.repeat(5000) }]);
  await memory.put([{ key: 'newest', value: 2 }]);
  expect([memory.has('old'), memory.has('newest')]).toEqual([false, true]);
});

test.each(['write', 'datasync'] as const)('after a failed %s the next put works', async (name) => {
  await using data = await temporaryData();
  let failing = false;
  const { files } = faultyFiles((call) =>
    failing && call.name === name ? { kind: 'error', code: 'ENOSPC' } : { kind: 'none' },
  );
  {
    await using sessions = await data.open({ files });
    const { memory } = await projectSession(sessions);
    await memory.put([{ key: 'a', value: 1 }]);
    failing = true;
    await expect(memory.put([{ key: 'b', value: 2 }])).rejects.toMatchObject({
      code: 'store_full',
    });
    failing = false;
    expect(memory.has('b')).toBe(false);
    await memory.put([{ key: 'c', value: 3 }]);
  }
  await using sessions = await data.open();
  const { memory } = await projectSession(sessions);
  expect([await memory.get('a'), memory.has('b'), await memory.get('c')]).toEqual([1, false, 3]);
});

test('damage anywhere in the file never keeps its session from being opened', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    const { store, memory } = await projectSession(sessions);
    await store.append([{ text: 'kept', kind: 'user_text' }]);
    await memory.put([
      { key: 'a', value: 'value of a' },
      { key: 'b', value: 'value of b' },
    ]);
  }
  const { chats } = data.paths(id);
  const sound = await readFile(chats);
  const damaged: Buffer[] = [Buffer.from('{"my":"notes"}\n'), Buffer.alloc(sound.length)];
  for (let at = 0; at < sound.length; at += 7) {
    damaged.push(Buffer.from(sound).fill(sound[at]! ^ 0x0a, at, at + 1));
    damaged.push(Buffer.from(sound).fill(0, at, Math.min(at + 64, sound.length)));
  }
  for (const bytes of damaged) {
    await writeFile(chats, bytes);
    await using sessions = await data.open();
    const { store, memory } = await sessions.byId(id);
    expect(await store.readEntry(store.entries[0]!)).toBe('kept');
    for (const key of ['a', 'b']) {
      expect([undefined, `value of ${key}`]).toContain(await memory.get(key));
    }
    await memory.put([{ key: 'c', value: 3 }]);
    expect(await memory.get('c')).toBe(3);
  }
});

test('a file of someone else is put aside, and the folder synced that gets a new one', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    await projectSession(sessions);
  }
  const { chats } = data.paths(id);
  await truncate(chats, 0);
  await appendFile(chats, '{"my":"notes"}\n');
  const { files, calls } = faultyFiles(() => ({ kind: 'none' }));
  await using sessions = await data.open({ files });
  await sessions.byId(id);
  expect(await readFile(`${chats}.damaged`, 'utf8')).toBe('{"my":"notes"}\n');
  const made = calls.findLastIndex(({ name, path }) => name === 'open' && path === chats);
  expect(calls.slice(made)).toContainEqual({ name: 'sync', path: dirname(chats) });
});

test('a record that is too large is refused by itself', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { memory } = await projectSession(sessions);
  const results = await Promise.allSettled([
    memory.put([{ key: 'a', value: 1 }]),
    memory.put([{ key: 'b'.repeat(10_001), value: 2 }]),
    memory.put([{ key: 'c', value: 3 }]),
  ]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect([await memory.get('a'), await memory.get('c')]).toEqual([1, 3]);
});

test('whatever fails while it is compacted, nothing that was put is lost', async () => {
  const reached = new Set<string>();
  for (let failing = 0; failing < 32; failing += 1) {
    await using data = await temporaryData();
    const { chats } = data.paths(id);
    let compacting = -1;
    const { files } = faultyFiles((call) => {
      const belongs = call.path.startsWith(chats) || call.name === 'sync';
      if (call.path === `${chats}.new` && call.name === 'open' && compacting < 0) compacting = 0;
      else if (belongs && compacting >= 0) compacting += 1;
      if (compacting === failing) reached.add(call.name);
      return belongs && compacting === failing
        ? { kind: 'error', code: 'ENOSPC' }
        : { kind: 'none' };
    });
    const limits = { chatMemory: { maxBytes: 5000, maxAgeMs: 1e9 } };
    const accepted: number[] = [];
    {
      await using sessions = await data.open({ files, ...limits });
      const { memory } = await projectSession(sessions);
      for (let turn = 0; turn < 60; turn += 1) {
        const put = memory.put([{ key: `record:${turn}`, value: 'x'.repeat(60) }]);
        if (
          await put.then(
            () => true,
            () => false,
          )
        )
          accepted.push(turn);
        expect(memory.has(`record:${accepted.at(-1)!}`)).toBe(true);
      }
    }
    expect(accepted.length).toBeGreaterThanOrEqual(59);
    await using sessions = await data.open(limits);
    const { memory } = await projectSession(sessions);
    const newest = accepted.slice(-15).map((turn) => memory.get(`record:${turn}`));
    expect(await Promise.all(newest)).toEqual(newest.map(() => 'x'.repeat(60)));
  }
  expect([...reached].toSorted()).toEqual([
    'datasync',
    'open',
    'rename',
    'sync',
    'truncate',
    'write',
  ]);
});
