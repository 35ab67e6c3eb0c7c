import type { Ranges } from '../text/ranges.ts';
import { cutAtEntries } from '../text/shared-entries.ts';
import { SpanJob, type SpanParts } from './span-job.ts';

/** The text is looked at through a window of this size; matches start in its first three quarters, so 1 MiB is the longest sure match. */
const windowBytes = 4_194_304;
const lookAheadBytes = 1_048_576;

/**
 * Finds every match of a pattern that may reach over several lines, from the first to the last, in offsets of the file: where a match ends decides where the next
 * may start, so one worker does it alone.
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
      // The next window starts at a line's start, or, where a line is longer than all this, at a code point's.
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
    finder.each(text, texts, startsFrom, this.parts.group, (start, end, value) => {
      // Behind a text's last newline there is no line.
      const isBehind = start > 0 && text[start - 1] === 10 && ends.has(start);
      if (isBehind || (!isLast && start >= accept)) return;
      this.#free = base + (end > start ? end : start + 1);
      this.parts.take(base + start, base + end, value);
    });
  }
}
