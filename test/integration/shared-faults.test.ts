import { randomBytes } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createLogger, silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import { type Files, realFiles } from '../../src/store/disk/files.ts';
import type { Message } from '../../src/wire/types.ts';
import { inPieces } from '../support/archives.ts';
import { killableFiles } from '../faults/killed-files.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres, startPostgres } from '../support/postgres.ts';
import { sharedDatabase, withTables } from '../support/shared-database.ts';
import { startProxy, type TestProxy } from '../support/proxy.ts';
import { startRelay } from '../support/relay.ts';
import {
  answer,
  type ScriptedUpstream,
  startScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { type HaltedWork, SharedHalts } from '../support/shared-halts.ts';
import { SharedLoad } from '../support/shared-load.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

describe.skipIf(noPostgres !== undefined)(
  `a shared store when something fails (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase(withTables);

    // `test/long/team-faults.ts` halts at every step.
    test.each<HaltedWork>(['append', 'away', 'drain', 'replay', 'anew'])(
      'a process that ends in the middle (%s): what it said that it keeps is there, once',
      async (work) => {
        const halts = new SharedHalts(place.postgres, place.folder);
        const whole = await halts.run(work, Infinity);
        expect(whole).toBeGreaterThan(8);
        for (const share of [0.4, 0.8]) await halts.run(work, Math.floor(whole * share));
      },
      60_000,
    );

    let machines = 0;
    const machine = async (
      url = place.postgres.url(),
      options: Parameters<typeof openMachine>[2] = {},
    ): Promise<SharedSessions> => {
      machines += 1;
      return openMachine(join(place.folder, `machine-${machines}`), url, options);
    };

    async function until(isSo: () => boolean): Promise<void> {
      while (!isSo()) await systemClock.sleep(5);
    }

    /** Lets time pass until something is done: what waits for it may begin to wait only later. */
    async function passing(clock: ManualClock, work: Promise<unknown>): Promise<void> {
      let isDone = false;
      const done = work.finally(() => (isDone = true));
      await until(() => {
        if (!isDone) clock.advance(1_000);
        return isDone;
      });
      await done;
    }

    test('a replay that the disk has stopped goes on where it was, and does nothing twice', async () => {
      await using one = await machine();
      const session = await sharedStore(one, 'disk');
      for (let number = 1; number <= 6; number += 1) {
        await session.store.append([{ kind: 'user_text', text: `text ${number}\n` }]);
        await session.memory.put([{ key: 'last', value: number }]);
      }
      const disk = killableFiles();
      await using two = await machine(place.postgres.url(), { files: disk.files });
      let there = await sharedStore(two, 'disk');
      for (let writes = 0; writes < 6; writes += 1) {
        await session.store.append([{ kind: 'user_text', text: `late ${writes}\n` }]);
        await session.memory.put([{ key: 'last', value: `late ${writes}` }]);
        disk.killIn(writes);
        await sharedStore(two, 'disk').catch(() => undefined);
        disk.revive();
        there = await sharedStore(two, 'disk');
        expect(await there.memory.get('last')).toBe(`late ${writes}`);
      }
      expect(await filesOf(there)).toBe(await filesOf(session));
    });

    /** The real file system, whose chat memories take what is written to them when they are told. */
    function chatsOn(take: () => Promise<void>): Files {
      return {
        ...realFiles,
        open: async (path, options) => {
          const file = await realFiles.open(path, options);
          if (!path.endsWith('_chats.jsonl')) return file;
          return {
            ...file,
            write: async (bytes, at) => {
              await take();
              return file.write(bytes, at);
            },
          };
        },
      };
    }

    test('a text is stored before it is noted how far the replica is, and what ends waits for that', async () => {
      let gate = Promise.resolve();
      let isHeld = false;
      const files = chatsOn(async () => {
        isHeld = true;
        await gate;
      });
      const dataDir = join(place.folder, 'noted');
      const one = await openMachine(dataDir, place.postgres.url(), { files });
      const session = await sharedStore(one, 'noted');
      await session.store.append([{ kind: 'user_text', text: 'first\n' }]);
      await session.memory.put([{ key: 'last', value: 'first' }]);
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      isHeld = false;
      for (const text of ['second\n', 'third\n', 'fourth\n'])
        await session.store.append([{ kind: 'user_text', text }]);
      await until(() => isHeld);
      // The process is killed here.
      const copied = join(place.folder, 'noted-killed');
      await cp(dataDir, copied, { recursive: true });
      await rm(join(copied, 'owner.json'));
      let isClosed = false;
      const closing = one[Symbol.asyncDispose]().then(() => (isClosed = true));
      await systemClock.sleep(20);
      expect(isClosed).toBe(false);
      resolve();
      await closing;
      await using fresh = await machine();
      const wanted = await filesOf(await sharedStore(fresh, 'noted'));
      for (const folder of [copied, dataDir]) {
        await using next = await openMachine(folder, place.postgres.url());
        const there = await sharedStore(next, 'noted');
        expect(await filesOf(there)).toBe(wanted);
        expect(there.store.totals.entries).toBe(4);
        expect(await there.memory.get('last')).toBe('first');
      }
    });

    test('how far a replica is that could not be noted is noted with the next text, or told', async () => {
      let isFull = false;
      let refused = 0;
      const files = chatsOn(async () => {
        if (!isFull) return;
        refused += 1;
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      });
      const dataDir = join(place.folder, 'not-noted');
      const said: string[] = [];
      const log = createLogger('warn', (line) => void said.push(line));
      const one = await openMachine(dataDir, place.postgres.url(), { files, log });
      const { store, memory } = await sharedStore(one, 'not-noted');
      const add = async (text: string): Promise<unknown> =>
        store.append([{ kind: 'user_text', text }]);
      await add('first\n');
      await memory.put([{ key: 'last', value: 'first' }]);
      isFull = true;
      await add('second\n');
      await until(() => refused > 0);
      await expect(add('third\n')).rejects.toMatchObject({ code: 'store_full' });
      isFull = false;
      await add('fourth\n');
      await memory.put([{ key: 'last', value: 'fourth' }]);
      isFull = true;
      await add('fifth\n');
      await one[Symbol.asyncDispose]();
      expect(said.filter((line) => line.includes('could not be written down'))).toHaveLength(1);
      await using next = await openMachine(dataDir, place.postgres.url());
      const there = await sharedStore(next, 'not-noted');
      expect(there.store.totals.entries).toBe(5);
      await using fresh = await machine();
      expect(await filesOf(there)).toBe(await filesOf(await sharedStore(fresh, 'not-noted')));
    });

    test('a text whose answer the network has swallowed is there once, and under its stand-in', async () => {
      await using relay = await startRelay(place.postgres.port);
      const clock = new ManualClock();
      await using one = await machine(place.postgres.url({ port: relay.port }), { clock });
      const { store } = await sharedStore(one, 'swallowed');
      relay.hold();
      const call = { kind: 'tool_result', tool: 'bash', chatId: 'c', toolCallId: 't' } as const;
      const adding = store.append([{ ...call, text: 'sent, and nobody answers\n' }]);
      await until(() => relay.waiting > 0);
      clock.advance(10_000);
      const [waiting] = await adding;
      expect(waiting!.id).toMatch(/^p[0-9a-f]{8}$/);
      // The row itself comes to the server late, from a connection that was given up.
      relay.release();
      clock.advance(1_000);
      await until(() => store.entry(waiting!.id)?.id === 'e1');
      await using fresh = await machine();
      const there = await sharedStore(fresh, 'swallowed');
      expect(there.store.totals.entries).toBe(1);
      expect(there.store.outputsOf('c', 't')).toMatchObject([
        { entry: { id: 'e1' }, standIn: waiting!.id },
      ]);
      const here = await sharedStore(one, 'swallowed');
      expect(here.store.outputsOf('c', 't')).toHaveLength(1);
      expect(await filesOf(here)).toBe(await filesOf(there));
    });

    test('a text that takes long to go up is stored as long as its pieces arrive', async () => {
      const clock = new ManualClock();
      // A network that needs 16 s for 1 MiB on the way to the database.
      await using relay = await startRelay(place.postgres.port, async (piece, isAnswer) => {
        if (!isAnswer) clock.advance(Math.floor(piece.length / 64));
      });
      const url = place.postgres.url({ port: relay.port });
      await using one = await machine(url, { clock, waitMs: 3_000 });
      const { store } = await sharedStore(one, 'slow');
      // Nothing of it can be packed.
      const text = randomBytes(3 * 1_048_576)
        .toString('latin1')
        .replaceAll('\0', ' ');
      const sinceMs = clock.elapsedMs();
      const [bytes, pieceBytes] = [Buffer.from(text), 100_000];
      const entry = await store.appendStream({
        kind: 'file',
        path: 'large',
        chunks: inPieces(bytes, pieceBytes),
      });
      expect(entry.id).toBe('e1');
      // Longer than whoever waits in a turn would, many times.
      expect(clock.elapsedMs() - sinceMs).toBeGreaterThan(30_000);
      expect(one.shared.state).toMatchObject({ isAway: false, outages: 0 });
      await using two = await machine();
      const there = await sharedStore(two, 'slow');
      expect(await there.store.readEntry(there.store.entries[0]!)).toBe(text);
    });

    test('a machine closes in a network that swallows everything', async () => {
      await using relay = await startRelay(place.postgres.port);
      const clock = new ManualClock();
      const one = await machine(place.postgres.url({ port: relay.port }), { clock });
      const { store } = await sharedStore(one, 'closing');
      relay.hold();
      const adding = store.append([{ kind: 'user_text', text: 'waits\n' }]);
      await until(() => relay.waiting > 0);
      await passing(clock, adding);
      const waiting = one.drain();
      await passing(clock, one[Symbol.asyncDispose]());
      await passing(clock, waiting);
      expect(relay.waiting).toBeGreaterThan(0);
    });

    test('rows that cannot be had for a while are fetched when they can', async () => {
      await using one = await machine();
      const session = await sharedStore(one, 'far behind');
      for (let number = 1; number <= 40; number += 1) {
        await session.store.append([
          { kind: 'user_text', text: `text ${number}\n`.repeat(number) },
        ]);
      }
      await session.store.append([{ kind: 'user_text', text: 'in pieces\n'.repeat(300_000) }]);
      let pieces = 0;
      // Every connection ends after a few answers.
      await using relay = await startRelay(place.postgres.port, async () => {
        pieces += 1;
        if (pieces % 25 === 0) relay.cut();
      });
      await using two = await machine(place.postgres.url({ port: relay.port }));
      expect(await filesOf(await sharedStore(two, 'far behind'))).toBe(await filesOf(session));
    });

    test('of what several machines store while the database stops at once, nothing is lost', async () => {
      const patient = await machine(undefined, { waitMs: 60_000 });
      const writers = [await machine(undefined, { waitMs: 1_000 }), patient];
      const load = await SharedLoad.start(writers, 'crashes');
      for (let outage = 0; outage < 2; outage += 1) {
        await load.more(20);
        await place.postgres.crash();
        // Kept by the machine that waits for no longer than a second.
        await load.more(5);
        await place.postgres.start();
        await load.more(20);
      }
      await using fresh = await machine();
      const { acknowledged, lost, twice } = await load.end(fresh);
      expect(acknowledged).toBeGreaterThanOrEqual(80);
      expect([lost, twice]).toEqual([0, 0]);
      for (const each of writers) await each[Symbol.asyncDispose]();
    });

    test('a row that was confirmed to nobody is found by its key when the standby takes over', async () => {
      await using primary = await startPostgres();
      await initSharedStore(primary.url(), { log: silentLogger(), clock: systemClock });
      await using standby = await primary.standby();
      await using relay = await startRelay(primary.port);
      const url = `postgres://rlm@127.0.0.1:${relay.port},127.0.0.1:${standby.port}/rlm`;
      await using one = await machine(url, { waitMs: 60_000 });
      const { store, id } = await sharedStore(one, 'standby');
      await store.append([{ kind: 'user_text', text: 'before\n' }]);
      relay.hold('answers');
      const adding = store.append([{ kind: 'user_text', text: 'confirmed to nobody\n' }]);
      await until(() => relay.waiting > 0);
      await primary.crash();
      await standby.promote();
      relay.cut();
      expect((await adding).map((entry) => entry.id)).toEqual(['e2']);
      await store.append([{ kind: 'user_text', text: 'after\n' }]);
      expect((await standby.sql(`select head from rlm_session where id = '${id}'`)).trim()).toBe(
        '3',
      );
      await using fresh = await machine(standby.url());
      expect(await filesOf(await sharedStore(fresh, 'standby'))).toBe(
        await filesOf(await sharedStore(one, 'standby')),
      );
    });

    test('a gap in the rows stops a replay by name; what stands before it can be read', async () => {
      await using one = await machine();
      const { store, id } = await sharedStore(one, 'gap');
      for (const text of ['first\n', 'second\n', 'third\n', 'fourth\n']) {
        await store.append([{ kind: 'user_text', text }]);
      }
      await place.postgres.sql(`delete from rlm_log where session = '${id}' and pos = 3`);
      await using two = await machine();
      const there = (await sharedStore(two, 'gap')).store;
      expect(there.totals.entries).toBe(2);
      expect(await there.readEntry(there.entry('e2')!)).toBe('second\n');
      await expect(there.append([{ kind: 'user_text', text: 'fifth\n' }])).rejects.toMatchObject({
        code: 'store_corrupt',
        message: `The shared store is damaged: row 3 of ${id} is missing.`,
      });
      expect(
        (await place.postgres.sql(`select head from rlm_session where id = '${id}'`)).trim(),
      ).toBe('4');
    });

    test('a server that has lost rows is noticed, and what it has is fetched anew', async () => {
      const dataDir = join(place.folder, 'went-back');
      await using one = await openMachine(dataDir, place.postgres.url());
      const { store, id } = await sharedStore(one, 'back');
      for (const text of ['first\n', 'second\n', 'third\n']) {
        await store.append([{ kind: 'user_text', text }]);
      }
      await place.postgres.sql(`delete from rlm_log where session = '${id}' and pos > 1`);
      await place.postgres.sql(`update rlm_session set head = 1 where id = '${id}'`);
      await expect(store.append([{ kind: 'user_text', text: 'fourth\n' }])).rejects.toMatchObject({
        code: 'store_corrupt',
        message: `The shared store has lost rows of ${id} that it had confirmed.`,
      });
      const anew = (await sharedStore(one, 'back')).store;
      expect(anew.totals.entries).toBe(1);
      await anew.append([{ kind: 'user_text', text: 'second\n' }]);
      await one[Symbol.asyncDispose]();
      // Once more, and noticed at a start.
      await place.postgres.sql(`delete from rlm_log where session = '${id}' and pos > 1`);
      await place.postgres.sql(`update rlm_session set head = 1 where id = '${id}'`);
      await using again = await openMachine(dataDir, place.postgres.url());
      const after = (await sharedStore(again, 'back')).store;
      expect(after.totals.entries).toBe(1);
      await after.append([{ kind: 'user_text', text: 'second\n' }]);
      expect(after.totals.entries).toBe(2);
    });

    test('tables of a newer version are refused in words', async () => {
      await place.postgres.sql('create database newer');
      const url = place.postgres.url({ database: 'newer' });
      await initSharedStore(url, { log: silentLogger(), clock: systemClock });
      await place.postgres.sql('update rlm_meta set version = 99', { database: 'newer' });
      await expect(machine(url)).rejects.toMatchObject({
        code: 'store_newer',
        message: expect.stringMatching(/has tables of version 99, this program knows/) as string,
      });
    });

    describe('a chat', () => {
      let upstream: ScriptedUpstream;

      beforeAll(async () => {
        upstream = await startScriptedUpstream();
      });

      afterAll(async () => {
        await upstream[Symbol.asyncDispose]();
      });

      const history: Message[] = [];

      /** The output of a call comes, and an answer to it is expected. */
      async function turn(proxy: TestProxy, project: string, text: string): Promise<void> {
        const number = history.length;
        const call = { id: `call_${number}`, type: 'function' as const };
        history.push(
          { role: 'user', content: `question ${number}` },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ ...call, function: { name: 'bash', arguments: '{"command":"x"}' } }],
          },
          { role: 'tool', tool_call_id: call.id, content: text },
        );
        upstream.script(answer(`answer ${number}`));
        const headers = {
          'x-session-id': 'ses_1',
          'x-rlm-directory': '/work',
          'x-rlm-project': project,
        };
        const { message } = await proxy.ask({ messages: history }, headers);
        expect(message.content).toBe(`answer ${number}`);
        history.push({ role: 'assistant', content: `answer ${number}` });
      }

      const lastPrompt = (): string => JSON.stringify(upstream.requests.at(-1)!.body.messages);
      const large = (name: string, lines = 900): string =>
        `output of ${name}, a line of it\n`.repeat(lines);

      test('waits once for a network that swallows everything, and then not at all', async () => {
        history.length = 0;
        const clock = new ManualClock();
        await using relay = await startRelay(place.postgres.port);
        const url = place.postgres.url({ port: relay.port });
        await using proxy = await startProxy({
          upstream,
          clock,
          env: { RLM_STORE_URL: url, RLM_STORE_WAIT_MS: '2000' },
        });
        await turn(proxy, 'swallowing', large('first'));
        const { storedTexts } = await proxy.health();
        relay.hold();
        const answered = turn(proxy, 'swallowing', large('second', 70_000));
        await until(() => relay.waiting > 0);
        clock.advance(2_000);
        // No more time passes: whoever waited for any would not be answered.
        await answered;
        expect(lastPrompt()).toContain('when the shared store is back');
        // What waits is as safe as what is there.
        expect((await proxy.health()).storedTexts).toBe(storedTexts + 1);
        expect(lastPrompt().length).toBeLessThan(20_000);
        const shown = lastPrompt().slice(0, -1);
        await turn(proxy, 'swallowing', large('third'));
        expect(lastPrompt().startsWith(shown)).toBe(true);
        relay.release();
        await using fresh = await machine();
        const stored = async (): Promise<number> =>
          (await sharedStore(fresh, 'swallowing')).store.entries.filter(
            ({ lengthBytes }) => lengthBytes > 1_000_000,
          ).length;
        while ((await stored()) === 0) {
          clock.advance(50);
          await systemClock.sleep(20);
        }
        await turn(proxy, 'swallowing', large('fourth'));
        expect(lastPrompt().startsWith(shown)).toBe(true);
        expect(await stored()).toBe(1);
      });

      test('goes on where a row cannot be understood; it is said, and nothing is skipped', async () => {
        history.length = 0;
        const lines: string[] = [];
        const env = { RLM_STORE_URL: place.postgres.url() };
        const onLog = (line: string): void => void lines.push(line);
        await using proxy = await startProxy({ upstream, env, onLog });
        await turn(proxy, 'poisoned', large('first'));
        const id = (
          await place.postgres.sql("select id from rlm_session where project = 'poisoned'")
        ).trim();
        const rows = async (): Promise<number> =>
          Number(await place.postgres.sql(`select count(*) from rlm_log where session = '${id}'`));
        await place.postgres.sql(`with s as (
          update rlm_session set head = head + 1 where id = '${id}' returning head)
          insert into rlm_log (session, pos, time_ms, writer, n, machine, facts)
          select '${id}', head, 1, gen_random_uuid(), 1, 'newer', '{"ops":[{"op":"paint"}]}' from s`);
        const before = await rows();
        await turn(proxy, 'poisoned', large('second'));
        await turn(proxy, 'poisoned', large('third'));
        expect(lastPrompt().includes('output of third, a line of it')).toBe(true);
        expect(await rows()).toBe(before);
        expect(await proxy.health()).toMatchObject({
          status: 'degraded',
          lastStoreFault: 'store_newer',
        });
        expect(lines.filter((line) => line.includes('is replayed no further'))).toHaveLength(1);
        // A program that understands it goes on from there.
        await place.postgres.sql(
          `update rlm_log set facts = '{"ops":[]}' where session = '${id}' and machine = 'newer'`,
        );
        await turn(proxy, 'poisoned', large('fourth'));
        expect(await rows()).toBeGreaterThan(before);
        expect((await proxy.health()).status).toBe('ok');
        await using fresh = await machine();
        const there = await sharedStore(fresh, 'poisoned');
        const texts = await Promise.all(
          there.store.entries.map(async (entry) => there.store.readEntry(entry)),
        );
        for (const name of ['first', 'second', 'third', 'fourth']) {
          expect(texts.filter((text) => text === large(name))).toHaveLength(1);
        }
      });
    });
  },
);
