import { ProxyError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import { listAnswer, mergeParts, outOfTime } from './answer.ts';
import {
  createControl,
  stopFlag,
  type Plan,
  type Report,
  type SearchPart,
  type SearchTask,
  type ShownHit,
} from './protocol.ts';
import type { SearchResult } from '../types.ts';
import type { PoolWorker, WorkerPool } from './worker-pool.ts';

/**
 * Workers are told to stop and given this long; then the answer goes out without what they have.
 * Steps take a few milliseconds.
 */
const graceMs = 40;

/**
 * A worker that has not stopped this long after it was told to is killed. Longer than `graceMs`,
 * because on a busy machine it may just be late.
 */
const killMs = 400;

/** A search that loses workers to the failures of others starts again this often. */
const maxAttempts = 3;

/**
 * Fewer hits than this are not worth a second worker: the first one is done before it has started.
 */
const minShownEach = 10;

/** What a run needs. */
interface RunParts {
  readonly job: number;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly task: Omit<SearchTask, 'control'>;
  /**
   * Told when the search has proved to be a large one: calls `spread` when it is its turn. Absent =
   * at once. `left`: a large one is not done.
   */
  readonly large?: ((spread: () => void) => void) | 'left';
}

/** Hits being shown. */
interface Showing {
  readonly part: SearchPart;
  readonly shareOf: Map<PoolWorker, number>;
  /** What has been shown, in the order of `shareOf`. */
  readonly shown: (readonly ShownHit[])[];
  readonly wrongBlocks: number[];
}

/** One search on its way through the workers, from the first order to the answer. */
export class SearchRun {
  /** Undefined for a large one that is left. */
  readonly result: Promise<SearchResult | undefined>;
  /** Set when no worker works on it any more. */
  finished = false;
  readonly #parts: RunParts;
  readonly #resolve: (result: SearchResult | undefined) => void;
  readonly #reject: (error: ProxyError) => void;
  readonly #busy = new Map<PoolWorker, 'plan' | 'part' | 'show' | 'conclude'>();
  /** Workers that were told to stop and that nobody waits for any more. */
  readonly #late = new Set<PoolWorker>();
  readonly #cancelTimers: (() => void)[] = [];
  #task: SearchTask;
  #collected: SearchPart[] = [];
  #showing: Showing | undefined;
  #nextShare = 0;
  #stopClock: () => void = () => undefined;
  #attempts = 0;
  #settled = false;
  #expired = false;
  #restarting = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#task = { ...parts.task, control: createControl() };
    const { promise, resolve, reject } = Promise.withResolvers<SearchResult | undefined>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    if (this.#settled) return;
    this.#startClock();
    this.#begin();
  }

  /** Gives up at once; the workers stop at their next step. */
  fail(error: ProxyError): void {
    this.#reject(error);
    this.#settled = true;
    this.#stop();
    this.#abandon();
    this.#checkFinished();
  }

  /** A worker says something about this search. */
  take(worker: PoolWorker, report: Report): void {
    if (report.kind === 'ready' || report.kind === 'indexed') return;
    worker.jobs.delete(this.#parts.job);
    this.#late.delete(worker);
    if (report.kind === 'spread') {
      this.#takePlan(worker, report.plan);
      return;
    }
    // The answer to an order that was given up, by one who has another now.
    const isOld = report.kind !== 'failed' && this.#isOld(worker, report);
    const isAwaited = !isOld && this.#busy.delete(worker);
    if (this.#restarting) this.#beginWhenFree();
    else if (isAwaited && !this.#settled) this.#accept(worker, report);
    this.#checkFinished();
  }

  #isOld(worker: PoolWorker, report: Report): boolean {
    const busy = this.#busy.get(worker);
    if (busy === 'conclude') return report.kind !== 'answer';
    if (busy !== 'show') return false;
    return report.kind !== 'shown' || this.#showing?.shareOf.get(worker) !== report.share;
  }

  /** A worker that may have worked on it is gone. */
  lost(worker: PoolWorker): void {
    this.#late.delete(worker);
    if (this.#busy.delete(worker) && !this.#settled) {
      if (this.#restarting) this.#beginWhenFree();
      else if (this.#expired) this.#answerNow();
      else if (++this.#attempts < maxAttempts) this.#restart();
      else this.fail(new ProxyError('internal', 'The search workers keep failing.'));
    }
    this.#checkFinished();
  }

  #accept(
    worker: PoolWorker,
    report: Exclude<Report, { kind: 'ready' | 'indexed' | 'spread' }>,
  ): void {
    if (report.kind === 'failed') this.#failed(report);
    else if (report.kind === 'part') this.#collect(report.part);
    else if (report.kind === 'shown') this.#takeShown(worker, report);
    else this.#answer(report.result);
  }

  #answer(result: SearchResult): void {
    this.#settled = true;
    this.#resolve(this.#expired ? withoutTime(result) : result);
  }

  #begin(): void {
    const worker = this.#parts.pool.atLeast(1)[0]!;
    this.#busy.set(worker, 'plan');
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

  #startClock(): void {
    const { clock, deadlineMs } = this.#parts;
    this.#stopClock = clock.after(deadlineMs, () => this.#expire());
  }

  /** The planner is free again; what it has planned is done when it is its turn. */
  #takePlan(planner: PoolWorker, plan: Plan): void {
    const isAwaited = this.#busy.delete(planner);
    if (this.#restarting) this.#beginWhenFree();
    else if (isAwaited && !this.#settled && this.#expired) this.#answerNow();
    else if (isAwaited && !this.#settled) {
      // Waiting is not working.
      this.#stopClock();
      if (this.#parts.large === 'left') {
        this.#settled = true;
        this.#resolve(undefined);
        this.#checkFinished();
        return;
      }
      const task = this.#task;
      const spread = (): void => {
        if (this.#settled || task !== this.#task) return;
        this.#startClock();
        this.#spread(plan);
      };
      if (this.#parts.large === undefined) spread();
      else this.#parts.large(spread);
    }
    this.#checkFinished();
  }

  #spread(plan: Plan): void {
    const { pool } = this.#parts;
    for (const worker of plan.solo ? pool.atLeast(1).slice(0, 1) : pool.workers) {
      this.#busy.set(worker, 'part');
      worker.send({ kind: 'join', job: this.#parts.job, task: this.#task, plan });
    }
  }

  #collect(part: SearchPart): void {
    this.#collected.push(part);
    if (this.#busy.size === 0) this.#end(mergeParts(this.#task, this.#collected));
  }

  #end(part: SearchPart): void {
    const { aggregate, records, rank } = this.#task.query;
    if (aggregate === undefined && records === undefined && rank === undefined) {
      this.#render(part);
      return;
    }
    const workers = this.#parts.pool.atLeast(1 + this.#late.size);
    const worker = workers.find((candidate) => !this.#late.has(candidate)) ?? workers[0]!;
    this.#busy.set(worker, 'conclude');
    worker.send({ kind: 'conclude', job: this.#parts.job, task: this.#task, part });
  }

  /** Lets workers show the hits, each a share of them. */
  #render(part: SearchPart): void {
    const hits = part.hits.slice(0, this.#task.query.maxResults);
    const wanted = Math.max(1, Math.floor(hits.length / minShownEach));
    const workers = this.#parts.pool.atLeast(wanted + this.#late.size);
    const free = workers.filter((worker) => !this.#late.has(worker));
    const showers = (free.length > 0 ? free : workers).slice(0, wanted);
    const each = Math.ceil(hits.length / showers.length);
    this.#showing = { part, shareOf: new Map(), shown: [], wrongBlocks: [...part.wrongBlocks] };
    for (const [i, worker] of showers.entries()) {
      const share = this.#nextShare++;
      this.#showing.shareOf.set(worker, share);
      this.#busy.set(worker, 'show');
      const own = hits.slice(i * each, (i + 1) * each);
      worker.send({ kind: 'show', job: this.#parts.job, task: this.#task, share, hits: own });
    }
  }

  #takeShown(
    worker: PoolWorker,
    { shown, wrongBlocks: wrong }: Extract<Report, { kind: 'shown' }>,
  ): void {
    const { part, shareOf, shown: all, wrongBlocks } = this.#showing!;
    wrongBlocks.push(...wrong);
    all[[...shareOf.keys()].indexOf(worker)] = shown;
    if (this.#busy.size > 0) return;
    // One that was lost on the way has shown nothing.
    if (Object.keys(all).length < shareOf.size) this.#render(part);
    else this.#answer(listAnswer(this.#task, { ...part, wrongBlocks }, all.flat()));
  }

  #failed(report: Extract<Report, { kind: 'failed' }>): void {
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
    this.#cancelTimers.push(this.#parts.clock.after(graceMs, () => this.#answerNow()));
  }

  /** The time is over: shows what has been collected, without those who have not stopped yet. */
  #answerNow(): void {
    const isEnding = [...this.#busy.values()].some(
      (busy) => busy === 'show' || busy === 'conclude',
    );
    if (this.#settled || isEnding) return;
    this.#abandon();
    if (this.#collected.length === 0) this.#answer(nothingFound(this.#task));
    else this.#end({ ...mergeParts(this.#task, this.#collected), stopped: true });
    this.#checkFinished();
  }

  #stop(): void {
    Atomics.store(this.#task.control, stopFlag, 1);
    const kill = (): void => {
      // Killing one takes it out of the set.
      for (const worker of this.#late) this.#parts.pool.kill(worker);
    };
    this.#cancelTimers.push(this.#parts.clock.after(killMs, kill));
  }

  #abandon(): void {
    for (const worker of this.#busy.keys()) this.#late.add(worker);
    this.#busy.clear();
  }

  #checkFinished(): void {
    if (!this.#settled || this.#busy.size + this.#late.size > 0) return;
    this.finished = true;
    this.#stopClock();
    for (const cancel of this.#cancelTimers) cancel();
  }
}

/** An answer that came after the deadline: it may lack what others had found. */
function withoutTime(result: SearchResult): SearchResult {
  if (result.outOfTime === true) return result;
  const note = result.note === undefined ? outOfTime : `${result.note} ${outOfTime}`;
  return { ...result, partial: true, outOfTime: true, note };
}

/** The answer when no worker has come to an end in time. */
function nothingFound(task: SearchTask): SearchResult {
  return {
    matches: [],
    total: 0,
    partial: true,
    outOfTime: true,
    note: outOfTime,
    work: {
      engine: 'dfa',
      bytesRead: 0,
      blocksRead: 0,
      blocksTotal: task.scope.blocks.count,
      indexed: false,
    },
  };
}
