import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { flipByte, projectSession, temporaryData } from '../../test/faults/store-harness.ts';
import { systemClock } from '../clock.ts';
import { openSearchEngine } from '../search/engine.ts';
import type { Sessions } from '../store/types.ts';
import { createOperations } from './operations.ts';

const search = openSearchEngine({ clock: systemClock, workers: 1 });

afterAll(async () => search[Symbol.asyncDispose]());

const line = 'one line of a text that is long enough to be indexed\n';

async function check(
  sessions: Sessions,
  session: string,
): Promise<{ readonly progress: readonly unknown[]; readonly result: unknown }> {
  const run = createOperations({ sessions, search, clock: systemClock });
  const body = Buffer.from(JSON.stringify({ session, deep: true }));
  const { signal } = new AbortController();
  const lines = [];
  for await (const text of run({ operation: 'check-session', body, signal })) {
    lines.push(JSON.parse(text) as { progress?: unknown; result?: unknown });
  }
  const progress = lines.flatMap((each) => (each.progress === undefined ? [] : [each.progress]));
  return { progress, result: lines.at(-1)?.result };
}

test('a deep check compares every hash, kept originals and every row of the index, and says how far it is', async () => {
  await using data = await temporaryData();
  let id: string;
  {
    await using sessions = await data.open();
    const { store, id: made } = await projectSession(sessions);
    id = made;
    await store.append([
      { text: line.repeat(60_000), kind: 'tool_result' },
      { text: 'lone \ud800', kind: 'tool_result' },
      { text: 'last', kind: 'tool_result' },
    ]);
    await search.index(await store.snapshot(), new AbortController().signal);
    const sound = await check(sessions, id);
    const index = { files: 1, damaged: [] };
    expect(sound.result).toEqual({ entries: 3, damage: [], index });
    const { bytes } = store.totals;
    expect(sound.progress.length).toBeGreaterThan(1);
    expect(sound.progress.at(-1)).toEqual({ doneBytes: bytes, totalBytes: bytes });
    // A row that no search has read yet.
    const path = join(store.indexDir, 'blocks-000000.bits');
    const rows = await readFile(path);
    rows[rows.length >> 1]! ^= 4;
    await writeFile(path, rows);
    const told = await check(sessions, id);
    expect(told.result).toEqual({ entries: 3, damage: [], index: { files: 0, damaged: [path] } });
    await search.index(await store.snapshot(), new AbortController().signal);
    expect((await check(sessions, id)).result).toMatchObject({ index });
  }
  const { originalsDir, text } = data.paths(id);
  const [original] = await readdir(originalsDir);
  await flipByte(join(originalsDir, original!), 3);
  await flipByte(text, 100);
  await using sessions = await data.open();
  const { result } = await check(sessions, id);
  expect(result).toEqual({
    entries: 3,
    damage: [
      `${text}: entry e1 is not what was stored`,
      expect.stringContaining('the kept original is not what was stored'),
    ],
  });
});
