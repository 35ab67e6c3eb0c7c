import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { realFiles, replaceFile } from '../store/disk/files.ts';

/**
 * What all turns of a day have used. One per process; `own` goes to disk and back where it must
 * survive.
 */
export class DayLedger {
  readonly #clock: Clock;
  #state: DayState;
  /** What other proxies have used, where their limits hold together; of any day. */
  #others: readonly DayState[] = [];
  /** Hears that something was used. */
  onAdd: (() => void) | undefined;

  constructor(clock: Clock, state?: DayState) {
    this.#clock = clock;
    this.#state = state ?? emptyDay(dayOf(clock));
  }

  /** Today's sums, those of other proxies in them. */
  get state(): DayState {
    const { own } = this;
    return this.#others.length === 0 ? own : this.#others.reduce(sumOfDay, own);
  }

  /** What this process has used today, and those before it on this machine. */
  get own(): DayState {
    const day = dayOf(this.#clock);
    if (this.#state.day !== day) this.#state = emptyDay(day);
    return this.#state;
  }

  /** What other proxies have used, each in all. */
  setOthers(states: readonly DayState[]): void {
    this.#others = states;
  }

  add(part: Partial<Omit<DayState, 'day'>>): void {
    const { day, subCalls, tokens, money, wallClockMs } = this.own;
    this.#state = {
      day,
      subCalls: subCalls + (part.subCalls ?? 0),
      tokens: tokens + (part.tokens ?? 0),
      money: money + (part.money ?? 0),
      wallClockMs: wallClockMs + (part.wallClockMs ?? 0),
    };
    this.onAdd?.();
  }
}

/** Another's day on top of the first, unless it is of another day. */
function sumOfDay(sum: DayState, other: DayState): DayState {
  if (other.day !== sum.day) return sum;
  return {
    day: sum.day,
    subCalls: sum.subCalls + other.subCalls,
    tokens: sum.tokens + other.tokens,
    money: sum.money + other.money,
    wallClockMs: sum.wallClockMs + other.wallClockMs,
  };
}

/** One day's sums. */
export interface DayState {
  /** `2026-11-22`, UTC. */
  readonly day: string;
  readonly subCalls: number;
  readonly tokens: number;
  readonly money: number;
  readonly wallClockMs: number;
}

/** The day's name, written once a day: the ledger asks for it several times a turn. */
let today = { number: -1, name: '' };

function dayOf(clock: Clock): string {
  const number = Math.floor(clock.now() / dayMs);
  if (number !== today.number)
    today = { number, name: new Date(number * dayMs).toISOString().slice(0, 10) };
  return today.name;
}

const dayMs = 86_400_000;

function emptyDay(day: string): DayState {
  return { day, subCalls: 0, tokens: 0, money: 0, wallClockMs: 0 };
}

/** A day as it is written down. */
export const dayState = z.object({
  day: z.string(),
  subCalls: z.number().min(0),
  tokens: z.number().min(0),
  money: z.number().min(0),
  wallClockMs: z.number().min(0),
});

/** The file: a day, and the name of whoever uses it among other proxies. */
const ledgerFile = dayState.extend({ writer: z.uuid().optional() });

/** A day's use that survives a restart. */
export interface LedgerFile {
  readonly ledger: DayLedger;
  /** A UUID that stays the same as long as the file does. */
  readonly writer: string;
  /** Has what was used written down soon, at most once a second: no answer waits for a disk. */
  keep(): void;
  /**
   * Writes down what was used, one write at a time. A disk that fails costs the memory of today's
   * use, never an answer.
   */
  save(): Promise<void>;
  /** Writes what is not written yet. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longest use that a crash forgets, milliseconds. */
const keepMs = 1_000;

/** Reads today's use back. A file that is missing or no ledger counts from zero. */
export async function openLedgerFile(
  path: string,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<LedgerFile> {
  const { writer = randomUUID(), ...read } = (await readState(path)) ?? {};
  const ledger = new DayLedger(clock, 'day' in read ? read : undefined);
  const textNow = (): string => JSON.stringify({ ...ledger.own, writer });
  let written = textNow();
  let last: Promise<void> = Promise.resolve();
  let isQueued = false;
  const write = async (): Promise<void> => {
    isQueued = false;
    const text = textNow();
    if (text === written) return;
    try {
      await replaceFile(realFiles, path, Buffer.from(`${text}\n`));
      written = text;
    } catch (error) {
      log.warn(
        { err: error },
        "today's use could not be written down: after a restart it counts from zero",
      );
    }
  };
  const save = async (): Promise<void> => {
    // Turns that end while a write is under way share the next one: each would write the same sums.
    if (!isQueued) {
      isQueued = true;
      last = last.then(write);
    }
    await last;
  };
  let stopTimer: (() => void) | undefined;
  return {
    ledger,
    writer,
    keep: () => {
      stopTimer ??= clock.after(keepMs, () => {
        stopTimer = undefined;
        void save();
      });
    },
    save,
    [Symbol.asyncDispose]: async () => {
      stopTimer?.();
      await save();
    },
  };
}

async function readState(path: string): Promise<z.infer<typeof ledgerFile> | undefined> {
  // A disk that cannot be read costs the memory of today's use, and not the start.
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return ledgerFile.safeParse(JSON.parse(text)).data;
  } catch {
    // Not even JSON, or not there: nothing is known of today.
    return undefined;
  }
}
