import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { startRelay } from '../support/relay.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import { sharedStore } from '../support/shared-machines.ts';
import { fill, heldIn, SharedPower, type PowerWork } from '../support/shared-power.ts';

describe.skipIf(noPostgres !== undefined)(
  `replicas after a power cut (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);
    let power: SharedPower;
    beforeAll(() => {
      power = new SharedPower(place.postgres, place.folder);
    });

    // `test/long/team-faults.ts` cuts at every moment.
    test.each<PowerWork>(['write', 'fetch'])(
      'whatever of a replica came to the disk, what is read is what the log has (%s)',
      async (work) => {
        const recorded = await power.record(work);
        const { length } = recorded.disk.operations;
        const cuts = Array.from({ length: 10 }, (_, round) => Math.floor((length * round) / 10));
        let fetched = 0;
        for (const at of [...cuts, recorded.forgotten, length])
          if (await power.round(recorded, at)) fetched += 1;
        expect(fetched).toBeGreaterThan(5);
      },
      120_000,
    );

    test('what was closed in peace is there without the database, and is not fetched', async () => {
      const disk = power.diskOf('peace');
      {
        await using one = await power.machine('peace', 'first', { files: disk.files });
        await fill(await sharedStore(one, 'peace'), 0);
      }
      await using fresh = await power.machine('peace-never-cut', 'first');
      const wanted = await heldIn(await sharedStore(fresh, 'peace'));
      const folder = await power.cut(disk, 'peace-cut');
      await using relay = await startRelay(1);
      await using next = await power.machine('peace-cut', 'second', {
        port: relay.port,
        waitMs: 1,
      });
      const session = await sharedStore(next, 'peace');
      expect(await heldIn(session)).toEqual(wanted);
      // Who only reads changes nothing.
      expect(await readFile(join(folder, 'replicas', session.id), 'utf8')).toBe('clean\n');
      expect(next.fetchedAnew()).toBe(0);
    });

    test('what a killed process has written is believed while the machine goes on', async () => {
      const one = await power.machine('killed', 'first');
      await fill(await sharedStore(one, 'killed'), 0);
      const wanted = await heldIn(await sharedStore(one, 'killed'));
      const copied = join(place.folder, 'killed-copy');
      await cp(join(place.folder, 'killed'), copied, { recursive: true });
      await rm(join(copied, 'owner.json'));
      await one[Symbol.asyncDispose]();
      await using relay = await startRelay(1);
      await using next = await power.machine('killed-copy', 'first', {
        port: relay.port,
        waitMs: 1,
      });
      expect(await heldIn(await sharedStore(next, 'killed'))).toEqual(wanted);
    });

    test('without the database a replica that is not sound is none, and stays until it is back', async () => {
      const disk = power.diskOf('away');
      const one = await power.machine('away', 'first', { files: disk.files });
      await fill(await sharedStore(one, 'away'), 0);
      const wanted = await heldIn(await sharedStore(one, 'away'));
      const folder = await power.cut(disk, 'away-cut');
      await one[Symbol.asyncDispose]();
      const before = await readdir(join(folder, 'sessions'));
      expect(before.length).toBeGreaterThan(3);
      await using relay = await startRelay(1);
      {
        await using next = await power.machine('away-cut', 'second', {
          port: relay.port,
          waitMs: 1,
        });
        await expect(sharedStore(next, 'away')).rejects.toMatchObject({ code: 'store_away' });
        expect((await next.shared.status()).stores).toEqual([]);
        await next.list();
      }
      expect(await readdir(join(folder, 'sessions'))).toEqual(before);
      await using next = await power.machine('away-cut', 'second');
      expect(await heldIn(await sharedStore(next, 'away'))).toEqual(wanted);
      expect(next.fetchedAnew()).toBeGreaterThan(0);
    });

    test('a replica that was still for a while outlives a power cut, until it is written to', async () => {
      const disk = power.diskOf('still');
      const clock = new ManualClock();
      await using one = await power.machine('still', 'first', { files: disk.files, clock });
      const session = await sharedStore(one, 'still');
      const path = join(place.folder, 'still', 'replicas', session.id);
      const mark = async (): Promise<string> => readFile(path, 'utf8');
      await fill(session, 0);
      expect(await mark()).toBe('dirty first\n');
      clock.advance(60_000);
      expect(await mark()).toBe('dirty first\n');
      clock.advance(60_000);
      while ((await mark()) !== 'clean\n') await systemClock.sleep(5);
      const still = disk.operations.length;
      await fill(session, 4);
      const wanted = await heldIn(session);
      for (const at of [0, 1, 2, 3, 4, 5, 6, 8, 10, Infinity]) {
        await power.cut(disk, 'still-cut', Math.min(still + at, disk.operations.length));
        await using next = await power.machine('still-cut', 'second');
        expect(await heldIn(await sharedStore(next, 'still')), `${at} later`).toEqual(wanted);
        const isSure = at === 0 || at === Infinity;
        expect(isSure && next.fetchedAnew(session.id)).toBe(isSure && (at === 0 ? 0 : 1));
      }
    });

    test('what the disk has refused once is not believed, whatever it says the next time', async () => {
      let isRefusing = false;
      const refuse = async (): Promise<void> => {
        if (isRefusing) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      };
      const files = {
        ...realFiles,
        open: async (...args: Parameters<typeof realFiles.open>) => ({
          ...(await realFiles.open(...args)),
          datasync: refuse,
        }),
      };
      {
        await using one = await power.machine('refused', 'first', { files });
        await fill(await sharedStore(one, 'refused'), 0);
        isRefusing = true;
      }
      await using next = await power.machine('refused', 'first');
      const { store } = await sharedStore(next, 'refused');
      expect(store.totals.entries).toBe(4);
      expect(next.fetchedAnew(store.sessionId)).toBe(1);
    });
  },
);
