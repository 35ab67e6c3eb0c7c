import { stat } from 'node:fs/promises';
import { LruMap } from '../../base/lru-map.ts';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import {
  blocksPerGroup,
  blocksPerSegment,
  closedGroups,
  isTailWanted,
  tailOf,
} from '../index/index-file.ts';
import { IndexRun } from './index-run.ts';
import type { IndexTask, Report } from './protocol.ts';
import type { SharedBlocks } from '../text/shared-blocks.ts';
import { checksOf } from '../text/block-checks.ts';
import type { TextBlocks, Corpus } from '../types.ts';
import type { PoolWorker, WorkerPool } from './worker-pool.ts';

/**
 * Texts whose index is known; of further ones the headers are looked at again. An entry is about
 * 200 bytes.
 */
const maxKnown = 1_024;

/**
 * A folder that was changed so shortly before it was looked at may change once more without another
 * time of change: file systems count in ticks of the kernel, 1 to 10 ms (FAT in 2 s; there the
 * index is only missed for longer, and missing it costs time and no hit).
 */
const tickMs = 100;

/** What a text and its index were like when they were last looked at. */
interface Known {
  /** Of the text's files and of the index folder; empty where one of them is missing. */
  readonly identity: string;
  /** Whether every later change of the folder changes the identity. */
  readonly isSettled: boolean;
  /** What has an index. */
  readonly covered: Covered;
}

/** What of a text has an index. */
interface Covered {
  /** Closed blocks at the beginning. */
  readonly blocks: number;
  /** Where the text ended when its open block got one; 0 where it has none. */
  readonly openEndBytes: number;
}

const nothingCovered: Covered = { blocks: 0, openEndBytes: 0 };

/** What index upkeep needs of the engine. */
interface IndexUpkeepOptions {
  readonly pool: WorkerPool;
  readonly blocks: SharedBlocks;
  readonly clock: Clock;
  readonly nextJob: () => number;
}

/**
 * Brings indexes up to date, one run at a time for each text. What was done is remembered, so that
 * a text that has not grown costs two looks at the file system and no order to any worker, at any
 * size; a folder in which files were deleted, or that is gone, is gone through again, the headers
 * first.
 */
export class IndexUpkeep {
  readonly #options: IndexUpkeepOptions;
  readonly #runs = new Map<number, IndexRun>();
  /** By index folder, the last run that was asked for. */
  readonly #running = new Map<string, Promise<void>>();
  /** By index folder. */
  readonly #known = new LruMap<string, Known>(maxKnown);
  #closed: ProxyError | undefined;

  constructor(options: IndexUpkeepOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the index is whole for this snapshot; with `isQuiet` what lies behind the last
   * whole group of blocks has one, too.
   * @throws ProxyError `cancelled` when the signal aborts, `internal` where it cannot be written,
   * what {@link close} was given
   */
  async index(corpus: Corpus, signal: AbortSignal, isQuiet = false): Promise<void> {
    const { indexDir } = corpus;
    // One at a time for each text: two would write the same files.
    const before = this.#running.get(indexDir);
    const turn = (async (): Promise<void> => {
      await before?.catch(() => undefined);
      if (signal.aborted) throw cancelled();
      if (this.#closed !== undefined) throw this.#closed;
      await this.#bringUpToDate(corpus, signal, isQuiet);
    })();
    this.#running.set(indexDir, turn);
    try {
      await turn;
    } finally {
      if (this.#running.get(indexDir) === turn) this.#running.delete(indexDir);
    }
  }

  /** Takes what a worker says of an index job. */
  report(worker: PoolWorker, report: Exclude<Report, { readonly kind: 'ready' }>): void {
    this.#runs.get(report.job)?.take(worker, report);
    this.#sweep();
  }

  /** A worker is gone, and with it what it was doing. */
  lost(worker: PoolWorker): void {
    for (const run of this.#runs.values()) run.lost(worker);
    this.#sweep();
  }

  /** Ends what is under way, with `error`, and takes nothing more. */
  close(error: ProxyError): void {
    this.#closed = error;
    for (const run of this.#runs.values()) run.fail(error);
  }

  async #bringUpToDate(corpus: Corpus, signal: AbortSignal, isQuiet: boolean): Promise<void> {
    const { spans, indexDir, totals } = corpus;
    const tail = isQuiet ? tailOf(corpus.blocks) : undefined;
    const closedBlocks = tail?.endBlock ?? countClosed(corpus.blocks);
    if (closedBlocks === 0) return;
    const seen = await this.#look(corpus);
    const known = this.#known.get(indexDir);
    const isSame = known?.isSettled === true && known.identity === seen.identity;
    const before = isSame ? known.covered : nothingCovered;
    const isWanted =
      tail === undefined
        ? closedBlocks > before.blocks
        : isTailWanted(corpus.blocks, before.blocks, before.openEndBytes === totals.bytes);
    if (isWanted) {
      const blocks = this.#options.blocks.share(corpus.blocks, corpus.blocks.count);
      const checks = checksOf(corpus, blocks);
      const text = { spans, indexDir, blocks, endBytes: totals.bytes, ...(checks && { checks }) };
      const firstSegment = Math.floor(before.blocks / blocksPerSegment);
      await this.#run(text, { firstSegment, isQuiet }, signal);
    }
    const now = isWanted ? await this.#look(corpus) : seen;
    const covered = {
      blocks: isWanted ? Math.max(before.blocks, closedBlocks) : before.blocks,
      openEndBytes: isWanted && tail !== undefined ? totals.bytes : before.openEndBytes,
    };
    this.#known.set(indexDir, { ...now, covered });
  }

  async #run(
    text: Omit<IndexTask, 'segment' | 'groups' | 'control'>,
    what: { readonly firstSegment: number; readonly isQuiet: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const { pool, nextJob } = this.#options;
    const job = nextJob();
    const run = new IndexRun(job, pool, text, what);
    this.#runs.set(job, run);
    const abort = (): void => run.fail(cancelled());
    signal.addEventListener('abort', abort, { once: true });
    try {
      run.start();
      await run.result;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#sweep();
    }
  }

  async #look({ spans, indexDir }: Corpus): Promise<Omit<Known, 'covered'>> {
    const paths = new Set(spans.flatMap((span) => ('path' in span ? [span.path] : [])));
    const [folder, ...files] = await Promise.all([indexDir, ...paths].map(statOf));
    if (folder === undefined || files.includes(undefined)) {
      return { identity: '', isSettled: false };
    }
    const changedMs = Number(folder.mtimeNs / 1_000_000n);
    return {
      identity: `${files.map((file) => `${file!.dev}:${file!.ino}`).join(' ')} ${folder.dev}:${folder.ino}:${folder.mtimeNs}`,
      isSettled: Math.abs(this.#options.clock.now() - changedMs) > tickMs,
    };
  }

  #sweep(): void {
    for (const [job, run] of this.#runs) if (run.finished) this.#runs.delete(job);
  }
}

/** How many blocks at the beginning can be indexed. */
function countClosed(blocks: TextBlocks): number {
  const segment = Math.max(0, Math.floor((blocks.count - 1) / blocksPerSegment));
  return segment * blocksPerSegment + closedGroups(blocks, segment) * blocksPerGroup;
}

async function statOf(
  path: string,
): Promise<{ dev: bigint; ino: bigint; mtimeNs: bigint } | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch {
    // Whatever it is: what cannot be looked at is not known, and the run that follows says what is
    // wrong.
    return undefined;
  }
}

function cancelled(): ProxyError {
  return new ProxyError('cancelled', 'The search was cancelled.');
}
