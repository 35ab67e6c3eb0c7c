import { linesOf } from '../automaton/program.ts';
import { nextChunk, type Plan } from './protocol.ts';
import { maxWholeBytes } from './scan-job.ts';
import { SpanJob, type SpanParts } from './span-job.ts';

/** What a {@link MatchJob} has gone through. */
export interface MatchJobEnd {
  /** Matching lines. */
  readonly lines: number;
  readonly stopped: boolean;
}

/** Goes through all matches of the chunks that it claims, line by line. Lines without a match are skipped by the automaton. */
export class MatchJob extends SpanJob {
  readonly #plan: Plan;
  readonly #done: (end: MatchJobEnd) => void;
  #lines = 0;
  #stopped = false;

  constructor(parts: SpanParts, plan: Plan, done: (end: MatchJobEnd) => void) {
    super(parts);
    this.#plan = plan;
    this.#done = done;
  }

  protected override work(): boolean {
    const { bounds, first } = this.#plan.pieces;
    const chunks = first.length - 1;
    const claimed = this.isStopping() ? chunks : Atomics.add(this.parts.task.control, nextChunk, 1);
    for (let piece = first[claimed]!; piece < first[claimed + 1]!; piece++) {
      if (this.isStopping()) break;
      this.#look(bounds[2 * piece]!, bounds[2 * piece + 1]!);
    }
    if (claimed < chunks) return true;
    this.#done({ lines: this.#lines, stopped: this.#stopped || this.isStopping() });
    return false;
  }

  #look(start: number, end: number): void {
    const { bytes, textAt, textBytes, kernels } = this.parts.program.memory;
    if (end - start > textBytes) {
      this.#whole(start, end);
      return;
    }
    this.parts.file.read(bytes, textAt, start, end);
    const textEnd = textAt + end - start;
    const count = this.parts.program.scan(textAt, textEnd);
    if (count < 0) this.#stopped = true;
    const lines: number[] = [];
    for (let i = 0; i < count; i++) {
      const hit = this.parts.program.hits[i]!;
      lines.push(kernels.lineStartBefore(textAt, hit), kernels.nextNewline(hit, textEnd));
    }
    this.#lines += lines.length / 2;
    const shift = start - textAt;
    this.parts.program.spans.each(bytes, lines, 0, this.parts.group, (from, to, value) => {
      this.parts.take(from + shift, to + shift, value);
    });
  }

  /** A line that does not fit the memory, and what follows it in its last block. */
  #whole(start: number, end: number): void {
    if (end - start > maxWholeBytes) {
      this.parts.program.skipLong();
      return;
    }
    const text = Buffer.allocUnsafeSlow(end - start);
    this.parts.file.read(text, 0, start, end);
    let lineEnd = -1;
    this.parts.program.spans.each(text, linesOf(text), 0, this.parts.group, (from, to, value) => {
      if (from > lineEnd) {
        this.#lines++;
        const newline = text.indexOf(10, from);
        lineEnd = newline < 0 ? text.length : newline;
      }
      this.parts.take(from + start, to + start, value);
    });
  }
}
