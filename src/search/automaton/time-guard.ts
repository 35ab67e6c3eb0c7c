import { createContext, Script } from 'node:vm';

/** How a guarded run went. */
export interface GuardedRun {
  /** Whether the work came to its end. */
  readonly ended: boolean;
  /**
   * Processor time that this thread had meanwhile, milliseconds. On a busy machine it is far less
   * than what went by on the clock.
   */
  readonly cpuMs: number;
}

/**
 * Runs work that may not end, such as a backtracking expression, and stops it after a time.
 * Stopping leaves no trace in the work's own state.
 */
export class TimeGuard {
  readonly #slot: { work: () => void } = { work: () => undefined };
  readonly #context = createContext(this.#slot);
  readonly #script = new Script('work()');

  /** Runs the work for `timeoutMs` of the clock (at least 1) at most. */
  run(work: () => void, timeoutMs: number): GuardedRun {
    const before = process.threadCpuUsage();
    const ended = this.#ends(work, timeoutMs);
    const { user, system } = process.threadCpuUsage(before);
    return { ended, cpuMs: (user + system) / 1_000 };
  }

  #ends(work: () => void, timeoutMs: number): boolean {
    this.#slot.work = work;
    try {
      this.#script.runInContext(this.#context, { timeout: timeoutMs });
      return true;
    } catch (error) {
      // The error comes from the other context, so it is not an instance of our Error.
      if (Object(error).code === timedOut) return false;
      throw error;
    }
  }
}

const timedOut = 'ERR_SCRIPT_EXECUTION_TIMEOUT';
