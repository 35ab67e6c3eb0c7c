/** A job that waits for its group, and who waits for the job. */
export interface Waiting<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does jobs in groups, one group at a time: what comes while one is at work goes together in the
 * next.
 */
export class GroupCommit<Job, Result> {
  readonly #commit: (group: readonly Waiting<Job, Result>[]) => Promise<void>;
  readonly #countFitting: (waiting: readonly Waiting<Job, Result>[]) => number;
  #waiting: Waiting<Job, Result>[] = [];
  #running: Promise<void> | undefined;

  /**
   * @param commit Does a group, and resolves or rejects each of its jobs; never throws
   * @param countFitting How many of those that wait, from the first on, make a group: at least 1.
   * Absent = all
   */
  constructor(
    commit: (group: readonly Waiting<Job, Result>[]) => Promise<void>,
    countFitting: (waiting: readonly Waiting<Job, Result>[]) => number = ({ length }) => length,
  ) {
    this.#commit = commit;
    this.#countFitting = countFitting;
  }

  /** Resolves when the job is done, in its turn. @throws what its group's commit rejects it with */
  add(job: Job): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits and nothing is at work. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Whoever calls in the same turn of the event loop shares the first group.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      await this.#commit(this.#waiting.splice(0, this.#countFitting(this.#waiting)));
    }
    this.#running = undefined;
  }
}
