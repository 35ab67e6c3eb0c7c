import { ProxyError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { mergeParts } from './answer.ts';
import {
  createControl,
  stopFlag,
  type Plan,
  type Report,
  type SearchPart,
  type SearchTask,
} from './protocol.ts';
import type { SearchResult } from './types.ts';
import type { PoolWorker, WorkerPool } from './worker-pool.ts';

/** A worker that has not stopped this long after it was told to is killed. Steps take a few milliseconds. */
const graceMs = 40;

/** A search that loses workers to the failures of others starts again this often. */
const maxAttempts = 3;

/** What a run needs. */
export interface RunParts {
  readonly job: number;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly task: Omit<SearchTask, 'control'>;
}

/** One search on its way through the workers, from the first order to the answer. */
export class SearchRun {
  readonly result: Promise<SearchResult>;
  /** Set when no worker works on it any more. */
  finished = false;
  readonly #parts: RunParts;
  readonly #resolve: (result: SearchResult) => void;
  readonly #reject: (error: ProxyError) => void;
  readonly #busy = new Map<PoolWorker, 'plan' | 'part' | 'render'>();
  readonly #cancelTimers: (() => void)[] = [];
  #task: SearchTask;
  #collected: SearchPart[] = [];
  #attempts = 0;
  #settled = false;
  #expired = false;
  #restarting = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#task = { ...parts.task, control: createControl() };
    const { promise, resolve, reject } = Promise.withResolvers<SearchResult>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { clock, deadlineMs } = this.#parts;
    this.#cancelTimers.push(clock.after(deadlineMs, () => this.#expire()));
    this.#begin();
  }

  /** Gives up at once; the workers stop at their next step. */
  fail(error: ProxyError): void {
    this.#reject(error);
    this.#settled = true;
    this.#stop();
    this.#checkFinished();
  }

  /** A worker says something about this search. */
  take(worker: PoolWorker, report: Report): void {
    if (report.kind === 'ready' || report.kind === 'indexed') return;
    if (report.kind === 'spread') {
      if (!this.#settled && !this.#expired && !this.#restarting) this.#spread(worker, report.plan);
      else this.#busy.set(worker, 'part');
      return;
    }
    this.#leave(worker);
    if (this.#restarting) {
      this.#beginWhenFree();
      return;
    }
    if (report.kind === 'failed') this.#failed(report);
    else if (report.kind === 'part') this.#collect(report.part);
    else if (!this.#settled) {
      this.#settled = true;
      this.#resolve(this.#expired ? { ...report.result, partial: true } : report.result);
    }
    this.#checkFinished();
  }

  /** A worker that may have worked on it is gone. */
  lost(worker: PoolWorker): void {
    const stage = this.#busy.get(worker);
    if (stage === undefined) return;
    this.#busy.delete(worker);
    if (this.#settled) this.#checkFinished();
    else if (this.#restarting) this.#beginWhenFree();
    else if (!this.#expired && ++this.#attempts < maxAttempts) this.#restart();
    else if (stage === 'part' && this.#expired) this.#collect(nothing(this.#task));
    else if (this.#expired) this.#render(nothing(this.#task));
    else this.fail(new ProxyError('internal', 'The search workers keep failing.'));
  }

  #begin(): void {
    const worker = this.#parts.pool.workers[0]!;
    this.#give(worker, 'plan');
    worker.send({ kind: 'plan', job: this.#parts.job, task: this.#task });
  }

  /** Anew, once those who still work on the last attempt have stopped. */
  #restart(): void {
    this.#restarting = true;
    Atomics.store(this.#task.control, stopFlag, 1);
    this.#beginWhenFree();
  }

  #beginWhenFree(): void {
    if (this.#busy.size > 0) return;
    this.#restarting = false;
    this.#collected = [];
    this.#task = { ...this.#task, control: createControl() };
    if (this.#expired) this.#stop();
    this.#begin();
  }

  #spread(first: PoolWorker, plan: Plan): void {
    this.#busy.set(first, 'part');
    for (const worker of this.#parts.pool.workers) {
      if (worker === first) continue;
      this.#give(worker, 'part');
      worker.send({ kind: 'join', job: this.#parts.job, task: this.#task, plan });
    }
  }

  #collect(part: SearchPart): void {
    this.#collected.push(part);
    if (this.#settled || [...this.#busy.values()].includes('part')) return;
    this.#render(mergeParts(this.#task, this.#collected));
  }

  #render(part: SearchPart): void {
    const worker = this.#parts.pool.workers[0]!;
    this.#give(worker, 'render');
    worker.send({ kind: 'render', job: this.#parts.job, task: this.#task, part });
  }

  #failed(report: Extract<Report, { kind: 'failed' }>): void {
    if (this.#settled) return;
    const error = report.textTooShort
      ? new ProxyError('store_corrupt', 'The stored text is shorter than its journal says.', {
          hint: 'Run `rlm-opencode doctor`.',
        })
      : new ProxyError('internal', 'The search failed.', { cause: report.message });
    this.fail(error);
  }

  #expire(): void {
    this.#expired = true;
    this.#stop();
  }

  #stop(): void {
    Atomics.store(this.#task.control, stopFlag, 1);
    this.#cancelTimers.push(
      this.#parts.clock.after(graceMs, () => {
        for (const worker of this.#busy.keys()) this.#parts.pool.kill(worker);
      }),
    );
  }

  #give(worker: PoolWorker, stage: 'plan' | 'part' | 'render'): void {
    this.#busy.set(worker, stage);
  }

  #leave(worker: PoolWorker): void {
    this.#busy.delete(worker);
    worker.jobs.delete(this.#parts.job);
  }

  #checkFinished(): void {
    if (!this.#settled || this.#busy.size > 0) return;
    this.finished = true;
    for (const cancel of this.#cancelTimers) cancel();
  }
}

/** The part of a worker that was killed. */
function nothing(task: SearchTask): SearchPart {
  return mergeParts({ ...task }, [
    {
      total: 0,
      hits: [],
      bytesRead: 0,
      blocksRead: 0,
      stopped: true,
      engine: 'v8',
      indexed: false,
      skippedLines: 0,
    },
  ]);
}
