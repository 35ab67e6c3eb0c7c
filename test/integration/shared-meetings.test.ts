import * as fc from 'fast-check';
import { deepEqual, equal } from 'node:assert/strict';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Database } from '../../src/shared/database/database.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Entry, Session } from '../../src/store/types.ts';
import { realFiles, type Files } from '../../src/store/disk/files.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import { exported, imported, inPieces } from '../support/archives.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

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

const pick = fc.nat(1_000);
const deed = fc.record({
  machine: fc.nat(2),
  pick,
  at: pick,
  what: fc.oneof(
    { weight: 4, arbitrary: fc.constant('append' as const) },
    { weight: 8, arbitrary: fc.constantFrom('branch', 'fetch anew', 'let go') },
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        'remove',
        'remove line',
        'forget',
        'move',
        'link',
        'import',
        'list',
        'export',
        'restore',
        'snapshot',
      ),
    },
  ),
});
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** What three machines do to some stores at one time. */
class Crowd implements AsyncDisposable {
  readonly #machines: readonly SharedSessions[];
  readonly #folder: string;
  readonly #skip: () => void;
  readonly #stores: string[] = [];
  /** What was acknowledged of each store, and not forgotten. */
  readonly #texts = new Map<string, Set<string>>();
  #archive: Buffer | undefined;
  #count = 0;

  /** @param skip Has hours go by, as far as it matters how long something is kept */
  constructor(machines: readonly SharedSessions[], folder: string, skip: () => void) {
    this.#machines = machines;
    this.#folder = folder;
    this.#skip = skip;
  }

  async start(): Promise<void> {
    const [one] = this.#machines as [SharedSessions];
    const session = await sharedStore(one, this.#folder);
    this.#stores.push(session.id);
    for (let at = 0; at < 3; at += 1) await this.#append(session);
    this.#stores.push((await one.branch(session.id)).id);
    this.#archive = await exported(one, session.id);
  }

  async run({ machine, pick: which, at, what }: Deed): Promise<void> {
    const sessions = this.#machines[machine]!;
    const id = this.#stores[which % this.#stores.length]!;
    try {
      await this.#do(sessions, id, what, at);
    } catch (error) {
      // Somebody else has deleted it, made a branch of it, taken the name, or changes it just now.
      const { code } = error as { readonly code?: string };
      if (!['unknown_session', 'invalid_request', 'too_busy'].includes(code ?? '')) throw error;
      // Files that go in the middle of something are no reason to say that there is no such store.
      const isGone = code === 'unknown_session' && (error as Error).message.includes(id);
      if (isGone && (await this.#left()).has(id)) throw error;
    }
  }

  async #do(sessions: SharedSessions, id: string, what: Deed['what'], at: number): Promise<void> {
    switch (what) {
      case 'append':
        await this.#append(await sessions.byId(id));
        return;
      case 'branch':
        this.#stores.push((await sessions.branch(id)).id);
        return;
      case 'fetch anew':
        await sessions.salvage(id);
        return;
      case 'let go':
        this.#skip();
        await sessions.shared.evict();
        return;
      case 'remove':
      case 'remove line':
        await sessions.remove(id, what === 'remove' ? 'keep' : 'remove');
        return;
      case 'forget': {
        const { store } = await sessions.byId(id);
        const entry = store.entries[at % store.entries.length];
        if (entry === undefined || entry.forgotten !== undefined) return;
        const text = await store.readEntry(entry);
        for (const texts of this.#texts.values()) texts.delete(text);
        await sessions.forget(id, { whole: [entry.seq], why: 'asked', mayComeAgain: true });
        return;
      }
      case 'move':
        await sessions.move(id, `${this.#folder}/place-${at % 2}`, { replace: at % 3 === 0 });
        return;
      case 'link': {
        const { events } = await sessions.byId(id);
        const to = this.#stores[at % this.#stores.length]!;
        await events.add({ type: 'link', timeMs: 0, sessionId: to, as: `l${(this.#count += 1)}` });
        return;
      }
      case 'import': {
        const report = await imported(sessions, this.#archive!, { unnamed: true });
        this.#stores.push(report.sessions[0]!.session);
        return;
      }
      case 'list':
        await sessions.list();
        return;
      case 'export':
        await exported(sessions, id);
        return;
      case 'restore':
        await sessions.restore(id, this.#stores[at % this.#stores.length]!);
        return;
      case 'snapshot':
        await sessions.nameMoment(id, `s${(this.#count += 1)}`);
    }
  }

  async #append({ id, store }: Session): Promise<void> {
    const text = `text ${(this.#count += 1)} ${'x'.repeat(this.#count * 100)}\n`;
    await store.append([{ kind: 'user_text', text }]);
    const texts = this.#texts.get(id) ?? new Set();
    this.#texts.set(id, texts.add(text));
  }

  async #left(): Promise<ReadonlySet<string>> {
    const { stores } = await this.#machines[0]!.shared.status();
    return new Set(stores.map(({ session }) => session));
  }

  /** All machines, and one that comes late, have the same of all stores that are left. */
  async check(late: SharedSessions): Promise<void> {
    const left = await this.#left();
    for (const id of this.#stores.filter((each) => left.has(each))) {
      const files = new Set<string>();
      for (const sessions of [...this.#machines, late]) {
        sessions.arriving();
        const session = await sessions.byId(id);
        const { store } = session;
        const held = store.entries.filter(({ forgotten }) => forgotten === undefined);
        const texts = await Promise.all(held.map(async (entry) => store.readEntry(entry)));
        for (const text of this.#texts.get(id) ?? []) {
          equal(texts.filter((each) => each === text).length, 1);
        }
        deepEqual((await sessions.check(id)).damage, []);
        files.add(await filesOf(session));
      }
      equal(files.size, 1);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sessions of this.#machines) await sessions[Symbol.asyncDispose]();
  }
}

describe.skipIf(noPostgres !== undefined)(
  `what is done to shared stores at one time (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);

    const machine = async (name: string, files: Files = realFiles): Promise<SharedSessions> =>
      openMachine(join(place.folder, name), place.postgres.url(), { files });

    /** Runs a statement in a transaction, which goes back when it is disposed of. */
    async function held(sql: string): Promise<AsyncDisposable> {
      const client = new Client(place.postgres.url());
      await client.connect();
      await client.query('begin');
      await client.query(sql);
      return { [Symbol.asyncDispose]: async () => client.end() };
    }

    /** Resolves when so many statements wait for others. */
    async function untilWaiting(count: number): Promise<void> {
      const waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
      while (Number(await place.postgres.sql(waiting)) < count) await systemClock.sleep(5);
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
      const held = store.entries.filter(({ forgotten }) => forgotten === undefined);
      return Promise.all(held.map(async (entry) => store.readEntry(entry)));
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

    test('what was stored while others forgot something, and came here in their archive, is known', async () => {
      await using one = await machine('archived-one');
      await using two = await machine('archived-two');
      const { store, memory, id } = await sharedStore(one, 'archived');
      await store.append([{ kind: 'user_text', text: 'the first\n' }]);
      const large = 'a longer line\n'.repeat(150_000);
      const storing: readonly (() => Promise<unknown>)[] = [
        async () => store.append([{ kind: 'user_text', text: 'small\n' }]),
        async () => store.append([{ kind: 'user_text', text: large }]),
        async () => {
          const chunks = inPieces(Buffer.from(`${large}streamed\n`), 100_000);
          return [await store.appendStream({ kind: 'file', path: 'a', chunks })];
        },
        async () => memory.put([{ key: 'known', value: 1 }]),
        async () => (await one.branch(id)).store.entries,
      ];
      for (const each of storing) {
        const answered = new Gate();
        const query = Object.getOwnPropertyDescriptor(Database.prototype, 'query')!
          .value as Database['query'];
        const asked = vi.spyOn(Database.prototype, 'query').mockImplementation(async function (
          this: Database,
          ...args: Parameters<Database['query']>
        ) {
          const rows = await query.apply(this, args);
          if (args[0] === 'append') await answered.pass();
          return rows;
        });
        try {
          const stored = each();
          await answered.reached();
          const there = await sharedStore(two, 'archived');
          const { seq } = there.store.entries.findLast(({ forgotten }) => forgotten === undefined)!;
          const [next] = await there.store.append([{ kind: 'user_text', text: `goes ${seq}\n` }]);
          await two.forget(id, { whole: [next!.seq], why: 'asked', mayComeAgain: false });
          answered.open();
          const entries = ((await stored) ?? []) as readonly Entry[];
          for (const entry of entries) expect(store.entry(entry.id)).toEqual(entry);
        } finally {
          asked.mockRestore();
        }
      }
      expect(await memory.get('known')).toBe(1);
      for (const each of [one, two]) each.arriving();
      expect(await filesOf(await two.byId(id))).toBe(await filesOf(await one.byId(id)));
      expect(await textsOf(one, id)).toEqual(await textsOf(two, id));
    });

    test('an archive that goes while it is fetched is looked for again', async () => {
      await using one = await machine('fetched-one');
      const { store, id } = await sharedStore(one, 'fetched');
      const forget = async (): Promise<void> => {
        const [entry] = await store.append([
          { kind: 'user_text', text: `text ${store.totals.entries}\n` },
        ]);
        await one.forget(id, { whole: [entry!.seq], why: 'asked', mayComeAgain: true });
      };
      await store.append([{ kind: 'user_text', text: 'stays\n' }]);
      await forget();
      /** What a new machine sees of which something is done to the store while it has its head. */
      const meanwhile = async (name: string, work: () => Promise<void>): Promise<unknown> => {
        const answered = new Gate();
        let heads = 0;
        const query = Object.getOwnPropertyDescriptor(Database.prototype, 'query')!
          .value as Database['query'];
        await using two = await machine(name);
        const asked = vi.spyOn(Database.prototype, 'query').mockImplementation(async function (
          this: Database,
          ...args: Parameters<Database['query']>
        ) {
          const rows = await query.apply(this, args);
          if (args[0] === 'heads' && args[2][0] === id && (heads += 1) === 2) await answered.pass();
          return rows;
        });
        try {
          const seen = textsOf(two, id).catch((error: unknown) => error);
          await answered.reached();
          await work();
          answered.open();
          return await seen;
        } finally {
          asked.mockRestore();
        }
      };
      expect(await meanwhile('fetched-newer', forget)).toEqual(['stays\n']);
      const gone = await meanwhile('fetched-deleted', async () => one.remove(id));
      expect(gone).toMatchObject({ code: 'unknown_session' });
    });

    test('a store is not deleted under a branch that is being made', async () => {
      await using one = await machine('made-one');
      await using two = await machine('made-two');
      const { store, id: base } = await sharedStore(one, 'made');
      await store.append([{ kind: 'user_text', text: 'of the base\n' }]);
      let making: Promise<{ readonly id: string }>;
      let deleting: Promise<unknown>;
      {
        // Who waits for a row has it in the order in which they came.
        await using _row = await held(`select 1 from rlm_session where id = '${base}' for update`);
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
      expect((await place.postgres.sql(left)).trim()).toBe('0|0|0');
    });

    test('whatever several machines do to stores at one time, all of it ends, and they have the same', async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(deed, { minLength: 4, maxLength: 10 }), { minLength: 1, maxLength: 3 }),
          async (rounds) => {
            run += 1;
            let skippedMs = 0;
            const clock = { ...systemClock, now: () => systemClock.now() + skippedMs };
            const open = async (name: string): Promise<SharedSessions> =>
              openMachine(join(place.folder, `crowd-${run}-${name}`), place.postgres.url(), {
                clock,
                replicaBounds: { maxBytes: 1 },
              });
            const machines = await Promise.all(['one', 'two', 'three'].map(open));
            await using crowd = new Crowd(machines, `/crowd-${run}`, () => {
              skippedMs += 7_200_000;
            });
            await crowd.start();
            for (const deeds of rounds) {
              await Promise.all(deeds.map(async (each) => crowd.run(each)));
            }
            await using late = await open('late');
            await crowd.check(late);
            const lone = `select count(*) from rlm_session s, unnest(s.bases) as b(id)
              where s.deleted_ms is null and not exists (
                select 1 from rlm_session o where o.id = b.id and o.deleted_ms is null)`;
            expect((await place.postgres.sql(lone)).trim()).toBe('0');
          },
        ),
        // What comes of meetings is not the same twice.
        { numRuns: Number(process.env['RLM_MEETINGS'] ?? 10), endOnFailure: true },
      );
    }, 120_000);
  },
);
