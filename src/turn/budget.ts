import type { Clock } from '../clock.ts';
import type { Usage } from '../wire/types.ts';
import type { DayLedger } from './day-ledger.ts';
import { grouped } from '../base/numbers.ts';

/** What one turn may use, sub-calls included. Absent = no limit. */
export interface TurnLimits {
  /** Upstream completions of the turn's own loop. */
  readonly steps: number;
  readonly subCalls: number;
  /** How many sub-calls may lie inside each other; 0 forbids them. */
  readonly depth: number;
  /** Prompt and completion tokens of all completions. */
  readonly tokens: number;
  /** In the currency of the configured prices. */
  readonly money?: number | undefined;
  readonly wallClockMs: number;
}

/** What all turns of one day (UTC) may use together. Absent = no limit. */
export interface DayLimits {
  readonly subCalls?: number | undefined;
  readonly tokens?: number | undefined;
  readonly money?: number | undefined;
  readonly wallClockMs?: number | undefined;
}

/** Prices of a model per million tokens. */
export interface TokenPrices {
  readonly input: number;
  /** Prompt tokens that came from the provider's cache; absent = the price of the others. */
  readonly cachedInput?: number | undefined;
  readonly output: number;
}

/** What was used so far. */
export interface Spent {
  readonly steps: number;
  readonly subCalls: number;
  /** Deepest sub-call. */
  readonly depth: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Of the completions by models with prices; undefined when there was none. */
  readonly money: number | undefined;
  readonly elapsedMs: number;
}

/** A limit that was reached: its name in the settings, and the sentence that says so. */
export interface Exhausted {
  readonly limit: string;
  readonly sentence: string;
}

/** What {@link Budget} needs. */
export interface BudgetOptions {
  readonly clock: Clock;
  readonly turn: TurnLimits;
  readonly day: DayLimits;
  readonly ledger: DayLedger;
}

/** The sums that a turn's budget and all its children share. */
interface Account {
  readonly startedMs: number;
  steps: number;
  subCalls: number;
  depth: number;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
  money: number | undefined;
}

/**
 * What a turn may still use. A program, a sub-call and the loop draw on the same one: {@link
 * Budget.child} gives a view one level deeper with the same sums. Nothing is ever taken back.
 */
export class Budget {
  readonly #options: BudgetOptions;
  readonly #account: Account;
  /** 0 for the turn itself. */
  readonly depth: number;

  constructor(options: BudgetOptions, parent?: Budget) {
    this.#options = options;
    this.#account = parent === undefined ? emptyAccount(options.clock) : parent.#account;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.#account.depth = Math.max(this.#account.depth, this.depth);
  }

  /** The budget of a sub-call that has tools of its own. */
  child(): Budget {
    return new Budget(this.#options, this);
  }

  /** Whether a sub-call made here may have tools that make sub-calls. */
  get mayRecurse(): boolean {
    return this.depth + 1 < this.#options.turn.depth;
  }

  spendStep(): void {
    this.#account.steps += 1;
  }

  /** Takes up to `wanted` sub-calls and says how many were granted. */
  takeSubCalls(wanted: number): number {
    const granted = Math.min(wanted, this.left.calls);
    this.#account.subCalls += granted;
    this.#options.ledger.add({ subCalls: granted });
    return granted;
  }

  /** Sub-calls and tokens that may still be used, by the turn and by the day. */
  get left(): { readonly calls: number; readonly tokens: number } {
    const { turn, day, ledger } = this.#options;
    const { subCalls, promptTokens, completionTokens } = this.#account;
    const today = ledger.state;
    const calls = Math.min(
      turn.subCalls - subCalls,
      (day.subCalls ?? Number.POSITIVE_INFINITY) - today.subCalls,
    );
    const tokens = Math.min(
      turn.tokens - promptTokens - completionTokens,
      (day.tokens ?? Number.POSITIVE_INFINITY) - today.tokens,
    );
    const mayAsk = turn.depth > this.depth && this.check() === undefined;
    return { calls: mayAsk ? Math.max(0, calls) : 0, tokens: Math.max(0, tokens) };
  }

  /** Why a sub-call was not granted. */
  get subCallRefusal(): Exhausted {
    const { turn, day, ledger } = this.#options;
    if (turn.depth <= this.depth)
      return exhausted('turn.depth', `sub-calls may lie ${turn.depth} deep`);
    const ended = this.check();
    if (ended !== undefined) return ended;
    if (day.subCalls !== undefined && ledger.state.subCalls >= day.subCalls)
      return exhausted('day.subCalls', `${count(day.subCalls)} sub-calls a day are used up`);
    return exhausted('turn.subCalls', `${count(turn.subCalls)} sub-calls a turn are used up`);
  }

  /** Adds what a completion cost, as the upstream reported it. */
  spendUsage(usage: Usage, prices: TokenPrices | undefined): void {
    const account = this.#account;
    const cachedTokens = usage.prompt_tokens_details?.cached_tokens ?? 0;
    account.promptTokens += usage.prompt_tokens;
    account.cachedTokens += cachedTokens;
    account.completionTokens += usage.completion_tokens;
    const cost = prices === undefined ? undefined : costOf(usage, cachedTokens, prices);
    if (cost !== undefined) account.money = (account.money ?? 0) + cost;
    this.#options.ledger.add({
      tokens: usage.prompt_tokens + usage.completion_tokens,
      money: cost ?? 0,
    });
  }

  /** At the end of the turn, once: the day's clock. */
  close(): void {
    this.#options.ledger.add({ wallClockMs: this.#elapsedMs() });
  }

  /**
   * The first limit that is used up; undefined while the loop may go on. Sub-calls alone never end
   * it.
   */
  check(): Exhausted | undefined {
    const { turn, day, ledger } = this.#options;
    const { steps, promptTokens, completionTokens, money } = this.#account;
    const elapsedMs = this.#elapsedMs();
    const tokens = promptTokens + completionTokens;
    const today = ledger.state;
    const dayMs = today.wallClockMs + elapsedMs;
    return (
      over('turn.steps', steps, turn.steps, says.turn.steps) ??
      over('turn.tokens', tokens, turn.tokens, says.turn.tokens) ??
      over('turn.money', money ?? 0, turn.money, says.turn.money) ??
      over('turn.wallClockMs', elapsedMs, turn.wallClockMs, says.turn.wallClockMs) ??
      over('day.tokens', today.tokens, day.tokens, says.day.tokens) ??
      over('day.money', today.money, day.money, says.day.money) ??
      over('day.wallClockMs', dayMs, day.wallClockMs, says.day.wallClockMs)
    );
  }

  /** What was used so far, by the turn and all below it. */
  get spent(): Spent {
    const { startedMs: _, ...sums } = this.#account;
    return { ...sums, elapsedMs: this.#elapsedMs() };
  }

  #elapsedMs(): number {
    return this.#options.clock.elapsedMs() - this.#account.startedMs;
  }
}

function emptyAccount(clock: Clock): Account {
  return {
    startedMs: clock.elapsedMs(),
    steps: 0,
    subCalls: 0,
    depth: 0,
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    money: undefined,
  };
}

function costOf(usage: Usage, cachedTokens: number, prices: TokenPrices): number {
  const fresh = (usage.prompt_tokens - cachedTokens) * prices.input;
  const cached = cachedTokens * (prices.cachedInput ?? prices.input);
  return (fresh + cached + usage.completion_tokens * prices.output) / 1e6;
}

function over(
  limit: string,
  used: number,
  allowed: number | undefined,
  what: (allowed: number) => string,
): Exhausted | undefined {
  if (allowed === undefined || used < allowed) return undefined;
  return exhausted(limit, `${what(allowed)} used up`);
}

function exhausted(limit: string, reason: string): Exhausted {
  return { limit, sentence: `Stopped by the limit ${limit}: ${reason}.` };
}

function count(value: number): string {
  return grouped(value);
}

/** What each limit allows, in words; made once, as every step of every turn asks. */
const says = { turn: sayingsOf('a turn'), day: sayingsOf('a day') } as const;

function sayingsOf(
  of: string,
): Readonly<Record<'steps' | 'tokens' | 'money' | 'wallClockMs', (allowed: number) => string>> {
  return {
    steps: (allowed) => `${count(allowed)} steps ${of} are`,
    tokens: (allowed) => `${count(allowed)} tokens ${of} are`,
    money: (allowed) => `a cost of ${allowed} ${of} is`,
    wallClockMs: (allowedMs) => `${count(allowedMs / 1000)} seconds ${of} are`,
  };
}
