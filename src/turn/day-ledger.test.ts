import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { silentLogger } from '../log.ts';
import { openLedgerFile } from './day-ledger.ts';

let folder: string;
const given = { clock: new ManualClock(), log: silentLogger() };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-ledger-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("today's use survives a restart", async () => {
  const path = join(folder, 'use.json');
  const first = await openLedgerFile(path, given);
  first.ledger.add({ tokens: 5, subCalls: 2 });
  await Promise.all([first.save(), first.save()]);
  first.ledger.add({ tokens: 1 });
  await first.save();
  const second = await openLedgerFile(path, given);
  expect(second.ledger.state).toEqual(first.ledger.state);
  expect(second.ledger.state).toMatchObject({ tokens: 6, subCalls: 2 });
});

test.each(['', 'no json', '{"day":5}', '[]', 'null'])('%j counts from zero', async (text) => {
  const path = join(folder, 'use.json');
  await writeFile(path, text);
  expect((await openLedgerFile(path, given)).ledger.state.tokens).toBe(0);
});

test('nothing is written when nothing was used; a folder that is gone ends nothing', async () => {
  const path = join(folder, 'use.json');
  const file = await openLedgerFile(path, given);
  await file.save();
  await expect(readFile(path)).rejects.toThrow('ENOENT');
  await rm(folder, { recursive: true });
  file.ledger.add({ tokens: 1 });
  await file.save();
  expect(file.ledger.state.tokens).toBe(1);
});

test('use is written soon after a turn, and what is not written yet at the end', async () => {
  const path = join(folder, 'use.json');
  const clock = new ManualClock();
  const file = await openLedgerFile(path, { ...given, clock });
  file.ledger.add({ tokens: 1 });
  file.keep();
  file.keep();
  await expect(readFile(path)).rejects.toThrow('ENOENT');
  clock.advance(1_000);
  await file.save();
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ tokens: 1 });
  file.ledger.add({ tokens: 1 });
  file.keep();
  await file[Symbol.asyncDispose]();
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ tokens: 2 });
});
