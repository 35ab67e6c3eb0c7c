import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { exported, imported } from '../support/archives.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase } from '../support/shared-database.ts';
import { startRelay } from '../support/relay.ts';
import {
  addTexts,
  addWaiting,
  filesOf,
  loseRows,
  openMachine,
  sharedStore,
  textsOf,
} from '../support/shared-machines.ts';

const teamKey = 'a secret of the whole team';

describe.skipIf(noPostgres !== undefined)(
  `a database that has lost or changed rows (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(async (postgres) => {
      const common = { log: silentLogger(), clock: systemClock };
      await initSharedStore(postgres.url(), { ...common, teamKey });
      // What holds a usual server to it holds no hostile one.
      await postgres.sql('alter table rlm_log drop constraint rlm_log_writer_n_key');
    });
    let machines = 0;

    async function machine(): Promise<SharedSessions> {
      machines += 1;
      return openMachine(join(place.folder, `machine-${machines}`), place.postgres.url(), {
        teamKey,
      });
    }

    const headOf = async (id: string): Promise<number> =>
      Number(await place.postgres.sql(`select head from rlm_session where id = '${id}'`));

    const lost = {
      code: 'store_corrupt',
      message: expect.stringContaining('has lost rows of') as string,
    };

    test('who has the lost rows and stores first writes nothing behind them, and goes on with what there is', async () => {
      await using ahead = await machine();
      await using other = await machine();
      const session = await sharedStore(ahead, 'stores first');
      await addTexts(session, 'one', 'two', 'three');
      const others = await sharedStore(other, 'stores first');
      await addTexts(session, 'lost', 'lost, too');
      await loseRows(place.postgres, session.id, 3);
      await expect(addTexts(session, 'behind what is lost')).rejects.toMatchObject(lost);
      expect(await headOf(session.id)).toBe(3);
      // For nobody else anything has happened.
      await addTexts(others, 'four');
      const again = await sharedStore(ahead, 'stores first');
      await addTexts(again, 'five');
      for (const each of [ahead, other]) {
        const there = await sharedStore(each, 'stores first');
        expect(await textsOf(there)).toEqual(['one', 'two', 'three', 'four', 'five']);
        expect(await filesOf(there)).toBe(await filesOf(again));
      }
    });

    test('who has the lost rows stores behind none that others have put in their place', async () => {
      await using ahead = await machine();
      const session = await sharedStore(ahead, 'stores late');
      await addTexts(session, 'one', 'two', 'three');
      await loseRows(place.postgres, session.id, 2);
      await using other = await machine();
      await addTexts(await sharedStore(other, 'stores late'), 'four', 'five', 'six');
      await expect(addTexts(session, 'behind what is lost')).rejects.toMatchObject(lost);
      expect(await headOf(session.id)).toBe(5);
      const again = await sharedStore(ahead, 'stores late');
      expect(await textsOf(again)).toEqual(['one', 'two', 'four', 'five', 'six']);
      await addTexts(again, 'seven');
      const there = await sharedStore(other, 'stores late');
      expect((await textsOf(there)).at(-1)).toBe('seven');
      expect(await filesOf(there)).toBe(await filesOf(again));
    });

    test.each([
      ['the log is shorter', 0],
      ['it has other rows, as many', 1],
      ['it has other rows, and more', 3],
    ])(
      'who has the lost rows and only reads notices it with the next turn: %s',
      async (name, count) => {
        await using ahead = await machine();
        const session = await sharedStore(ahead, name);
        await addTexts(session, 'one', 'two', 'three');
        await loseRows(place.postgres, session.id, 2);
        await using other = await machine();
        const others = await sharedStore(other, name);
        for (let at = 0; at < count; at += 1) await addTexts(others, `other ${at}`);
        // With as many rows as before there is nothing new to fetch, until somebody stores something.
        if (count === 1) await addTexts(others, 'one more');
        await sharedStore(ahead, name);
        const again = await sharedStore(ahead, name);
        expect(await textsOf(again)).toEqual(await textsOf(others));
        expect(await filesOf(again)).toBe(await filesOf(await sharedStore(other, name)));
      },
    );

    test('what has waited while a standby took over that lacks rows is stored behind what there is', async () => {
      await using relay = await startRelay(place.postgres.port);
      const clock = new ManualClock();
      const url = place.postgres.url({ port: relay.port });
      const dataDir = join(place.folder, 'failed-over');
      await using one = await openMachine(dataDir, url, { teamKey, clock, waitMs: 3_000 });
      const session = await sharedStore(one, 'failed over');
      await addTexts(session, 'one', 'two', 'three');
      const waits = await addWaiting(session, 'has waited', { relay, clock });
      expect(waits.id).toMatch(/^p/);
      // The statement that nobody has answered is lost with the server.
      relay.cut();
      await loseRows(place.postgres, session.id, 2);
      await using other = await machine();
      await addTexts(await sharedStore(other, 'failed over'), 'of another');
      relay.release();
      while (one.shared.state.isAway || one.shared.state.waiting.rows > 0) {
        clock.advance(500);
        await systemClock.sleep(10);
      }
      await one.drain();
      const here = await sharedStore(one, 'failed over');
      expect(await textsOf(here)).toEqual(['one', 'two', 'of another', 'has waited']);
      // The name under which it was shown leads to it.
      expect(here.store.entry(waits.id)?.id).toBe('e4');
      expect(await filesOf(await sharedStore(other, 'failed over'))).toBe(await filesOf(here));
    });

    const swap = (id: string, a: number, b: number): string =>
      `update rlm_log set pos = case pos when ${a} then -${b} else -${a} end
       where session = '${id}' and pos in (${a}, ${b});
       update rlm_log set pos = -pos where session = '${id}' and pos < 0`;

    test.each([
      ['exchanged', (id: string) => swap(id, 2, 3), { sound: 1, says: 'was written behind row' }],
      [
        'left out, the others moved up',
        (id: string) =>
          `delete from rlm_log where session = '${id}' and pos = 3;
           update rlm_log set pos = pos - 1 where session = '${id}' and pos > 3;
           update rlm_session set head = head - 1 where id = '${id}'`,
        { sound: 2, says: 'was written behind row 3' },
      ],
      [
        'repeated',
        (id: string) =>
          `insert into rlm_log select session, 7, time_ms, writer, n, machine, facts, text, upload
           from rlm_log where session = '${id}' and pos = 2;
           update rlm_session set head = 7 where id = '${id}'`,
        { sound: 6, says: 'was there before' },
      ],
      [
        'given another time',
        (id: string) =>
          `update rlm_log set time_ms = time_ms + 1 where session = '${id}' and pos = 4`,
        { sound: 4, says: 'was written behind another row 4' },
      ],
      [
        'missing',
        (id: string) => `delete from rlm_log where session = '${id}' and pos = 5`,
        { sound: 4, says: 'is missing' },
      ],
    ])(
      'rows that were %s stop a replay by name, and what a machine holds brings it on again',
      async (name, sql, { sound, says }) => {
        await using one = await machine();
        const session = await sharedStore(one, name);
        await addTexts(session, 'one', 'two', 'three', 'four', 'five', 'six');
        await one[Symbol.asyncDispose]();
        const texts = await textsOf(session).catch(() => undefined);
        void texts;
        await place.postgres.sql(sql(session.id));
        await using two = await machine();
        const there = await sharedStore(two, name);
        expect(await textsOf(there)).toEqual(
          ['one', 'two', 'three', 'four', 'five', 'six'].slice(0, sound),
        );
        const head = await headOf(session.id);
        await expect(addTexts(there, 'more')).rejects.toMatchObject({
          code: 'store_corrupt',
          message: expect.stringContaining(says) as string,
        });
        expect(await headOf(session.id)).toBe(head);
        // Looking again, a restart among it, changes nothing.
        const still = await sharedStore(two, name);
        expect(still.store.totals.entries).toBe(sound);
        // The way on: what a machine holds is taken out, and comes in as a store of its own.
        const archive = await exported(two, session.id);
        await two.remove(session.id);
        const { sessions } = await imported(two, archive, { as: `/work/${name.split(',')[0]}` });
        const mended = await two.byId(sessions[0]!.session);
        await addTexts(mended, 'and on');
        await using three = await machine();
        const late = await three.byId(mended.id);
        expect(await textsOf(late)).toEqual([
          ...['one', 'two', 'three', 'four', 'five', 'six'].slice(0, sound),
          'and on',
        ]);
      },
      20_000,
    );

    test('a name that leads to no store is asked for a few times only', async () => {
      await using one = await machine();
      const { id } = await sharedStore(one, 'astray');
      await place.postgres.sql(`update rlm_session set id = 'nowhere' where id = '${id}';
        update rlm_name set session = 'nowhere' where session = '${id}'`);
      await using two = await machine();
      await expect(sharedStore(two, 'astray')).rejects.toMatchObject({ code: 'unknown_session' });
      await addTexts(await sharedStore(two, 'beside'), 'goes on');
    });

    test('rows of many machines that store at once contradict each other never', async () => {
      const all = [await machine(), await machine(), await machine()];
      const stores = await Promise.all(all.map(async (each) => sharedStore(each, 'at once')));
      await Promise.all(
        stores.flatMap((session, at) =>
          Array.from({ length: 40 }, async (_, number) => addTexts(session, `${number} of ${at}`)),
        ),
      );
      await using fresh = await machine();
      const late = await sharedStore(fresh, 'at once');
      expect(late.store.totals.entries).toBe(120);
      // A start in the middle knows the last row of before.
      const again = await Promise.all(all.map(async (each) => sharedStore(each, 'at once')));
      const files = new Set(await Promise.all([late, ...again].map(filesOf)));
      expect(files.size).toBe(1);
      for (const each of all) await each[Symbol.asyncDispose]();
    });
  },
);
