import { createContext, Script } from 'node:vm';

/** Runs work that may not end, such as a backtracking expression, and stops it after a time. Stopping leaves no trace in the work's own state. */
export class TimeGuard {
  readonly #slot: { work: () => void } = { work: () => undefined };
  readonly #context = createContext(this.#slot);
  readonly #script = new Script('work()');

  /** Whether the work came to its end within `timeoutMs` (at least 1). */
  run(work: () => void, timeoutMs: number): boolean {
    this.#slot.work = work;
    try {
      this.#script.runInContext(this.#context, { timeout: timeoutMs });
      return true;
    } catch (error) {
      // The error comes from the other context, so it is no instance of our Error.
      if (Object(error).code === timedOut) return false;
      throw error;
    }
  }
}

const timedOut = 'ERR_SCRIPT_EXECUTION_TIMEOUT';
