import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSearchEngine } from '../../src/search/engine.ts';
import { readFile, writeFile } from 'node:fs/promises';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { readBootId, ReplicaFiles } from '../../src/shared/replica-files.ts';
import { realFiles, type Files } from '../../src/store/disk/files.ts';
import { openReplicas } from '../../src/store/sessions.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { startRelay } from '../support/relay.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { query } from '../property/search-corpus.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import {
  addTexts,
  addWaiting,
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
        // Whoever comes first, and whoever else comes meanwhile.
        ahead.arriving();
        const ids = [second.id, branch.id, base.id];
        for (const { id } of await Promise.all(ids.map(async (each) => ahead.byId(each))))
          expect(ids).toContain(id);
        // Who had one before reads and writes what is there now.
        const held = isOpened ? await ahead.byId(branch.id) : branch;
        expect(await textsOf(held)).toEqual(inBranch);
        await held.memory.put([{ key: 'held', value: 1 }]);
        expect(await (await ahead.byId(branch.id)).memory.get('held')).toBe(1);
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

    test('a store of which rows are lost twice, at the same row, is had anew twice', async () => {
      await using ahead = await machine();
      const base = await sharedStore(ahead, 'twice');
      await addTexts(base, 'one', 'two');
      const branch = await ahead.branch(base.id);
      for (const text of ['three', 'another']) {
        await addTexts(await sharedStore(ahead, 'twice'), text);
        await loseRows(place.postgres, base.id, 2);
        await sharedStore(ahead, 'twice');
        expect(await textsOf(await sharedStore(ahead, 'twice'))).toEqual(['one', 'two']);
      }
      await addTexts(await sharedStore(ahead, 'twice'), 'and on');
      await using fresh = await machine();
      expect(await seen(base.id, ahead, fresh)).toEqual(['one', 'two', 'and on']);
      expect(await seen(branch.id, ahead, fresh)).toEqual(['one', 'two']);
    });

    test('what waits for a branch while its base is had anew is stored, and found under its name', async () => {
      await using relay = await startRelay(place.postgres.port);
      const clock = new ManualClock();
      const url = place.postgres.url({ port: relay.port });
      await using one = await openMachine(join(place.folder, 'waits'), url, {
        clock,
        waitMs: 3_000,
      });
      const base = await sharedStore(one, 'waits');
      await addTexts(base, 'one', 'two');
      const branch = await one.branch(base.id);
      await addTexts(base, 'gone');
      const waits = await addWaiting(branch, 'has waited', { relay, clock });
      expect(waits.id).toMatch(/^p/);
      relay.cut();
      await loseRows(place.postgres, base.id, 2);
      relay.release();
      // It is noticed while the row is sent, or before, or after.
      while (one.shared.state.isAway) {
        clock.advance(500);
        await systemClock.sleep(10);
      }
      one.arriving();
      await one.byId(base.id);
      while (one.shared.state.waiting.rows > 0) await one.drain();
      await using two = await machine();
      expect(await seen(base.id, one, two)).toEqual(['one', 'two']);
      expect(await seen(branch.id, one, two)).toEqual(['one', 'two', 'has waited']);
      expect((await one.byId(branch.id)).store.entry(waits.id)?.id).toBe('e3');
    });

    test('files that were damaged under branches that are open go with these, and all is had anew', async () => {
      let broken: string | undefined;
      const files: Files = {
        ...realFiles,
        open: async (path, options) => {
          const file = await realFiles.open(path, options);
          return {
            ...file,
            write: async (...args) => {
              if (path === broken) throw Object.assign(new Error('i/o error'), { code: 'EIO' });
              return file.write(...args);
            },
          };
        },
      };
      await using one = await openMachine(join(place.folder, 'damaged'), place.postgres.url(), {
        files,
      });
      const base = await sharedStore(one, 'damaged');
      await addTexts(base, 'one');
      const branch = await one.branch(base.id);
      await addTexts(branch, 'of the branch');
      const journal = base.store.textPath.replace('_context.txt', '_entries.jsonl');
      // How far it is cannot be written down, so that it is cut back before the next row.
      broken = journal.replace('_entries.jsonl', '_chats.jsonl');
      await Promise.allSettled([
        addTexts(base, 'two'),
        base.memory.put([{ key: 'known', value: 1 }]),
        addTexts(base, 'three'),
      ]);
      broken = undefined;
      const [header] = (await readFile(journal, 'utf8')).split('\n');
      await writeFile(journal, `${header}\n`);
      await expect(addTexts(base, 'four')).rejects.toMatchObject({
        code: 'store_corrupt',
        message: `What this machine has of ${base.id} is damaged: it is fetched anew.`,
      });
      expect(await textsOf(await one.byId(branch.id))).toEqual(['one', 'of the branch']);
      await addTexts(branch, 'and on');
      await using two = await machine();
      expect(await seen(base.id, one, two)).toEqual(['one', 'two', 'three', 'four']);
      expect(await seen(branch.id, one, two)).toEqual(['one', 'of the branch', 'and on']);
    });

    test('a branch that an earlier version has given a copy of its base is had anew', async () => {
      const dataDir = join(place.folder, 'copied');
      const one = await machine('copied');
      const base = await sharedStore(one, 'copied');
      await addTexts(base, 'one');
      const branch = await one.branch(base.id);
      await addTexts(branch, 'two');
      await one[Symbol.asyncDispose]();
      {
        const parts = { dataDir, clock: systemClock, log: silentLogger() };
        const bootId = await readBootId();
        const disk = new ReplicaFiles({ ...parts, files: realFiles, bootId });
        const options = { ...parts, ids: randomIds, files: disk.files };
        await using replicas = await openReplicas(options, disk);
        await replicas.remove(base.id, 'detach');
      }
      await using again = await machine('copied');
      await using two = await machine();
      expect(await seen(branch.id, again, two)).toEqual(['one', 'two']);
      expect(await seen(base.id, again, two)).toEqual(['one']);
    });

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
      await place.postgres.sql(`delete from rlm_log where session = '${branch.id}' and pos = 1`);
      await using three = await machine();
      await expect(sharedStore(three, 'without')).rejects.toMatchObject({
        code: 'store_corrupt',
        message: expect.stringContaining('is missing') as string,
      });
      await two.remove(branch.id);
      await addTexts(await sharedStore(three, 'without'), 'begun anew');
    });

    test('nor is it read over an archive that was made of other rows', async () => {
      await using one = await machine();
      const base = await sharedStore(one, 'archived');
      await addTexts(base, 'one', 'two');
      const sound = await one.branch(base.id);
      await addTexts(base, 'old');
      const broken = await one.branch(base.id);
      await loseRows(place.postgres, base.id, 2);
      await using two = await machine();
      const others = await sharedStore(two, 'archived');
      await addTexts(others, 'new', 'secret');
      const forgotten = { whole: [4], why: 'asked', mayComeAgain: true } as const;
      // Nobody knows whether it quotes what is to go.
      await expect(two.forget(others.id, forgotten)).rejects.toMatchObject(
        lost(broken.id, base.id),
      );
      const reads = `update rlm_session set bases = '{$}' where id = '${broken.id}'`;
      await place.postgres.sql(reads.replace('$', ''));
      await two.forget(others.id, forgotten);
      await place.postgres.sql(reads.replace('$', base.id));
      await sharedStore(one, 'archived');
      await expect(one.byId(broken.id)).rejects.toMatchObject(lost(broken.id, base.id));
      await addTexts(await one.byId(sound.id), 'and on');
      expect(await seen(sound.id, one, two)).toEqual(['one', 'two', 'and on']);
      const files = await Promise.all([one, two].map(async (each) => each.byId(base.id)));
      expect(await filesOf(files[0]!)).toBe(await filesOf(files[1]!));
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
