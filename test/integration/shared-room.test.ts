import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Database } from '../../src/shared/database/database.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import { startRelay } from '../support/relay.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

const hourMs = 3_600_000;

describe.skipIf(noPostgres !== undefined)(
  `what shared stores may take (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);
    let machines = 0;

    async function machine(
      options: Parameters<typeof openMachine>[2] & { readonly url?: string } = {},
    ): Promise<SharedSessions> {
      machines += 1;
      const { url = place.postgres.url(), ...others } = options;
      return openMachine(join(place.folder, `machine-${machines}`), url, others);
    }

    /** Whether the files of a store are on a machine. */
    const isHere = (textPath: string): boolean => existsSync(textPath);

    test('a quota by size lets go of the oldest texts that nobody has pinned, on all machines alike', async () => {
      const bounded = { bounds: { storeBytes: 700_000 } };
      // What has come within the hour is in use, and stays.
      const later = { ...systemClock, now: () => systemClock.now() + 2 * hourMs };
      await using one = await machine({ ...bounded, clock: later });
      await using two = await machine();
      const here = await sharedStore(one, 'quota');
      for (let at = 0; at < 10; at += 1) {
        await here.store.append([{ kind: 'user_text', text: `text ${at} `.repeat(14_286) }]);
      }
      const there = await sharedStore(two, 'quota');
      // By another machine, which keeps no bounds itself.
      await there.events.add({ type: 'pin', timeMs: systemClock.now(), whole: [1, 3] });
      const trial = await one.tidy({ isTrial: true });
      expect(here.store.list.hasGone).toBe(false);
      const { texts, stores } = await one.tidy({ isTrial: false });
      expect(texts).toBe(trial.texts);
      expect(texts).toBe(4);
      expect(stores).toMatchObject([{ quota: texts, pinnedBytes: expect.any(Number) as number }]);
      for (const each of [one, two]) {
        const { store } = await sharedStore(each, 'quota');
        const gone = store.entries.filter(({ forgotten }) => forgotten?.why === 'quota');
        expect(gone.map(({ seq }) => seq)).toEqual([2, 4, 5, 6, 7, 8, 9].slice(0, texts));
        expect(await store.readEntry(store.entry('e1')!)).toMatch(/^text 0 /);
        expect(await store.readEntry(store.entry('e3')!)).toMatch(/^text 2 /);
        const kept = store.entries.filter(({ forgotten }) => forgotten === undefined);
        expect(kept.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBeLessThan(700_000);
      }
      expect(await filesOf(await sharedStore(two, 'quota'))).toBe(
        await filesOf(await sharedStore(one, 'quota')),
      );
      // It is the same text when it comes again, and is stored.
      const [again] = await here.store.append([
        { kind: 'user_text', text: `text 1 `.repeat(14_286) },
      ]);
      expect(again!.forgotten).toBeUndefined();
    });

    test('a replica goes by age when its hour has come, and not one that is wanted', async () => {
      await using relay = await startRelay(place.postgres.port);
      const clock = new ManualClock();
      const url = place.postgres.url({ port: relay.port });
      const dataDir = join(place.folder, 'evicting');
      const names = ['idle', 'base', 'used', 'waiting'] as const;
      const bounds = { replicaBounds: { maxAgeMs: 5 * hourMs } };
      await using one = await openMachine(dataDir, url, {
        clock,
        waitMs: 3_000,
        keepsBounds: true,
        ...bounds,
      });
      const paths = new Map<string, string>();
      for (const name of names) {
        const { store } = await sharedStore(one, name);
        await store.append([{ kind: 'user_text', text: `needle of ${name}\n` }]);
        paths.set(name, store.textPath);
      }
      const base = await sharedStore(one, 'base');
      const branch = await one.branch(base.id);
      await branch.store.append([{ kind: 'user_text', text: 'on the branch\n' }]);
      const left = (): readonly string[] => names.filter((name) => isHere(paths.get(name)!));
      /** So many hours in which nobody but one store and the branch is used. */
      const pass = async (hours: number): Promise<void> => {
        for (let hour = 0; hour < hours; hour += 1) {
          clock.advance(hourMs);
          await sharedStore(one, 'used');
          await one.byId(branch.id);
          await one.shared.evict();
        }
      };
      const waits = await sharedStore(one, 'waiting');
      relay.hold();
      const adding = waits.store.append([{ kind: 'user_text', text: 'for the database\n' }]);
      while (relay.waiting === 0) await systemClock.sleep(5);
      clock.advance(3_000);
      const [waiting] = await adding;
      expect(waiting!.id).toMatch(/^p/);
      await pass(7);
      // What there is, is here only.
      expect(left()).toEqual(names);
      relay.release();
      while (waits.store.entry(waiting!.id)?.id !== 'e2') {
        clock.advance(1_000);
        await systemClock.sleep(5);
      }
      await pass(1);
      expect(left()).toEqual(['base', 'used', 'waiting']);
      await pass(7);
      expect(left()).toEqual(['base', 'used']);
      // Nothing is lost by it.
      for (const name of names) {
        const { store } = await sharedStore(one, name);
        expect(await store.readEntry(store.entry('e1')!)).toBe(`needle of ${name}\n`);
      }
      expect((await sharedStore(one, 'waiting')).store.totals.entries).toBe(2);
    });

    test('who asks for a store while it goes has it anew, and loses nothing', async () => {
      // Hours go by for what is kept how long, and for nothing that is asked meanwhile.
      let skippedMs = 0;
      const clock = { ...systemClock, now: () => systemClock.now() + skippedMs };
      await using one = await machine({ clock, replicaBounds: { maxBytes: 1 } });
      const session = await sharedStore(one, 'going');
      for (let round = 0; round < 5; round += 1) {
        skippedMs += 2 * hourMs;
        const found = await sharedStore(one, 'going');
        // A turn that has found its store has not used it yet.
        expect(await one.shared.evict()).not.toContain(session.id);
        await found.store.append([{ kind: 'user_text', text: `round ${round}\n` }]);
        skippedMs += 2 * hourMs;
        const storing = async (): Promise<unknown> => {
          const { store } = await sharedStore(one, 'going');
          return store.append([{ kind: 'user_text', text: `while it goes ${round}\n` }]);
        };
        const early = round % 2 === 0 ? storing() : undefined;
        const going = one.shared.evict();
        await (early ?? storing());
        await going;
      }
      await using two = await machine();
      const there = await sharedStore(two, 'going');
      const texts = await Promise.all(
        there.store.entries.map(async (entry) => there.store.readEntry(entry)),
      );
      expect(texts.toSorted()).toEqual(
        [0, 1, 2, 3, 4].flatMap((n) => [`round ${n}\n`, `while it goes ${n}\n`]).toSorted(),
      );
      expect(await filesOf(await sharedStore(one, 'going'))).toBe(await filesOf(there));
    });

    test('who stores while an archive takes the place of rows does not wait for it, and nothing is lost', async () => {
      // A database whose clock is ahead: what chats remember has its times.
      const behind = { ...systemClock, now: () => systemClock.now() - hourMs };
      await using one = await machine({ clock: behind });
      const session = await sharedStore(one, 'sealed');
      for (const text of ['secret\n', 'before\n', `${'x'.repeat(3_000_000)}\n`]) {
        await session.store.append([{ kind: 'user_text', text }]);
      }
      await session.memory.put([{ key: 'before', value: 1 }]);
      const going = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      const query = Object.getOwnPropertyDescriptor(Database.prototype, 'query')!
        .value as Database['query'];
      const asked = vi.spyOn(Database.prototype, 'query').mockImplementation(async function (
        this: Database,
        ...args: Parameters<Database['query']>
      ) {
        if (args[0] === 'put-piece') {
          begun.resolve();
          await going.promise;
        }
        return query.apply(this, args);
      });
      try {
        const wanted = { whole: [1], why: 'asked', mayComeAgain: false } as const;
        const forgetting = one.forget(session.id, wanted);
        await begun.promise;
        const [added] = await session.store.append([{ kind: 'user_text', text: 'meanwhile\n' }]);
        await session.memory.put([{ key: 'meanwhile', value: 2 }]);
        expect(added!.id).toBe('e4');
        going.resolve();
        await forgetting;
      } finally {
        asked.mockRestore();
      }
      const rows = await place.postgres.sql(
        `select count(*) from rlm_log where session = '${session.id}' and pos < 5`,
      );
      expect(rows.trim()).toBe('0');
      await using two = await machine();
      const there = await sharedStore(two, 'sealed');
      expect(await filesOf(there)).toBe(await filesOf(await sharedStore(one, 'sealed')));
      expect(there.store.totals.entries).toBe(4);
      expect(await there.memory.get('before')).toBe(1);
      expect(await there.memory.get('meanwhile')).toBe(2);
    });
  },
);
