import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSearchEngine } from '../../src/search/engine.ts';
import { systemClock } from '../../src/clock.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { query } from '../property/search-corpus.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import {
  addTexts,
  filesOf,
  loseRows,
  openMachine,
  sharedStore,
  textsOf,
} from '../support/shared-machines.ts';

describe.skipIf(noPostgres !== undefined)(
  `a store that others read, made anew on a machine (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);
    const engine = openSearchEngine({ clock: systemClock, workers: 1 });
    afterAll(async () => engine[Symbol.asyncDispose]());
    let machines = 0;

    const machine = async (name = `machine-${(machines += 1)}`): Promise<SharedSessions> =>
      openMachine(join(place.folder, name), place.postgres.url(), {});

    async function found({ store }: Session, needle: string): Promise<number> {
      const options = { signal: new AbortController().signal, deadlineMs: 20_000 };
      const { matches } = await engine.search(await store.snapshot(), query(needle), options);
      return matches.length;
    }

    /** What a store holds for each of some machines: the same, also for who searches it. */
    async function seen(id: string, ...all: readonly SharedSessions[]): Promise<readonly string[]> {
      const held = [];
      for (const each of all) {
        each.arriving();
        const session = await each.byId(id);
        const texts = await textsOf(session);
        const { damage } = await each.check(id);
        const matches = await Promise.all(texts.map(async (text) => found(session, `^${text}$`)));
        const counts = texts.map((text) => texts.filter((other) => other === text).length);
        const isFound = matches.join() === counts.join();
        held.push({ texts, files: await filesOf(session), damage, isFound });
      }
      const [first] = held;
      for (const each of held) expect(each).toEqual({ ...first, damage: [], isFound: true });
      return first!.texts;
    }

    test.each([
      ['while it is opened', true],
      ['while it is open', false],
    ])(
      'branches of one that the database has lost rows of have what the log has: noticed %s',
      async (name, isOpened) => {
        const dataDir = `lost-${String(isOpened)}`;
        let ahead = await machine(dataDir);
        const base = await sharedStore(ahead, name);
        await addTexts(base, 'one', 'two');
        const branch = await ahead.branch(base.id);
        await addTexts(branch, 'of the branch');
        const second = await ahead.branch(branch.id);
        await addTexts(second, 'of its branch');
        await addTexts(base, 'lost', 'lost, too');
        if (isOpened) await ahead[Symbol.asyncDispose]();
        await loseRows(place.postgres, base.id, 2);
        await using other = await machine();
        await addTexts(await sharedStore(other, name), 'in its place');
        await addTexts(await other.byId(branch.id), 'of another');
        if (isOpened) ahead = await machine(dataDir);
        const inBase = ['one', 'two', 'in its place'];
        const inBranch = ['one', 'two', 'of the branch', 'of another'];
        const inSecond = ['one', 'two', 'of the branch', 'of its branch'];
        // Who has just noticed it is told so, at most once.
        if (!isOpened) {
          ahead.arriving();
          await ahead.byId(base.id);
        }
        expect(await seen(second.id, ahead, other)).toEqual(inSecond);
        expect(await seen(branch.id, ahead, other)).toEqual(inBranch);
        expect(await seen(base.id, ahead, other)).toEqual(inBase);
        await addTexts(await ahead.byId(second.id), 'and on');
        await addTexts(await ahead.byId(branch.id), 'and on, too');
        await ahead[Symbol.asyncDispose]();
        ahead = await machine(dataDir);
        expect(await seen(second.id, ahead, other)).toEqual([...inSecond, 'and on']);
        await addTexts(await ahead.byId(second.id), 'after a start');
        expect(await seen(second.id, ahead, other)).toEqual([
          ...inSecond,
          'and on',
          'after a start',
        ]);
        expect(await seen(branch.id, ahead, other)).toEqual([...inBranch, 'and on, too']);
        expect(await seen(base.id, ahead, other)).toEqual(inBase);
        await ahead[Symbol.asyncDispose]();
      },
    );

    /** What is wrong with a branch that goes on from what the database has lost. */
    const lost = (branch: string, base: string): object => ({
      code: 'store_corrupt',
      message: `${branch} cannot be read: the shared store has lost texts of ${base}, from which it goes on.`,
    });

    test.each([
      ['nothing stands in their place', []],
      ['others do, as long', ['new', 'and more']],
      ['others do, longer', ['in its place', 'and more']],
    ])(
      'a branch that goes on from rows that the database has lost says so, and all else goes on: %s',
      async (name, others) => {
        const dataDir = `gone-${others.join()}`;
        let ahead = await machine(dataDir);
        const base = await sharedStore(ahead, name);
        await addTexts(base, 'one', 'two');
        const sound = await ahead.branch(base.id);
        await addTexts(base, 'old');
        const broken = await ahead.branch(base.id);
        await addTexts(broken, 'of the branch');
        const second = await ahead.branch(broken.id);
        await addTexts(second, 'of its branch');
        await using still = await machine();
        await still.byId(second.id);
        await ahead[Symbol.asyncDispose]();
        await loseRows(place.postgres, base.id, 2);
        await using fresh = await machine();
        await addTexts(await sharedStore(fresh, name), ...others);
        ahead = await machine(dataDir);
        still.arriving();
        await still.byId(base.id);
        for (const each of [ahead, still, fresh]) {
          await expect(each.byId(broken.id)).rejects.toMatchObject(lost(broken.id, base.id));
          await expect(each.byId(second.id)).rejects.toMatchObject({ code: 'store_corrupt' });
          // In whatever order they are met.
          const listed = await each.list();
          expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining([base.id, sound.id]));
        }
        const all = [ahead, still, fresh];
        expect(await seen(base.id, ...all)).toEqual(['one', 'two', ...others]);
        await addTexts(await ahead.byId(sound.id), 'and on');
        expect(await seen(sound.id, ...all)).toEqual(['one', 'two', 'and on']);
        await ahead.remove(broken.id, 'remove');
        await expect(still.byId(second.id)).rejects.toMatchObject({ code: 'unknown_session' });
        await ahead.remove(base.id, 'remove');
        for (const each of all) {
          each.arriving();
          await expect(each.byId(sound.id)).rejects.toMatchObject({ code: 'unknown_session' });
        }
        await ahead[Symbol.asyncDispose]();
      },
    );

    test('a project whose store goes on from one that the database has lost does without, and others go on', async () => {
      await using one = await machine();
      const base = await sharedStore(one, 'without');
      await addTexts(base, 'one');
      const branch = await one.branch(base.id);
      await addTexts(branch, 'two');
      await one.restore(base.id, branch.id);
      expect((await sharedStore(one, 'without')).id).toBe(branch.id);
      await place.postgres.sql(`delete from rlm_log where session = '${base.id}'`);
      await place.postgres.sql(`delete from rlm_session where id = '${base.id}'`);
      await using two = await machine();
      await expect(sharedStore(two, 'without')).rejects.toMatchObject(lost(branch.id, base.id));
      await addTexts(await sharedStore(two, 'beside'), 'another');
      await two.remove(branch.id);
      await addTexts(await sharedStore(two, 'without'), 'begun anew');
    });

    test('a branch of which an archive has come is opened over a base that is behind it', async () => {
      await using one = await machine();
      await using two = await machine();
      const base = await sharedStore(one, 'behind');
      await addTexts(base, 'one');
      await sharedStore(two, 'behind');
      await addTexts(base, 'two');
      const branch = await one.branch(base.id);
      await addTexts(branch, 'secret', 'three');
      await one.forget(branch.id, { whole: [3], why: 'asked', mayComeAgain: true });
      const { store } = await two.byId(branch.id);
      expect(store.totals.entries).toBe(4);
      expect(await filesOf(await two.byId(branch.id))).toBe(
        await filesOf(await one.byId(branch.id)),
      );
    });
  },
);
