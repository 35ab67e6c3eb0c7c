import * as fc from 'fast-check';
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { openSharedSessions, type SharedSessions } from '../../src/shared/shared-sessions.ts';
import { linksOf } from '../../src/store/session/links.ts';
import { pinnedIn } from '../../src/store/session/pins.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { temporaryData } from '../faults/store-harness.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom('', 'same', 'same\n', 'lone \ud800', 'a longer line that is quoted somewhere\n'),
  fc
    .tuple(fc.constantFrom('x', 'né', '日本\n', '🙂\r\n'), fc.nat(9_000))
    .map(([unit, count]) => unit.repeat(count)),
);
const pick = fc.nat(1_000);
const machineCount = 3;
const step = fc.record({
  machine: fc.nat(machineCount - 1),
  pick,
  at: pick,
  what: fc.oneof(
    { weight: 6, arbitrary: fc.array(text, { minLength: 1, maxLength: 3 }) },
    {
      weight: 10,
      arbitrary: fc.constantFrom(
        'memory' as const,
        'quote' as const,
        'snapshot' as const,
        'branch' as const,
        'branch' as const,
        'restore' as const,
        'link' as const,
        'unlink' as const,
        'pin' as const,
        'forget' as const,
        'forget' as const,
        'reopen' as const,
        'new machine' as const,
        'remove' as const,
      ),
    },
  ),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The same store on one machine alone, and shared. */
interface Pair {
  readonly alone: string;
  readonly shared: string;
}

class Play {
  readonly #open: (dataDir: string) => Promise<SharedSessions>;
  readonly #folder: string;
  readonly #project: string;
  readonly #alone: Sessions;
  readonly #advance: () => void;
  readonly #machines: { sessions: SharedSessions; dataDir: string }[] = [];
  #pairs: Pair[] = [];
  readonly #removed: string[] = [];
  #names = 0;

  constructor(parts: {
    readonly open: (dataDir: string) => Promise<SharedSessions>;
    readonly folder: string;
    readonly project: string;
    readonly alone: Sessions;
    readonly advance: () => void;
  }) {
    this.#open = parts.open;
    this.#folder = parts.folder;
    this.#project = parts.project;
    this.#alone = parts.alone;
    this.#advance = parts.advance;
  }

  async start(): Promise<void> {
    for (let at = 0; at < machineCount; at += 1) this.#machines.push(await this.#fresh());
    const [alone, shared] = await Promise.all([this.#current(this.#alone, true), this.#now(0)]);
    this.#pairs.push({ alone: alone!.id, shared: shared!.id });
  }

  async run({ machine, pick: which, at, what }: Step): Promise<void> {
    // Moments are told from each other by their milliseconds.
    await sleep(2);
    this.#advance();
    const pair = this.#pairs[which % this.#pairs.length];
    if (pair === undefined) return;
    if (what === 'reopen' || what === 'new machine') {
      const old = this.#machines[machine]!;
      await old.sessions[Symbol.asyncDispose]();
      this.#machines[machine] =
        what === 'reopen'
          ? { ...old, sessions: await this.#open(old.dataDir) }
          : await this.#fresh();
      return;
    }
    const { sessions } = this.#machines[machine]!;
    sessions.arriving();
    const shared = await sessions.byId(pair.shared);
    const alone = await this.#alone.byId(pair.alone);
    const both: readonly (readonly [Sessions, Session])[] = [
      [this.#alone, alone],
      [sessions, shared],
    ];
    if (typeof what !== 'string') {
      const quoted = alone.store.entries[at % Math.max(1, alone.store.entries.length)];
      const args =
        quoted === undefined || quoted.forgotten !== undefined || at % 3 > 0
          ? undefined
          : (await alone.store.readEntry(quoted)).slice(0, 500);
      for (const [, { store }] of both) {
        await store.append(
          what.map((each) => ({
            kind: 'tool_result' as const,
            text: each,
            ...(args !== undefined && { args }),
          })),
        );
      }
      return;
    }
    const count = alone.store.totals.entries;
    const seq = 1 + (at % Math.max(1, count));
    switch (what) {
      case 'memory':
        for (const [, { memory }] of both) await memory.put([{ key: `k${at % 3}`, value: at }]);
        break;
      case 'quote': {
        const entry = alone.store.entries[seq - 1];
        if (entry === undefined || entry.forgotten !== undefined) break;
        const value = { said: await alone.store.readEntry(entry) };
        for (const [, { memory }] of both) await memory.put([{ key: `q${at % 3}`, value }]);
        break;
      }
      case 'snapshot': {
        const name = this.#name('s');
        for (const [all, { id }] of both) await all.nameMoment(id, name);
        break;
      }
      case 'branch': {
        const moment = count > 0 && at % 2 === 0 ? { seq } : undefined;
        const made = [];
        for (const [all, { id }] of both) made.push((await all.branch(id, moment)).id);
        this.#pairs.push({ alone: made[0]!, shared: made[1]! });
        break;
      }
      case 'restore': {
        const from = (await this.#current(this.#alone, false))?.id;
        const known = this.#pairs.find((each) => each.alone === from);
        if (known === undefined) break;
        await this.#alone.restore(known.alone, pair.alone);
        await sessions.restore(known.shared, pair.shared);
        break;
      }
      case 'link': {
        const to = this.#pairs[at % this.#pairs.length]!;
        const as = this.#name('l');
        await alone.events.add({ type: 'link', timeMs: 0, sessionId: to.alone, as });
        await shared.events.add({ type: 'link', timeMs: 0, sessionId: to.shared, as });
        break;
      }
      case 'unlink': {
        const [link] = linksOf(alone.events.all);
        if (link === undefined) break;
        for (const [, { events }] of both)
          await events.add({ type: 'unlink', timeMs: 0, as: link.as });
        break;
      }
      case 'pin':
        if (count === 0) break;
        for (const [, { events }] of both) {
          const type = pinnedIn(events.all).has(seq) ? ('unpin' as const) : ('pin' as const);
          await events.add({ type, timeMs: 0, whole: [seq] });
        }
        break;
      case 'forget': {
        if (count === 0 || alone.store.entries[seq - 1]?.forgotten !== undefined) break;
        const wanted = { whole: [seq], why: 'asked' as const, mayComeAgain: at % 2 === 0 };
        const told = [];
        for (const [all, { id }] of both) told.push(await all.forget(id, wanted));
        equal(told[1]!.bytes, told[0]!.bytes);
        break;
      }
      case 'remove': {
        const others = await this.#alone.branchesOf(pair.alone);
        if (others.length > 0) {
          await rejects(sessions.remove(pair.shared), /was not deleted/);
          break;
        }
        for (const [all, { id }] of both) await all.remove(id);
        this.#removed.push(pair.shared);
        this.#pairs = this.#pairs.filter((each) => each !== pair);
        break;
      }
    }
  }

  async check(): Promise<void> {
    const late = await this.#fresh();
    this.#machines.push(late);
    const current = (await this.#current(this.#alone, false))?.id;
    for (const pair of this.#pairs) {
      const wanted = await this.#told(await this.#alone.byId(pair.alone));
      const files = new Set<string>();
      for (const { sessions } of this.#machines) {
        sessions.arriving();
        const session = await sessions.byId(pair.shared);
        deepEqual(await this.#told(session), wanted);
        deepEqual((await sessions.check(pair.shared)).damage, []);
        files.add(await filesOf(session));
      }
      equal(files.size, 1);
    }
    for (const { sessions } of this.#machines) {
      const listed = new Set((await sessions.list()).map(({ id }) => id));
      for (const id of this.#removed) {
        equal(listed.has(id), false);
        await rejects(sessions.byId(id), { code: 'unknown_session' });
      }
    }
    for (const at of this.#machines.keys()) {
      const known = this.#pairs.find(({ alone }) => alone === current);
      equal((await this.#now(at, false))?.id, known?.shared);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { sessions } of this.#machines) await sessions[Symbol.asyncDispose]();
  }

  async #fresh(): Promise<{ sessions: SharedSessions; dataDir: string }> {
    const dataDir = await mkdtemp(join(this.#folder, 'machine-'));
    return { sessions: await this.#open(dataDir), dataDir };
  }

  async #current(sessions: Sessions, create: boolean): Promise<Session | undefined> {
    return sessions.forDirectory('/project', { create, project: this.#project });
  }

  async #now(machine: number, create = true): Promise<Session | undefined> {
    const { sessions } = this.#machines[machine]!;
    sessions.arriving();
    return this.#current(sessions, create);
  }

  #name(letter: string): string {
    this.#names += 1;
    return `${letter}x${this.#names}`;
  }

  /** All that there is to say of a store, without ids and times. */
  async #told({ store, memory, events }: Session): Promise<unknown> {
    const entries = [];
    for (const entry of store.entries) {
      const { id, sha256, offsetChars, lengthBytes, lineNumber, args, forgotten } = entry;
      const held = forgotten === undefined ? await store.readEntry(entry) : forgotten.why;
      entries.push({ id, sha256, offsetChars, lengthBytes, lineNumber, args, held });
    }
    const values = [];
    for (const key of ['k0', 'k1', 'k2', 'q0', 'q1', 'q2']) values.push(await memory.get(key));
    const indexOf = (id: string): number =>
      this.#pairs.findIndex(({ alone, shared }) => alone === id || shared === id);
    return {
      entries,
      values,
      links: linksOf(events.all).map(({ as, sessionId }) => [as, indexOf(sessionId)]),
      pins: [...pinnedIn(events.all)].toSorted((a, b) => a - b),
      snapshots: events.all.flatMap((event) =>
        event.type === 'snapshot' ? [[event.name, event.ranges.at(-1)?.end.entries ?? 0]] : [],
      ),
    };
  }
}

async function filesOf({ store }: Session): Promise<string> {
  const journal = store.textPath.replace('_context.txt', '_entries.jsonl');
  const hash = createHash('sha256');
  for (const path of [store.textPath, journal]) hash.update(await readFile(path));
  return hash.digest('hex');
}

describe.skipIf(noPostgres !== undefined)(
  `the life of a team's stores (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    let postgres: TestPostgres;
    let folder: string;

    beforeAll(async () => {
      postgres = await startPostgres();
      folder = await mkdtemp(join(tmpdir(), 'rlm-shared-life-'));
      await initSharedStore(postgres.url(), { log: silentLogger(), clock: systemClock });
    });

    afterAll(async () => {
      await postgres[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    test('whatever is done to stores on which machine, all hold what one machine alone would', async () => {
      let runs = 0;
      const many = process.env['RLM_PROPERTY_RUNS'];
      const open = async (dataDir: string): Promise<SharedSessions> =>
        openSharedSessions({
          dataDir,
          url: postgres.url(),
          clock: systemClock,
          ids: randomIds,
          log: silentLogger(),
          waitMs: 10_000,
          spoolBytes: 64 * 1024 * 1024,
        });
      const played = fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 25 }), async (steps) => {
          runs += 1;
          await using data = await temporaryData();
          await using alone = await data.open();
          const advance = (): void => data.clock.advance(1_000);
          const project = `life ${runs}`;
          await using play = new Play({ open, folder, project, alone, advance });
          await play.start();
          for (const one of steps) await play.run(one);
          await play.check();
        }),
        // The same few each time; others, and more of them, where that is asked for.
        many === undefined ? { numRuns: 3, seed: 20_261_127 } : { numRuns: Number(many) },
      );
      await expect(played).resolves.toBeUndefined();
    }, 3_600_000);
  },
);
