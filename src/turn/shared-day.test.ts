import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { DayLedger, type DayState } from './day-ledger.ts';
import { SharedDay } from './shared-day.ts';

/** The rows of `rlm_use`, as the statement of `LogTable.use` treats them. */
class Table {
  readonly rows = new Map<string, string>();
  isAway = false;
  asked = 0;

  async use(day: string, writer: string, used: string): Promise<readonly string[]> {
    this.asked += 1;
    if (this.isAway) throw new ProxyError('store_away', 'The shared store cannot be reached.');
    this.rows.set(`${day} ${writer}`, used);
    await setImmediate();
    const others = [...this.rows].filter(
      ([key]) => key.startsWith(day) && key !== `${day} ${writer}`,
    );
    return others.map(([, told]) => told);
  }
}

function setUp(table: Table, clock: ManualClock, writer: string) {
  const ledger = new DayLedger(clock);
  const log = silentLogger();
  return { ledger, day: new SharedDay({ ledger, writer, pool: () => table, clock, log }) };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await setImmediate();
}

test('what one has used the others count from their next turn on, each once', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const one = setUp(table, clock, 'one');
  const two = setUp(table, clock, 'two');
  one.ledger.add({ tokens: 40, subCalls: 1 });
  one.ledger.add({ tokens: 2, money: 0.5 });
  expect(table.asked).toBe(0);
  clock.advance(1_000);
  await settled();
  // Together, and not at each use.
  expect(table.asked).toBe(1);
  for (let turn = 0; turn < 3; turn += 1) await two.day.refresh();
  expect(two.ledger.state).toMatchObject({ tokens: 42, subCalls: 1, money: 0.5 });
  expect(two.ledger.own.tokens).toBe(0);
  two.ledger.add({ tokens: 8 });
  await one.day.refresh();
  clock.advance(1_000);
  await settled();
  await one.day.refresh();
  expect(one.ledger.state.tokens).toBe(50);
});

test('turns that begin together ask once', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const { day } = setUp(table, clock, 'one');
  await Promise.all(Array.from({ length: 50 }, async () => day.refresh()));
  expect(table.asked).toBeLessThanOrEqual(2);
});

test('what cannot be read of others, and their other days, do not count', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const { ledger, day } = setUp(table, clock, 'one');
  const today = ledger.own.day;
  const sound: DayState = { day: today, subCalls: 0, tokens: 7, money: 0, wallClockMs: 0 };
  const rows = [
    JSON.stringify(sound),
    JSON.stringify({ ...sound, day: '2001-01-01' }),
    JSON.stringify({ ...sound, tokens: -1_000 }),
    JSON.stringify({ ...sound, tokens: 'many' }),
    '{"day":"x","tokens":1e999}',
    'null',
    '',
    '\u0000{',
  ];
  for (const [at, row] of rows.entries()) table.rows.set(`${today} other-${at}`, row);
  await day.refresh();
  expect(ledger.state.tokens).toBe(7);
});

test('while nobody can be asked what was last known counts, and it is asked again', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const { ledger, day } = setUp(table, clock, 'one');
  const today = ledger.own.day;
  const other = { day: today, subCalls: 0, tokens: 30, money: 0, wallClockMs: 0 };
  table.rows.set(`${today} two`, JSON.stringify(other));
  await day.refresh();
  table.isAway = true;
  ledger.add({ tokens: 5 });
  await day.refresh();
  expect(ledger.state.tokens).toBe(35);
  table.isAway = false;
  table.rows.set(`${today} two`, JSON.stringify({ ...other, tokens: 60 }));
  const before = table.asked;
  clock.advance(10_000);
  await settled();
  expect(table.asked).toBeGreaterThan(before);
  expect(ledger.state.tokens).toBe(65);
  expect(JSON.parse(table.rows.get(`${today} one`)!)).toMatchObject({ tokens: 5 });
});

test('a new day begins at nothing, for all', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const one = setUp(table, clock, 'one');
  const two = setUp(table, clock, 'two');
  one.ledger.add({ tokens: 40 });
  await one.day.refresh();
  await two.day.refresh();
  expect(two.ledger.state.tokens).toBe(40);
  clock.advance(86_400_000);
  expect(two.ledger.state.tokens).toBe(0);
  await two.day.refresh();
  expect(two.ledger.state.tokens).toBe(0);
});

test('what was used last is told at the end', async () => {
  const clock = new ManualClock();
  const table = new Table();
  const { ledger, day } = setUp(table, clock, 'one');
  ledger.add({ tokens: 3 });
  await day[Symbol.asyncDispose]();
  expect(JSON.parse(table.rows.get(`${ledger.own.day} one`)!)).toMatchObject({ tokens: 3 });
  ledger.add({ tokens: 4 });
  expect(clock.waiting).toBe(0);
});
