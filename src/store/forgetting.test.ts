import { stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { faultyFiles } from '../../test/faults/faulty-files.ts';
import {
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../test/faults/store-harness.ts';
import { filesHolding } from '../../test/support/files-below.ts';
import { strideOf } from '../../test/faults/stride.ts';
import type { NewEntry, Session, Sessions } from './types.ts';

const secret = 'AKIA-the-secret-of-all-secrets-0123456789';

/** The files under a data directory that hold some bytes. */
const filesWith = async ({ dataDir }: TemporaryData, text: string): Promise<readonly string[]> =>
  filesHolding(dataDir, text);

async function textsOf({ store }: Session): Promise<readonly string[]> {
  const texts = [];
  for (const entry of store.entries) {
    texts.push(await store.readEntry(entry).catch((error: Error) => error.message));
  }
  return texts;
}

async function fill(sessions: Sessions): Promise<Session> {
  const session = await projectSession(sessions);
  const texts = ['first text\n', `ключ 日本 ${secret}\nand 🙂 more\n`, 'lone \ud800', 'last'];
  for (const text of texts) {
    await session.store.append([
      {
        text,
        kind: 'tool_result',
        tool: 'bash',
        args: `{"command":"print ${text.slice(0, 4)} ${text.includes(secret) ? secret : ''}"}`,
        path: text.includes(secret) ? `/tmp/${secret}` : '/tmp/x',
        toolCallId: `call-${text.length}`,
        chatId: 'chat',
      },
    ]);
  }
  await session.memory.put([
    { key: 'record:1', value: { results: { a: `line 1: ${secret}` } } },
    { key: 'record:2', value: { before: [{ tool_calls: [{ arguments: '{"entry":"e2"}' }] }] } },
    { key: 'record:3', value: { results: { a: 'first text, e22' } } },
    { key: 'other', value: { names: [`quote "${secret.slice(0, 20)}\n${secret.slice(20)}"`] } },
  ]);
  return session;
}

test('a text that was forgotten is in no file, and all else lies where it lay', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await fill(sessions);
  const { id } = session;
  const before = session.store.entries.map(({ offsetChars, lineNumber }) => [
    offsetChars,
    lineNumber,
  ]);
  const { totals } = session.store;
  const trial = await sessions.forget(id, {
    whole: [2],
    why: 'asked',
    mayComeAgain: false,
    isTrial: true,
  });
  expect(trial).toMatchObject({
    entries: 1,
    chatRecords: 3,
    madeTexts: 0,
    owners: [id],
    readers: [],
  });
  expect((await filesWith(data, secret)).length).toBeGreaterThan(2);
  const outcome = await sessions.forget(id, { whole: [2], why: 'asked', mayComeAgain: false });
  expect(outcome).toEqual(trial);
  expect(await filesWith(data, secret)).toEqual([]);
  expect(await filesWith(data, secret.slice(0, 20))).toEqual([]);
  const { store, memory } = session;
  expect(await textsOf(session)).toEqual([
    'first text\n',
    expect.stringMatching(/^The text of e2 was forgotten on .*: a person asked for it\./),
    'lone \ufffd',
    'last',
  ]);
  expect(store.totals).toEqual(totals);
  expect(store.entries.map(({ offsetChars, lineNumber }) => [offsetChars, lineNumber])).toEqual(
    before,
  );
  expect((await store.read(store.entries[3]!.offsetChars, 4)).text).toBe('last');
  expect(
    (await store.readLines(store.entries[2]!.lineNumber, store.entries[2]!.lineNumber)).text,
  ).toBe('lone \ufffd\n');
  expect(store.entries[1]).toMatchObject({ kind: 'tool_result', tool: 'bash', sha256: '' });
  expect(store.entries[1]!.path ?? store.entries[1]!.args).toBeUndefined();
  expect(['record:1', 'record:2', 'record:3', 'other'].map((key) => memory.has(key))).toEqual([
    false,
    false,
    true,
    false,
  ]);
  expect(await sessions.check(id)).toEqual({ entries: 4, damage: [] });
  expect((await sessions.byId(id)).events.all).toMatchObject([{ type: 'forget', whole: [2] }]);
});

test('of a text that only looks alike nothing goes but what quotes it beside the text, and a trial says so', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  const error = 'ERROR connection to database payments-primary timed out after 30000 ms';
  const log = (day: string): string => `${day} starting\n${day} ${error}\n${day} stopped\n`;
  const entry = (day: string, args: object): NewEntry => ({
    text: log(day),
    kind: 'tool_result',
    tool: 'bash',
    args: JSON.stringify(args),
    path: `/var/log/${day}.log`,
    call: `hash-${day}`,
    outline: { kind: 'log', items: [`1: ${error}`] },
  });
  await session.store.append([
    entry('monday', { command: 'cat monday.log' }),
    entry('tuesday', { command: 'cat tuesday.log' }),
    entry('friday', { command: `grep "${error}" friday.log` }),
  ]);
  await session.memory.put([
    { key: 'record:1', value: { results: { a: 'e2 says nothing of the kind' } } },
    { key: 'record:2', value: { results: { a: `of tuesday: ${error}` } } },
  ]);
  const { id } = session;
  const wanted = { whole: [1], why: 'asked', mayComeAgain: false } as const;
  const told = { entries: 1, masked: 0, calls: 0, quotes: 1, chatRecords: 1, madeTexts: 0 };
  expect(await sessions.forget(id, { ...wanted, isTrial: true })).toMatchObject(told);
  expect(await sessions.forget(id, wanted)).toMatchObject(told);

  const after = await sessions.byId(id);
  const [monday, tuesday, friday] = after.store.entries;
  expect(monday).toMatchObject({ forgotten: { why: 'asked' } });
  const { args, path, outline } = tuesday!;
  expect({ args, path, outline }).toEqual({
    args: '{"command":"cat tuesday.log"}',
    path: '/var/log/tuesday.log',
    outline: { kind: 'log', items: [`1: ${error}`] },
  });
  expect(friday).toMatchObject({ path: '/var/log/friday.log', outline: { kind: 'log' } });
  expect([friday!.args, friday!.call]).toEqual([undefined, undefined]);
  expect(await after.store.readEntry(tuesday!)).toBe(log('tuesday'));
  // What a chat has quoted may be from either.
  expect(after.memory.has('record:1')).toBe(true);
  expect(after.memory.has('record:2')).toBe(false);
});

test('lines that quote it go from texts of our own making, in branches, too', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await fill(sessions);
  const transcript = `## user\nwhat is it\n## result\nit says ${secret.slice(0, 20)}\n${secret.slice(20)} and\nmore`;
  const branch = await sessions.branch(session.id);
  await branch.store.append([{ text: transcript, kind: 'message', tool: 'rlm_exec' }]);
  // Another tool's output may have the same lines: it is named by itself, or by a pattern.
  const outcome = await sessions.forget(session.id, {
    whole: [2],
    why: 'asked',
    mayComeAgain: false,
  });
  expect(outcome).toMatchObject({ entries: 1, madeTexts: 1 });
  expect(await filesWith(data, secret.slice(0, 20))).toEqual([]);
  expect(await filesWith(data, secret.slice(20))).toEqual([]);
  const { store } = await sessions.byId(branch.id);
  const left = await store.readEntry(store.entries.at(-1)!);
  expect(left.split('\n').map((line) => line.replaceAll('#', ''))).toEqual([
    ' user',
    'what is it',
    ' result',
    '',
    '',
    'more',
  ]);
});

test('the same text does not come back, until that is allowed', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await fill(sessions);
  const text = await session.store.readEntry(session.store.entries[1]!);
  const add = async (): Promise<string> => {
    const { store } = await projectSession(sessions);
    const [entry] = await store.append([{ text, kind: 'tool_result', path: `/x/${secret}` }]);
    return entry!.id;
  };
  await sessions.forget(session.id, { whole: [2], why: 'asked', mayComeAgain: false });
  expect(await add()).toBe('e2');
  expect(await filesWith(data, secret)).toEqual([]);
  expect(await sessions.allowAgain(session.id, 2)).toBe(true);
  expect(await sessions.allowAgain(session.id, 2)).toBe(false);
  expect(await add()).toBe('e5');
  const now = await projectSession(sessions);
  expect(await now.store.readEntry(now.store.entries[4]!)).toBe(text);
  expect(await sessions.check(session.id)).toEqual({ entries: 5, damage: [] });
});

test('of a part that was forgotten as many other characters stand in its place', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await fill(sessions);
  const text = await session.store.readEntry(session.store.entries[1]!);
  const start = Buffer.byteLength(text.slice(0, text.indexOf(secret)));
  const parts = [{ seq: 2, ranges: [[start, start + secret.length]] as const }];
  await sessions.forget(session.id, { whole: [], parts, why: 'secret', mayComeAgain: false });
  expect(await filesWith(data, secret)).toEqual([]);
  const { store } = session;
  expect(await store.readEntry(store.entries[1]!)).toBe(
    text.replace(secret, '#'.repeat(secret.length)),
  );
  const [again] = await store.append([{ text, kind: 'tool_result' }]);
  expect(again).toMatchObject({ id: 'e2', masked: { why: 'secret' } });
  expect(await sessions.check(session.id)).toEqual({ entries: 4, damage: [] });
});

test('forgetting reaches branches, their copies, and what they show of the past', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await fill(sessions);
  const branch = await sessions.branch(base.id, { seq: 3 });
  const other = await sessions.branch(base.id);
  await other.memory.put([{ key: 'record:9', value: secret }]);
  // Gives `branch` and `other` copies of what they read, and leaves the base itself.
  const far = await sessions.branch(branch.id);
  await sessions.forget(branch.id, { whole: [2], why: 'asked', mayComeAgain: false });
  expect(await filesWith(data, secret)).toEqual([]);
  for (const { id } of [base, branch, other, far]) {
    const { store } = await sessions.byId(id);
    expect(store.entry('e2')?.forgotten).toMatchObject({ why: 'asked' });
    const then = await store.at({ seq: 2 });
    expect(then.entry('e2')?.forgotten).toMatchObject({ why: 'asked' });
    expect((await sessions.check(id)).damage).toEqual([]);
  }
  expect((await sessions.byId(other.id)).memory.has('record:9')).toBe(false);
});

test('a copy that was made for a branch forgets with the store that it was made of', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const base = await fill(sessions);
  const middle = await sessions.branch(base.id);
  await middle.store.append([{ text: 'in the middle', kind: 'tool_result' }]);
  const branch = await sessions.branch(middle.id);
  await sessions.remove(middle.id, 'detach');
  expect((await filesWith(data, secret)).filter((path) => path.endsWith('.txt'))).toHaveLength(2);
  await sessions.forget(base.id, { whole: [2], why: 'asked', mayComeAgain: false });
  expect(await filesWith(data, secret)).toEqual([]);
  const { store } = await sessions.byId(branch.id);
  expect(store.entry('e2')?.forgotten).toBeDefined();
  expect(await store.readEntry(store.entry('e5')!)).toBe('in the middle');
});

test('texts that make room take none on the disk, and may come again', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const session = await projectSession(sessions);
  for (const letter of ['a', 'b', 'c']) {
    await session.store.append([{ text: `${letter}\n`.repeat(1_000_000), kind: 'tool_result' }]);
  }
  const path = data.paths(session.id).text;
  const blocksBefore = (await stat(path)).blocks;
  await sessions.forget(session.id, { whole: [1, 2], why: 'quota', mayComeAgain: true });
  expect((await stat(path)).size).toBe(6_000_000);
  expect((await stat(path)).blocks).toBeLessThan(blocksBefore / 2);
  const [again] = await session.store.append([
    { text: 'a\n'.repeat(1_000_000), kind: 'tool_result' },
  ]);
  expect(again!.id).toBe('e4');
  expect(await sessions.check(session.id)).toEqual({ entries: 4, damage: [] });
});

test('killed at any point, a text is still there, or gone when the store is opened next', async () => {
  let wasThere = 0;
  let wasGone = 0;
  const { first, step } = strideOf(2);
  for (let at = 1 + first; ; at += step) {
    await using data = await temporaryData();
    let left = Infinity;
    const { files } = faultyFiles(() => {
      left -= 1;
      // From here on nothing reaches the disk: the process is dead.
      return left <= 0 ? { kind: 'error', code: 'EIO' } : { kind: 'none' };
    });
    {
      const sessions = await data.open({ files });
      const { id } = await fill(sessions);
      left = at;
      const wanted = { whole: [2], why: 'asked', mayComeAgain: false } as const;
      const [outcome] = await Promise.allSettled([sessions.forget(id, wanted)]);
      if (outcome.status === 'fulfilled') break;
      await sessions[Symbol.asyncDispose]().catch(() => undefined);
    }
    await using sessions = await data.open();
    const { store, id } = await projectSession(sessions);
    const isGone = store.entry('e2')?.forgotten !== undefined;
    if (isGone) wasGone += 1;
    else wasThere += 1;
    expect((await filesWith(data, secret)).length > 0, `after ${at} calls`).toBe(!isGone);
    expect(await sessions.check(id)).toEqual({ entries: 4, damage: [] });
  }
  expect(wasThere).toBeGreaterThan(0);
  expect(wasGone).toBeGreaterThan(5);
});

test('what is gone takes no room of a store that is as large as it may be', async () => {
  await using data = await temporaryData();
  const open = async (): Promise<Sessions> => data.open({ maxSessionBytes: 1_000 });
  await using sessions = await open();
  const session = await projectSession(sessions);
  const append = async (text: string): Promise<unknown> =>
    session.store.append([{ kind: 'tool_result', text }]);
  await append('a'.repeat(600));
  await expect(append('b'.repeat(600))).rejects.toMatchObject({ code: 'store_full' });
  await sessions.forget(session.id, { whole: [1], why: 'asked', mayComeAgain: false });
  await append('b'.repeat(600));
  await expect(append('c'.repeat(600))).rejects.toMatchObject({ code: 'store_full' });
});
