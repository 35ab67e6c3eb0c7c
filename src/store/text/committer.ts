import { GroupCommit, type Waiting } from '../../base/group-commit.ts';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { ContextFile } from './context-file.ts';
import { Draft } from './draft.ts';
import type { EntryIndex } from './entry-index.ts';
import type { RecordLog } from '../disk/record-log.ts';
import { toStoreFailure } from '../disk/store-failure.ts';
import type { Entry } from '../types.ts';

/** Bytes that share one sync at most; more wait for the next. */
const groupMaxBytes = 64 * 1024 * 1024;

/** Something to commit. */
export interface CommitJob {
  /** What it writes, about, in bytes. */
  readonly sizeBytes: number;
  /** Nothing else may be in the same commit. */
  readonly alone: boolean;
  /** When its texts came, where that is not now, milliseconds since 1970. */
  readonly timeMs?: number | undefined;
  /**
   * Writes texts and drafts their lines; whatever it throws undoes the whole commit and is passed
   * on.
   */
  write(draft: Draft): Promise<readonly Entry[]>;
}

type WaitingJob = Waiting<CommitJob, readonly Entry[]>;

/**
 * Commits jobs in order; those that wait at the same time share one sync of the text and one of the
 * journal.
 */
export class Committer {
  readonly #text: ContextFile;
  readonly #journal: RecordLog;
  readonly #index: EntryIndex;
  readonly #clock: Clock;
  readonly #checkPlace: () => void;
  readonly #afterCommit: () => Promise<void>;
  readonly #jobs = new GroupCommit<CommitJob, readonly Entry[]>(async (group) => {
    await this.#commitGroup(group);
    await this.#afterCommit();
  }, countFitting);
  /** A commit failed and what it wrote has not been cut yet. */
  #uncut = false;
  #closed = false;

  constructor(parts: {
    readonly text: ContextFile;
    readonly journal: RecordLog;
    readonly index: EntryIndex;
    readonly clock: Clock;
    /** Throws where the files have no name any more: what is written to them then is lost. */
    readonly checkPlace: () => void;
    /** Runs between commits, for upkeep; must not throw. */
    readonly afterCommit: () => Promise<void>;
  }) {
    this.#text = parts.text;
    this.#journal = parts.journal;
    this.#index = parts.index;
    this.#clock = parts.clock;
    this.#checkPlace = parts.checkPlace;
    this.#afterCommit = parts.afterCommit;
  }

  /**
   * Resolves when the job's entries are on the disk and visible. @throws ProxyError `shutting_down`
   * after {@link close}
   */
  async commit(job: CommitJob): Promise<readonly Entry[]> {
    if (this.#closed) throw new ProxyError('shutting_down', 'The store is being closed.');
    return this.#jobs.add(job);
  }

  /** Takes no more jobs; resolves when those that wait are done. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#jobs.idle();
  }

  async #commitGroup(group: readonly WaitingJob[]): Promise<void> {
    const nowMs = this.#clock.now();
    const draft = new Draft(this.#index, nowMs);
    let results: readonly (readonly Entry[])[];
    try {
      results = await this.#write(group, draft, nowMs);
    } catch (error) {
      await this.#undo();
      if (group.length === 1) group[0]!.reject(toStoreFailure(error, this.#text.path));
      // Only the job at fault shall fail.
      else for (const waiting of group) await this.#commitGroup([waiting]);
      return;
    }
    this.#text.commit();
    draft.apply();
    for (const [at, waiting] of group.entries()) waiting.resolve(results[at]!);
  }

  /** Writes texts and lines to the disk. What it throws leaves something to {@link #undo}. */
  async #write(
    group: readonly WaitingJob[],
    draft: Draft,
    nowMs: number,
  ): Promise<readonly (readonly Entry[])[]> {
    this.#checkPlace();
    if (this.#uncut) await this.#cut();
    const results: (readonly Entry[])[] = [];
    for (const { job } of group) {
      draft.at(job.timeMs ?? nowMs);
      results.push(await job.write(draft));
    }
    if (draft.totals.bytes > this.#index.totals.bytes) await this.#text.sync();
    if (draft.lines.length > 0) await this.#journal.append(Buffer.from(draft.lines.join('')));
    return results;
  }

  async #undo(): Promise<void> {
    this.#uncut = true;
    try {
      await this.#cut();
    } catch {
      // Stays uncut: the next commit tries again before it writes, and opening the session cuts it
      // too.
    }
  }

  /**
   * Journal first: a journal without its text would be damage, text without its journal is a torn
   * tail.
   */
  async #cut(): Promise<void> {
    await this.#journal.rollBack();
    await this.#text.rollBack();
    this.#uncut = false;
  }
}

/** How many of the jobs that wait go into one commit. */
function countFitting([first, ...others]: readonly WaitingJob[]): number {
  let sizeBytes = first?.job.sizeBytes ?? 0;
  let count = 1;
  if (first?.job.alone === true) return count;
  for (const { job } of others) {
    sizeBytes += job.sizeBytes;
    if (job.alone || sizeBytes > groupMaxBytes) break;
    count += 1;
  }
  return count;
}
