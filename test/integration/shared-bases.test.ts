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
  },
);
