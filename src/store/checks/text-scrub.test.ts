import { existsSync, readFileSync } from 'node:fs';
import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { heldFiles } from '../../../test/faults/held-files.ts';
import {
  flipByte,
  projectSession,
  temporaryData,
  type TemporaryData,
} from '../../../test/faults/store-harness.ts';
import type { SessionStore } from '../types.ts';

const dayMs = 24 * 3_600_000;
const texts = ['first\n', 'zwei 日本\n'.repeat(90_000), 'small', 'x'.repeat(100_000), 'last'];

/** A closed session; its id. */
async function stored(data: TemporaryData): Promise<string> {
  await using sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  await store.append(texts.map((text) => ({ text, kind: 'tool_result' })));
  return id;
}

/** Lets time pass until something is so; what is asked of the disk meanwhile is waited for. */
async function passUntil(data: TemporaryData, isSo: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5_000 && !(await isSo()); turn += 1) {
    data.clock.advance(200);
    await setTimeout(1);
  }
}

/** Lets time pass, and what is asked of the disk meanwhile come. */
async function pass(data: TemporaryData, ms: number): Promise<void> {
  data.clock.advance(ms);
  await setTimeout(20);
}

async function scrubbed(data: TemporaryData, store: SessionStore): Promise<void> {
  await passUntil(data, async () => !(await statesOf(store)).includes(0));
}

/** The same, until it is remembered. */
async function remembered(data: TemporaryData, store: SessionStore): Promise<void> {
  await scrubbed(data, store);
  const record = join(store.indexDir, 'checked.json');
  await passUntil(
    data,
    async () => existsSync(record) && readFileSync(record).includes('identity'),
  );
}

async function statesOf(store: SessionStore): Promise<readonly number[]> {
  const { checks, blocks } = await store.snapshot();
  return [...checks.states.subarray(0, blocks.count - 1)];
}

function all(states: readonly number[], state: number): boolean {
  return states.length > 20 && states.every((each) => each === state);
}

test('what this process has written, and what is known as compared, is not read again', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    await store.append(texts.map((text) => ({ text, kind: 'tool_result' })));
    expect(all(await statesOf(store), 1)).toBe(true);
  }
  const held = heldFiles(Infinity);
  await using sessions = await data.open({ files: held.files });
  const { store } = await projectSession(sessions);
  expect(all(await statesOf(store), 1)).toBe(true);
  await pass(data, 60_000);
  // The last block, to go on from.
  expect(held.textBytes()).toBeLessThan(40_000);
});

test('an old store is compared once in the background, slowly and not at once, and that is remembered', async () => {
  await using data = await temporaryData();
  const id = await stored(data);
  const record = join(data.paths(id).indexDir, 'checked.json');
  await writeFile(record, 'none');
  {
    const held = heldFiles(Infinity);
    await using sessions = await data.open({ files: held.files });
    const { store } = await projectSession(sessions);
    expect(all(await statesOf(store), 0)).toBe(true);
    await pass(data, 4_000);
    expect(held.textBytes()).toBeLessThan(40_000);
    // A slice each 10 ms at most.
    await pass(data, 2_000);
    expect(held.textBytes()).toBeLessThan(300_000);
    await remembered(data, store);
    expect(all(await statesOf(store), 1)).toBe(true);
    const { bytes } = store.totals;
    expect(held.textBytes()).toBeGreaterThan(bytes - 40_000);
    expect(held.textBytes()).toBeLessThan(bytes + 80_000);
  }
  await using sessions = await data.open();
  expect(all(await statesOf((await projectSession(sessions)).store), 1)).toBe(true);
});

test('a file that is another or was written to, and one not compared for a week, is compared again', async () => {
  await using data = await temporaryData();
  const id = await stored(data);
  const { text } = data.paths(id);
  const openedStates = async (): Promise<readonly number[]> => {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    const states = await statesOf(store);
    if (states.includes(0)) await rm(join(store.indexDir, 'checked.json'));
    await remembered(data, store);
    return states;
  };
  expect(all(await openedStates(), 1)).toBe(true);
  await copyFile(text, `${text}.copy`);
  await rename(`${text}.copy`, text);
  expect(all(await openedStates(), 0)).toBe(true);
  expect(all(await openedStates(), 1)).toBe(true);
  await writeFile(text, await readFile(text));
  expect(all(await openedStates(), 0)).toBe(true);
  data.clock.advance(6 * dayMs);
  expect(all(await openedStates(), 1)).toBe(true);
  data.clock.advance(2 * dayMs);
  expect(all(await openedStates(), 0)).toBe(true);
  expect(all(await openedStates(), 1)).toBe(true);
});

test('a change behind our back is noticed by the next search; our own writing is none', async () => {
  await using data = await temporaryData();
  const id = await stored(data);
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  await store.append([{ text: 'one more', kind: 'tool_result' }]);
  expect(all(await statesOf(store), 1)).toBe(true);
  await flipByte(data.paths(id).text, 300_000);
  expect(all(await statesOf(store), 0)).toBe(true);
  await scrubbed(data, store);
  const { checks } = await store.snapshot();
  expect(checks.damaged.map(({ name }) => name)).toEqual(['e2']);
  // Only the block; what lies beside it in the same entry is served.
  expect(checks.damaged[0]!.endBytes - checks.damaged[0]!.startBytes).toBeLessThan(40_000);
  const [, second] = store.entries;
  await expect(store.read(second!.offsetChars + 200_000, 10)).rejects.toMatchObject({
    code: 'store_corrupt',
  });
  expect((await store.read(second!.offsetChars, 8)).text).toBe('zwei 日本\n');
  expect((await store.read(second!.offsetChars + 80_000, 8)).text).toBe('zwei 日本\n');
  expect(await store.readEntry(store.entries[4]!)).toBe('last');
});

test('a scrub ends when its session is closed, and is not taken for done', async () => {
  await using data = await temporaryData();
  const id = await stored(data);
  await writeFile(join(data.paths(id).indexDir, 'checked.json'), 'none');
  {
    await using sessions = await data.open();
    await projectSession(sessions);
    await pass(data, 5_020);
  }
  expect(data.clock.waiting).toBe(0);
  await using sessions = await data.open();
  expect(all(await statesOf((await projectSession(sessions)).store), 0)).toBe(true);
});

test('of blocks that hold several texts only those are lost that are damaged', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    const { store } = await projectSession(sessions);
    const many = Array.from({ length: 3_000 }, (_, at) => ({
      text: `text é ${at}`,
      kind: 'tool_result' as const,
    }));
    await store.append(many);
  }
  await using sessions = await data.open();
  const { store } = await projectSession(sessions);
  const damaged = store.entries[1_500]!;
  await flipByte(store.textPath, damaged.offsetBytes + 5, 0xff);
  const [before, after] = [store.entries[1_499]!, store.entries[1_501]!];
  await expect(store.read(damaged.offsetChars, 3)).rejects.toThrow(/entry e1501 /);
  for (const entry of [before, after]) {
    const { text } = await store.read(entry.offsetChars, entry.lengthChars);
    expect(text).toBe(`text é ${entry.seq - 1}`);
    const line = await store.readLines(entry.lineNumber, entry.lineNumber);
    expect(line).toMatchObject({ text: `${text}\n`, offsetChars: entry.offsetChars });
  }
  const { checks } = await store.snapshot();
  expect(checks.damaged).toEqual([
    { startBytes: damaged.offsetBytes, endBytes: after.offsetBytes, name: 'e1501' },
  ]);
});
