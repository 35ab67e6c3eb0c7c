import { cp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { Session, SessionStore, Sessions } from '../../src/store/types.ts';
import { filesBelow } from '../support/files-below.ts';
import { temporaryData, type TemporaryData } from '../faults/store-harness.ts';

/** Written by `test/fixtures/write-store.ts` with the program of the time; never to be changed. */
const fixtures = join(import.meta.dirname, '../fixtures/stores');

const engine = openSearchEngine({ clock: systemClock, workers: 1 });
afterAll(async () => engine[Symbol.asyncDispose]());

/** A copy of a fixture, and its sessions. */
async function copyOf(version: string): Promise<TemporaryData> {
  const data = await temporaryData();
  await cp(join(fixtures, version), data.dataDir, { recursive: true });
  const open: TemporaryData['open'] = async (options) => data.open({ ids: randomIds, ...options });
  return { ...data, open };
}

/** All files of a data directory but what can be made again, in hexadecimal. */
async function filesOf(dataDir: string): Promise<Readonly<Record<string, string>>> {
  const found = await filesBelow(dataDir);
  return Object.fromEntries(
    found
      .filter(({ path }) => !dirname(path).endsWith('_index'))
      .map(({ path, bytes }) => [path, bytes.toString('hex')]),
  );
}

async function shop(sessions: Sessions): Promise<Session> {
  return (await sessions.forDirectory('/work/shop', { create: false }))!;
}

async function hitsOf(store: SessionStore): Promise<readonly string[]> {
  const query = {
    pattern: 'needle=(\\d)',
    literal: false,
    caseSensitive: true,
    maxResults: 100,
    contextLines: 0,
    order: 'oldest' as const,
    maxLineChars: 100,
  };
  const limits = { signal: new AbortController().signal, deadlineMs: 60_000 };
  const { matches } = await engine.search(await store.snapshot(), query, limits);
  return [...new Set(matches.map(({ text }) => /needle=\d/.exec(text)![0]))];
}

const plainTexts = [
  'needle=1 of a file\n',
  'needle=2\r\n日本 🙂 fail',
  'lone \ufffd needle=3',
  '',
  'row needle=4\n'.repeat(40),
];

/** What each version holds that has no branch: the same for all. */
async function checkPlain({ id, store, memory, events }: Session, texts: readonly string[]) {
  const read = store.entries.slice(0, 5).map(async (entry) => store.readEntry(entry));
  expect(await Promise.all(read)).toEqual(texts);
  const [file, output, lone, empty, rows] = store.entries;
  expect(store.outputsOf('chat 1', 'c1').map(({ entry, call }) => [entry, call])).toEqual([
    [output, 'bash make'],
  ]);
  expect(store.outputsOf('chat 1', 'c2').map(({ entry }) => entry)).toEqual([output]);
  expect(store.source('/work/shop/a.ts')?.file).toEqual({
    sizeBytes: 12,
    mtimeMs: 1_600_000_000_000.5,
  });
  expect(store.list.pathsOf(file!)).toEqual(['/work/shop/a.ts', '/work/shop/b.ts']);
  expect(Buffer.concat(await Array.fromAsync(store.readOriginal(lone!))).toString('utf16le')).toBe(
    'lone \ud800 needle=3',
  );
  expect(output?.outline).toEqual({ kind: 'log', items: ['line 1: needle'] });
  expect([empty?.note, empty?.chatId, rows?.timeMs]).toEqual([
    'decoded from UTF-16LE',
    'chat 2',
    1_500_000_000_000,
  ]);
  expect(await memory.get('chat 1')).toEqual({ stripped: ['e2', 'e3'] });
  expect(events.all.find(({ type }) => type === 'link')).toMatchObject({ as: 'api' });
  expect(id).toMatch(/^sess_0{10}/);
}

describe('a store of version 1', () => {
  test('opens as it was, and reading changes no byte of it', async () => {
    await using data = await copyOf('version-1');
    const before = await filesOf(data.dataDir);
    {
      await using sessions = await data.open();
      const session = await shop(sessions);
      await checkPlain(session, plainTexts);
      expect(session.store.totals).toEqual({ bytes: 585, chars: 576, lines: 45, entries: 5 });
      expect(await hitsOf(session.store)).toEqual([1, 2, 3, 4].map((n) => `needle=${n}`));
      expect((await session.store.at({ timeMs: 1_700_000_060_000 })).totals.entries).toBe(3);
      expect(await sessions.chats.get('answer')).toEqual({ session: session.id });
      const client = await sessions.forKey('a client without a directory', { create: false });
      expect(client?.store.totals.entries).toBe(0);
      const listed = await sessions.list();
      expect(listed.map(({ damage }) => damage)).toEqual([undefined, undefined, undefined]);
      for (const { id } of listed) expect((await sessions.check(id)).damage).toEqual([]);
    }
    expect(await filesOf(data.dataDir)).toEqual(before);
  });

  test('goes on: what is appended leaves it a store that older programs read', async () => {
    await using data = await copyOf('version-1');
    const before = await filesOf(data.dataDir);
    {
      await using sessions = await data.open();
      const { store } = await shop(sessions);
      const [known] = await store.append([{ text: plainTexts[1]!, kind: 'tool_result' }]);
      expect(known?.id).toBe('e2');
      await store.append([{ text: 'needle=8 of today\n', kind: 'user_text' }]);
    }
    await using sessions = await data.open();
    const session = await shop(sessions);
    await checkPlain(session, plainTexts);
    expect(await hitsOf(session.store)).toContain('needle=8');
    const after = await filesOf(data.dataDir);
    for (const [path, bytes] of Object.entries(before))
      expect(after[path]?.startsWith(bytes), `in ${path}`).toBe(true);
  });

  test('can be branched, looked back at, and made to forget', async () => {
    await using data = await copyOf('version-1');
    const before = await filesOf(data.dataDir);
    let branchId = '';
    {
      await using sessions = await data.open();
      const base = await shop(sessions);
      const branch = await sessions.branch(base.id, { seq: 3 });
      branchId = branch.id;
      await branch.store.append([{ text: 'needle=9 on a branch\n', kind: 'user_text' }]);
      expect(await hitsOf(branch.store)).toEqual([1, 2, 3, 9].map((n) => `needle=${n}`));
      const after = await filesOf(data.dataDir);
      for (const path of Object.keys(before).filter((each) => each.startsWith('sessions')))
        expect(after[path], `in ${path}`).toBe(before[path]);
      await sessions.forget(base.id, { whole: [2], why: 'asked', mayComeAgain: false });
    }
    await using sessions = await data.open();
    const { id, store } = await shop(sessions);
    for (const each of [store, (await sessions.byId(branchId)).store, await store.at({ seq: 2 })])
      await expect(each.readEntry(each.entries[1]!)).rejects.toThrow('was forgotten');
    const others = [0, 2, 3, 4].map(async (at) => store.readEntry(store.entries[at]!));
    expect(await Promise.all(others)).toEqual(plainTexts.toSpliced(1, 1));
    expect((await sessions.check(id)).damage).toEqual([]);
    const [again] = await store.append([{ text: plainTexts[1]!, kind: 'tool_result' }]);
    expect(again?.id).toBe('e2');
  });
});

test('a store of version 2 opens as it was, with its branches and what it forgot', async () => {
  await using data = await copyOf('version-2');
  const before = await filesOf(data.dataDir);
  {
    await using sessions = await data.open();
    const current = await shop(sessions);
    const { store, events } = current;
    expect(store.entries.map(({ forgotten, masked }) => forgotten?.why ?? masked?.why)).toEqual([
      undefined,
      'asked',
      undefined,
      undefined,
      'secret',
      undefined,
      undefined,
    ]);
    const masked = await store.readEntry(store.entries[4]!);
    expect(masked).toBe(plainTexts[4]!.replace('needle', '######'));
    expect(await hitsOf(store)).toEqual([1, 3, 4, 6, 7].map((n) => `needle=${n}`));
    expect(await store.readEntry(store.entries[6]!)).toBe('needle=7 on the branch of it\n');
    expect(events.all.find(({ type }) => type === 'pin')).toMatchObject({ whole: [1] });
    const listed = await sessions.list();
    expect(listed.filter(({ bases = [] }) => bases.length > 0)).toHaveLength(2);
    for (const { id } of listed) expect((await sessions.check(id)).damage).toEqual([]);
    const base = listed.find(({ earlierDirectory }) => earlierDirectory === '/work/shop');
    const { store: earlier, events: decided } = await sessions.byId(base!.id);
    const snapshot = decided.all.find((event) => event.type === 'snapshot');
    expect(snapshot?.name).toBe('first');
    expect((await earlier.at({ ranges: snapshot!.ranges })).totals.entries).toBe(5);
    expect(await hitsOf(earlier)).toEqual([1, 3, 4, 5].map((n) => `needle=${n}`));
  }
  expect(await filesOf(data.dataDir)).toEqual(before);
});
