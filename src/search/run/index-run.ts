import { ProxyError } from '../../errors.ts';
import { closedGroups, tailOf } from '../index/index-file.ts';
import { createControl, stopFlag, type IndexTask, type Report } from './protocol.ts';
import type { PoolWorker, WorkerPool } from './worker-pool.ts';

/** A segment whose worker is lost is tried again this often. */
const maxAttempts = 3;

/** Builds the index of one text from a segment on, a segment per worker at a time. */
export class IndexRun {
  readonly result: Promise<void>;
  finished = false;
  readonly #job: number;
  readonly #pool: WorkerPool;
  readonly #tasks: IndexTask[] = [];
  readonly #busy = new Map<PoolWorker, IndexTask>();
  readonly #control = createControl();
  readonly #resolve: () => void;
  readonly #reject: (error: ProxyError) => void;
  #lost = 0;

  constructor(
    job: number,
    pool: WorkerPool,
    text: Omit<IndexTask, 'segment' | 'groups' | 'control'>,
    /** The first segment to look at, and whether the blocks behind the last group count. */
    { firstSegment, isQuiet }: { readonly firstSegment: number; readonly isQuiet: boolean },
  ) {
    this.#job = job;
    this.#pool = pool;
    for (let segment = firstSegment; closedGroups(text.blocks, segment) > 0; segment++) {
      const groups = closedGroups(text.blocks, segment);
      this.#tasks.push({ ...text, segment, groups, control: this.#control });
    }
    if (isQuiet && tailOf(text.blocks) !== undefined)
      this.#tasks.push({ ...text, groups: 1, control: this.#control });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    for (const worker of this.#pool.atLeast(this.#tasks.length)) this.#next(worker);
    this.#checkFinished();
  }

  take(worker: PoolWorker, report: Report): void {
    this.#busy.delete(worker);
    worker.jobs.delete(this.#job);
    if (report.kind === 'failed') {
      const { reason, message: cause } = report;
      const why = reason === undefined ? 'built.' : `written: ${reason}.`;
      this.fail(new ProxyError('internal', `The search index could not be ${why}`, { cause }));
    } else this.#next(worker);
    this.#checkFinished();
  }

  lost(worker: PoolWorker): void {
    const task = this.#busy.get(worker);
    if (task === undefined) return;
    this.#busy.delete(worker);
    if (++this.#lost < maxAttempts) this.#tasks.push(task);
    else this.fail(new ProxyError('internal', 'The search workers keep failing.'));
    this.#next(this.#pool.atLeast(1)[0]!);
    this.#checkFinished();
  }

  /** Gives up. What is built stays. */
  fail(error: ProxyError): void {
    Atomics.store(this.#control, stopFlag, 1);
    this.#tasks.length = 0;
    this.#reject(error);
  }

  #next(worker: PoolWorker): void {
    const index = this.#busy.has(worker) ? undefined : this.#tasks.shift();
    if (index === undefined) return;
    this.#busy.set(worker, index);
    worker.send({ kind: 'index', job: this.#job, index });
  }

  #checkFinished(): void {
    if (this.#busy.size > 0 || this.#tasks.length > 0) return;
    this.finished = true;
    this.#resolve();
  }
}
