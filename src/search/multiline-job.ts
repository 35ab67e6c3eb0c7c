import type { Job } from './scan-job.ts';
import type { Program } from './program.ts';
import { cutAtEntries } from './shared-entries.ts';
import type { Ranges } from './ranges.ts';
import { stopFlag, type SearchTask } from './protocol.ts';
import type { TextFile } from './text-file.ts';
import type { TakeOccurrence } from './span-finder.ts';

/** The text is looked at through a window of this size; matches start in its first three quarters, so 1 MiB is the longest sure match. */
const windowBytes = 4_194_304;
const lookAheadBytes = 1_048_576;

/**
 * Finds every match of a pattern that may reach over several lines, from the first to the last, in offsets of the file: where a match ends decides where the next
 * may start, so one worker does it alone.
 */
export class MultilineJob implements Job {
  readonly #task: SearchTask;
  readonly #program: Program;
  readonly #file: TextFile;
  readonly #group: number | undefined;
  readonly #take: TakeOccurrence;
  readonly #done: (stopped: boolean) => void;
  readonly #ranges: Ranges;
  #range = 0;
  #at: number;
  /** Matches may start from here on. */
  #free = 0;

  constructor(
    parts: {
      readonly task: SearchTask;
      readonly program: Program;
      readonly file: TextFile;
      readonly group: number | undefined;
    },
    take: TakeOccurrence,
    done: (stopped: boolean) => void,
  ) {
    this.#task = parts.task;
    this.#program = parts.program;
    this.#file = parts.file;
    this.#group = parts.group;
    this.#take = take;
    this.#done = done;
    this.#ranges = parts.task.scope.ranges;
    this.#at = this.#ranges[0] ?? 0;
  }

  step(): boolean {
    const stopped = Atomics.load(this.#task.control, stopFlag) !== 0;
    const end = this.#ranges[2 * this.#range + 1];
    if (end === undefined || stopped) {
      this.#done(stopped);
      return false;
    }
    this.#program.shouldStop = () => Atomics.load(this.#task.control, stopFlag) !== 0;
    this.#window(end);
    if (this.#at >= end) {
      this.#range++;
      this.#at = this.#ranges[2 * this.#range] ?? 0;
    }
    return true;
  }

  #window(rangeEnd: number): void {
    const { bytes, textAt } = this.#program.memory;
    const base = this.#at;
    const end = Math.min(base + windowBytes, rangeEnd);
    this.#file.read(bytes, textAt, base, end);
    const text = bytes.subarray(textAt, textAt + end - base);
    let accept = text.length;
    if (end < rangeEnd) {
      // The next window starts at a line's start, or, where a line is longer than all this, at a code point's.
      accept = text.lastIndexOf(10, text.length - lookAheadBytes) + 1;
      if (accept === 0) {
        accept = text.length - lookAheadBytes;
        while ((text[accept]! & 0xc0) === 0x80) accept--;
      }
    }
    if (this.#program.mayMatch(textAt, textAt + text.length)) this.#search(text, base, accept);
    this.#at = base + accept;
  }

  #search(text: Uint8Array, base: number, accept: number): void {
    const isLast = accept === text.length;
    const startsFrom = Math.min(Math.max(this.#free - base, 0), text.length);
    const finder = this.#program.spans;
    // A match stays in its entry.
    const bounds = cutAtEntries(this.#task.scope.entries, base, base + text.length);
    const texts = bounds.map((bound) => bound - base);
    const ends = new Set(texts.filter((_, i) => i % 2 === 1));
    finder.each(text, texts, startsFrom, this.#group, (start, end, value) => {
      // Behind a text's last newline there is no line.
      const isBehind = start > 0 && text[start - 1] === 10 && ends.has(start);
      if (isBehind || (!isLast && start >= accept)) return;
      this.#free = base + (end > start ? end : start + 1);
      this.#take(base + start, base + end, value);
    });
  }
}
