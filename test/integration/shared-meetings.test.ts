import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { Database } from '../../src/shared/database/database.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { realFiles, type Files } from '../../src/store/disk/files.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { openMachine, sharedStore } from '../support/shared-machines.ts';

/** Something that waits at one place until it is let go. */
class Gate {
  readonly #reached = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  #isUsed = false;

  /** Waits, the first time. */
  async pass(): Promise<void> {
    if (this.#isUsed) return;
    this.#isUsed = true;
    this.#reached.resolve();
    await this.#opened.promise;
  }

  async reached(): Promise<void> {
    await this.#reached.promise;
  }

  open(): void {
    this.#opened.resolve();
  }
}

/** Says when it is looked next which stores there are: whoever lets go of one begins with that. */
function listed(): { readonly files: Files; readonly next: () => Promise<void> } {
  let looked = Promise.withResolvers<void>();
  const files: Files = {
    ...realFiles,
    list: async (path) => {
      if (path.endsWith('sessions')) looked.resolve();
      return realFiles.list(path);
    },
  };
  return {
    files,
    next: async () => {
      looked = Promise.withResolvers();
      await looked.promise;
    },
  };
}

describe.skipIf(noPostgres !== undefined)(
  `what is done to shared stores at one time (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;
    let folder: string;

    beforeAll(async () => {
      postgres = await startPostgres();
      folder = await mkdtemp(join(tmpdir(), 'rlm-shared-'));
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
    });

    afterAll(async () => {
      await postgres[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    const machine = async (name: string, files: Files = realFiles): Promise<SharedSessions> =>
      openMachine(join(folder, name), postgres.url(), { files });

    /** Runs a statement in a transaction, which goes back when it is disposed of. */
    async function held(sql: string): Promise<AsyncDisposable> {
      const client = new Client(postgres.url());
      await client.connect();
      await client.query('begin');
      await client.query(sql);
      return { [Symbol.asyncDispose]: async () => client.end() };
    }

    /** The next row of whoever has written the last of a store: its writer waits with it. */
    const nextRowOf = (session: string): string => `insert into rlm_log
      select 'sess_held', 1, 0, writer, n + 1, machine, facts from rlm_log
      where session = '${session}' order by pos desc limit 1`;

    /** Resolves when so many statements wait for others. */
    async function untilWaiting(count: number): Promise<void> {
      const waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
      while (Number(await postgres.sql(waiting)) < count) await systemClock.sleep(5);
    }

    async function baseAndBranch(
      sessions: SharedSessions,
      project: string,
    ): Promise<{ readonly base: string; readonly branch: string }> {
      const { store, id: base } = await sharedStore(sessions, project);
      await store.append([{ kind: 'user_text', text: 'of the base\n' }]);
      const branch = await sessions.branch(base);
      await branch.store.append([{ kind: 'user_text', text: 'of the branch\n' }]);
      return { base, branch: branch.id };
    }

    async function textsOf(sessions: SharedSessions, id: string): Promise<readonly string[]> {
      const { store } = await sessions.byId(id);
      return Promise.all(store.entries.map(async (entry) => store.readEntry(entry)));
    }

    test('a branch that is being opened and its base that goes do not wait for each other', async () => {
      const dataDir = 'opened-and-gone';
      const first = await machine(dataDir);
      const { base, branch } = await baseAndBranch(first, dataDir);
      await first[Symbol.asyncDispose]();
      const looking = new Gate();
      const listing = listed();
      const files: Files = {
        ...listing.files,
        // The first thing that is asked of a store that is opened.
        exists: async (path) => {
          if (path.includes(branch)) await looking.pass();
          return realFiles.exists(path);
        },
      };
      await using one = await machine(dataDir, files);
      const opening = textsOf(one, branch);
      await looking.reached();
      const going = one.salvage(base);
      await listing.next();
      looking.open();
      expect(await opening).toEqual(['of the base\n', 'of the branch\n']);
      expect((await going).kept).toBe(1);
      expect(await textsOf(one, branch)).toEqual(['of the base\n', 'of the branch\n']);
      // Nor when they go twice at one time.
      await Promise.all([one.salvage(base), one.salvage(branch), one.salvage(base)]);
      expect(await textsOf(one, branch)).toEqual(['of the base\n', 'of the branch\n']);
    });

    test('nor does a branch that begins anew from its archive', async () => {
      await using one = await machine('anew-one');
      const listing = listed();
      await using two = await machine('anew-two', listing.files);
      const { base, branch } = await baseAndBranch(one, 'anew');
      expect(await textsOf(two, branch)).toHaveLength(2);
      await (await one.byId(branch)).store.append([{ kind: 'user_text', text: 'secret\n' }]);
      await one.forget(branch, { whole: [3], why: 'asked', mayComeAgain: true });
      const fetching = new Gate();
      const query = Object.getOwnPropertyDescriptor(Database.prototype, 'query')!
        .value as Database['query'];
      const asked = vi.spyOn(Database.prototype, 'query').mockImplementation(async function (
        this: Database,
        ...args: Parameters<Database['query']>
      ) {
        // Where the archive is that takes the place of the rows.
        if (args[0] === 'heads' && args[2][0] === branch) await fetching.pass();
        return query.apply(this, args);
      });
      try {
        two.arriving();
        await fetching.reached();
        const going = two.salvage(base);
        await listing.next();
        fetching.open();
        expect((await going).kept).toBe(1);
        expect((await two.byId(branch)).store.totals.entries).toBe(3);
      } finally {
        asked.mockRestore();
      }
    });

    test('a store is not deleted under a branch that is being made', async () => {
      await using one = await machine('made-one');
      await using two = await machine('made-two');
      const { store, id: base } = await sharedStore(one, 'made');
      await store.append([{ kind: 'user_text', text: 'of the base\n' }]);
      let making: Promise<{ readonly id: string }>;
      let deleting: Promise<unknown>;
      {
        await using _row = await held(nextRowOf(base));
        making = one.branch(base);
        await untilWaiting(1);
        deleting = two.remove(base).catch((error: unknown) => error);
        await untilWaiting(2);
      }
      const { id: branch } = await making;
      expect(await deleting).toMatchObject({
        code: 'invalid_request',
        message: `${base} was not deleted: ${branch} reads texts of it.`,
      });
      expect(await textsOf(two, branch)).toEqual(['of the base\n']);
      await two.remove(base, 'remove');
      for (const id of [base, branch]) {
        one.arriving();
        await expect(one.byId(id)).rejects.toMatchObject({ code: 'unknown_session' });
      }
    });

    test('no branch is made of a store that is being deleted, and nothing is added to it', async () => {
      await using one = await machine('deleted-one');
      await using two = await machine('deleted-two');
      const { store, id: base } = await sharedStore(one, 'deleted');
      await store.append([{ kind: 'user_text', text: 'of the base\n' }]);
      const failed: Promise<unknown>[] = [];
      let deleting: Promise<void>;
      {
        await using _name = await held(
          `select 1 from rlm_name where session = '${base}' for update`,
        );
        deleting = two.remove(base);
        await untilWaiting(1);
        failed.push(one.branch(base).catch((error: unknown) => error));
        const adding = store.append([{ kind: 'user_text', text: 'too late\n' }]);
        failed.push(adding.catch((error: unknown) => error));
        await untilWaiting(3);
      }
      await deleting;
      for (const error of await Promise.all(failed)) {
        expect(error).toMatchObject({ code: 'unknown_session' });
      }
      const left = `select (select count(*) from rlm_log where session = '${base}'),
        (select count(*) from rlm_name where session = '${base}'),
        (select count(*) from rlm_session where '${base}' = any(bases))`;
      expect((await postgres.sql(left)).trim()).toBe('0|0|0');
    });
  },
);
