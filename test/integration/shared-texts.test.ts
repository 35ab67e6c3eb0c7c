import { hash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import type { SharedSessions } from '../../src/shared/shared-sessions.ts';
import type { Entry, Session } from '../../src/store/types.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres } from '../support/postgres.ts';
import { sharedDatabase } from '../support/shared-database.ts';
import { startRelay } from '../support/relay.ts';
import { filesOf, openMachine, sharedStore } from '../support/shared-machines.ts';

/** What PostgreSQL's text and JSON refuse, and what UTF-8 cannot say. */
const odd = [
  'a\0b',
  'half \ud83d',
  '\ude00 other half',
  '\u0010',
  '\u0010d83d',
  '\ufffd',
  '\\u0000',
];

describe.skipIf(noPostgres !== undefined)(
  `any text in a shared store (${noPostgres ?? 'PostgreSQL'})`,
  () => {
    const place = sharedDatabase();
    let machines = 0;

    const hashes = (count: number): string[] =>
      Array.from({ length: count }, (_, at) => hash('sha256', `name ${at}`));

    async function database(name: string, teamKey?: string): Promise<string> {
      await place.postgres.sql(`create database ${name}`);
      const url = place.postgres.url({ database: name });
      await initSharedStore(url, { log: silentLogger(), clock: systemClock, teamKey });
      return url;
    }

    async function machine(
      url: string,
      options: Parameters<typeof openMachine>[2] = {},
    ): Promise<SharedSessions> {
      machines += 1;
      return openMachine(join(place.folder, `machine-${machines}`), url, options);
    }

    const callOf = (at: number): string => `call ${odd[at]}`;

    async function fill({ store, memory, events }: Session): Promise<void> {
      for (const [at, text] of odd.entries()) {
        await store.append([
          {
            kind: 'tool_result',
            text: `the text ${text}\n`,
            tool: text,
            args: `{"x":"${text}"}`,
            path: `/work/${text}`,
            note: text,
            chatId: `chat ${text}`,
            toolCallId: callOf(at),
            outline: { kind: 'log', items: [`line 1: ${text}`] },
          },
        ]);
        await memory.put([{ key: `key ${text}`, value: { [text]: [text] } }]);
      }
      for (const name of odd) await events.add({ type: 'name', timeMs: 1, name });
    }

    /** All that a store says of its entries, and their texts as they came. */
    async function seen({ store, memory, events }: Session): Promise<unknown> {
      const originals: string[] = [];
      for (const entry of store.entries) originals.push(await originalOf(store, entry));
      const values = await Promise.all(odd.map(async (text) => memory.get(`key ${text}`)));
      return { entries: store.entries, originals, values, events: events.all };
    }

    async function originalOf(store: Session['store'], entry: Entry): Promise<string> {
      const pieces: Uint8Array[] = [];
      for await (const piece of store.readOriginal(entry)) pieces.push(piece);
      return Buffer.concat(pieces).toString('hex');
    }

    const asTheyCame = odd.map((text) => {
      const whole = `the text ${text}\n`;
      return Buffer.from(whole, whole.isWellFormed() ? 'utf8' : 'utf16le').toString('hex');
    });

    test.each([
      ['without a team key', undefined],
      ['with one', 'a secret of the whole team'],
    ])('comes back as it was, wherever it stands (%s)', async (name, teamKey) => {
      const url = await database(name.replaceAll(' ', '_'), teamKey);
      await using one = await machine(url, { teamKey });
      const session = await sharedStore(one, 'texts');
      await fill(session);
      await one.nameMoment(session.id, 'a moment');
      const here = await seen(session);
      await using two = await machine(url, { teamKey });
      const there = await sharedStore(two, 'texts');
      expect(await seen(there)).toEqual(here);
      expect(await filesOf(there)).toBe(await filesOf(session));
      const entries = there.store.entries;
      expect(entries.map(({ path }) => path)).toEqual(odd.map((text) => `/work/${text}`));
      expect(entries.map(({ tool }) => tool)).toEqual(odd);
      const originals = entries.map(async (entry) => originalOf(there.store, entry));
      expect(await Promise.all(originals)).toEqual(asTheyCame);
      for (const [at, text] of odd.entries()) {
        expect(await there.memory.get(`key ${text}`)).toEqual({ [text]: [text] });
        expect(there.store.outputsOf(`chat ${text}`, callOf(at))).toHaveLength(1);
      }
      // What was forgotten is replaced by an archive, which others begin from.
      await two.forget(there.id, { whole: [1], why: 'asked', mayComeAgain: false });
      await using three = await machine(url, { teamKey });
      const late = await sharedStore(three, 'texts');
      expect(await originalOf(late.store, late.store.entry('e2')!)).toBe(asTheyCame[1]);
      expect(await late.memory.get(`key ${odd[2]}`)).toEqual({ [odd[2]!]: [odd[2]] });
    });

    test('comes back as it was when it has waited for the database, and while it waits', async () => {
      const url = new URL(await database('waiting'));
      await using relay = await startRelay(place.postgres.port);
      url.port = String(relay.port);
      const clock = new ManualClock();
      await using one = await machine(String(url), { clock });
      const session = await sharedStore(one, 'texts');
      relay.hold();
      const filling = fill(session).catch(() => undefined);
      while (relay.waiting === 0) await systemClock.sleep(5);
      clock.advance(10_000);
      await filling;
      for (const [at, text] of odd.entries()) {
        const [output] = session.store.outputsOf(`chat ${text}`, callOf(at));
        expect(output!.entry.id).toMatch(/^p[0-9a-f]{8}$/);
        expect(await originalOf(session.store, output!.entry)).toBe(asTheyCame[at]);
        expect(await session.memory.get(`key ${text}`)).toEqual({ [text]: [text] });
      }
      relay.release();
      while (session.store.totals.entries < odd.length) {
        clock.advance(1_000);
        await systemClock.sleep(5);
      }
      await one.drain();
      await using two = await machine(place.postgres.url({ database: 'waiting' }));
      const there = await sharedStore(two, 'texts');
      const originals = there.store.entries.map(async (entry) => originalOf(there.store, entry));
      expect(await Promise.all(originals)).toEqual(asTheyCame);
      expect(await filesOf(there)).toBe(await filesOf(session));
      expect(await there.memory.get(`key ${odd[1]}`)).toEqual({ [odd[1]!]: [odd[1]] });
    });

    test('names projects, each its own, on all machines the same', async () => {
      const url = await database('names');
      // Not to be packed into less, as an index would.
      const long = hashes(100).join('/');
      const names = [...odd, long, `${long}a`, 'constructor'];
      await using one = await machine(url);
      await using two = await machine(url);
      const ids = new Set<string>();
      for (const name of names) {
        const { id } = await sharedStore(one, name);
        expect((await sharedStore(two, name)).id).toBe(id);
        const keyed = await one.forKey(name, { create: true });
        expect((await two.forKey(name, { create: false }))?.id).toBe(keyed!.id);
        ids.add(id).add(keyed!.id);
      }
      expect(ids.size).toBe(2 * names.length);
      const said = (await two.shared.status()).stores.map(({ project }) => project);
      for (const name of odd) expect(said).toContain(name);
      expect((await one.forProject('a\0b', { create: false }))?.id).toBe(
        (await sharedStore(one, 'a\0b')).id,
      );
    });

    test('as an id names no store', async () => {
      await using one = await machine(await database('ids'));
      for (const id of odd) {
        await expect(one.byId(id)).rejects.toMatchObject({ code: 'unknown_session' });
        await expect(one.remove(id)).rejects.toMatchObject({ code: 'unknown_session' });
        const wanted = { whole: [1], why: 'asked', mayComeAgain: false } as const;
        await expect(one.forget(id, wanted)).rejects.toMatchObject({ code: 'unknown_session' });
      }
    });
  },
);
