import { BitLines } from './bit-lines.ts';
import {
  bestOf,
  rarityOf,
  requiredLiterals,
  wholeLiteral,
  type Literals,
} from '../pattern/literals.ts';
import { LineDfa } from './line-dfa.ts';
import { LineCheck } from './line-check.ts';
import { compileBytes, type ByteNfa } from './nfa.ts';
import { literalPattern, parsePattern } from '../pattern/pattern.ts';
import { layOutLiterals } from './prefilter.ts';
import type { ProgramSlot, ScanMemory } from '../text/scan-memory.ts';
import { SpanFinder } from './span-finder.ts';
import type { Pattern } from '../pattern/syntax.ts';
import type { TimeGuard } from './time-guard.ts';
import type { SearchQuery, SearchResult } from '../types.ts';
import { V8Matcher } from './v8-matcher.ts';

/**
 * Where a literal is met more often than once in so many bytes, walking everything is faster than
 * looking for it. Measured.
 */
const denseBytes = 160;
/** How many more pieces are walked after such a one before literals are tried again. */
const restingScans = 15;
/**
 * Literals that are expected more often than once in 2^this bytes are not looked for: spaces, `e`.
 */
const minRarity = 4.5;

/**
 * An automaton that has made more transitions than this, and one for each so many bytes, will go on
 * like that.
 */
const minComputed = 3_000;
const bytesPerState = 32;

/** What to look for before the automaton. */
interface LiteralScan {
  readonly spec: number;
  readonly confirm: boolean;
  resting: number;
}

/** A pattern made ready to search with. It is bound to one worker and one memory. */
export class Program {
  readonly pattern: Pattern;
  /** What the asker should know of how the pattern was read. */
  readonly note: string | undefined;
  readonly memory: ScanMemory;
  readonly slot: ProgramSlot;
  /** Jobs that work with it. */
  users = 0;
  /** What every match holds. */
  readonly required: readonly Literals[];
  /** Absent where no automaton can do it. */
  readonly lines: LineDfa | undefined;
  /** Asked every few steps; set by who runs the program. */
  shouldStop: () => boolean = () => false;
  readonly #guard: TimeGuard;
  readonly #check: LineCheck;
  /** Whether the automaton, or what has taken over, lets lines pass that do not match. */
  #isApproximate: boolean;
  /** Addresses of the last scan's hits. */
  readonly hits: Uint32Array;
  readonly #literals: LiteralScan | undefined;
  /**
   * Set once the automaton has proved to have too many states. Its tables lie where those of
   * `lines` were.
   */
  #bits: BitLines | undefined;
  /** Set where that must not be: nothing else can do the work. */
  #mayThrash = false;
  #walkedBytes = 0;
  #skippedLong = 0;
  #spans: SpanFinder | V8Matcher | undefined;
  #v8: V8Matcher | undefined;

  constructor(query: SearchQuery, guard: TimeGuard, memory: ScanMemory, slot: ProgramSlot) {
    const read = readPattern(query);
    this.pattern = read.pattern;
    this.note = read.note;
    this.#guard = guard;
    this.memory = memory;
    this.slot = slot;
    this.hits = new Uint32Array(this.memory.kernels.memory.buffer, this.memory.hitsAt);
    const compiled = this.#compile(false);
    this.#isApproximate = compiled?.approximate ?? false;
    this.#check = new LineCheck(this.pattern, memory);
    this.lines = compiled && new LineDfa(compiled.nfa, memory, slot, () => this.#shouldPause());
    this.required = requiredLiterals(this.pattern.root);
    this.#literals = this.#chooseLiterals();
  }

  #chooseLiterals(): LiteralScan | undefined {
    const whole = wholeLiteral(this.pattern.root);
    const literals = whole === undefined ? bestOf(this.required) : [whole];
    if (literals === undefined) return undefined;
    if (whole === undefined && rarityOf(literals) < minRarity) return undefined;
    // The backtracking matcher confirms by itself, and over several lines all that is asked is
    // whether they are there.
    const confirm = whole === undefined && this.lines !== undefined && !this.pattern.multiline;
    const spec = layOutLiterals(this.memory, this.slot, literals, confirm);
    return spec === undefined ? undefined : { spec, confirm, resting: 0 };
  }

  /** The backtracking matcher, made when first needed. */
  get v8(): V8Matcher {
    this.#v8 ??= new V8Matcher(this.pattern, this.#guard);
    return this.#v8;
  }

  /** Tells where in a text the matches lie. */
  get spans(): SpanFinder | V8Matcher {
    this.#spans ??= SpanFinder.create(this.pattern) ?? this.v8;
    return this.#spans;
  }

  /** How it searches. */
  get engine(): SearchResult['work']['engine'] {
    if (this.lines === undefined) return 'v8';
    return this.#literals?.confirm === false && !this.pattern.multiline ? 'literal' : 'dfa';
  }

  /**
   * Scans whole lines at the addresses [at, end) of its memory; the last may lack its newline, and
   * the byte behind it is then overwritten. The hits, one address in each matching line, are in
   * `hits`. Returns how many there are, or -1 if it was told to stop.
   */
  scan(at: number, end: number): number {
    const { bytes } = this.memory;
    let lineEnd = end;
    if (bytes[end - 1] !== 10) {
      bytes[end] = 10;
      lineEnd = end + 1;
    }
    if (this.#bits !== undefined) return this.#checked(this.#bits.scan(at, lineEnd), at, lineEnd);
    if (this.lines !== undefined) return this.#scanLines(this.lines, at, lineEnd);
    return this.v8.scan(this.memory, this.#candidateLines(at, lineEnd), this.shouldStop);
  }

  /** Starts and ends of the lines that the backtracking matcher has to look at. */
  #candidateLines(at: number, end: number): readonly number[] {
    const { kernels, hitsAt } = this.memory;
    const lines: number[] = [];
    if (this.#literals !== undefined) {
      kernels.literalLines(at, end, this.#literals.spec, 0, 0, hitsAt);
      const count = (kernels.literalHits.value - hitsAt) / 4;
      for (const hit of this.hits.subarray(0, count)) {
        lines.push(kernels.lineStartBefore(at, hit), kernels.nextNewline(hit, end));
      }
      return lines;
    }
    for (let start = at; start < end; start = lines.at(-1)! + 1) {
      lines.push(start, kernels.nextNewline(start, end));
    }
    return lines;
  }

  #scanLines(lines: LineDfa, at: number, end: number): number {
    this.#walkedBytes += end - at;
    const count = this.#scanWithLiterals(lines, at, end);
    if (count >= 0) return this.#checked(count, at, end);
    if (this.shouldStop()) return count;
    // It has paused because it is thrashing.
    this.#bits = this.#createBits();
    this.#mayThrash = true;
    return this.scan(at, end);
  }

  /** Leaves of the hits those that are. */
  #checked(count: number, at: number, end: number): number {
    if (count === 0 || !this.#check.isNeeded(at, end, this.#isApproximate)) return count;
    const { spans } = this;
    if (!(spans instanceof SpanFinder)) return count;
    return this.#check.keep(this.hits.subarray(0, count), [at, end], spans, this.#isApproximate);
  }

  #createBits(): BitLines | undefined {
    const compiled = this.pattern.multiline ? undefined : this.#compile(true);
    const bits = compiled && BitLines.create(compiled.nfa, this.memory, this.slot);
    if (bits !== undefined) this.#isApproximate = compiled!.approximate;
    return bits;
  }

  /**
   * Whether the automaton is to come back: told to, or because it makes new states all the time.
   */
  #shouldPause(): boolean {
    if (this.shouldStop()) return true;
    const computed = this.lines?.computed ?? 0;
    return (
      !this.#mayThrash && computed > minComputed && computed * bytesPerState > this.#walkedBytes
    );
  }

  #scanWithLiterals(lines: LineDfa, at: number, end: number): number {
    const literals = this.#literals;
    if (literals === undefined || literals.resting > 0) {
      if (literals !== undefined) literals.resting--;
      return lines.scan(at, end);
    }
    const count = lines.scanLiterals(at, end, literals.spec);
    if (lines.candidates * denseBytes > end - at) literals.resting = restingScans;
    return count;
  }

  /**
   * Whether a line that is longer than the memory can be scanned part by part. Else it has to be
   * there whole.
   */
  get scansParts(): boolean {
    return this.lines !== undefined && this.#bits === undefined && !this.#isApproximate;
  }

  /** The first place of a match in each line of a text, ascending. */
  scanWhole(text: Buffer): readonly number[] {
    const found: number[] = [];
    let lineEnd = -1;
    this.spans.each(text, linesOf(text), 0, [], (start) => {
      if (start <= lineEnd) return;
      found.push(start);
      const newline = text.indexOf(10, start);
      lineEnd = newline < 0 ? text.length : newline;
    });
    return found;
  }

  /** Notes that a line is too long to be looked into. */
  skipLong(): void {
    this.#skippedLong++;
  }

  /** Before the first part of a line that is longer than the memory. */
  startLong(): LongWalk {
    return { hits: 0, state: this.lines?.start ?? 0, skipping: false };
  }

  /** Scans the next part of such a line, or of what follows it. */
  scanLong(at: number, end: number, isLast: boolean, before: LongWalk): LongWalk {
    if (this.lines === undefined) return before;
    let from = at;
    let { state } = before;
    if (before.skipping) {
      from = this.memory.kernels.nextNewline(at, end) + 1;
      state = this.lines.start;
      if (from > end) return { ...before, hits: 0 };
    }
    this.#walkedBytes = Infinity;
    const walk = this.lines.resume(from, end, state);
    const { bytes } = this.memory;
    const isOpen = isLast && !walk.skipping && bytes[end - 1] !== 10;
    if (walk.hits < 0 || !isOpen || !this.lines.matchesAtEnd(walk.state)) return walk;
    this.hits[walk.hits] = end - 1;
    return { ...walk, hits: walk.hits + 1 };
  }

  /**
   * Whether text at the addresses [at, end) may hold a match that reaches over lines. Sure only
   * where it says no.
   */
  mayMatch(at: number, end: number): boolean {
    if (this.#literals !== undefined) {
      const { kernels, hitsAt } = this.memory;
      kernels.literalLines(at, end, this.#literals.spec, 0, 0, hitsAt);
      if (kernels.literalHits.value === hitsAt) return false;
    }
    if (this.lines === undefined) return true;
    const walk = this.lines.resume(at, end, this.lines.start);
    return walk.hits !== 0 || this.lines.matchesAtEnd(walk.state);
  }

  /**
   * Lines given up since the last call, because they took too long or are too long for what the
   * pattern needs.
   */
  takeSkippedLines(): number {
    const skipped = (this.#v8?.takeSkippedLines() ?? 0) + this.#skippedLong;
    this.#skippedLong = 0;
    return skipped;
  }

  #compile(coarse: boolean): ByteNfa | undefined {
    const { root, irregular, multiline } = this.pattern;
    return irregular ? undefined : compileBytes(root, { newlines: multiline, coarse });
  }
}

/** Where the scan of a very long line stands. */
export interface LongWalk {
  readonly hits: number;
  readonly state: number;
  /** The line has matched; the rest of it does not matter. */
  readonly skipping: boolean;
}

/** Where the lines of a text start and end, in turn. */
export function linesOf(text: Buffer): readonly number[] {
  const lines: number[] = [];
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf(10, at);
    const end = newline < 0 ? text.length : newline;
    lines.push(at, end);
    at = end + 1;
  }
  return lines;
}

function readPattern(query: SearchQuery): {
  readonly pattern: Pattern;
  readonly note: string | undefined;
} {
  const ignoreCase = !query.caseSensitive;
  if (query.literal) return { pattern: literalPattern(query.pattern, ignoreCase), note: undefined };
  const read = parsePattern(query.pattern, ignoreCase);
  if ('pattern' in read) return { pattern: read.pattern, note: undefined };
  return {
    pattern: literalPattern(query.pattern, ignoreCase),
    note: `The pattern is not a regular expression (${read.problem}), so it was searched as plain text.`,
  };
}
