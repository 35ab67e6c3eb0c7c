import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore, type RoleGrant } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { realFiles, type Files } from '../../src/store/disk/files.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { exported, imported, inPieces } from '../support/archives.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase } from '../support/shared-database.ts';
import { startRelay } from '../support/relay.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

const teamKey = 'a secret of the whole team';

describe.skipIf(noPostgres !== undefined)(
  `archives, names and repairs of shared stores (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase();
    let machines = 0;
    let databases = 0;

    async function database(
      options: { readonly teamKey?: string; readonly roles?: readonly RoleGrant[] } = {},
    ): Promise<string> {
      databases += 1;
      const name = `archives_${databases}`;
      await place.postgres.sql(`create database ${name}`);
      const url = place.postgres.url({ database: name });
      await initSharedStore(url, { log: silentLogger(), clock: systemClock, ...options });
      return url;
    }

    async function machine(
      url: string,
      options: Parameters<typeof openMachine>[2] = {},
    ): Promise<SharedSessions> {
      machines += 1;
      return openMachine(join(place.folder, `machine-${machines}`), url, options);
    }

    const sqlIn = async (url: string, text: string): Promise<string> =>
      (await place.postgres.sql(text, { database: new URL(url).pathname.slice(1) })).trim();

    /** Of every kind that an archive holds. */
    async function fill({ store, memory, events }: Session): Promise<void> {
      const texts = [
        'first\n',
        'half \ud83d\n',
        `long ${'x'.repeat(3_000_000)}\n`,
        'goes\n',
        'last\n',
      ];
      for (const [at, text] of texts.entries()) {
        await store.append([
          { kind: 'tool_result', tool: 'bash', chatId: 'c', toolCallId: `t${at}`, text },
        ]);
      }
      await memory.put([{ key: 'chat:1', value: { known: ['e1'] } }]);
      await events.add({ type: 'pin', timeMs: systemClock.now(), whole: [2] });
    }

    async function originalsOf({ store }: Session): Promise<readonly string[]> {
      const found: string[] = [];
      for (const entry of store.entries) {
        const pieces: Uint8Array[] = [];
        if (entry.forgotten === undefined) {
          for await (const piece of store.readOriginal(entry)) pieces.push(piece);
        }
        found.push(Buffer.concat(pieces).toString('hex'));
      }
      return found;
    }

    async function seen(session: Session): Promise<unknown> {
      return {
        id: session.id,
        entries: session.store.entries,
        originals: await originalsOf(session),
        value: await session.memory.get('chat:1'),
        outputs: session.store.outputsOf('c', 't4'),
        events: session.events.all.filter(({ type }) => type !== 'name'),
      };
    }

    const forgotten = { whole: [4], why: 'asked', mayComeAgain: false } as const;

    test.each([
      ['another shared store', {}],
      ['one with a team key', { teamKey }],
    ])(
      'goes over to %s, with all that is known of it, for all machines',
      async (_, options) => {
        const from = await database();
        await using one = await machine(from);
        const directory = join(place.folder, 'project');
        const session = (await one.forDirectory(directory, { create: true }))!;
        await fill(session);
        await one.nameMoment(session.id, 'a moment');
        const branch = await one.branch(session.id, { seq: 3 }, 'tried out');
        await branch.store.append([{ kind: 'user_text', text: 'on the branch\n' }]);
        await one.forget(session.id, forgotten);
        // What another machine adds is in the archive, too.
        await using other = await machine(from);
        await (
          await other.byId(session.id)
        ).store.append([{ kind: 'user_text', text: 'from another machine\n' }]);
        const archive = await exported(one, session.id, branch.id);
        const before = [
          await seen(await one.byId(session.id)),
          await seen(await one.byId(branch.id)),
        ];

        const to = await database(options);
        await using two = await machine(to, options);
        const report = await imported(two, archive);
        expect(report.sessions).toMatchObject([
          { session: session.id, from: session.id, directory, role: 'store' },
          { session: branch.id, from: branch.id, role: 'store' },
        ]);
        await using three = await machine(to, options);
        for (const each of [two, three]) {
          const there = [await each.byId(session.id), await each.byId(branch.id)];
          expect(await Promise.all(there.map(seen))).toEqual(before);
        }
        expect((await two.forDirectory(directory, { create: false }))?.id).toBe(session.id);
        // It goes on as any other: what was forgotten stays so, and machines stay the same.
        const here = await two.byId(session.id);
        await here.store.append([{ kind: 'user_text', text: 'later\n' }]);
        const [again] = await here.store.append([{ kind: 'user_text', text: 'goes\n' }]);
        expect(again!.forgotten).toBeDefined();
        three.arriving();
        expect(await filesOf(await three.byId(session.id))).toBe(await filesOf(here));
        expect(
          await sqlIn(to, 'select count(*) from rlm_session where deleted_ms is not null'),
        ).toBe('0');
        expect(
          await readdir(join(place.folder, `machine-${machines}`, 'unpacked')).catch(() => []),
        ).toEqual([]);
        await expect(imported(two, archive)).rejects.toMatchObject({
          code: 'invalid_request',
          message: expect.stringContaining(`has a store already: ${session.id}`) as string,
        });
        const beside = await imported(two, archive, { unnamed: true });
        const [copy] = beside.sessions;
        expect(copy).toMatchObject({ from: session.id });
        expect(copy!.session).not.toBe(session.id);
        expect(copy).not.toHaveProperty('directory');
        expect((await three.byId(copy!.session)).store.totals.entries).toBe(6);
        expect((await two.forDirectory(directory, { create: false }))?.id).toBe(session.id);
      },
      30_000,
    );

    test('a store of one machine comes in from its archive, into the project that it is given', async () => {
      const dataDir = join(place.folder, 'local');
      let skippedMs = 0;
      const clock = { ...systemClock, now: () => systemClock.now() + skippedMs };
      const common = { clock: systemClock, ids: randomIds, log: silentLogger() };
      let archive: Buffer;
      {
        await using local: Sessions & AsyncDisposable = await openSessions({ ...common, dataDir });
        const session = (await local.forDirectory('/home/ann/shop', { create: true }))!;
        await fill(session);
        await local.chats.put([{ key: 'chat:known', value: '/home/ann/shop' }]);
        archive = await exported(local, session.id);
      }
      const url = await database();
      const shared = { dataDir: join(place.folder, 'imported') };
      const first = await machine(url, shared);
      const { sessions } = await imported(first, archive, {
        map: [{ from: '/home/ann', to: '/home/ben' }],
      });
      await first[Symbol.asyncDispose]();
      // Reached by its number alone, in another process, it has its directory here.
      await using one = await machine(url, { ...shared, replicaBounds: { maxBytes: 1 }, clock });
      for (let round = 0; round < 2; round += 1) {
        await one.byId(sessions[0]!.session);
        expect(await one.list()).toMatchObject([{ directory: '/home/ben/shop' }]);
        skippedMs += 7_200_000;
        expect(await one.shared.evict()).toContain(sessions[0]!.session);
        expect(await one.list()).toEqual([]);
      }
      expect(sessions).toMatchObject([{ directory: '/home/ben/shop', entries: 5 }]);
      expect(await one.chats.get('chat:known')).toBe('/home/ben/shop');
      await using two = await machine(url);
      const there = await two.forDirectory('/home/ben/shop', { create: false });
      expect(there?.id).toBe(sessions[0]!.session);
      expect((await originalsOf(there!))[4]).toBe(Buffer.from('last\n').toString('hex'));
    });

    test('nothing is left of an archive that is damaged, or whose import was given up', async () => {
      const from = await database();
      await using one = await machine(from);
      const session = await sharedStore(one, 'sound');
      await fill(session);
      const archive = await exported(one, session.id);
      const to = await database();
      await using two = await machine(to);
      const damaged = Buffer.from(archive);
      damaged[damaged.length >> 1]! ^= 1;
      await expect(imported(two, damaged)).rejects.toMatchObject({ code: 'invalid_request' });
      const work = two.import(inPieces(archive), {});
      let step = await work.next();
      while (step.done !== true && step.value.doing !== 'pack') step = await work.next();
      await work.return(undefined as never);
      for (const table of ['rlm_session', 'rlm_name', 'rlm_piece', 'rlm_log']) {
        const chats = table === 'rlm_session' || table === 'rlm_name' ? '1' : '0';
        expect([table, await sqlIn(to, `select count(*) from ${table}`)]).toEqual([table, chats]);
      }
      expect((await imported(two, archive)).sessions[0]!.session).toBe(session.id);
    });

    test('what is there for all stays, also where this machine cannot note it', async () => {
      const from = await database();
      await using one = await machine(from);
      const directory = join(place.folder, 'noted');
      const session = (await one.forDirectory(directory, { create: true }))!;
      await fill(session);
      const archive = await exported(one, session.id);
      const to = await database();
      const disk = { isFull: false };
      const files: Files = {
        ...realFiles,
        createExclusive: async (path, bytes) => {
          if (disk.isFull && path.includes('mappings/shared-')) {
            throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
          }
          return realFiles.createExclusive(path, bytes);
        },
      };
      await using two = await machine(to, { files });
      disk.isFull = true;
      expect((await imported(two, archive)).sessions).toMatchObject([{ session: session.id }]);
      await using three = await machine(to);
      const there = (await three.forDirectory(directory, { create: false }))!;
      expect(await seen(there)).toEqual(await seen(session));
    });

    test('a role imports beside a store that it may not see', async () => {
      await place.postgres.sql('create role ann login');
      await place.postgres.sql('create role ben login');
      const url = await database({
        roles: [
          { role: 'ann', projects: ['a'] },
          { role: 'ben', projects: ['b'] },
        ],
      });
      const as = (user: string): string =>
        place.postgres.url({ user, database: new URL(url).pathname.slice(1) });
      await using ann = await machine(as('ann'));
      const session = await sharedStore(ann, 'a');
      await fill(session);
      const archive = await exported(ann, session.id);
      await using ben = await machine(as('ben'));
      const { sessions } = await imported(ben, archive, { as: '/home/ben/a' });
      expect(sessions[0]!.session).not.toBe(session.id);
      expect((await ben.byId(sessions[0]!.session)).store.totals.entries).toBe(5);
      await expect(ann.byId(sessions[0]!.session)).rejects.toMatchObject({
        code: 'unknown_session',
      });
    });

    test('a store takes no name of another, unless it is told to', async () => {
      const url = await database();
      await using one = await machine(url);
      await using two = await machine(url);
      const own = (await one.forDirectory('/own', { create: true }))!;
      const others = (await one.forDirectory('/others', { create: true }))!;
      for (const { store, id } of [own, others]) {
        await store.append([{ kind: 'user_text', text: `of ${id}\n` }]);
      }
      const there = (await two.forDirectory('/others', { create: false }))!;
      await expect(one.move(own.id, '/others', { replace: false })).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(`has a store already: ${others.id}, 1 entry`) as string,
      });
      expect((await one.forDirectory('/others', { create: false }))?.id).toBe(others.id);
      expect(await one.move(own.id, '/own', { replace: false })).toMatchObject({ from: '/own' });
      expect(await one.move(own.id, '/free', { replace: false })).toEqual({
        session: own.id,
        to: '/free',
        entries: 1,
      });
      expect((await two.forDirectory('/free', { create: false }))?.id).toBe(own.id);
      expect(await one.move(own.id, '/others', { replace: true })).toMatchObject({
        putAside: others.id,
      });
      // Also for who has used it before, and without losing what it holds.
      two.arriving();
      expect((await two.forDirectory('/others', { create: false }))?.id).toBe(own.id);
      expect((await two.byId(there.id)).store.totals.entries).toBe(1);
      // One that holds nothing is in nobody's way.
      const empty = (await one.forDirectory('/empty', { create: true }))!;
      expect(await two.move(own.id, '/empty', { replace: false })).toMatchObject({
        removed: empty.id,
      });
      one.arriving();
      expect((await one.forDirectory('/empty', { create: false }))?.id).toBe(own.id);
      await expect(two.byId(empty.id)).rejects.toMatchObject({ code: 'unknown_session' });
    });

    test('what is damaged on two machines is mended on both, while a third stores', async () => {
      const url = await database();
      const all = [await machine(url), await machine(url), await machine(url)];
      const [one, two, three] = all as [SharedSessions, SharedSessions, SharedSessions];
      const session = await sharedStore(three, 'mended');
      await fill(session);
      const broken = [await sharedStore(one, 'mended'), await sharedStore(two, 'mended')];
      for (const { store } of broken) await writeFile(store.textPath, 'damaged');
      const adding = Promise.all(
        Array.from({ length: 20 }, async (_, at) =>
          session.store.append([{ kind: 'user_text', text: `meanwhile ${at}\n` }]),
        ),
      );
      const salvaged = await Promise.all([one.salvage(session.id), two.salvage(session.id)]);
      for (const { session: mended, kept } of salvaged) {
        expect(mended.id).toBe(session.id);
        expect(kept).toBeGreaterThanOrEqual(5);
      }
      await adding;
      const files = new Set<string>();
      for (const each of all) files.add(await filesOf(await sharedStore(each, 'mended')));
      expect(files.size).toBe(1);
      for (const each of all) await each[Symbol.asyncDispose]();
    });

    test('nothing is thrown away or exported in part while the database is away', async () => {
      const url = new URL(await database());
      await using relay = await startRelay(place.postgres.port);
      url.port = String(relay.port);
      const clock = new ManualClock();
      await using one = await machine(String(url), { clock, waitMs: 3_000 });
      const session = await sharedStore(one, 'away');
      await session.store.append([{ kind: 'user_text', text: 'is here\n' }]);
      relay.hold();
      const adding = session.store.append([{ kind: 'user_text', text: 'waits\n' }]);
      while (relay.waiting === 0) await systemClock.sleep(5);
      clock.advance(3_000);
      const [waits] = await adding;
      const away = { code: 'store_away' };
      await expect(one.salvage(session.id)).rejects.toMatchObject(away);
      await expect(exported(one, session.id)).rejects.toMatchObject(away);
      await expect(one.move(session.id, '/b', { replace: false })).rejects.toMatchObject(away);
      expect(await session.store.readEntry(session.store.entry('e1')!)).toBe('is here\n');
      expect(await session.store.readEntry(waits!)).toBe('waits\n');
      relay.release();
      while (session.store.totals.entries < 2) {
        clock.advance(1_000);
        await systemClock.sleep(5);
      }
      await one.drain();
      expect((await one.salvage(session.id)).kept).toBe(2);
    });
  },
);
