import { linesOf, type Program } from '../automaton/program.ts';
import type { TakeOccurrence } from '../automaton/occurrence.ts';
import type { Ranges } from '../text/ranges.ts';
import { cutAtEntries } from '../text/shared-entries.ts';
import type { TextFile } from '../text/text-file.ts';
import { nextChunk, stopFlag, type Plan, type SearchTask } from './protocol.ts';
import { maxWholeBytes, type Job } from './scan-job.ts';

/** What a {@link SpanJob} works on. */
export interface SpanParts {
  readonly task: SearchTask;
  readonly program: Program;
  readonly file: TextFile;
  /** The groups that are told with each match. */
  readonly groups: readonly number[];
  /** Gets each match, in offsets of the file. */
  readonly take: TakeOccurrence;
}

/** A job that tells where each match starts and ends, and not only which lines hold one. */
abstract class SpanJob implements Job {
  protected readonly parts: SpanParts;

  constructor(parts: SpanParts) {
    this.parts = parts;
    parts.program.users++;
  }

  step(): boolean {
    this.parts.program.shouldStop = () => this.isStopping();
    return this.work();
  }

  [Symbol.dispose](): void {
    this.parts.program.users--;
    this.parts.file[Symbol.dispose]();
  }

  /** What {@link Job.step} does, once the program knows when to stop. */
  protected abstract work(): boolean;

  /** Whether the search is over: cancelled, or out of time. */
  protected isStopping(): boolean {
    return Atomics.load(this.parts.task.control, stopFlag) !== 0;
  }
}

/** What a {@link MatchJob} has gone through. */
export interface MatchJobEnd {
  /** Matching lines. */
  readonly lines: number;
  readonly stopped: boolean;
}

/**
 * Goes through all matches of the chunks that it claims, line by line. Lines without a match are
 * skipped by the automaton.
 */
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
    this.parts.program.spans.each(bytes, lines, 0, this.parts.groups, (from, to, held) => {
      this.parts.take(from + shift, to + shift, held);
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
    this.parts.program.spans.each(text, linesOf(text), 0, this.parts.groups, (from, to, held) => {
      if (from > lineEnd) {
        this.#lines++;
        const newline = text.indexOf(10, from);
        lineEnd = newline < 0 ? text.length : newline;
      }
      this.parts.take(from + start, to + start, held);
    });
  }
}

/**
 * The text is looked at through a window of this size; matches start in its first three quarters,
 * so 1 MiB is the longest sure match.
 */
const windowBytes = 4_194_304;
const lookAheadBytes = 1_048_576;

/**
 * Finds every match of a pattern that may reach over several lines, from the first to the last, in
 * offsets of the file: where a match ends decides where the next may start, so one worker does it
 * alone.
 */
export class MultilineJob extends SpanJob {
  readonly #done: (stopped: boolean) => void;
  readonly #ranges: Ranges;
  #range = 0;
  #at: number;
  /** Matches may start from here on. */
  #free = 0;

  constructor(parts: SpanParts, done: (stopped: boolean) => void) {
    super(parts);
    this.#done = done;
    this.#ranges = parts.task.scope.ranges;
    this.#at = this.#ranges[0] ?? 0;
  }

  protected override work(): boolean {
    const stopped = this.isStopping();
    const end = this.#ranges[2 * this.#range + 1];
    if (end === undefined || stopped) {
      this.#done(stopped);
      return false;
    }
    this.#window(end);
    if (this.#at >= end) {
      this.#range++;
      this.#at = this.#ranges[2 * this.#range] ?? 0;
    }
    return true;
  }

  #window(rangeEnd: number): void {
    const { bytes, textAt } = this.parts.program.memory;
    const base = this.#at;
    const end = Math.min(base + windowBytes, rangeEnd);
    this.parts.file.read(bytes, textAt, base, end);
    const text = bytes.subarray(textAt, textAt + end - base);
    let accept = text.length;
    if (end < rangeEnd) {
      // The next window starts at a line's start, or, where a line is longer than all this, at a
      // code point's.
      accept = text.lastIndexOf(10, text.length - lookAheadBytes) + 1;
      if (accept === 0) {
        accept = text.length - lookAheadBytes;
        while ((text[accept]! & 0xc0) === 0x80) accept--;
      }
    }
    if (this.parts.program.mayMatch(textAt, textAt + text.length)) this.#search(text, base, accept);
    this.#at = base + accept;
  }

  #search(text: Uint8Array, base: number, accept: number): void {
    const isLast = accept === text.length;
    const startsFrom = Math.min(Math.max(this.#free - base, 0), text.length);
    const finder = this.parts.program.spans;
    // A match stays in its entry.
    const bounds = cutAtEntries(this.parts.task.scope.entries, base, base + text.length);
    const texts = bounds.map((bound) => bound - base);
    const ends = new Set(texts.filter((_, i) => i % 2 === 1));
    finder.each(text, texts, startsFrom, this.parts.groups, (start, end, held) => {
      // Behind a text's last newline there is no line.
      const isBehind = start > 0 && text[start - 1] === 10 && ends.has(start);
      if (isBehind || (!isLast && start >= accept)) return;
      this.#free = base + (end > start ? end : start + 1);
      this.parts.take(base + start, base + end, held);
    });
  }
}
