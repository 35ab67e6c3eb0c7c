import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { ownedBuffers, type Order, type Report } from './protocol.ts';
import type { Job } from './scan-job.ts';
import { TaskRunner } from './task-runner.ts';
import { TextTooShort } from '../text/text-file.ts';

/**
 * A search worker: takes orders as they come, even in the middle of work, and gives each job a step
 * in turn.
 */
class SearchWorker {
  readonly #port: MessagePort;
  readonly #runner: TaskRunner;
  /** Searches that this worker does alone, because they are small. */
  readonly #short = new Map<number, Job>();
  /** Its shares of large ones. */
  readonly #large = new Map<number, Job>();
  /** Index building, one after the other, when there is nothing to search. */
  readonly #background = new Map<number, Job>();
  #working = false;

  constructor(port: MessagePort) {
    this.#port = port;
    this.#runner = new TaskRunner((report) => this.#send(report));
  }

  start(): void {
    this.#port.on('message', (order: Order) => {
      this.#take(order);
      if (!this.#working) this.#work();
    });
    this.#send({ kind: 'ready' });
  }

  #work(): void {
    this.#working = true;
    while (this.#short.size + this.#large.size + this.#background.size > 0) {
      // All small ones get a step for one step of a large one: they do not wait behind those, and
      // keep none of them waiting for long.
      for (const [id, job] of this.#short) this.#step(id, job);
      const isSearching = this.#short.size + this.#large.size > 0;
      for (const [id, job] of first(isSearching ? this.#large : this.#background)) {
        this.#step(id, job);
        if (this.#large.delete(id)) this.#large.set(id, job);
      }
      let next = receiveMessageOnPort(this.#port);
      while (next !== undefined) {
        this.#take(next.message as Order);
        next = receiveMessageOnPort(this.#port);
      }
    }
    this.#working = false;
  }

  #step(id: number, job: Job): void {
    this.#guarded(id, () => {
      if (job.step()) return;
      this.#forget(id);
    });
  }

  #forget(id: number): void {
    this.#short.delete(id);
    this.#large.delete(id);
    this.#background.delete(id);
  }

  #take(order: Order): void {
    this.#guarded(order.job, () => {
      if (order.kind === 'plan') {
        const job = this.#runner.plan(order.job, order.task);
        if (job !== undefined) this.#short.set(order.job, job);
      } else if (order.kind === 'join') {
        this.#large.set(order.job, this.#runner.join(order.job, order.task, order.plan));
      } else if (order.kind === 'conclude') {
        this.#runner.conclude(order.job, order.task, order.part);
      } else if (order.kind === 'index') {
        this.#background.set(order.job, this.#runner.index(order.job, order.index));
      } else this.#runner.show(order);
    });
  }

  /** A failure ends the job, not the worker. */
  #guarded(job: number, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#forget(job);
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#send({ kind: 'failed', job, message, textTooShort: error instanceof TextTooShort });
    }
  }

  #send(report: Report): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#port.postMessage(report, ownedBuffers(report));
  }
}

/** The first of some jobs, if there is one. */
function first(jobs: ReadonlyMap<number, Job>): readonly (readonly [number, Job])[] {
  for (const entry of jobs) return [entry];
  return [];
}

if (parentPort !== null) new SearchWorker(parentPort).start();
