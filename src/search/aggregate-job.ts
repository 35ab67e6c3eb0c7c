import type { Pieces } from './pieces.ts';
import { linesOf, type Program } from './program.ts';
import { stopFlag, type SearchTask } from './protocol.ts';
import { maxWholeBytes, type Job } from './scan-job.ts';
import type { TakeOccurrence } from './span-finder.ts';
import type { TextFile } from './text-file.ts';

/** What an {@link AggregateJob} has gone through. */
export interface AggregateEnd {
  /** Matching lines. */
  readonly total: number;
  readonly stopped: boolean;
  /** Lines that were too long to be looked into. */
  readonly skippedLines: number;
}

/** Goes through all occurrences, line by line, in the order of the text. Lines without a match are skipped by the automaton. */
export class AggregateJob implements Job {
  readonly #task: SearchTask;
  readonly #pieces: Pieces;
  readonly #program: Program;
  readonly #file: TextFile;
  readonly #group: number | undefined;
  readonly #take: TakeOccurrence;
  readonly #done: (end: AggregateEnd) => void;
  #piece = 0;
  #total = 0;
  #skipped = 0;
  #stopped = false;

  constructor(
    parts: {
      readonly task: SearchTask;
      readonly pieces: Pieces;
      readonly program: Program;
      readonly file: TextFile;
      readonly group: number | undefined;
    },
    take: TakeOccurrence,
    done: (end: AggregateEnd) => void,
  ) {
    this.#task = parts.task;
    this.#pieces = parts.pieces;
    this.#program = parts.program;
    this.#file = parts.file;
    this.#group = parts.group;
    this.#take = take;
    this.#done = done;
  }

  step(): boolean {
    this.#program.shouldStop = () => this.#shouldStop();
    if (this.#piece < this.#pieces.bounds.length / 2 && !this.#shouldStop()) {
      this.#look(this.#pieces.bounds[2 * this.#piece]!, this.#pieces.bounds[2 * this.#piece + 1]!);
      this.#piece++;
      return true;
    }
    const stopped = this.#stopped || this.#shouldStop();
    this.#done({ total: this.#total, stopped, skippedLines: this.#skipped });
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
    this.#total += lines.length / 2;
    const shift = start - textAt;
    this.#program.spans.each(bytes, lines, 0, this.#group, (from, to, value) => {
      this.#take(from + shift, to + shift, value);
    });
  }

  /** A line that does not fit the memory, and what follows it in its last block. */
  #whole(start: number, end: number): void {
    if (end - start > maxWholeBytes) {
      this.#skipped++;
      return;
    }
    const text = Buffer.allocUnsafeSlow(end - start);
    this.#file.read(text, 0, start, end);
    let lineEnd = -1;
    this.#program.spans.each(text, linesOf(text), 0, this.#group, (from, to, value) => {
      if (from > lineEnd) {
        this.#total++;
        const newline = text.indexOf(10, from);
        lineEnd = newline < 0 ? text.length : newline;
      }
      this.#take(from + start, to + start, value);
    });
  }
}
