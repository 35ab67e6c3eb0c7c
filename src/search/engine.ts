import { availableParallelism } from 'node:os';
import { ProxyError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { decodeCursor } from './cursor.ts';
import { blockAt } from './pieces.ts';
import type { Report, SearchTask } from './protocol.ts';
import { SearchRun } from './search-run.ts';
import { IndexRun } from './index-run.ts';
import { SharedBlocks } from './shared-blocks.ts';
import type { BlockTable, Corpus, SearchEngine, SearchQuery, SearchResult } from './types.ts';
import { WorkerPool, type PoolWorker } from './worker-pool.ts';

/** What the engine is opened with. */
export interface EngineOptions {
  readonly clock: Clock;
  /** Number of workers; default: one per core, at most 4. */
  readonly workers?: number;
}

/** Searches at once at most; more wait their turn. Each costs a worker's memory. */
const maxRuns = 8;

/** Starts the workers. Dispose of the engine to stop them; they do not keep the process alive. */
export function openSearchEngine(options: EngineOptions): SearchEngine {
  return new Engine(options);
}

class Engine implements SearchEngine {
  readonly #clock: Clock;
  readonly #pool: WorkerPool;
  readonly #blocks = new SharedBlocks();
  readonly #runs = new Map<number, SearchRun>();
  readonly #indexRuns = new Map<number, IndexRun>();
  /** By index folder, the last index run that was asked for. */
  readonly #indexing = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #nextJob = 1;
  #closed = false;

  constructor({ clock, workers = Math.min(availableParallelism(), 4) }: EngineOptions) {
    this.#clock = clock;
    this.#pool = new WorkerPool(workers, {
      report: (worker, report) => this.#report(worker, report),
      lost: (worker) => {
        for (const run of this.#runs.values()) run.lost(worker);
        for (const run of this.#indexRuns.values()) run.lost(worker);
        this.#sweep();
      },
    });
  }

  async search(
    corpus: Corpus,
    query: SearchQuery,
    options: { readonly signal: AbortSignal; readonly deadlineMs: number },
  ): Promise<SearchResult> {
    const { signal, deadlineMs } = options;
    while (this.#runs.size >= maxRuns && !signal.aborted && !this.#closed) await this.#turn(signal);
    if (signal.aborted) throw cancelled();
    if (this.#closed) throw closing();
    const job = this.#nextJob++;
    const task = this.#task(corpus, query);
    const run = new SearchRun({ job, pool: this.#pool, clock: this.#clock, deadlineMs, task });
    const abort = (): void => {
      run.fail(cancelled());
      this.#sweep();
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#runs.set(job, run);
    run.start();
    try {
      return await run.result;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#sweep();
    }
  }

  async index(corpus: Corpus, signal: AbortSignal): Promise<void> {
    const { textPath, indexDir } = corpus;
    // One at a time for each text: two would write the same files.
    const before = this.#indexing.get(indexDir);
    const turn = (async (): Promise<void> => {
      await before?.catch(() => undefined);
      if (signal.aborted) throw cancelled();
      if (this.#closed) throw closing();
      const blocks = this.#blocks.share(corpus.blocks, corpus.blocks.count);
      await this.#runIndex({ textPath, indexDir, blocks }, signal);
    })();
    this.#indexing.set(indexDir, turn);
    try {
      await turn;
    } finally {
      if (this.#indexing.get(indexDir) === turn) this.#indexing.delete(indexDir);
    }
  }

  async #runIndex(
    text: { readonly textPath: string; readonly indexDir: string; readonly blocks: BlockTable },
    signal: AbortSignal,
  ): Promise<void> {
    const job = this.#nextJob++;
    const run = new IndexRun(job, this.#pool, text);
    this.#indexRuns.set(job, run);
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) run.fail(closing());
    for (const run of this.#indexRuns.values()) run.fail(closing());
    for (const wake of this.#waiting.splice(0)) wake();
    await this.#pool.close();
  }

  #task(corpus: Corpus, query: SearchQuery): Omit<SearchTask, 'control'> {
    const cursor = query.cursor === undefined ? undefined : decodeCursor(query, query.cursor);
    const endBytes = Math.min(cursor?.endBytes ?? Infinity, corpus.totals.bytes);
    const count = endBytes === 0 ? 0 : blockAt(corpus.blocks, endBytes - 1) + 1;
    const blocks = this.#blocks.share(corpus.blocks, count);
    return {
      textPath: corpus.textPath,
      indexDir: corpus.indexDir,
      scope: { blocks, endBytes, ...(query.ranges === undefined ? {} : { ranges: query.ranges }) },
      query,
      ...(cursor === undefined ? {} : { after: cursor.after }),
      ...(query.cursor !== undefined && cursor === undefined ? { note: foreignCursor } : {}),
    };
  }

  #report(worker: PoolWorker, report: Report): void {
    if (report.kind === 'ready') return;
    this.#runs.get(report.job)?.take(worker, report);
    this.#indexRuns.get(report.job)?.take(worker, report);
    this.#sweep();
  }

  /** Forgets what is over and lets the next ones in. */
  #sweep(): void {
    for (const [job, run] of this.#runs) if (run.finished) this.#runs.delete(job);
    for (const [job, run] of this.#indexRuns) if (run.finished) this.#indexRuns.delete(job);
    if (this.#runs.size < maxRuns) this.#waiting.shift()?.();
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
  }
}

const foreignCursor = 'The cursor belongs to another query; this is the first page.';

function cancelled(): ProxyError {
  return new ProxyError('cancelled', 'The search was cancelled.');
}

function closing(): ProxyError {
  return new ProxyError('shutting_down', 'The search engine is closing.');
}
