import { setImmediate } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { silentLogger } from '../../log.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Availability } from './availability.ts';
import type { Database } from './database.ts';

const waitMs = 2_000;

/** Something that is asked and answered by hand; `look` says how the looks of an outage end. */
function setUp(): {
  readonly clock: ManualClock;
  readonly availability: Availability;
  readonly looks: (() => Promise<unknown>)[];
  readonly looked: number[];
  readonly backs: number[];
} {
  const clock = new ManualClock();
  const looks: (() => Promise<unknown>)[] = [];
  const looked: number[] = [];
  const backs: number[] = [];
  const database = {
    shown: 'postgres://db',
    useNextHost: () => undefined,
    query: async (_name: string, _text: string, _values: unknown, signal: AbortSignal) => {
      looked.push(clock.elapsedMs());
      const answer = looks.shift();
      return answer === undefined ? silence(signal) : answer();
    },
  } as unknown as Database;
  const onBack = (): void => void backs.push(clock.elapsedMs());
  const log = silentLogger();
  const availability = new Availability({ database, clock, log, waitMs, onBack });
  return { clock, availability, looks, looked, backs };
}

/** Nobody answers, until the caller gives up. */
async function silence(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
}

async function broken(): Promise<never> {
  throw new Error('connect ECONNREFUSED');
}

function refused(code: string): DatabaseError {
  const error = new DatabaseError('refused', 7, 'error');
  error.code = code;
  return error;
}

/** When it is settled, and how, by the clock of the test. */
function settling(
  clock: ManualClock,
  promise: Promise<unknown>,
): { readonly atMs: number | undefined; readonly code: unknown } {
  const seen: { atMs: number | undefined; code: unknown } = { atMs: undefined, code: undefined };
  void (async () => {
    try {
      await promise;
    } catch (error) {
      seen.code = (error as { readonly code?: unknown }).code;
    }
    seen.atMs = clock.elapsedMs();
  })();
  return seen;
}

/** Lets time go by in small steps, so that what follows from a timer is begun in its time. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  await setImmediate();
  for (let step = 0; step < ms; step += 10) {
    clock.advance(10);
    for (let turn = 0; turn < 3; turn += 1) await setImmediate();
  }
}

test('who asks a silent database waits the time that is set, and who asks next does not', async () => {
  const { clock, availability } = setUp();
  const first = settling(clock, availability.ask(silence));
  await pass(clock, 3_000);
  expect(first).toEqual({ atMs: waitMs, code: 'store_away' });
  const next = settling(clock, availability.ask(silence));
  await pass(clock, 10);
  expect(next).toEqual({ atMs: 3_000, code: 'store_away' });
  expect(availability.told).toEqual({ outages: 1, longestWaitMs: waitMs });
});

test('a turn that needs many statements waits once in all, however each of them fails', async () => {
  for (const fails of [broken, silence]) {
    const { clock, availability } = setUp();
    const turn = async (): Promise<void> => {
      for (let at = 0; at < 5; at += 1) {
        await availability.ask(fails).catch(() => undefined);
        const copied = availability.each(async function* ({ signal }) {
          yield await fails(signal);
        });
        for await (const _ of copied) break;
      }
    };
    const done = settling(clock, turn());
    await pass(clock, 2 * waitMs);
    expect(done.atMs).toBeLessThanOrEqual(waitMs);
    expect(done.code).toBe('store_away');
  }
});

test('who comes late in an outage waits for the rest of the one time, not for one of its own', async () => {
  const { clock, availability } = setUp();
  const early = settling(clock, availability.ask(silence));
  await pass(clock, 1_500);
  const late = [availability.ask(silence), availability.ask(broken)].map((each) =>
    settling(clock, each),
  );
  await pass(clock, waitMs);
  expect([early, ...late].map(({ atMs }) => atMs)).toEqual([waitMs, waitMs, waitMs]);
});

test('a copy that stands still is waited for once; then nobody asks again before it is back', async () => {
  const { clock, availability, looked } = setUp();
  const rows: number[] = [];
  const copy = async (): Promise<void> => {
    const coming = availability.each(async function* ({ signal }) {
      yield 1;
      yield await silence(signal);
    });
    for await (const row of coming) rows.push(row);
  };
  const done = settling(clock, copy());
  await pass(clock, 2_500);
  expect([done.atMs, done.code, rows]).toEqual([waitMs, 'store_away', [1]]);
  // The first look of the outage, for which nobody waits.
  expect(looked).toEqual([waitMs + 250]);
});

test('a copy over a slow network goes on as long as anything comes', async () => {
  const { clock, availability } = setUp();
  const rows: number[] = [];
  const copy = async (): Promise<void> => {
    const coming = availability.each(async function* ({ signal, moved }) {
      for (const row of [1, 2]) {
        for (let part = 0; part < 10; part += 1) {
          await clock.sleep(1_500, signal);
          moved();
        }
        yield row;
      }
      await silence(signal);
    });
    for await (const row of coming) rows.push(row);
  };
  const done = settling(clock, copy());
  await pass(clock, 31_000);
  expect([rows, done.atMs]).toEqual([[1, 2], undefined]);
  await pass(clock, 1_500);
  expect([done.atMs, done.code]).toEqual([32_000, 'store_away']);
});

test('a copy whose connection is lost goes on with the rest, and has its time for each row', async () => {
  const { clock, availability, looks } = setUp();
  const rows: number[] = [];
  looks.push(async () => []);
  const copy = async (): Promise<void> => {
    const coming = availability.each(async function* () {
      for (;;) {
        if (rows.length === 6) return;
        const isLost = rows.length === 3 && looks.length === 1;
        await clock.sleep(isLost ? 500 : 1_900);
        if (isLost) await broken();
        yield rows.length;
      }
    });
    for await (const row of coming) rows.push(row);
  };
  const done = settling(clock, copy());
  await pass(clock, 20_000);
  expect([rows, done.code, availability.isAway]).toEqual([[0, 1, 2, 3, 4, 5], undefined, false]);
});

test('a refusal is an answer: what was broken before it takes nobody’s time later', async () => {
  const { clock, availability } = setUp();
  for (const code of ['42P01', '23505']) {
    let attempt = 0;
    const asked = settling(
      clock,
      availability.ask(async () => {
        attempt += 1;
        throw attempt === 1 ? new Error('reset') : refused(code);
      }),
    );
    await pass(clock, 1_000);
    expect([asked.code, attempt]).toEqual(['store_away', 2]);
    await pass(clock, 3_600_000 / 100);
    // It takes its time, and has it.
    const slow = settling(
      clock,
      availability.ask(async (signal) => clock.sleep(1_500, signal)),
    );
    await pass(clock, waitMs);
    expect([slow.code, availability.isAway]).toEqual([undefined, false]);
  }
});

test('why it is away is what was said of it, and not that the time was up', async () => {
  const { clock, availability } = setUp();
  let attempts = 0;
  const asked = availability.ask(async (signal) => {
    attempts += 1;
    return attempts === 1 ? broken() : silence(signal);
  });
  const failed = asked.catch((error: unknown) => error);
  await pass(clock, waitMs);
  expect(String(((await failed) as Error).cause)).toContain('ECONNREFUSED');
});

test('what nobody waits for has its time, and takes nobody else’s', async () => {
  const { clock, availability } = setUp();
  const slow = settling(
    clock,
    availability.ask(async (signal) => clock.sleep(30_000, signal), undefined, { isPatient: true }),
  );
  await pass(clock, 5_000);
  const quick = settling(
    clock,
    availability.ask(async (signal) => clock.sleep(1_900, signal)),
  );
  await pass(clock, 2_000);
  expect([quick.code, slow.atMs]).toEqual([undefined, undefined]);
  // Somebody who waits gives up: that is no reason to break off what goes on.
  const silent = settling(clock, availability.ask(silence));
  await pass(clock, 24_000);
  expect([silent.code, availability.isAway]).toEqual(['store_away', true]);
  expect(slow).toEqual({ atMs: 30_000, code: undefined });
  expect(availability.told.longestWaitMs).toBe(waitMs);
});

test('what was in the way of a work of upkeep is waited out; what fails else is told', async () => {
  const { clock, availability } = setUp();
  const failing = [refused('40P01'), refused('40001')];
  const asked = settling(
    clock,
    availability.work(async (signal) => {
      await clock.sleep(5_000, signal);
      const error = failing.shift();
      if (error !== undefined) throw error;
    }),
  );
  await pass(clock, 16_000);
  expect(asked).toEqual({ atMs: 15_000, code: undefined });
  const broke = settling(clock, availability.work(broken));
  await pass(clock, 10);
  expect([broke.code, availability.isAway]).toEqual(['store_away', false]);
});

test('it looks ever less often, and each outage has its own time', async () => {
  const { clock, availability, looks, looked, backs } = setUp();
  const first = settling(clock, availability.ask(broken));
  await pass(clock, waitMs);
  expect(availability.isAway).toBe(true);
  for (let at = 0; at < 7; at += 1) looks.push(broken);
  looks.push(async () => []);
  await pass(clock, 30_000);
  const waits = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000];
  let dueMs = first.atMs!;
  expect(looked).toEqual(waits.map((ms) => (dueMs += ms)));
  expect(backs).toEqual([dueMs]);
  expect(availability.isAway).toBe(false);
  const atMs = clock.elapsedMs();
  const again = settling(clock, availability.ask(silence));
  await pass(clock, waitMs);
  expect(again.atMs).toBe(atMs + waitMs);
  expect(availability.told.outages).toBe(2);
});

test('who is others’ way tries again at once, and not for ever', async () => {
  const { clock, availability } = setUp();
  let attempts = 0;
  const asked = settling(
    clock,
    availability.ask(async () => {
      attempts += 1;
      await clock.sleep(500);
      throw refused('40001');
    }),
  );
  await pass(clock, 3_000);
  expect([asked.atMs, asked.code, attempts]).toEqual([waitMs, 'store_away', 4]);
});

test('a database whose disk is full is not waited for: it answers, and would say the same again', async () => {
  const { clock, availability, looked } = setUp();
  const full = async (): Promise<never> => {
    throw refused('53100');
  };
  for (let turn = 0; turn < 3; turn += 1) {
    const asked = settling(clock, availability.ask(full));
    await pass(clock, 10);
    expect(asked).toEqual({ atMs: 10 * turn, code: 'store_away' });
  }
  // What only reads is answered, and nobody looks for what is there.
  expect(await availability.ask(async () => 'read')).toBe('read');
  await pass(clock, 10_000);
  expect(looked).toEqual([]);
  expect(availability.told.outages).toBe(0);
});
