import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { randomIds, systemClock } from '../../clock.ts';
import { temporaryData } from '../../../test/faults/store-harness.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { realFiles } from './files.ts';
import { lockOwner, publishOwner, readOwner } from './owner.ts';

const parts = { files: realFiles, clock: systemClock, ids: randomIds };

test('the second to open learns who holds the data directory, then may have it', async () => {
  await using data = await temporaryData();
  {
    await using sessions = await data.open();
    await publishOwner(data.dataDir, { address: 'http://127.0.0.1:8768', secret: 's3cret' });
    await expect(data.open()).rejects.toMatchObject({
      code: 'store_locked',
      message: `${data.dataDir} is in use by process ${process.pid}, which listens on http://127.0.0.1:8768.`,
    });
    expect(await sessions.list()).toEqual([]);
    expect(await readOwner(data.dataDir)).toMatchObject({
      pid: process.pid,
      address: 'http://127.0.0.1:8768',
      secret: 's3cret',
    });
    expect((await stat(join(data.dataDir, 'owner.json'))).mode & 0o777).toBe(0o600);
  }
  expect(await readOwner(data.dataDir)).toBeUndefined();
  await using sessions = await data.open();
  expect(await sessions.list()).toEqual([]);
});

test('who holds it for a moment is waited for, and not for ever', async () => {
  await using data = await temporaryData();
  const clock = new ManualClock();
  const brief = await lockOwner(data.dataDir, { ...parts, isBrief: true });
  const waiting = lockOwner(data.dataDir, { ...parts, clock });
  const outcome = waiting.catch((error: unknown) => error);
  for (let looks = 0; looks < 500; looks += 1) {
    while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10);
  }
  expect(await outcome).toMatchObject({ code: 'store_locked' });
  const second = lockOwner(data.dataDir, parts);
  await brief.release();
  await (await second).release();
  expect(await readOwner(data.dataDir)).toBeUndefined();
});

test('a dead process is no owner, even where its pid lives on in another', async () => {
  await using data = await temporaryData();
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  const path = join(data.dataDir, 'owner.json');
  const lock = await lockOwner(data.dataDir, parts);
  const mine = JSON.parse(await readFile(path, 'utf8')) as object;
  await lock.release();
  const stale = [
    JSON.stringify({ ...mine, pid: child.pid }),
    JSON.stringify({ ...mine, processStart: 'an-earlier-boot/1234' }),
    '{"pid":',
    '',
  ];
  for (const text of stale) {
    await writeFile(path, text);
    expect(await readOwner(data.dataDir)).toBeUndefined();
    const taken = await lockOwner(data.dataDir, parts);
    expect((await readOwner(data.dataDir))?.pid).toBe(process.pid);
    await taken.release();
  }
});

test('where there is no room for the file, nothing of it stays', async () => {
  await using data = await temporaryData();
  const full = {
    ...realFiles,
    createExclusive: async (path: string): Promise<boolean> => {
      await writeFile(path, '');
      throw new Error('no space left');
    },
  };
  const before = await readdir(data.dataDir);
  await expect(lockOwner(data.dataDir, { ...parts, files: full })).rejects.toThrow('no space');
  expect(await readdir(data.dataDir)).toEqual(before);
});

test('of many that find a stale lock at once exactly one gets it', async () => {
  await using data = await temporaryData();
  for (let round = 0; round < 20; round += 1) {
    await writeFile(join(data.dataDir, 'owner.json'), 'stale');
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => lockOwner(data.dataDir, parts)),
    );
    const held = results.filter((result) => result.status === 'fulfilled');
    expect(held.length).toBe(1);
    await held[0]!.value.release();
  }
});

test('only the owner publishes', async () => {
  await using data = await temporaryData();
  const publishing = publishOwner(data.dataDir, { address: 'http://127.0.0.1:1', secret: 'x' });
  await expect(publishing).rejects.toMatchObject({ code: 'store_locked' });
});
