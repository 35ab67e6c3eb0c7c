import type { Program } from '../automaton/program.ts';
import { stopFlag, type SearchTask } from './protocol.ts';
import type { Job } from './scan-job.ts';
import type { TakeOccurrence } from '../automaton/span-finder.ts';
import type { TextFile } from '../text/text-file.ts';

/** What a {@link SpanJob} works on. */
export interface SpanParts {
  readonly task: SearchTask;
  readonly program: Program;
  readonly file: TextFile;
  /** The group whose text is told with each match; undefined = none. */
  readonly group: number | undefined;
  /** Gets each match, in offsets of the file. */
  readonly take: TakeOccurrence;
}

/** A job that tells where each match starts and ends, and not only which lines hold one. */
export abstract class SpanJob implements Job {
  protected readonly parts: SpanParts;

  constructor(parts: SpanParts) {
    this.parts = parts;
  }

  step(): boolean {
    this.parts.program.shouldStop = () => this.isStopping();
    return this.work();
  }

  /** What {@link Job.step} does, once the program knows when to stop. */
  protected abstract work(): boolean;

  /** Whether the search is over: cancelled, or out of time. */
  protected isStopping(): boolean {
    return Atomics.load(this.parts.task.control, stopFlag) !== 0;
  }
}
