import { expect, test } from 'vitest';
import type { Clock } from '../clock.ts';
import type { Usage } from '../wire/types.ts';
import { Budget, type DayLimits, type TurnLimits } from './budget.ts';
import { DayLedger } from './day-ledger.ts';

class StoppedClock implements Clock {
  timeMs = Date.UTC(2026, 10, 22, 23, 0);
  now(): number {
    return this.timeMs;
  }
  elapsedMs(): number {
    return this.timeMs;
  }
  async sleep(): Promise<void> {
    throw new Error('nothing here waits');
  }
  after(): () => void {
    throw new Error('nothing here waits');
  }
}

const wide: TurnLimits = { steps: 10, subCalls: 5, depth: 2, tokens: 1000, wallClockMs: 60_000 };
const usage = (prompt: number, completion: number, cached = 0): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: cached },
});

function given(turn: Partial<TurnLimits> = {}, day: DayLimits = {}) {
  const clock = new StoppedClock();
  const ledger = new DayLedger(clock);
  const open = (): Budget => new Budget({ clock, turn: { ...wide, ...turn }, day, ledger });
  return { clock, ledger, open, budget: open() };
}

test('each limit ends a turn with its own sentence', () => {
  const steps = given({ steps: 2 }).budget;
  steps.spendStep();
  expect(steps.check()).toBeUndefined();
  steps.spendStep();
  expect(steps.check()).toEqual({
    limit: 'turn.steps',
    sentence: 'Stopped by the limit turn.steps: 2 steps a turn are used up.',
  });

  const tokens = given().budget;
  tokens.spendUsage(usage(900, 99), undefined);
  expect(tokens.check()).toBeUndefined();
  tokens.spendUsage(usage(1, 0), undefined);
  expect(tokens.check()?.sentence).toContain('1,000 tokens a turn are used up');

  const money = given({ money: 0.5, tokens: 1e9 }).budget;
  money.spendUsage(usage(1_000_000, 100_000), { input: 0.3, output: 1.9 });
  expect(money.check()).toBeUndefined();
  money.spendUsage(usage(100_000, 0, 100_000), { input: 1, cachedInput: 0.1, output: 1 });
  expect(money.spent.money).toBeCloseTo(0.5);
  expect(money.check()?.sentence).toContain('a cost of 0.5 a turn is used up');

  const { budget, clock } = given();
  clock.timeMs += 60_000;
  expect(budget.check()?.limit).toBe('turn.wallClockMs');
});

test('without prices no money is named and no money limit ends anything', () => {
  const { budget } = given({ money: 0.01, tokens: 1e9 });
  budget.spendUsage(usage(1e6, 1e6), undefined);
  expect(budget.spent.money).toBeUndefined();
  expect(budget.check()).toBeUndefined();
});

test('sub-calls are granted as far as they reach, by all depths from one account', () => {
  const { budget } = given();
  const child = budget.child();
  expect(budget.takeSubCalls(3)).toBe(3);
  expect(child.takeSubCalls(3)).toBe(2);
  expect(budget.takeSubCalls(1)).toBe(0);
  expect(budget.subCallRefusal.sentence).toContain('5 sub-calls a turn are used up');
  expect(budget.check()).toBeUndefined();
  child.spendStep();
  child.spendUsage(usage(10, 1), undefined);
  expect(budget.spent).toMatchObject({ steps: 1, subCalls: 5, depth: 1, promptTokens: 10 });
});

test('depth: a turn with depth 2 has sub-calls with tools, whose sub-calls have none', () => {
  const { budget } = given({ depth: 2 });
  expect(budget.mayRecurse).toBe(true);
  const child = budget.child();
  expect(child.takeSubCalls(1)).toBe(1);
  expect(child.mayRecurse).toBe(false);
  const grandchild = child.child();
  expect(grandchild.takeSubCalls(1)).toBe(0);
  expect(grandchild.subCallRefusal.limit).toBe('turn.depth');
  expect(given({ depth: 0 }).budget.takeSubCalls(1)).toBe(0);
});

test('a spent turn grants no sub-call', () => {
  const { budget } = given({ steps: 1 });
  budget.spendStep();
  expect(budget.takeSubCalls(1)).toBe(0);
  expect(budget.subCallRefusal.limit).toBe('turn.steps');
});

test('the turns of a day share its limits until midnight', () => {
  const { open, clock } = given({}, { tokens: 100, subCalls: 6, wallClockMs: 50_000 });
  const first = open();
  first.spendUsage(usage(99, 0), undefined);
  expect(first.takeSubCalls(4)).toBe(4);
  clock.timeMs += 20_000;
  first.close();
  const second = open();
  expect(second.takeSubCalls(4)).toBe(2);
  expect(second.subCallRefusal.limit).toBe('day.subCalls');
  clock.timeMs += 30_000;
  expect(second.check()?.limit).toBe('day.wallClockMs');
  second.spendUsage(usage(1, 0), undefined);
  expect(second.check()?.limit).toBe('day.tokens');
  clock.timeMs += 3_600_000;
  const tomorrow = open();
  expect(tomorrow.check()).toBeUndefined();
  expect(tomorrow.takeSubCalls(1)).toBe(1);
});

test('a ledger goes on from a state that was kept', () => {
  const { clock, ledger } = given();
  ledger.add({ tokens: 7 });
  expect(new DayLedger(clock, ledger.state).state).toMatchObject({ day: '2026-11-22', tokens: 7 });
  clock.timeMs += 86_400_000;
  expect(new DayLedger(clock, ledger.state).state.tokens).toBe(0);
});
