import { systemClock } from '../clock.ts';
import type { TakeOccurrence } from './span-finder.ts';
import { toRegExp } from './regex-source.ts';
import type { ScanMemory } from './scan-memory.ts';
import type { Pattern } from './syntax.ts';
import type { TimeGuard } from './time-guard.ts';

/** Lines are matched under one guard for so long, because setting a guard takes as long as matching many lines. */
const batchMs = 10;

/** A guard ends after this, so that a line that is given up has had 30 ms at least. */
const maxLineMs = 40;

/**
 * Matches with V8's backtracking expressions, under a guard: for lookaround, backreferences, atomic groups and the texts of capture
 * groups. Works on decoded lines, so it is given candidates only where the caller can tell.
 */
export class V8Matcher {
  /** Lines given up. */
  skippedLines = 0;
  readonly #test: RegExp;
  readonly #global: RegExp;
  readonly #guard: TimeGuard;

  constructor(pattern: Pattern, guard: TimeGuard) {
    this.#test = toRegExp(pattern, '');
    this.#global = toRegExp(pattern, 'g');
    this.#guard = guard;
  }

  /**
   * Tests lines of `memory`, given as addresses [start, end) in turn; the starts of those that match go to `memory.hitsAt`. Returns their
   * number, or -1 if told to stop.
   */
  scan(memory: ScanMemory, lines: readonly number[], shouldStop: () => boolean): number {
    const hits = new Uint32Array(memory.kernels.memory.buffer, memory.hitsAt);
    const text = Buffer.from(memory.kernels.memory.buffer);
    let count = 0;
    let next = 0;
    const work = (): void => {
      const until = systemClock.elapsedMs() + batchMs;
      while (next < lines.length && systemClock.elapsedMs() < until) {
        const line = text.toString('utf8', lines[next], lines[next + 1]);
        next += 2;
        if (this.#matches(line)) hits[count++] = lines[next - 2]!;
      }
    };
    while (next < lines.length) {
      if (shouldStop()) return -1;
      if (!this.#guard.run(work, maxLineMs)) this.skippedLines++;
    }
    return count;
  }

  /** The first match in bytes[from, to); undefined if there is none or it took too long. */
  first(bytes: Uint8Array, from: number, to: number): readonly [number, number] | undefined {
    const line = decode(bytes, from, to);
    let match: RegExpExecArray | null = null;
    this.#guard.run(() => {
      match = firstMatch(this.#global, line);
    }, maxLineMs);
    const found = match as RegExpExecArray | null;
    if (found === null) return undefined;
    const start = from + Buffer.byteLength(line.slice(0, found.index));
    return [start, start + Buffer.byteLength(found[0])];
  }

  /**
   * Tells of all matches in the texts bytes[lines[0], lines[1]), bytes[lines[2], lines[3]), ... in order, none of which starts before
   * `startsFrom`, with the text of a group (0 = the whole match; undefined = not asked for).
   */
  each(
    bytes: Uint8Array,
    lines: readonly number[],
    startsFrom: number,
    group: number | undefined,
    take: TakeOccurrence,
  ): void {
    let next = 0;
    const work = (): void => {
      const until = systemClock.elapsedMs() + batchMs;
      while (next < lines.length && systemClock.elapsedMs() < until) {
        const from = lines[next]!;
        const to = lines[next + 1]!;
        next += 2;
        this.#eachOf(bytes, from, to, Math.max(from, startsFrom), group, take);
      }
    };
    while (next < lines.length) {
      if (!this.#guard.run(work, maxLineMs)) this.skippedLines++;
    }
  }

  #matches(line: string): boolean {
    if (!this.#test.test(line)) return false;
    return !highSurrogate.test(line) || firstMatch(this.#global, line) !== null;
  }

  #eachOf(
    bytes: Uint8Array,
    from: number,
    to: number,
    startsFrom: number,
    group: number | undefined,
    take: TakeOccurrence,
  ): void {
    const text = decode(bytes, from, to);
    const name = `g${group}`;
    let index = startsFrom === from ? 0 : decode(bytes, from, startsFrom).length;
    let offset = startsFrom;
    this.#global.lastIndex = index;
    for (const match of text.matchAll(this.#global)) {
      if (isInsidePair(text, match.index)) continue;
      const start = offset + Buffer.byteLength(text.slice(index, match.index));
      const end = start + Buffer.byteLength(match[0]);
      take(start, end, group === 0 ? match[0] : match.groups?.[name]);
      index = match.index + match[0].length;
      offset = end;
    }
  }
}

const highSurrogate = /[\ud800-\udbff]/;

/** V8 finds empty matches between the two halves of a code point, which is no place in a text. */
function firstMatch(global: RegExp, text: string): RegExpExecArray | null {
  global.lastIndex = 0;
  let match = global.exec(text);
  while (match !== null && isInsidePair(text, match.index)) {
    global.lastIndex = match.index + 1;
    match = global.exec(text);
  }
  return match;
}

function isInsidePair(text: string, index: number): boolean {
  return index > 0 && (text.codePointAt(index - 1) ?? 0) > 0xffff;
}

function decode(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}
