import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Random } from '../../src/bench/random.ts';
import { systemClock } from '../../src/clock.ts';
import { createLogger } from '../../src/log.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { realFiles } from '../../src/store/disk/files.ts';
import type { Session } from '../../src/store/types.ts';
import { RecordedDisk } from '../faults/recorded-disk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { startRelay } from '../support/relay.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

const secret = 'a secret that is forgotten';
const anew = /is fetched anew/;

/** A machine before and after a power cut, and what it has said of that. */
type Machine = SharedSessions & { readonly said: readonly string[] };

describe.skipIf(noPostgres !== undefined)(
  `replicas after a power cut (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);

    async function machine(
      name: string,
      bootId: string,
      options: Parameters<typeof openMachine>[2] & { readonly port?: number } = {},
    ): Promise<Machine> {
      const said: string[] = [];
      const log = createLogger('info', (line) => void said.push(line));
      const { port = place.postgres.port, ...rest } = options;
      const url = place.postgres.url({ port });
      const sessions = await openMachine(join(place.folder, name), url, { log, bootId, ...rest });
      return Object.assign(sessions, { said });
    }

    /** What a store holds, and what its chats know. */
    async function heldIn(session: Session): Promise<unknown> {
      const { store, memory } = session;
      const texts: string[] = [];
      for (const entry of store.entries)
        texts.push(entry.forgotten === undefined ? await store.readEntry(entry) : 'forgotten');
      const values = [await memory.get('value 0'), await memory.get('value 1')];
      return { files: await filesOf(session), texts, values };
    }

    async function textsIn(folder: string): Promise<string> {
      const names = await readdir(folder, { recursive: true, withFileTypes: true });
      const files = names.filter((each) => each.isFile());
      const all = await Promise.all(
        files.map(async ({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
      );
      return all.join('\n');
    }

    async function fill({ store, memory }: Session, from: number): Promise<void> {
      for (let number = from; number < from + 4; number += 1) {
        const lines = `text ${number} with a line\n`.repeat(
          number === 2 ? 60_000 : number * 30 + 1,
        );
        await store.append([{ kind: 'user_text', text: lines }]);
        await memory.put([{ key: `value ${number % 2}`, value: 'of a chat '.repeat(number) }]);
      }
    }

    /** What is left of a recorded disk is the data directory of another machine. */
    async function cut(
      disk: RecordedDisk,
      name: string,
      at = disk.operations.length,
    ): Promise<string> {
      const folder = join(place.folder, name);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
      await disk.cutPower(at, folder, new Random(at));
      // It names this very process, which lives; after a power cut the one it names does not.
      for (const each of ['owner.json', 'owner.json.takeover'])
        await rm(join(folder, each), { force: true });
      return folder;
    }

    test('whatever of a replica came to the disk, what is read is what the log has', async () => {
      const disk = new RecordedDisk(join(place.folder, 'recorded'));
      let forgotten = Infinity;
      const cuts: number[] = [];
      {
        await using one = await machine('recorded', 'first', { files: disk.files });
        const session = await sharedStore(one, 'cut');
        await fill(session, 0);
        const [entry] = await session.store.append([{ kind: 'user_text', text: `${secret}\n` }]);
        const whole = [Number(entry!.id.slice(1))];
        await one.forget(session.id, { whole, why: 'asked', mayComeAgain: false });
        forgotten = disk.operations.length;
        await fill(session, 4);
        cuts.push(disk.operations.length);
      }
      await using fresh = await machine('never-cut', 'first');
      const wanted = await heldIn(await sharedStore(fresh, 'cut'));
      for (let round = 0; round < 12; round += 1)
        cuts.push(Math.floor((disk.operations.length * (round + 1)) / 13));
      let fetched = 0;
      for (const at of cuts) {
        const folder = await cut(disk, 'cut', at);
        const isThere = (await textsIn(folder)).includes(secret);
        expect(isThere && at >= forgotten, `cut at ${at}`).toBe(false);
        {
          await using next = await machine('cut', 'second');
          const session = await sharedStore(next, 'cut');
          expect(await heldIn(session), `cut at ${at}`).toEqual(wanted);
          expect(await textsIn(folder)).not.toContain(secret);
          if (next.said.some((line) => anew.test(line))) fetched += 1;
        }
        await using third = await machine('cut', 'third');
        expect(await heldIn(await sharedStore(third, 'cut'))).toEqual(wanted);
        expect(third.said.filter((line) => anew.test(line))).toEqual([]);
      }
      expect(fetched).toBeGreaterThan(cuts.length / 2);
    }, 120_000);

    test('so it is of a replica that begins from an archive, and of a branch', async () => {
      await using one = await machine('archived', 'first');
      const session = await sharedStore(one, 'archived');
      await fill(session, 0);
      const forget = async (from: Machine, there: Session): Promise<void> => {
        const [entry] = await there.store.append([{ kind: 'user_text', text: `${secret}\n` }]);
        const whole = [Number(entry!.id.slice(1))];
        await from.forget(there.id, { whole, why: 'asked', mayComeAgain: true });
      };
      await forget(one, session);
      const { id, store } = await one.branch(session.id, { seq: 3 });
      await store.append([{ kind: 'user_text', text: 'of the branch\n' }]);
      const disk = new RecordedDisk(join(place.folder, 'fetched'));
      {
        await using two = await machine('fetched', 'first', { files: disk.files });
        await forget(two, await sharedStore(two, 'archived'));
        const branch = await two.byId(id);
        await branch.store.append([{ kind: 'user_text', text: 'more of the branch\n' }]);
      }
      await using fresh = await machine('fetched-never-cut', 'first');
      const heldBy = async (there: Machine): Promise<unknown> => [
        await heldIn(await there.byId(id)),
        await heldIn(await sharedStore(there, 'archived')),
      ];
      const wanted = await heldBy(fresh);
      for (let round = 1; round <= 10; round += 1) {
        const at = Math.floor((disk.operations.length * round) / 10);
        await cut(disk, 'fetched-cut', at);
        for (const boot of ['second', 'third']) {
          await using next = await machine('fetched-cut', boot);
          expect(await heldBy(next), `cut at ${at}, ${boot}`).toEqual(wanted);
          const isAnew = next.said.some((line) => anew.test(line));
          expect(isAnew && boot === 'third').toBe(false);
        }
      }
    }, 120_000);

    test('what was closed in peace is there without the database, and is not fetched', async () => {
      const disk = new RecordedDisk(join(place.folder, 'peace'));
      {
        await using one = await machine('peace', 'first', { files: disk.files });
        await fill(await sharedStore(one, 'peace'), 0);
      }
      await using fresh = await machine('peace-never-cut', 'first');
      const wanted = await heldIn(await sharedStore(fresh, 'peace'));
      await cut(disk, 'peace-cut');
      await using relay = await startRelay(1);
      await using next = await machine('peace-cut', 'second', { port: relay.port, waitMs: 1 });
      const session = await sharedStore(next, 'peace');
      expect(await heldIn(session)).toEqual(wanted);
      // Who only reads changes nothing.
      const path = join(place.folder, 'peace-cut', 'replicas', session.id);
      expect(await readFile(path, 'utf8')).toBe('clean\n');
      expect(next.said.filter((line) => anew.test(line))).toEqual([]);
    });

    test('what a killed process has written is believed while the machine goes on', async () => {
      const clock = new ManualClock();
      const one = await machine('killed', 'first', { clock });
      await fill(await sharedStore(one, 'killed'), 0);
      const wanted = await heldIn(await sharedStore(one, 'killed'));
      const copied = join(place.folder, 'killed-copy');
      await cp(join(place.folder, 'killed'), copied, { recursive: true });
      await rm(join(copied, 'owner.json'));
      await one[Symbol.asyncDispose]();
      await using relay = await startRelay(1);
      await using next = await machine('killed-copy', 'first', { port: relay.port, waitMs: 1 });
      expect(await heldIn(await sharedStore(next, 'killed'))).toEqual(wanted);
    });

    test('without the database a replica that is not sound is none, and stays until it is back', async () => {
      const disk = new RecordedDisk(join(place.folder, 'away'));
      const one = await machine('away', 'first', { files: disk.files });
      await fill(await sharedStore(one, 'away'), 0);
      const wanted = await heldIn(await sharedStore(one, 'away'));
      const folder = await cut(disk, 'away-cut');
      await one[Symbol.asyncDispose]();
      const before = await readdir(join(folder, 'sessions'));
      expect(before.length).toBeGreaterThan(3);
      await using relay = await startRelay(1);
      {
        await using next = await machine('away-cut', 'second', { port: relay.port, waitMs: 1 });
        await expect(sharedStore(next, 'away')).rejects.toMatchObject({ code: 'store_away' });
        expect((await next.shared.status()).stores).toEqual([]);
        await next.list();
      }
      expect(await readdir(join(folder, 'sessions'))).toEqual(before);
      await using next = await machine('away-cut', 'second');
      expect(await heldIn(await sharedStore(next, 'away'))).toEqual(wanted);
      expect(next.said.filter((line) => anew.test(line))).not.toEqual([]);
    });

    test('a replica that was still for a while outlives a power cut, until it is written to', async () => {
      const disk = new RecordedDisk(join(place.folder, 'still'));
      const clock = new ManualClock();
      await using one = await machine('still', 'first', { files: disk.files, clock });
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
      await cut(disk, 'still-cut', still);
      await using next = await machine('still-cut', 'second');
      await sharedStore(next, 'still');
      const isOurs = (line: string): boolean => line.includes(session.id) && anew.test(line);
      expect(next.said.filter(isOurs)).toEqual([]);
      const wanted = await heldIn(session);
      let fetched = 0;
      for (const at of [1, 2, 3, 4, 5, 6, 8, 10, Infinity]) {
        await cut(disk, 'later-cut', Math.min(still + at, disk.operations.length));
        await using later = await machine('later-cut', 'second');
        expect(await heldIn(await sharedStore(later, 'still')), `${at} later`).toEqual(wanted);
        fetched = later.said.filter(isOurs).length;
      }
      expect(fetched).toBe(1);
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
        await using one = await machine('refused', 'first', { files });
        await fill(await sharedStore(one, 'refused'), 0);
        isRefusing = true;
      }
      await using next = await machine('refused', 'first');
      const { store } = await sharedStore(next, 'refused');
      expect(store.totals.entries).toBe(4);
      const isOurs = (line: string): boolean => line.includes(store.sessionId) && anew.test(line);
      expect(next.said.filter(isOurs)).toHaveLength(1);
    });
  },
);
