import { linesOf, type Program } from './program.ts';
import { nextChunk, stopFlag, type Plan, type SearchTask } from './protocol.ts';
import { maxWholeBytes, type Job } from './scan-job.ts';
import type { TakeOccurrence } from './span-finder.ts';
import type { TextFile } from './text-file.ts';

/** What a {@link MatchJob} has gone through. */
export interface MatchJobEnd {
  /** Matching lines. */
  readonly lines: number;
  readonly stopped: boolean;
}

/** Goes through all matches of the chunks that it claims, line by line. Lines without a match are skipped by the automaton. */
export class MatchJob implements Job {
  readonly #task: SearchTask;
  readonly #plan: Plan;
  readonly #program: Program;
  readonly #file: TextFile;
  readonly #group: number | undefined;
  readonly #take: TakeOccurrence;
  readonly #done: (end: MatchJobEnd) => void;
  #lines = 0;
  #stopped = false;

  constructor(
    parts: {
      readonly task: SearchTask;
      readonly plan: Plan;
      readonly program: Program;
      readonly file: TextFile;
      /** Whose text is told; undefined = none. */
      readonly group: number | undefined;
    },
    take: TakeOccurrence,
    done: (end: MatchJobEnd) => void,
  ) {
    this.#task = parts.task;
    this.#plan = parts.plan;
    this.#program = parts.program;
    this.#file = parts.file;
    this.#group = parts.group;
    this.#take = take;
    this.#done = done;
  }

  step(): boolean {
    this.#program.shouldStop = () => this.#shouldStop();
    const { bounds, first } = this.#plan.pieces;
    const chunks = first.length - 1;
    const claimed = this.#shouldStop() ? chunks : Atomics.add(this.#task.control, nextChunk, 1);
    for (let piece = first[claimed]!; piece < first[claimed + 1]!; piece++) {
      if (this.#shouldStop()) break;
      this.#look(bounds[2 * piece]!, bounds[2 * piece + 1]!);
    }
    if (claimed < chunks) return true;
    this.#done({ lines: this.#lines, stopped: this.#stopped || this.#shouldStop() });
    return false;
  }

  #shouldStop(): boolean {
    return Atomics.load(this.#task.control, stopFlag) !== 0;
  }

  #look(start: number, end: number): void {
    const { bytes, textAt, textBytes, kernels } = this.#program.memory;
    if (end - start > textBytes) {
      this.#whole(start, end);
      return;
    }
    this.#file.read(bytes, textAt, start, end);
    const textEnd = textAt + end - start;
    const count = this.#program.scan(textAt, textEnd);
    if (count < 0) this.#stopped = true;
    const lines: number[] = [];
    for (let i = 0; i < count; i++) {
      const hit = this.#program.hits[i]!;
      lines.push(kernels.lineStartBefore(textAt, hit), kernels.nextNewline(hit, textEnd));
    }
    this.#lines += lines.length / 2;
    const shift = start - textAt;
    this.#program.spans.each(bytes, lines, 0, this.#group, (from, to, value) => {
      this.#take(from + shift, to + shift, value);
    });
  }

  /** A line that does not fit the memory, and what follows it in its last block. */
  #whole(start: number, end: number): void {
    if (end - start > maxWholeBytes) {
      this.#program.skipLong();
      return;
    }
    const text = Buffer.allocUnsafeSlow(end - start);
    this.#file.read(text, 0, start, end);
    let lineEnd = -1;
    this.#program.spans.each(text, linesOf(text), 0, this.#group, (from, to, value) => {
      if (from > lineEnd) {
        this.#lines++;
        const newline = text.indexOf(10, from);
        lineEnd = newline < 0 ? text.length : newline;
      }
      this.#take(from + start, to + start, value);
    });
  }
}
