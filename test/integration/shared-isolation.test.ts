import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { schemaVersion } from '../../src/shared/database/schema.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Session } from '../../src/store/types.ts';
import { filesHolding } from '../support/files-below.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase } from '../support/shared-database.ts';
import { openMachine, sharedStore } from '../support/shared-machines.ts';

const parts = { log: silentLogger(), clock: systemClock };
/** Bytes that stand nowhere else; random, so that no packing hides them. */
const needle = 'NEEDLE-q7Zk2Wv9Xp4Rt6Lm';

describe.skipIf(noPostgres !== undefined)(
  `who sees what of a shared store (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase();

    /** Everything that a store can hold, the needle in all of it. */
    async function fill({ store, memory }: Session, name: string): Promise<void> {
      await store.append(
        [
          {
            kind: 'tool_result',
            tool: 'bash',
            args: `{"command":"echo ${needle}"}`,
            chatId: 'chat',
            toolCallId: 'call',
            text: `small text of ${name}: ${needle}\n`,
          },
        ],
        async (texts) => texts.map(() => ({ kind: 'log', items: [`line 1: ${needle}`] })),
      );
      await store.append([
        { kind: 'user_text', text: `${name} in pieces ${needle}\n`.repeat(60_000) },
      ]);
      await memory.put([{ key: 'marks:chat', value: { needle } }]);
    }

    describe('with a team key', () => {
      const teamKey = 'a secret of the team, long enough';
      const url = (): string => place.postgres.url({ database: 'keyed' });
      const machine = async (
        name: string,
        key: string | undefined = teamKey,
      ): Promise<SharedSessions> => openMachine(join(place.folder, name), url(), { teamKey: key });

      beforeAll(async () => {
        await place.postgres.sql('create database keyed');
        await place.postgres.sql('create database plain');
      });

      /** How many files of the server hold the needle. */
      async function filesWithNeedle(): Promise<number> {
        await place.postgres.sql('checkpoint');
        return (await filesHolding(join(place.postgres.folder, 'data'), needle)).length;
      }

      // The first of all: later ones leave the needle in the server's write-ahead log.
      test('what is stored is readable in no file of the database', async () => {
        await initSharedStore(url(), { ...parts, teamKey });
        await using keyed = await machine('keyed');
        const session = await sharedStore(keyed, 'secret');
        await fill(session, 'keyed');
        // What takes the place of the rows of something forgotten is unreadable, too.
        await session.store.append([{ kind: 'user_text', text: 'to be forgotten' }]);
        await keyed.forget(session.id, { whole: [3], why: 'asked', mayComeAgain: true });
        expect(await filesWithNeedle()).toBe(0);
        await using reader = await machine('reader');
        const read = await sharedStore(reader, 'secret');
        expect(await read.memory.get('marks:chat')).toEqual({ needle });
        expect(read.store.entries[0]?.outline?.items).toEqual([`line 1: ${needle}`]);
        // The same without a key, so that we know that the look would have found it.
        const plainUrl = place.postgres.url({ database: 'plain' });
        await initSharedStore(plainUrl, parts);
        await using plain = await openMachine(join(place.folder, 'plain'), plainUrl);
        await fill(await sharedStore(plain, 'secret'), 'plain');
        expect(await filesWithNeedle()).toBeGreaterThan(0);
      });

      test('without the key, and with another one, a machine is refused in words', async () => {
        await initSharedStore(url(), { ...parts, teamKey });
        await expect(openMachine(join(place.folder, 'without'), url())).rejects.toMatchObject({
          code: 'config_invalid',
          message: 'The shared store was set up with a team key, and this machine has none.',
        });
        await expect(machine('other', 'another secret of another team')).rejects.toMatchObject({
          code: 'config_invalid',
          message: 'The shared store was set up with another team key than this machine has.',
        });
        await expect(initSharedStore(url(), parts)).rejects.toMatchObject({
          code: 'invalid_request',
        });
        const plain = place.postgres.url({ database: 'plain' });
        await initSharedStore(plain, parts);
        await expect(
          openMachine(join(place.folder, 'needless'), plain, { teamKey }),
        ).rejects.toMatchObject({ code: 'config_invalid' });
      });

      test.each([
        ['facts', 'facts'],
        ['texts', 'text'],
      ])(
        '%s that the server has exchanged are noticed, and nothing of them is replayed',
        async (_what, column) => {
          await initSharedStore(url(), { ...parts, teamKey });
          await using one = await machine(`one-${column}`);
          const { store, id } = await sharedStore(one, `exchanged ${column}`);
          for (const text of ['first\n', 'second\n', 'third\n']) {
            await store.append([{ kind: 'user_text', text }]);
          }
          await place.postgres.sql(
            `update rlm_log a set ${column} = b.${column} from rlm_log b
          where a.session = '${id}' and b.session = '${id}' and a.pos in (2, 3) and b.pos = 5 - a.pos`,
            { database: 'keyed' },
          );
          await using two = await machine(`two-${column}`);
          const there = await sharedStore(two, `exchanged ${column}`);
          expect(there.store.totals.entries).toBe(1);
          await expect(
            there.store.append([{ kind: 'user_text', text: 'new' }]),
          ).rejects.toMatchObject({
            code: 'store_corrupt',
            message: expect.stringContaining(
              'is not what was written with this team key',
            ) as string,
          });
        },
      );
    });

    describe('with a database role for each project', () => {
      let a: SharedSessions;
      let b: SharedSessions;
      let own: Session;
      let others: Session;

      beforeAll(async () => {
        await place.postgres.sql('create role team_a login');
        await place.postgres.sql('create role team_b login');
        await initSharedStore(place.postgres.url(), {
          ...parts,
          roles: [
            { role: 'team_a', projects: ['git:example.com/a'] },
            { role: 'team_b', projects: ['git:example.com/b'] },
          ],
        });
        b = await openMachine(join(place.folder, 'b'), place.postgres.url({ user: 'team_b' }));
        others = await sharedStore(b, 'git:example.com/b');
        await fill(others, 'b');
        await b.chats.put([{ key: 'chat:1', value: '/b' }]);
        a = await openMachine(join(place.folder, 'a'), place.postgres.url({ user: 'team_a' }));
        own = await sharedStore(a, 'git:example.com/a');
        await fill(own, 'a');
      });

      afterAll(async () => {
        await a[Symbol.asyncDispose]();
        await b[Symbol.asyncDispose]();
      });

      const asA = async (text: string): Promise<string> =>
        (await place.postgres.sql(text, { user: 'team_a' })).trim();

      test('one reads no row of the other, in no table', async () => {
        const foreign = {
          rlm_session: `id = '${others.id}' or project like '%/b%' or project like '\\_team\\_b%'`,
          rlm_name: `session = '${others.id}' or name like '%/b%' or name like '\\_team\\_b%'`,
          rlm_log: `session = '${others.id}'`,
          rlm_piece: `session = '${others.id}'`,
          rlm_access: "role <> 'team_a'",
        };
        for (const [table, where] of Object.entries(foreign)) {
          const count = `select count(*) from ${table} where ${where}`;
          expect([table, Number(await place.postgres.sql(count)) > 0]).toEqual([table, true]);
          expect([table, await asA(count)]).toEqual([table, '0']);
        }
        expect(Number(await asA('select count(*) from rlm_log'))).toBeGreaterThan(0);
      });

      test('one finds no store of the other, by name or number, and counts none', async () => {
        const named = { project: 'git:example.com/b' };
        expect(await a.forDirectory('/b', { create: false, ...named })).toBeUndefined();
        await expect(a.forDirectory('/b', { create: true, ...named })).rejects.toMatchObject({
          message: expect.stringContaining('row-level security') as string,
        });
        await expect(a.byId(others.id)).rejects.toMatchObject({ code: 'unknown_session' });
        const { stores } = await a.shared.status();
        expect(stores.map(({ project }) => project)).toEqual(['git:example.com/a']);
        expect(await a.shared.elsewhere()).toEqual([]);
        expect((await a.shared.projects([others.id])).size).toBe(0);
      });

      test('what is remembered of chats beside all projects is not the same for two roles', async () => {
        expect(a.chats.has('chat:1')).toBe(false);
        expect(await b.chats.get('chat:1')).toBe('/b');
      });

      test.each([
        [
          'a row',
          (id: string) => `insert into rlm_log (session, pos, time_ms, writer, n, machine, facts)
          values ('${id}', 1000, 1, gen_random_uuid(), 1, 'm', '{}')`,
        ],
        [
          'a piece',
          (id: string) => `insert into rlm_piece (upload, n, session, created_ms, data)
          values (gen_random_uuid(), 0, '${id}', 1, 'x')`,
        ],
        ['a name', () => "insert into rlm_name values ('git:example.com/b#folder', 'sess_1')"],
        ['a grant', () => "insert into rlm_access values ('team_a', '*')"],
        ['a wider grant', () => "update rlm_access set project = '*'"],
        ['another version', () => 'update rlm_meta set version = 9'],
        ['its store for the other', () => "update rlm_session set project = 'git:example.com/b'"],
        ['its rows for the other', (id: string) => `update rlm_log set session = '${id}'`],
        ['an open table', () => 'alter table rlm_log disable row level security'],
      ])('one cannot write %s where it sees nothing', async (_what, sql) => {
        await expect(asA(sql(others.id))).rejects.toThrow(
          /row-level security|permission denied|must be owner/,
        );
      });

      test('a role may be called anything, and has its own names for itself', async () => {
        // The first would see what the second keeps for itself, were names only put together.
        const roles = ['odd', 'odd:role', `rôle "q" %3A it's#one`];
        for (const [at, role] of roles.entries()) {
          await place.postgres.sql(`create role "${role.replaceAll('"', '""')}" login`);
          const grants = [{ role, projects: ['odd'] }];
          await initSharedStore(place.postgres.url(), { ...parts, roles: grants });
          const url = place.postgres.url({ user: encodeURIComponent(role) });
          await using one = await openMachine(join(place.folder, `odd-${at}`), url);
          await one.chats.put([{ key: 'chat:odd', value: role }]);
          const keyed = await one.forKey('a key', { create: true });
          await keyed!.store.append([{ kind: 'user_text', text: `of ${role}\n` }]);
          await sharedStore(one, 'odd');
        }
        for (const [at, role] of roles.entries()) {
          const url = place.postgres.url({ user: encodeURIComponent(role) });
          await using again = await openMachine(join(place.folder, `odd-${at}-again`), url);
          expect(await again.chats.get('chat:odd')).toBe(role);
          const { store } = (await again.forKey('a key', { create: false }))!;
          expect((await store.read(0, 100)).text).toBe(`of ${role}\n`);
          const seen = await place.postgres.sql('select project from rlm_session', { user: role });
          const own = `_${role.replaceAll('%', '%25').replaceAll(':', '%3A')}:`;
          expect(seen.trim().split('\n').toSorted()).toEqual(
            [`${own}chats`, `${own}key:a key`, 'odd'].toSorted(),
          );
        }
      });

      test('what one has used of a day is its own: others read it, and change nothing', async () => {
        const day = '2026-11-27';
        const writer = randomUUID();
        expect(await b.shared.use(day, writer, '{"tokens":5}')).toEqual([]);
        for (const sql of [
          "update rlm_use set used = '{}'",
          "update rlm_use set role = 'team_a'",
          'delete from rlm_use',
        ]) {
          expect(await asA(`${sql} where role = 'team_b'`)).toMatch(/^(?:UPDATE|DELETE) 0$/);
        }
        const insert = (role: string, used: string): string =>
          `insert into rlm_use (day, role, writer, used) values ('${day}', '${role}', '${writer}', '${used}')`;
        await expect(asA(insert('team_b', '{}'))).rejects.toThrow('row-level security');
        await expect(
          asA(`${insert('team_b', '{}')} on conflict (day, role, writer) do update set used = ''`),
        ).rejects.toThrow('row-level security');
        // Under the name of a proxy of the other, and longer than anything a proxy writes.
        await asA(insert('team_a', '{"tokens":7}'));
        expect(await b.shared.use(day, writer, '{"tokens":6}')).toEqual(['{"tokens":7}']);
        await asA("update rlm_use set used = repeat('x', 2000)");
        expect(await b.shared.use(day, writer, '{"tokens":6}')).toEqual([]);
        expect(await a.shared.use(day, randomUUID(), '{}')).toContain('{"tokens":6}');
      });

      test('tables of the first version are used as they are, and brought to the next by `store init`', async () => {
        const database = 'first_version';
        await place.postgres.sql(`create database ${database}`);
        const url = place.postgres.url({ database });
        const roles = [{ role: 'team_a', projects: ['git:example.com/a'] }];
        await initSharedStore(url, { ...parts, roles });
        for (const sql of [
          'drop policy rlm_reading on rlm_use',
          'drop policy rlm_projects on rlm_use',
          'alter table rlm_use drop constraint rlm_use_pkey',
          'alter table rlm_use drop column role',
          'alter table rlm_use add primary key (day, writer)',
          'create policy rlm_projects on rlm_use using (true) with check (true)',
          'update rlm_meta set version = 1',
          `insert into rlm_use values ('2026-11-26', '${randomUUID()}', '{}')`,
        ]) {
          await place.postgres.sql(sql, { database });
        }
        const asRole = place.postgres.url({ user: 'team_a', database });
        await using one = await openMachine(join(place.folder, 'first-version'), asRole);
        const { store } = await sharedStore(one, 'git:example.com/a');
        await store.append([{ kind: 'user_text', text: 'before\n' }]);
        const use = async (): Promise<readonly string[]> =>
          one.shared.use('2026-11-26', randomUUID(), '{"tokens":1}');
        await expect(use()).rejects.toMatchObject({
          parts: { hint: expect.stringContaining('`rlm-opencode store init`') as string },
        });
        for (let round = 0; round < 2; round += 1) await initSharedStore(url, parts);
        expect(await use()).toEqual([]);
        await store.append([{ kind: 'user_text', text: 'behind\n' }]);
        expect(
          (await place.postgres.sql('select version from rlm_meta', { database })).trim(),
        ).toBe(String(schemaVersion));
        const stolen = `insert into rlm_use (day, role, writer, used)
          values ('2026-11-26', 'x', gen_random_uuid(), '{}')`;
        await expect(place.postgres.sql(stolen, { user: 'team_a', database })).rejects.toThrow(
          'row-level security',
        );
      });

      test('who knows the writers of one project stops no row of another', async () => {
        const both = ['git:example.com/a', 'git:example.com/both'];
        await place.postgres.sql('create role team_both login');
        await initSharedStore(place.postgres.url(), {
          ...parts,
          roles: [
            { role: 'team_a', projects: both },
            { role: 'team_both', projects: ['git:example.com/b', 'git:example.com/both'] },
          ],
        });
        await using two = await openMachine(
          join(place.folder, 'both'),
          place.postgres.url({ user: 'team_both' }),
        );
        const shared = await sharedStore(two, 'git:example.com/both');
        await shared.store.append([{ kind: 'user_text', text: 'for all\n' }]);
        await asA(`insert into rlm_log (session, pos, time_ms, writer, n, machine, facts)
          select session, pos + 1000 + next, time_ms, writer, n + next, machine, facts
          from rlm_log, generate_series(1, 50) next where session = '${shared.id}'`);
        const apart = await sharedStore(two, 'git:example.com/b');
        const [entry] = await apart.store.append([{ kind: 'user_text', text: 'only for b\n' }]);
        expect(await apart.store.readEntry(entry!)).toBe('only for b\n');
      });

      test('one deletes nothing of the other', async () => {
        for (const table of ['rlm_session', 'rlm_name', 'rlm_log', 'rlm_piece']) {
          const column = table === 'rlm_session' ? 'id' : 'session';
          expect(await asA(`delete from ${table} where ${column} = '${others.id}'`)).toBe(
            'DELETE 0',
          );
        }
        const same = await sharedStore(b, 'git:example.com/b');
        expect(same.store.totals).toEqual(others.store.totals);
      });
    });
  },
);
