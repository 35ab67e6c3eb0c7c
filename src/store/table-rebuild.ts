import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Committer } from './committer.ts';
import type { ContextFile } from './context-file.ts';
import type { EntryIndex } from './entry-index.ts';
import { toStoreFailure } from './store-failure.ts';
import { runFrom, RunReader } from './text-runs.ts';

/**
 * Makes what is missing of a session's block table from its text, in the background, and verifies the text on the way: run by run of
 * entries, each about a millisecond. Appends go on meanwhile; the table takes over from where it has caught up with them.
 */
export class TableRebuild {
  readonly #text: ContextFile;
  readonly #index: EntryIndex;
  readonly #committer: Committer;
  readonly #log: Logger;
  readonly #onRun: () => Promise<void>;
  readonly #stop = new AbortController();
  #covered: number;
  #running: Promise<void> | undefined;
  #failure: ProxyError | undefined;

  /** `coveredEntries`: how many the table covers already. */
  constructor(parts: {
    readonly text: ContextFile;
    readonly index: EntryIndex;
    readonly committer: Committer;
    readonly coveredEntries: number;
    readonly log: Logger;
    /** Runs when another run is covered; must not throw. */
    readonly onRun: () => Promise<void>;
  }) {
    this.#text = parts.text;
    this.#index = parts.index;
    this.#committer = parts.committer;
    this.#covered = parts.coveredEntries;
    this.#log = parts.log;
    this.#onRun = parts.onRun;
  }

  /** How many entries the table covers; it ends where they do. */
  get coveredEntries(): number {
    return this.#text.isTableWhole ? this.#index.entries.length : this.#covered;
  }

  /** Goes on in the background, if there is anything to do. */
  start(): void {
    if (this.#text.isTableWhole || this.#stop.signal.aborted) return;
    this.#running ??= this.#run();
  }

  /** Resolves when the table covers all that is committed. @throws ProxyError why it cannot; the next call tries again */
  async whole(): Promise<void> {
    this.start();
    await this.#running;
    if (!this.#text.isTableWhole) throw this.#failure ?? closing();
  }

  /** Gives up what is not done; resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stop.abort(closing());
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      // An attempt that failed may have fed a part of a run.
      await this.#text.rollBackTable();
      await this.#cover();
      await this.#committer.commit({
        sizeBytes: 0,
        alone: true,
        // What was committed while the job waited; nothing else is being written now.
        write: async () => {
          await this.#cover();
          this.#text.adoptTable();
          await this.#onRun();
          return [];
        },
      });
    } catch (error) {
      this.#failure = toStoreFailure(error, this.#text.path);
      if (!this.#stop.signal.aborted) this.#log.warn({ err: error }, 'block table not made anew');
    }
    this.#running = undefined;
  }

  async #cover(): Promise<void> {
    const { table } = this.#text;
    const { signal } = this.#stop;
    const reader = new RunReader(this.#text, this.#index);
    while (this.#covered < this.#index.entries.length) {
      const run = runFrom(this.#index, this.#covered);
      const damaged = await reader.read(run, { table, signal });
      for (const entry of damaged) this.#index.addDamaged(entry);
      table.commit();
      this.#covered = run[1];
      await this.#onRun();
    }
  }
}

function closing(): ProxyError {
  return new ProxyError('shutting_down', 'The store is being closed.');
}
