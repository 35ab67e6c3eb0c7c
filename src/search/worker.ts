import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import type { Order, Report } from './protocol.ts';
import type { Job } from './scan-job.ts';
import { TaskRunner } from './task-runner.ts';
import { TextTooShort } from './text-file.ts';

/** A search worker: takes orders as they come, even in the middle of work, and gives each job a step in turn. */
class SearchWorker {
  readonly #port: MessagePort;
  readonly #runner: TaskRunner;
  readonly #jobs = new Map<number, Job>();
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
    while (this.#jobs.size + this.#background.size > 0) {
      if (this.#jobs.size > 0) for (const [id, job] of this.#jobs) this.#step(id, job);
      else for (const [id, job] of [...this.#background].slice(0, 1)) this.#step(id, job);
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
      this.#jobs.delete(id);
      this.#background.delete(id);
    });
  }

  #take(order: Order): void {
    this.#guarded(order.job, () => {
      if (order.kind === 'plan') {
        this.#jobs.set(order.job, this.#runner.plan(order.job, order.task));
      } else if (order.kind === 'join') {
        this.#jobs.set(order.job, this.#runner.join(order.job, order.task, order.plan));
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
      this.#jobs.delete(job);
      this.#background.delete(job);
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#send({ kind: 'failed', job, message, textTooShort: error instanceof TextTooShort });
    }
  }

  #send(report: Report): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#port.postMessage(report);
  }
}

if (parentPort !== null) new SearchWorker(parentPort).start();
