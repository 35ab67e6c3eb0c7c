import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { unreadableReason } from '../../base/system-words.ts';
import { HeldTexts, type SentOrder } from './told-texts.ts';
import { ownedBuffers, type Report } from './protocol.ts';
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
  readonly #texts = new HeldTexts();
  /** Searches that this worker does alone, because they are small. */
  readonly #short = new Map<number, Job>();
  /** Its shares of large ones. */
  readonly #large = new Map<number, Job>();
  /** Index building, one after the other, when there is nothing to search. */
  readonly #background = new Map<number, Job>();
  #working = false;
  /** What is to be said in one message. */
  #reports: Report[] = [];
  /** What {@link SearchWorker.#reports} were asked. */
  #pattern: string | undefined;
  /** By job, what the small ones look for. */
  readonly #patterns = new Map<number, string>();

  constructor(port: MessagePort) {
    this.#port = port;
    this.#runner = new TaskRunner((report) => this.#send(report));
  }

  start(): void {
    this.#port.on('message', (orders: readonly SentOrder[]) => {
      for (const order of orders) this.#take(order);
      if (!this.#working) this.#work();
      this.#post();
    });
    this.#send({ kind: 'ready' });
    this.#post();
  }

  #work(): void {
    this.#working = true;
    while (this.#short.size + this.#large.size + this.#background.size > 0) {
      // All small ones get a step for one step of a large one: they do not wait behind those, and
      // keep none of them waiting for long.
      for (const [id, job] of this.#short) {
        this.#about(this.#patterns.get(id));
        this.#step(id, job);
      }
      this.#post();
      const isSearching = this.#short.size + this.#large.size > 0;
      for (const [id, job] of first(isSearching ? this.#large : this.#background)) {
        this.#step(id, job);
        if (this.#large.delete(id)) this.#large.set(id, job);
      }
      this.#post();
      let next = receiveMessageOnPort(this.#port);
      while (next !== undefined) {
        for (const order of next.message as readonly SentOrder[]) this.#take(order);
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
    this.#patterns.delete(id);
    for (const jobs of [this.#short, this.#large, this.#background]) {
      const job = jobs.get(id);
      jobs.delete(id);
      job?.[Symbol.dispose]();
    }
  }

  #take(sent: SentOrder): void {
    const order = this.#texts.unpack(sent);
    const pattern = order.kind === 'plan' ? order.task.query.pattern : undefined;
    this.#about(pattern);
    this.#guarded(order.job, () => {
      if (order.kind === 'plan') {
        const job = this.#runner.plan(order.job, order.task);
        if (job === undefined) return;
        this.#short.set(order.job, job);
        this.#patterns.set(order.job, order.task.query.pattern);
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
      this.#send({
        kind: 'failed',
        job,
        message,
        ...(error instanceof Error && 'code' in error && { reason: unreadableReason(error) }),
        textTooShort: error instanceof TextTooShort,
      });
    }
  }

  /**
   * Work on a pattern begins. What has been found for another one does not wait for it: a step may
   * take long where a line has to be left to V8.
   */
  #about(pattern: string | undefined): void {
    if (pattern !== this.#pattern) this.#post();
    this.#pattern = pattern;
  }

  #send(report: Report): void {
    this.#reports.push(report);
  }

  #post(): void {
    if (this.#reports.length === 0) return;
    const reports = this.#reports;
    this.#reports = [];
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#port.postMessage(reports, ownedBuffers(reports));
  }
}

/** The first of some jobs, if there is one. */
function first(jobs: ReadonlyMap<number, Job>): readonly (readonly [number, Job])[] {
  for (const entry of jobs) return [entry];
  return [];
}

if (parentPort !== null) new SearchWorker(parentPort).start();
