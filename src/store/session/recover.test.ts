import { readFile, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { allTexts, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import type { NewEntry } from '../types.ts';

const pageBytes = 4_096;

const texts = (count: number, first: number): NewEntry[] =>
  Array.from({ length: count }, (_, at) => ({ text: `text ${first + at}`, kind: 'tool_result' }));

interface Written {
  /** The journal as it was when all was committed. */
  readonly journal: Buffer;
  /** Where its last commit begins. */
  readonly lastStart: number;
  /** Opens the store with another journal, as if it had not been closed. */
  readonly reopen: (journal: Buffer) => Promise<readonly string[]>;
}

/** A store of several commits, one text each, and a last one of `lastTexts`. */
async function writeStore(
  data: Awaited<ReturnType<typeof temporaryData>>,
  lastTexts: number,
): Promise<Written> {
  const sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  const { journal: path, indexDir } = data.paths(id);
  // Until the last commit of a single text crosses a page.
  let lastStart = 0;
  for (let at = 1; ; at += 1) {
    data.clock.advance(1_000);
    lastStart = (await readFile(path)).length;
    const left = pageBytes - (lastStart % pageBytes);
    await store.append(texts(left < 300 ? lastTexts : 1, at));
    if (left < 300) break;
  }
  await sessions[Symbol.asyncDispose]();
  const journal = await readFile(path);
  const reopen = async (changed: Buffer): Promise<readonly string[]> => {
    await writeFile(path, changed);
    await rm(`${indexDir}/checked.json`, { force: true });
    await using again = await data.open();
    const session = await projectSession(again);
    // What is there goes on.
    await session.store.append([{ text: 'the next', kind: 'tool_result' }]);
    return await allTexts(session);
  };
  return { journal, lastStart, reopen };
}

function zeroed(journal: Buffer, from: number, to: number): Buffer {
  return Buffer.from(journal).fill(0, from, to);
}

const endOfPage = (position: number): number => Math.ceil((position + 1) / pageBytes) * pageBytes;

test('an append whose first page never came was never committed', async () => {
  await using data = await temporaryData();
  const { journal, lastStart, reopen } = await writeStore(data, 1);
  expect(endOfPage(lastStart)).toBeLessThan(journal.length);
  const found = await reopen(zeroed(journal, lastStart, endOfPage(lastStart)));
  expect(found.at(-1)).toBe('the next');
  expect(found.length).toBe(journal.toString().trim().split('\n').length - 1);
});

test('an append of many lines whose middle page never came was never committed', async () => {
  await using data = await temporaryData();
  const { journal, lastStart, reopen } = await writeStore(data, 60);
  const page = endOfPage(lastStart) + pageBytes;
  expect(page + pageBytes).toBeLessThan(journal.length);
  const found = await reopen(zeroed(journal, page, page + pageBytes));
  const whole = journal.subarray(0, page).toString().split('\n').length - 2;
  expect(found.length).toBe(whole + 1);
});

test.for([
  ['a page of zeros with other commits behind it', (): number => pageBytes, pageBytes],
  ['zeros that end in a page', (lastStart: number): number => lastStart, 20],
  ['zeros that begin in a line', (lastStart: number): number => lastStart + 20, pageBytes],
] as const)('%s is damage', async ([, from, length]) => {
  await using data = await temporaryData();
  const sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  for (let at = 1; at < 60; at += 1) {
    data.clock.advance(1_000);
    await store.append(texts(1, at));
  }
  await sessions[Symbol.asyncDispose]();
  const { journal: path, indexDir } = data.paths(id);
  const journal = await readFile(path);
  const start = from(journal.lastIndexOf('{"type":"entry"'));
  await writeFile(path, zeroed(journal, start, Math.min(journal.length - 2, start + length)));
  await rm(`${indexDir}/checked.json`, { force: true });
  await using again = await data.open();
  await expect(projectSession(again)).rejects.toMatchObject({ code: 'store_corrupt' });
});
