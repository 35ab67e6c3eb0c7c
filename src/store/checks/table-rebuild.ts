import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Committer } from '../text/committer.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { toStoreFailure } from '../disk/store-failure.ts';
import { EntryVerifier, spansFrom } from './entry-verifier.ts';
import type { StagedTexts } from '../text/staged-texts.ts';
import type { TextChecks } from './text-checks.ts';
import { runFrom, RunReader } from './text-runs.ts';
import type { Entry } from '../types.ts';

/**
 * Bytes of a large text that move to their place between two syncs: an append that comes meanwhile
 * waits for no more than that.
 */
const settleSyncBytes = 8 * 1024 * 1024;

/**
 * Makes what is missing of a session's block table from its text, in the background, and verifies
 * the text on the way: run by run of entries, each about a millisecond. Appends go on meanwhile;
 * the table takes over from where it has caught up with them. A large text that is not in its place
 * yet (`staged-texts.ts`) is moved there when its turn comes.
 */
export class TableRebuild {
  readonly #text: ContextFile;
  readonly #index: EntryIndex;
  readonly #checks: TextChecks;
  readonly #committer: Committer;
  readonly #staged: StagedTexts;
  readonly #log: Logger;
  readonly #onRun: () => Promise<void>;
  readonly #stop = new AbortController();
  #covered: number;
  readonly #cachedBlocks: number;
  readonly #isCacheSound: boolean;
  #hasSeenDamage = false;
  #running: Promise<void> | undefined;
  #failure: ProxyError | undefined;

  /** `coveredEntries`: how many the table covers already. */
  constructor(parts: {
    readonly text: ContextFile;
    readonly index: EntryIndex;
    readonly committer: Committer;
    readonly staged: StagedTexts;
    readonly coveredEntries: number;
    readonly checks: TextChecks;
    /** Whether what the table covers already is known to be sound. */
    readonly isCacheSound: boolean;
    readonly log: Logger;
    /** Runs when another run is covered; must not throw. */
    readonly onRun: () => Promise<void>;
  }) {
    this.#text = parts.text;
    this.#index = parts.index;
    this.#committer = parts.committer;
    this.#staged = parts.staged;
    this.#covered = parts.coveredEntries;
    this.#checks = parts.checks;
    this.#isCacheSound = parts.isCacheSound;
    // The last block of what was kept has been compared when it was taken over.
    this.#cachedBlocks = Math.max(0, parts.text.table.committed.count - 1);
    if (parts.text.isTableWhole) this.#checks.begin(this.#cachedBlocks, parts.isCacheSound);
    this.#log = parts.log;
    this.#onRun = parts.onRun;
  }

  /** How many entries the table covers; it ends where they do. */
  get coveredEntries(): number {
    return this.#text.isTableWhole ? this.#index.entries.length : this.#covered;
  }

  /**
   * The table was whole; now there is an entry whose text is still to be moved to its place, and
   * the table ends before it.
   */
  leaveOff(entry: Entry): void {
    this.#covered = entry.seq - 1;
  }

  /** Whether damaged text went into the table: its checksums vouch for the damage. */
  get hasSeenDamage(): boolean {
    return this.#hasSeenDamage;
  }

  /** Goes on in the background, if there is anything to do. */
  start(): void {
    if (this.#text.isTableWhole || this.#stop.signal.aborted) return;
    this.#running ??= this.#run();
  }

  /**
   * Resolves when the table covers all that is committed. @throws ProxyError why it cannot; the
   * next call tries again
   */
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
          this.#checks.begin(this.#cachedBlocks, this.#isCacheSound);
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
      const next = this.#index.entries[this.#covered]!;
      if (this.#staged.has(next)) {
        await this.#settle(next);
        continue;
      }
      const run = runFrom(this.#index, this.#covered);
      const damaged = await reader.read(run, { table, signal });
      if (damaged.length > 0) this.#hasSeenDamage = true;
      table.commit();
      for (const entry of damaged) this.#checks.addEntry(entry);
      this.#covered = run[1];
      await this.#onRun();
    }
  }

  /** Moves a text to its place and covers it. */
  async #settle(entry: Entry): Promise<void> {
    const { table } = this.#text;
    // What this process has taken in it has hashed on the way.
    const verifier = this.#staged.isLeft(entry)
      ? new EntryVerifier(spansFrom(this.#index, entry.seq - 1))
      : undefined;
    let at = entry.offsetBytes;
    let unsyncedBytes = 0;
    for await (const piece of this.#staged.pieces(entry)) {
      this.#stop.signal.throwIfAborted();
      await this.#text.fill(piece, at);
      table.feed(piece);
      verifier?.see(piece);
      at += piece.length;
      unsyncedBytes += piece.length;
      if (unsyncedBytes >= settleSyncBytes) {
        await this.#text.syncFilled();
        unsyncedBytes = 0;
      }
    }
    await this.#text.syncFilled();
    const isDamaged = verifier !== undefined && verifier.damaged.length > 0;
    if (isDamaged) {
      this.#hasSeenDamage = true;
      table.correct(this.#index.startOf(entry.seq - 1), this.#index.startOf(entry.seq));
    }
    table.commit();
    if (isDamaged) this.#checks.addEntry(entry);
    this.#covered += 1;
    await this.#staged.settled(entry);
    await this.#onRun();
  }
}

function closing(): ProxyError {
  return new ProxyError('shutting_down', 'The store is being closed.');
}
