import { systemClock } from '../../clock.ts';
import { SpelledGroups, type TakeOccurrence } from './occurrence.ts';
import { namesLineBorders, toRegExp } from './regex-source.ts';
import type { ScanMemory } from '../text/scan-memory.ts';
import type { Pattern } from '../pattern/syntax.ts';
import type { TimeGuard } from './time-guard.ts';

/**
 * How long lines are matched under one guard: setting one takes as long as matching many lines.
 */
const batchMs = 10;

/** The guard of a batch ends after this; the line that is under work then is tried again alone. */
const maxBatchMs = 40;

/**
 * A line that is tried alone may have so much processor time, and a millisecond more for so many of
 * its bytes.
 */
const maxLineCpuMs = 300;
const bytesPerCpuMs = 4_096;

/**
 * Processor time of all lines tried alone in one search; once it is used up, others are given up at
 * once.
 */
const maxAloneCpuMs = 3_000;

/**
 * A line that is tried alone gets no more time of the clock than so often its processor time,
 * however busy the machine is.
 */
const maxPatience = 32;

/** A pattern for texts of one kind. */
interface Expressions {
  readonly test: RegExp;
  readonly global: RegExp;
}

/** A match within a text. */
interface Found {
  readonly start: number;
  readonly end: number;
  readonly groups: SpelledGroups;
}

/**
 * Matches with V8's backtracking expressions, under a guard: for lookaround, backreferences, atomic
 * groups and the texts of capture groups. Works on decoded lines, so it is given candidates only
 * where the caller can tell.
 */
export class V8Matcher {
  /** Lines given up. */
  skippedLines = 0;
  readonly #pattern: Pattern;
  /** Whether returns at a line's end and marks at its beginning are kept from the expressions. */
  readonly #strips: boolean;
  #ascii: Expressions | undefined;
  #wide: Expressions | undefined;
  readonly #guard: Pick<TimeGuard, 'run'>;
  /** Processor time that is left for lines tried alone. */
  #aloneCpuMs = maxAloneCpuMs;

  constructor(pattern: Pattern, guard: Pick<TimeGuard, 'run'>) {
    this.#pattern = pattern;
    this.#strips = !pattern.multiline && !namesLineBorders(pattern.root);
    this.#guard = guard;
  }

  /** Lines given up since the last call. The next search has its whole time again. */
  takeSkippedLines(): number {
    const { skippedLines } = this;
    this.skippedLines = 0;
    this.#aloneCpuMs = maxAloneCpuMs;
    return skippedLines;
  }

  /**
   * Tests lines of `memory`, given as addresses [start, end) in turn; the starts of those that
   * match go to `memory.hitsAt`. Returns their number, or -1 if told to stop.
   */
  scan(memory: ScanMemory, lines: readonly number[], shouldStop: () => boolean): number {
    const hits = new Uint32Array(memory.kernels.memory.buffer, memory.hitsAt);
    const text = Buffer.from(memory.kernels.memory.buffer);
    const verdicts = new Uint8Array(lines.length / 2);
    const ended = this.#inBatches(lines, shouldStop, (i) => {
      const [from, to] = this.#content(text, lines[2 * i]!, lines[2 * i + 1]!);
      verdicts[i] = this.#matches(text.toString('utf8', from, to), to - from) ? 1 : 0;
    });
    if (!ended) return -1;
    let count = 0;
    for (const [i, verdict] of verdicts.entries()) if (verdict === 1) hits[count++] = lines[2 * i]!;
    return count;
  }

  /** The first match in bytes[from, to); undefined if there is none or it took too long. */
  first(bytes: Uint8Array, start: number, end: number): readonly [number, number] | undefined {
    const [from, to] = this.#content(bytes, start, end);
    const line = decode(bytes, from, to);
    const { global } = this.#expressions(line, to - from);
    let match: RegExpExecArray | null = null;
    this.#alone(to - from, () => {
      match = firstMatch(global, line);
    });
    const found = match as RegExpExecArray | null;
    if (found === null) return undefined;
    const at = from + Buffer.byteLength(line.slice(0, found.index));
    return [at, at + Buffer.byteLength(found[0])];
  }

  /**
   * Tells of all matches in the texts bytes[lines[0], lines[1]), bytes[lines[2], lines[3]), ... in
   * order, none of which starts before `startsFrom`, with what some groups hold (0 = the whole
   * match).
   */
  each(
    bytes: Uint8Array,
    lines: readonly number[],
    startsFrom: number,
    groups: readonly number[],
    take: TakeOccurrence,
  ): void {
    const found: (readonly Found[])[] = [];
    this.#inBatches(
      lines,
      () => false,
      (i) => {
        const [from, to] = this.#content(bytes, lines[2 * i]!, lines[2 * i + 1]!);
        found[i] =
          startsFrom > to ? [] : this.#allOf(bytes, from, to, Math.max(from, startsFrom), groups);
      },
    );
    // What takes them is not under the guard, so that it is never stopped half way.
    for (const own of found)
      for (const { start, end, groups: held } of own ?? []) take(start, end, held);
  }

  /**
   * Does `one` for each of some lines, by its number, many under one guard. What was being done
   * when a guard ended may just have had bad luck on a busy machine, so it is done again alone;
   * `one` must bear that. False if told to stop.
   */
  #inBatches(
    lines: readonly number[],
    shouldStop: () => boolean,
    one: (i: number) => void,
  ): boolean {
    const count = lines.length / 2;
    let next = 0;
    const work = (): void => {
      const until = systemClock.elapsedMs() + batchMs;
      while (next < count && systemClock.elapsedMs() < until) {
        one(next);
        next++;
      }
    };
    while (next < count) {
      if (shouldStop()) return false;
      if (this.#guard.run(work, maxBatchMs).ended) continue;
      const late = next;
      const sizeBytes = late < count ? lines[2 * late + 1]! - lines[2 * late]! : 0;
      if (late < count && !this.#alone(sizeBytes, () => one(late))) this.skippedLines++;
      next = late + 1;
    }
    return true;
  }

  /** Whether the work ends within the processor time that one line may have. */
  #alone(sizeBytes: number, work: () => void): boolean {
    const allowedCpuMs =
      Math.min(maxLineCpuMs, this.#aloneCpuMs) + Math.floor(sizeBytes / bytesPerCpuMs);
    for (let clockMs = allowedCpuMs; clockMs >= 1; clockMs *= 2) {
      const { ended, cpuMs } = this.#guard.run(work, clockMs);
      this.#aloneCpuMs -= cpuMs;
      if (ended) return true;
      if (cpuMs >= allowedCpuMs / 2 || clockMs >= maxPatience * allowedCpuMs) return false;
    }
    return false;
  }

  #matches(line: string, sizeBytes: number): boolean {
    const { test, global } = this.#expressions(line, sizeBytes);
    if (!test.test(line)) return false;
    return !highSurrogate.test(line) || firstMatch(global, line) !== null;
  }

  /** The expressions for a text: only ASCII has as many characters as bytes. */
  #expressions(text: string, sizeBytes: number): Expressions {
    if (text.length === sizeBytes) return (this.#ascii ??= this.#write(true));
    return (this.#wide ??= this.#write(false));
  }

  #write(ascii: boolean): Expressions {
    return {
      test: toRegExp(this.#pattern, { flags: '', ascii }),
      global: toRegExp(this.#pattern, { flags: 'g', ascii }),
    };
  }

  /** The part of bytes[from, to) that is shown to the expressions. */
  #content(bytes: Uint8Array, from: number, to: number): readonly [number, number] {
    if (!this.#strips) return [from, to];
    const end = to > from && bytes[to - 1] === 13 ? to - 1 : to;
    const isMarked = bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf;
    return [isMarked && from + 3 <= end ? from + 3 : from, end];
  }

  #allOf(
    bytes: Uint8Array,
    from: number,
    to: number,
    startsFrom: number,
    groups: readonly number[],
  ): readonly Found[] {
    const text = decode(bytes, from, to);
    const { global } = this.#expressions(text, to - from);
    const all: Found[] = [];
    let index = startsFrom === from ? 0 : decode(bytes, from, startsFrom).length;
    let offset = startsFrom;
    global.lastIndex = index;
    for (const match of text.matchAll(global)) {
      if (isInsidePair(text, match.index)) continue;
      const start = offset + Buffer.byteLength(text.slice(index, match.index));
      const end = start + Buffer.byteLength(match[0]);
      const texts = groups.map((group) => (group === 0 ? match[0] : match.groups?.[`g${group}`]));
      all.push({ start, end, groups: new SpelledGroups(texts) });
      index = match.index + match[0].length;
      offset = end;
    }
    return all;
  }
}

const highSurrogate = /[\ud800-\udbff]/;

/** V8 finds empty matches between the halves of a code point, which is not a place in a text. */
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
