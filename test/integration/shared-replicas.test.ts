import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { type Clock, randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { Database } from '../../src/shared/database/database.ts';
import {
  openSharedSessions,
  type SharedOptions,
  type SharedSessions,
} from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';

describe.skipIf(noPostgres !== undefined)(
  `stores of a team (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);

    let machines = 0;
    async function machine(options: Partial<SharedOptions> = {}): Promise<SharedSessions> {
      machines += 1;
      return openSharedSessions({
        dataDir: join(place.folder, `machine-${machines}`),
        url: place.postgres.url(),
        clock: systemClock,
        ids: randomIds,
        log: silentLogger(),
        waitMs: 2_000,
        spoolBytes: 64 * 1024 * 1024,
        ...options,
      });
    }

    async function storeOf(sessions: SharedSessions, project: string): Promise<Session> {
      sessions.arriving();
      const session = await sessions.forDirectory('/work', { create: true, project });
      if (session === undefined) throw new Error('no session');
      return session;
    }

    async function filesOf({ store }: Session): Promise<string> {
      const journal = store.textPath.replace('_context.txt', '_entries.jsonl');
      const hash = createHash('sha256');
      for (const path of [store.textPath, journal]) hash.update(await readFile(path));
      return hash.digest('hex');
    }

    test('machines that store at the same time have the same files', async () => {
      const all = await Promise.all([machine(), machine(), machine()]);
      const stores = await Promise.all(all.map(async (each) => storeOf(each, 'same')));
      await Promise.all(
        stores.map(async ({ store }, at) => {
          for (let turn = 0; turn < 20; turn += 1) {
            await store.append([
              {
                kind: 'tool_result',
                tool: 'bash',
                toolCallId: `c${turn}`,
                chatId: `chat${at}`,
                text: `output ${turn} of all\n`.repeat(200),
              },
              {
                kind: 'tool_result',
                tool: 'bash',
                toolCallId: `d${turn}`,
                chatId: `chat${at}`,
                text: `output ${turn} of ${at}\n`,
              },
            ]);
          }
        }),
      );
      const seen = await Promise.all(all.map(async (each) => storeOf(each, 'same')));
      expect(seen.map(({ store }) => store.totals.entries)).toEqual([80, 80, 80]);
      expect(new Set(await Promise.all(seen.map(filesOf))).size).toBe(1);
      await using fresh = await machine();
      const late = await storeOf(fresh, 'same');
      expect(await filesOf(late)).toBe(await filesOf(seen[0]!));
      for (const each of all) await each[Symbol.asyncDispose]();
    });

    test('texts of any size come over, and what a string cannot say in UTF-8', async () => {
      await using one = await machine();
      await using two = await machine();
      const { store } = await storeOf(one, 'sizes');
      const large = 'line with é\n'.repeat(200_000);
      const huge = Buffer.alloc(9 * 1024 * 1024, 'abcdefghi\n');
      await store.append([{ kind: 'user_text', text: large }]);
      await store.append([{ kind: 'user_text', text: 'lone \ud800 surrogate' }]);
      await store.append([{ kind: 'file', path: '/a', text: Buffer.from([0x61, 0xff, 0x62]) }]);
      await store.appendStream({
        kind: 'file',
        path: '/b',
        chunks: (async function* () {
          for (let at = 0; at < huge.length; at += 70_001) yield huge.subarray(at, at + 70_001);
        })(),
      });
      const there = await storeOf(two, 'sizes');
      expect(await filesOf(there)).toBe(await filesOf(await storeOf(one, 'sizes')));
      expect(await there.store.readEntry(there.store.entry('e1')!)).toBe(large);
      expect(there.store.entry('e4')!.lengthBytes).toBe(huge.length);
    });

    test('what a chat remembers is there for the next turn, wherever that comes', async () => {
      await using one = await machine();
      await using two = await machine();
      const here = await storeOf(one, 'memory');
      const there = await storeOf(two, 'memory');
      await here.memory.put([{ key: 'marks:chat', value: { at: 1 } }]);
      expect(await (await storeOf(two, 'memory')).memory.get('marks:chat')).toEqual({ at: 1 });
      await there.memory.put([{ key: 'marks:chat', value: { at: 2 } }]);
      expect(await (await storeOf(one, 'memory')).memory.get('marks:chat')).toEqual({ at: 2 });
    });

    test('a text is found whole after a restart, and while the database is away', async () => {
      const dataDir = join(place.folder, 'restarted');
      const first = await machine({ dataDir });
      const { store } = await storeOf(first, 'restarts');
      await store.append([{ kind: 'user_text', text: 'before\n' }]);
      await first[Symbol.asyncDispose]();
      await place.postgres.crash();
      const second = await machine({ dataDir });
      const away = await storeOf(second, 'restarts');
      expect(await away.store.readEntry(away.store.entry('e1')!)).toBe('before\n');
      const [waiting] = await away.store.append([
        { kind: 'tool_result', tool: 'bash', chatId: 'c', toolCallId: 't', text: 'meanwhile\n' },
      ]);
      expect(waiting!.id).toMatch(/^p[0-9a-f]{8}$/);
      expect(await away.store.readEntry(waiting!)).toBe('meanwhile\n');
      await away.memory.put([{ key: 'k', value: 'v' }]);
      expect(await away.memory.get('k')).toBe('v');
      await second[Symbol.asyncDispose]();
      await place.postgres.start();
      await using third = await machine({ dataDir });
      await third.drain();
      const back = await storeOf(third, 'restarts');
      expect(back.store.totals.entries).toBe(2);
      expect(back.store.entry(waiting!.id)).toMatchObject({ id: 'e2', standIn: waiting!.id });
      expect(await back.memory.get('k')).toBe('v');
      expect(back.store.outputsOf('c', 't')).toMatchObject([{ standIn: waiting!.id }]);
    });

    test('what is forgotten on one machine is gone on all, and out of the database', async () => {
      await using one = await machine();
      await using two = await machine();
      const here = await storeOf(one, 'forgetting');
      const there = await storeOf(two, 'forgetting');
      const secret = `the word is ${'mellon'.repeat(3)}\n`;
      await here.store.append([{ kind: 'user_text', text: 'harmless\n' }]);
      await there.store.append([{ kind: 'user_text', text: secret }]);
      await here.store.append([{ kind: 'user_text', text: 'behind it\n' }]);
      await one.forget(here.id, { whole: [2], why: 'asked', mayComeAgain: false });
      const seen = await storeOf(two, 'forgetting');
      expect(seen.store.entry('e2')!.forgotten).toMatchObject({ why: 'asked' });
      expect(await filesOf(seen)).toBe(await filesOf(await storeOf(one, 'forgetting')));
      // Coming again it is neither stored nor sent.
      const [again] = await seen.store.append([{ kind: 'user_text', text: secret }]);
      expect(again!.id).toBe('e2');
      await using late = await machine();
      const fresh = await storeOf(late, 'forgetting');
      expect(fresh.store.entry('e3')).toMatchObject({ lengthBytes: 10 });
      expect(await fresh.store.readEntry(fresh.store.entry('e3')!)).toBe('behind it\n');
      expect(fresh.store.entry('e2')!.forgotten?.key).toBe(again!.forgotten?.key);
      await fresh.store.append([{ kind: 'user_text', text: 'from the third\n' }]);
      const first = await storeOf(one, 'forgetting');
      expect(await filesOf(first)).toBe(await filesOf(fresh));
      const rows = await place.postgres.sql(
        "select encode(facts, 'escape') || coalesce(encode(text, 'escape'), '') from rlm_log",
      );
      expect(rows).not.toContain('mellon');
    });

    test('a machine that is far behind begins from what has taken the place of the rows', async () => {
      await using one = await machine();
      const dataDir = join(place.folder, 'behind');
      const before = await machine({ dataDir });
      await (await storeOf(before, 'behind')).store.append([{ kind: 'user_text', text: 'one\n' }]);
      await before[Symbol.asyncDispose]();
      const here = await storeOf(one, 'behind');
      for (let i = 0; i < 5; i += 1) {
        await here.store.append([{ kind: 'user_text', text: `number ${i}\n` }]);
      }
      await one.forget(here.id, { whole: [3], why: 'asked', mayComeAgain: true });
      await using after = await machine({ dataDir });
      const there = await storeOf(after, 'behind');
      expect(await filesOf(there)).toBe(await filesOf(await storeOf(one, 'behind')));
      await there.store.append([{ kind: 'user_text', text: 'and on\n' }]);
      expect((await storeOf(one, 'behind')).store.totals.entries).toBe(7);
    });

    test('names of moments, links and pins are the same everywhere, in order', async () => {
      await using one = await machine();
      await using two = await machine();
      const here = await storeOf(one, 'moments');
      const other = await storeOf(one, 'linked to');
      await here.store.append([{ kind: 'user_text', text: 'before\n' }]);
      await one.nameMoment(here.id, 'first');
      await here.events.add({ type: 'link', timeMs: 0, sessionId: other.id, as: 'api' });
      await here.events.add({ type: 'pin', timeMs: 0, whole: [1] });
      await here.store.append([{ kind: 'user_text', text: 'after\n' }]);
      const there = await storeOf(two, 'moments');
      expect(there.events.all).toEqual((await storeOf(one, 'moments')).events.all);
      expect(there.events.all.map(({ type }) => type)).toEqual(['snapshot', 'link', 'pin']);
      await expect(two.nameMoment(there.id, 'first')).rejects.toThrow(
        'has a snapshot first already',
      );
      expect((await two.byId(other.id)).id).toBe(other.id);
    });

    test('a branch that one machine makes goes on on the others, and takes the name where it is restored', async () => {
      await using one = await machine();
      await using two = await machine();
      const here = await storeOf(one, 'branched');
      await here.store.append([{ kind: 'user_text', text: 'first\n' }]);
      await here.memory.put([{ key: 'marks:chat', value: 'then' }]);
      await here.events.add({ type: 'pin', timeMs: 0, whole: [1] });
      await one.nameMoment(here.id, 'good');
      await here.store.append([{ kind: 'user_text', text: 'wrong turn\n' }]);
      await here.memory.put([{ key: 'marks:chat', value: 'now' }]);
      const good = here.events.all.find((event) => event.type === 'snapshot')!;
      const branch = await one.branch(here.id, { ranges: good.ranges, takenMs: good.timeMs }, 'b');
      expect(branch.store.totals.entries).toBe(1);
      expect(await branch.memory.get('marks:chat')).toBe('then');
      const there = await two.byId(branch.id);
      await there.store.append([{ kind: 'user_text', text: 'on the other machine\n' }]);
      expect(await there.memory.get('marks:chat')).toBe('then');
      expect(there.events.all.map(({ type }) => type)).toEqual(['snapshot', 'pin', 'name']);
      const atTwo = await storeOf(two, 'branched');
      expect(atTwo.id).toBe(here.id);
      await one.restore(here.id, branch.id);
      const seen = [await storeOf(one, 'branched'), await storeOf(two, 'branched')];
      expect(seen.map(({ id }) => id)).toEqual([branch.id, branch.id]);
      expect(seen.map(({ directory }) => directory)).toEqual(['/work', '/work']);
      await seen[0]!.store.append([{ kind: 'user_text', text: 'and on\n' }]);
      await storeOf(two, 'branched');
      expect(await filesOf(seen[0]!)).toBe(await filesOf(seen[1]!));
      expect(seen[1]!.events.all).toEqual(seen[0]!.events.all);
      await using late = await machine();
      const fresh = await storeOf(late, 'branched');
      expect(await filesOf(fresh)).toBe(await filesOf(seen[0]!));
      expect(await fresh.store.readEntry(fresh.store.entry('e1')!)).toBe('first\n');
      expect((await fresh.store.read(0, 1000)).text).toBe('first\non the other machine\nand on\n');
      expect((await late.list()).find(({ id }) => id === here.id)).toBeDefined();
      await expect(two.remove(here.id)).rejects.toThrow(branch.id);
      await expect(two.remove(here.id, 'detach')).rejects.toThrow('cannot be given copies');
      await two.remove(here.id, 'remove');
      const gone = seen[0]!.store.append([{ kind: 'user_text', text: 'too late\n' }]);
      await expect(gone).rejects.toThrow(branch.id);
      expect((await storeOf(one, 'branched')).store.totals.entries).toBe(0);
    });

    test('what is forgotten in a branch or in what it goes on from is gone in both, on all machines and in the database', async () => {
      await using one = await machine();
      await using two = await machine();
      const here = await storeOf(one, 'line');
      const word = 'speakfriendandenter'.repeat(2);
      await here.store.append([{ kind: 'user_text', text: `the word is ${word}\n` }]);
      await here.store.append([{ kind: 'user_text', text: 'harmless\n' }]);
      const branch = await one.branch(here.id);
      await branch.memory.put([
        { key: 'record:1', value: { hidden: `it said ${word}` } },
        { key: 'marks', value: 'stay' },
      ]);
      await branch.store.append([
        { kind: 'message', text: `earlier:\nquoted: the word is ${word}\nend\n` },
        { kind: 'tool_result', tool: 'bash', args: `echo the word is ${word}`, text: 'done\n' },
      ]);
      const there = await two.byId(branch.id);
      expect(
        await two.forget(there.id, {
          whole: [1],
          why: 'asked',
          mayComeAgain: false,
          isTrial: true,
        }),
      ).toMatchObject({
        owners: expect.arrayContaining([here.id]) as unknown,
        madeTexts: 1,
      });
      expect(there.store.entry('e1')!.forgotten).toBeUndefined();
      await two.forget(there.id, { whole: [1], why: 'asked', mayComeAgain: false });
      await using late = await machine();
      for (const each of [one, two, late]) {
        each.arriving();
        const base = await each.byId(here.id);
        const its = await each.byId(branch.id);
        expect(base.store.entry('e1')!.forgotten).toMatchObject({ why: 'asked' });
        expect(its.store.entry('e1')!.forgotten).toMatchObject({ why: 'asked' });
        expect((await its.store.read(0, 1000)).text).not.toContain(word);
        expect((await its.store.read(0, 1000)).text).toContain('harmless\n');
        expect(its.store.entry('e4')!.args).toBeUndefined();
        expect(await its.memory.get('record:1')).toBeUndefined();
        expect(await its.memory.get('marks')).toBe('stay');
        expect(await filesOf(its)).toBe(await filesOf(await two.byId(branch.id)));
        expect(await filesOf(base)).toBe(await filesOf(await two.byId(here.id)));
        expect(await each.check(branch.id)).toEqual({ entries: 4, damage: [] });
      }
      const rows = await place.postgres.sql(
        `select count(*) from rlm_log where session in ('${here.id}', '${branch.id}')`,
      );
      expect(rows.trim()).toBe('2');
    });

    test('texts that are too old go on all machines alike, by one row of one of them', async () => {
      const laterMs = 40 * 24 * 3_600_000;
      const later: Clock = {
        ...systemClock,
        now: () => systemClock.now() + laterMs,
        // What a server does a minute after its start.
        after: (ms, run) => systemClock.after(ms === 60_000 ? 1 : ms, run),
      };
      const bounded = { bounds: { maxAgeMs: laterMs / 2 } };
      await using one = await machine(bounded);
      const here = await storeOf(one, 'old');
      const old = Array.from({ length: 6 }, (_, at) => ({
        kind: 'user_text' as const,
        text: `number ${at}\n`.repeat(300),
      }));
      await here.store.append(old);
      const branch = await one.branch(here.id);
      await branch.events.add({ type: 'pin', timeMs: 0, whole: [2] });
      await using asks = await machine({ ...bounded, clock: later });
      const there = await storeOf(asks, 'old');
      expect((await asks.tidy({ isTrial: true })).texts).toBe(5);
      expect(there.store.list.hasGone).toBe(false);
      const keeping = { ...bounded, clock: later, keepsBounds: true };
      const folders = [join(place.folder, 'keeper-1'), join(place.folder, 'keeper-2')] as const;
      for (const dataDir of folders) {
        await using before = await machine({ dataDir });
        await storeOf(before, 'old');
      }
      await using two = await machine({ ...keeping, dataDir: folders[0] });
      await using three = await machine({ ...keeping, dataDir: folders[1] });
      await vi.waitFor(async () => {
        one.arriving();
        expect((await one.byId(here.id)).store.entry('e1')!.forgotten).toMatchObject({
          why: 'age',
        });
      }, 20_000);
      await asks.tidy({ isTrial: false });
      for (const each of [one, two, three, asks]) {
        each.arriving();
        const seen = await each.byId(here.id);
        expect(seen.store.entries.map(({ forgotten }) => forgotten?.why)).toEqual([
          'age',
          undefined,
          ...Array.from({ length: 4 }, () => 'age'),
        ]);
        expect(await filesOf(seen)).toBe(await filesOf(await one.byId(here.id)));
        const read = await each.byId(branch.id);
        expect(await read.store.readEntry(read.store.entry('e2')!)).toBe(old[1]!.text);
      }
      // All rows but the last: the first held the texts, the second is that they are gone.
      await vi.waitFor(async () => {
        const seals = await place.postgres.sql(
          `select base_pos, head from rlm_session where id = '${here.id}'`,
        );
        expect(seals.trim()).toBe('2|2');
      }, 20_000);
    });

    test('what was uploaded and never came into a row goes after a day', async () => {
      await using one = await machine();
      const here = await storeOf(one, 'orphans');
      await here.store.append([{ kind: 'user_text', text: 'line\n'.repeat(400_000) }]);
      const piece = (upload: string, createdMs: string): string =>
        `insert into rlm_piece select '${upload}', 0, '${here.id}', ${createdMs}, 'x'`;
      const nowMs = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
      await place.postgres.sql(piece('00000000-0000-4000-8000-000000000001', '0'));
      await place.postgres.sql(piece('00000000-0000-4000-8000-000000000002', nowMs));
      await place.postgres.sql(`update rlm_piece set created_ms = 0 where n = 1`);
      await place.postgres.sql('update rlm_session set swept_ms = 0');
      const left = async (): Promise<string> =>
        place.postgres.sql(
          `select count(*), count(distinct upload) from rlm_piece where session = '${here.id}'`,
        );
      expect((await left()).trim()).toBe('4|3');
      const two = await machine();
      await two[Symbol.asyncDispose]();
      // The text's own two, and one that may still be on its way.
      expect((await left()).trim()).toBe('3|2');
      await one.remove(here.id);
      expect((await left()).trim()).toBe('0|0');
    });

    test('a store that one machine deletes begins anew on the others', async () => {
      await using one = await machine();
      await using two = await machine();
      await using three = await machine();
      const here = await storeOf(one, 'deleted');
      const there = await storeOf(two, 'deleted');
      await storeOf(three, 'deleted');
      await here.store.append([{ kind: 'user_text', text: 'gone\n' }]);
      await one.remove(here.id);
      await expect(there.store.append([{ kind: 'user_text', text: 'too late\n' }])).rejects.toThrow(
        here.id,
      );
      const anew = await storeOf(two, 'deleted');
      expect(anew.id).not.toBe(here.id);
      expect(anew.store.totals.entries).toBe(0);
      await anew.store.append([{ kind: 'user_text', text: 'new\n' }]);
      expect((await storeOf(one, 'deleted')).store.totals.entries).toBe(1);
      // Without having added anything.
      expect((await storeOf(three, 'deleted')).id).toBe(anew.id);
    });

    test('storing something is one statement; what is known and noted is none', async () => {
      await using one = await machine();
      const { store } = await storeOf(one, 'counted');
      const query = vi.spyOn(Database.prototype, 'query');
      // What a start sweeps away of old uploads may take until now.
      const sent = (): typeof query.mock.calls =>
        query.mock.calls.filter(([name]) => !name.includes('sweep'));
      try {
        const output = (n: number) => ({
          kind: 'tool_result' as const,
          tool: 'bash',
          chatId: 'c',
          toolCallId: `t${n}`,
          text: `output ${n}\n`.repeat(1_000),
        });
        await store.append([output(1), output(2)]);
        expect(sent().map(([name]) => name)).toEqual(['append']);
        await store.append([output(1), output(2)]);
        expect(sent()).toHaveLength(1);
        // Whoever stores at the same time shares one.
        await Promise.all([3, 4, 5].map(async (n) => store.append([output(n)])));
        expect(sent().length).toBeLessThanOrEqual(3);
        // The same text for another call: of it only that is sent.
        await store.append([{ ...output(1), toolCallId: 't9' }]);
        const [, , values] = sent().at(-1)!;
        expect(values[5]).toBeNull();
        one.arriving();
        await one.forDirectory('/work', { create: false, project: 'counted' });
        expect(sent().at(-1)![0]).toBe('pull');
      } finally {
        query.mockRestore();
      }
    });
  },
);
