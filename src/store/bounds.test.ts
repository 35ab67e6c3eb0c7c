import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { faultyFiles } from '../../test/faults/faulty-files.ts';
import {
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../test/faults/store-harness.ts';
import { strideOf } from '../../test/faults/stride.ts';
import { realFiles } from './disk/files.ts';
import type { Session, Sessions } from './types.ts';

const hourMs = 3_600_000;
const textBytes = 300_000;
/** Three texts and a bit. */
const bounds = { storeBytes: 1_048_576 };

function textOf(letter: string): string {
  return `${letter}${'x'.repeat(98)}\n`.repeat(textBytes / 100);
}

async function add({ store }: Session, letters: string): Promise<void> {
  for (const letter of letters) {
    await store.append([{ text: textOf(letter), kind: 'tool_result', tool: 'bash' }]);
  }
}

function goneIn({ store }: Session): readonly string[] {
  return store.entries.filter(({ forgotten }) => forgotten !== undefined).map(({ id }) => id);
}

async function pin(session: Session, ...whole: readonly number[]): Promise<void> {
  await session.events.add({ type: 'pin', timeMs: 0, whole });
}

/** What the text files under a data directory take, bytes. */
async function takenBytes({ dataDir }: TemporaryData): Promise<number> {
  let taken = 0;
  const folder = join(dataDir, 'sessions');
  for (const name of await readdir(folder)) {
    if (/\.txt(\.new)?$/.test(name)) taken += (await stat(join(folder, name))).blocks * 512;
  }
  return taken;
}

test('a text beyond the quota is refused as by a full disk, until the oldest may go', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open({ bounds });
  const session = await projectSession(sessions);
  await add(session, 'abc');
  await expect(add(session, 'd')).rejects.toMatchObject({ code: 'store_full' });
  // Too young.
  expect(await sessions.tidy({ isTrial: false })).toMatchObject({
    texts: 0,
    stores: [{ session: session.id, isFull: true }],
  });
  await expect(add(session, 'd')).rejects.toMatchObject({ code: 'store_full' });
  data.clock.advance(hourMs);
  const trial = await sessions.tidy({ isTrial: true });
  expect(trial).toMatchObject({ texts: 1, stores: [{ quota: 1, age: 0 }] });
  expect(goneIn(session)).toEqual([]);
  await expect(add(session, 'd')).rejects.toMatchObject({ code: 'store_full' });
  expect(await sessions.tidy({ isTrial: false })).toMatchObject({ texts: 1 });
  expect(goneIn(session)).toEqual(['e1']);
  await add(session, 'd');
  expect(await takenBytes(data)).toBeLessThan(3.2 * textBytes);
  expect(await session.store.readEntry(session.store.entry('e4')!)).toBe(textOf('d'));
  expect((await sessions.check(session.id)).damage).toEqual([]);
});

test('what came again lately counts as young, and what is pinned anywhere stays', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open({
    bounds: { storeBytes: 1_200_000, maxAgeMs: 5 * hourMs },
  });
  const session = await projectSession(sessions);
  await add(session, 'abc');
  await pin(session, 2);
  const branch = await sessions.branch(session.id);
  expect(branch.events.all).toMatchObject([{ type: 'pin', whole: [2] }]);
  data.clock.advance(6 * hourMs);
  // In the branch, which reads them from the file of the first.
  await branch.store.append([{ text: textOf('a'), kind: 'tool_result', toolCallId: 'again' }]);
  await pin(branch, 3);
  await session.events.add({ type: 'unpin', timeMs: 0, whole: [2] });
  expect(await sessions.tidy({ isTrial: false })).toMatchObject({ texts: 0 });
  await branch.events.add({ type: 'unpin', timeMs: 0, whole: [2] });
  expect(await sessions.tidy({ isTrial: false })).toMatchObject({
    texts: 1,
    stores: [{ session: session.id, age: 1, pinnedBytes: textBytes }],
  });
  expect(goneIn(session)).toEqual(['e2']);
  expect(goneIn(await sessions.byId(branch.id))).toEqual(['e2']);
  // Stores that nobody has opened count, too.
  await sessions[Symbol.asyncDispose]();
  await using again = await data.open({ bounds: { maxAgeMs: 5 * hourMs } });
  data.clock.advance(6 * hourMs);
  expect(await again.tidy({ isTrial: true })).toMatchObject({ texts: 1 });
  // A person's forgetting beats a pin, and is told of it.
  const wanted = { whole: [1, 3], why: 'asked', mayComeAgain: false } as const;
  expect(await again.forget(branch.id, wanted)).toMatchObject({ entries: 2, pinned: 1 });
});

test('all stores together have a quota, over which the oldest of any goes', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open({ bounds: { allBytes: 1_048_576 } });
  const first = await projectSession(sessions);
  await add(first, 'ab');
  const second = await sessions.forDirectory('/other', { create: true });
  data.clock.advance(hourMs);
  await add(second!, 'c');
  await expect(add(second!, 'd')).rejects.toMatchObject({ code: 'store_full' });
  expect(await sessions.tidy({ isTrial: false })).toMatchObject({ texts: 1, isAllFull: false });
  expect([goneIn(first), goneIn(second!)]).toEqual([['e1'], []]);
  await add(second!, 'd');
  // Also where they have not been opened since.
  await sessions[Symbol.asyncDispose]();
  await using again = await data.open({ bounds: { allBytes: 1_048_576 } });
  const third = await again.forDirectory('/third', { create: true });
  await expect(add(third!, 'e')).rejects.toMatchObject({ code: 'store_full' });
});

test('room is given back while texts are stored, and little is copied while they wait', async () => {
  await using data = await temporaryData();
  let during: Promise<void> | undefined;
  let session: Session | undefined;
  const files = {
    ...realFiles,
    open: async (path: string, options: { readonly create: boolean }) => {
      // The copy is being begun: from here on a chat goes on.
      if (path.endsWith('.new') && options.create && session !== undefined)
        during ??= add(session, 'y');
      return realFiles.open(path, options);
    },
  };
  await using sessions = await data.open({ bounds: { storeBytes: 3_100_000 }, files });
  const filled = await projectSession(sessions);
  await add(filled, 'abcdefghi');
  data.clock.advance(hourMs);
  await add(filled, 'j');
  session = filled;
  const outcome = await sessions.tidy({ isTrial: false });
  await during;
  expect(outcome.texts).toBe(1);
  expect(outcome.copiedBytes).toBeGreaterThanOrEqual(9 * textBytes);
  expect(outcome.closedBytes).toBeLessThanOrEqual(textBytes);
  const { store } = filled;
  expect(store.entry('e1')?.forgotten).toMatchObject({ why: 'quota' });
  for (const [at, letter] of Array.from('bcdefghijy').entries()) {
    expect(await store.readEntry(store.entries[at + 1]!)).toBe(textOf(letter));
  }
  expect((await sessions.check(filled.id)).damage).toEqual([]);
});

test('a forgetting by a person in the middle of that leaves no copy of its bytes', async () => {
  await using data = await temporaryData();
  let forgetting: Promise<unknown> | undefined;
  let ask: (() => Promise<unknown>) | undefined;
  const files = {
    ...realFiles,
    open: async (path: string, options: { readonly create: boolean }) => {
      const file = await realFiles.open(path, options);
      if (path.endsWith('_context.txt.new') && options.create) forgetting ??= ask?.();
      return file;
    },
  };
  await using sessions = await data.open({ bounds: { storeBytes: 1_400_000 }, files });
  const session = await projectSession(sessions);
  await add(session, 'abc');
  data.clock.advance(hourMs);
  await add(session, 'd');
  await expect(add(session, 'e')).rejects.toMatchObject({ code: 'store_full' });
  ask = async () => sessions.forget(session.id, { whole: [3], why: 'asked', mayComeAgain: false });
  await sessions.tidy({ isTrial: false });
  await forgetting;
  expect(goneIn(session)).toContain('e3');
  const folder = join(data.dataDir, 'sessions');
  const found: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const bytes = await realFiles.readWhole(join(folder, name)).catch(() => undefined);
    if (bytes?.includes(textOf('c').slice(0, 100)) === true) found.push(name);
  }
  expect(found).toEqual([]);
  expect((await sessions.check(session.id)).damage).toEqual([]);
});

test('killed at any point, each text is whole or gone, and the room is given back later', async () => {
  let wasThere = 0;
  let wasGone = 0;
  const { first, step } = strideOf(3);
  for (let at = 1 + first; ; at += step) {
    await using data = await temporaryData();
    let left = Infinity;
    const { files } = faultyFiles(() => {
      left -= 1;
      return left <= 0 ? { kind: 'error', code: 'EIO' } : { kind: 'none' };
    });
    const sessions: Sessions = await data.open({ files, bounds });
    await add(await projectSession(sessions), 'abc');
    await add(await projectSession(sessions), 'd').catch(() => undefined);
    data.clock.advance(hourMs);
    left = at;
    const [outcome] = await Promise.allSettled([sessions.tidy({ isTrial: false })]);
    if (outcome.status === 'fulfilled') break;
    await sessions[Symbol.asyncDispose]().catch(() => undefined);
    await using later = await data.open({ bounds });
    const session = await projectSession(later);
    const isGone = goneIn(session).length > 0;
    if (isGone) wasGone += 1;
    else wasThere += 1;
    const whole = Array.from('abc')
      .entries()
      .filter(([place]) => place > 0 || !isGone);
    for (const [place, letter] of whole) {
      const text = await session.store.readEntry(session.store.entries[place]!);
      expect(text).toBe(textOf(letter));
    }
    expect((await later.check(session.id)).damage).toEqual([]);
    await later.tidy({ isTrial: false });
    expect(await takenBytes(data)).toBeLessThan((isGone ? 2.2 : 3.2) * textBytes);
  }
  expect(wasThere).toBeGreaterThan(0);
  expect(wasGone).toBeGreaterThan(3);
});
