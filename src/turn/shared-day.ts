import { z } from 'zod';
import { GroupCommit } from '../base/group-commit.ts';
import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type DayLedger, dayState } from './day-ledger.ts';

/** Where proxies tell each other what they have used of a day. */
interface DayPool {
  /**
   * Writes down what one has used, and reads what all others have. @throws ProxyError `store_away`
   */
  use(day: string, writer: string, used: string): Promise<readonly string[]>;
}

/** What {@link SharedDay} needs. */
export interface SharedDayOptions {
  readonly ledger: DayLedger;
  /** The name of this proxy among the others, a UUID; the same after a restart. */
  readonly writer: string;
  /** Absent while it is not known: then this proxy's own use counts. */
  readonly pool: () => DayPool | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is used is told to the others so soon, milliseconds; and when they could not be asked. */
const soonMs = 1_000;
const againMs = 10_000;

/**
 * Has the day's limits hold for all proxies of a team together: each writes down what it has used,
 * and counts what the others have. A turn begins with what they had when it came; what turns use
 * that run at the same moment is known a second later, so a limit can be passed by what is under
 * way. Where the others cannot be asked, what was last known of them counts.
 */
export class SharedDay {
  readonly #options: SharedDayOptions;
  readonly #asking: GroupCommit<void, void>;
  #stopTimer: (() => void) | undefined;
  #isAlone = false;
  #isClosed = false;

  constructor(options: SharedDayOptions) {
    this.#options = options;
    this.#asking = new GroupCommit(async (group) => {
      await this.#ask();
      for (const { resolve } of group) resolve();
    });
    options.ledger.onAdd = () => this.#refreshIn(soonMs);
  }

  /** What the others have used by now counts when it resolves; never rejects. */
  async refresh(): Promise<void> {
    await this.#asking.add();
  }

  /** Tells the others what they do not know yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    if (this.#stopTimer === undefined) return;
    this.#stopTimer();
    await this.refresh();
  }

  #refreshIn(ms: number): void {
    if (this.#isClosed) return;
    this.#stopTimer ??= this.#options.clock.after(ms, () => {
      this.#stopTimer = undefined;
      void this.refresh();
    });
  }

  async #ask(): Promise<void> {
    const { ledger, writer, pool: find, log } = this.#options;
    const pool = find();
    if (pool === undefined) {
      this.#refreshIn(againMs);
      return;
    }
    const { own } = ledger;
    try {
      const told = await pool.use(own.day, writer, JSON.stringify(own));
      ledger.setOthers(told.map(parsed).filter((state) => state !== undefined));
      if (this.#isAlone) log.info('the day of all proxies is known again');
      this.#isAlone = false;
    } catch (error) {
      if (!this.#isAlone) {
        const { code, message } = toProxyError(error);
        log.warn(
          { code, reason: message },
          'what other proxies use of the day is not known: its limits count what this one uses and what was last known of the others',
        );
      }
      this.#isAlone = true;
      this.#refreshIn(againMs);
    }
  }
}

/** Undefined for what a proxy of another version may have written. */
function parsed(text: string): z.infer<typeof dayState> | undefined {
  try {
    return dayState.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
