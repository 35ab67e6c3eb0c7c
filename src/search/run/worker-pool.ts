import { Worker } from 'node:worker_threads';
import { compileCacheEnv } from '../../base/compile-cache-env.ts';
import { kernelsModule } from '../../kernels/kernels.ts';
import { ToldTexts } from './told-texts.ts';
import { ownedBuffers, type Order, type Report } from './protocol.ts';

/**
 * The worker's file lies beside this one, as TypeScript in the sources and as JavaScript in the
 * build.
 */
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

/** One worker of the pool. */
export interface PoolWorker {
  /** Orders that it has not reported the end of; kept by who gives them. */
  readonly jobs: Set<number>;
  send(order: Order): void;
}

/** What the pool tells its owner. */
export interface PoolEvents {
  report(worker: PoolWorker, report: Report): void;
  /** The worker is gone, and with it what it was doing. Another has taken its place. */
  lost(worker: PoolWorker, reason: string): void;
}

/**
 * Workers that die before they are ready are replaced this often in a row; after that only when
 * somebody asks for one.
 */
const maxFailedStarts = 3;

class Slot implements PoolWorker {
  readonly jobs = new Set<number>();
  isReady = false;
  readonly thread: Worker;
  readonly #texts = new ToldTexts();
  /** Orders of this turn of the event loop. */
  #orders: Order[] = [];

  constructor() {
    this.thread = new Worker(workerUrl, {
      env: compileCacheEnv(),
      execArgv: [],
      name: 'rlm-search',
      workerData: { kernelsModule },
    });
    this.thread.unref();
  }

  /** A message costs more than an order: those of one turn go together. */
  send(order: Order): void {
    this.jobs.add(order.job);
    this.#orders.push(order);
    if (this.#orders.length === 1) setImmediate(() => this.#post());
  }

  #post(): void {
    const orders = this.#orders;
    this.#orders = [];
    const sent = orders.map((order) => this.#texts.pack(order));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.thread.postMessage(sent, ownedBuffers(orders));
  }
}

/**
 * A number of workers and, from the first report of work on, a warm spare that takes the place of
 * one that had to be killed or has died. Where it is `isBrief`, as for a command that asks once,
 * workers start when there is work for them, and none is kept as a spare.
 */
export class WorkerPool {
  readonly #events: PoolEvents;
  readonly #size: number;
  readonly #isBrief: boolean;
  readonly #workers: Slot[] = [];
  #spare: Slot | undefined;
  #failedStarts = 0;
  /**
   * Whether a worker has worked: what has no work yet needs no spare, and a start of the program is
   * no time for one.
   */
  #isUsed = false;
  #closed = false;

  constructor(size: number, events: PoolEvents, { isBrief = false } = {}) {
    this.#events = events;
    this.#size = size;
    this.#isBrief = isBrief;
    if (!isBrief) this.#start(size);
  }

  /** All workers, the least busy first. Those that could not be started are tried again. */
  get workers(): readonly PoolWorker[] {
    return this.atLeast(this.#size);
  }

  /** The workers that there are, the least busy first; `count` of them, or all, are started. */
  atLeast(count: number): readonly PoolWorker[] {
    this.#start(this.#isBrief ? Math.min(count, this.#size) : this.#size);
    return this.#workers.toSorted((a, b) => a.jobs.size - b.jobs.size);
  }

  /** Stops a worker where it stands. */
  kill(worker: PoolWorker): void {
    const slot = this.#workers.find((candidate) => candidate === worker);
    if (slot !== undefined) this.#replace(slot, 'stopped');
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = this.#spare === undefined ? this.#workers : [...this.#workers, this.#spare];
    await Promise.all(all.map(({ thread }) => thread.terminate()));
  }

  #start(count: number): void {
    while (this.#workers.length < count) this.#workers.push(this.#open());
  }

  #open(): Slot {
    const slot = new Slot();
    slot.thread.on('message', (reports: readonly Report[]) => {
      slot.isReady = true;
      this.#failedStarts = 0;
      for (const report of reports) {
        if (report.kind !== 'ready') this.#prepareSpare();
        if (!this.#closed && slot !== this.#spare) this.#events.report(slot, report);
      }
    });
    slot.thread.on('error', (error) => {
      this.#replace(slot, error instanceof Error ? error.message : String(error));
    });
    return slot;
  }

  #prepareSpare(): void {
    if (this.#isUsed || this.#isBrief || this.#closed) return;
    this.#isUsed = true;
    this.#spare ??= this.#open();
  }

  #replace(slot: Slot, reason: string): void {
    const index = this.#workers.indexOf(slot);
    void slot.thread.terminate();
    if (this.#closed) return;
    if (index < 0) {
      if (this.#spare === slot) this.#spare = undefined;
      return;
    }
    if (!slot.isReady) this.#failedStarts += 1;
    if (this.#failedStarts < maxFailedStarts) {
      this.#workers[index] = this.#spare ?? this.#open();
      this.#spare = this.#isBrief ? undefined : this.#open();
    } else {
      // Something is wrong with the program or the machine: starting threads without end would only
      // make it worse.
      this.#workers.splice(index, 1);
    }
    this.#events.lost(slot, reason);
  }
}
