import { namesReturn } from './char-alphabet.ts';
import { contains, without, type CodePointSet } from '../pattern/code-points.ts';
import type { Node, Place } from '../pattern/syntax.ts';
import { utf8Ranges, type ByteRanges } from './utf8-ranges.ts';

/** An instruction that takes a byte of a range. */
export const opByte = 0;
/** Goes on at several instructions, the preferred one first. */
export const opSplit = 1;
/** Goes on where an assertion holds. */
export const opAssert = 2;
/** The end of a match. */
export const opMatch = 3;
/** Takes a character of a set. */
export const opSet = 4;
/** Notes a place of the text, takes nothing. */
export const opTag = 5;

/** The state from which nothing can match, in every machine that is made deterministic. */
export const deadState = 0;

/** Numbers of the assertions, in `a` of an `opAssert`. */
export const placeNumbers: Readonly<Record<Place, number>> = {
  'line-start': 0,
  'line-end': 1,
  word: 2,
  'not-word': 3,
};
/** An assertion that only a machine over bytes has: no newline comes next. */
export const notBeforeNewline = 4;
/** Likewise: a newline or a carriage return comes next. */
export const beforeLineBreak = 5;
/** Likewise: not between a carriage return and its newline. */
export const notInLineBreak = 6;

/** Groups whose places one machine notes at most: a set of tags is a number of 30 bits. */
export const maxTaggedGroups = 15;

/** What notes that the `index`-th of the groups asked for begins. Sets of tags are added up. */
function groupStartTag(index: number): number {
  return 1 << (2 * index);
}

/** The same, that it ends. */
function groupEndTag(index: number): number {
  return 2 << (2 * index);
}

/**
 * A pattern as a machine. Instruction i: `opByte` goes to next[i] on a byte from a[i] to b[i];
 * `opSet` on a character of set a[i]; `opSplit` goes to a[i], or with less preference to b[i];
 * `opAssert` goes to next[i] if assertion a[i] holds; `opTag` notes that a group that is asked
 * for begins or ends; `opMatch` ends.
 */
export interface Nfa {
  readonly op: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly next: readonly number[];
  readonly start: number;
}

/** A machine over the bytes of UTF-8. */
export interface ByteNfa {
  readonly nfa: Nfa;
  /**
   * Whether lines with characters beyond ASCII may be let pass that do not match: a machine over
   * bytes does not see whether such a character belongs to a word, and large sets of them may be
   * too much for it. Never the other way round.
   */
  readonly approximate: boolean;
}

/**
 * More instructions than this are not compiled. A pattern of that size would crawl as an automaton
 * as well.
 */
const maxInstructions = 40_000;
/** Sets are spelled out to the last character as long as the machine stays below this. */
const maxExactInstructions = 16_000;
/**
 * Sets of more ranges than this are not: all of Unicode's letters make the machine large, and most
 * text has only ASCII.
 */
const maxExactRanges = 120;

/**
 * The machine over bytes of a regular pattern; undefined if it is too large. `newlines` says
 * whether a newline is a character like any other; else nothing matches it. `coarse` asks for one
 * that is small and approximate.
 */
export function compileBytes(
  root: Node,
  options: { readonly newlines: boolean; readonly coarse: boolean },
): ByteNfa | undefined {
  const exact = options.coarse
    ? undefined
    : build(root, new ByteBuilder(options.newlines, false, maxExactInstructions));
  return exact ?? build(root, new ByteBuilder(options.newlines, true, maxInstructions));
}

function build(root: Node, builder: ByteBuilder): ByteNfa | undefined {
  const nfa = builder.build(root);
  return nfa && { nfa, approximate: builder.approximate };
}

/** How a machine over characters is made. */
interface CharNfaOptions {
  /** Matches the text read backwards. */
  readonly reversed: boolean;
  /** The capture groups whose places are noted, at most {@link maxTaggedGroups}. */
  readonly groups?: readonly number[];
  /** Gives each set a number, the same to equal ones. */
  numberOf(set: CodePointSet): number;
}

/** The machine over characters of a regular pattern; undefined if it is too large. */
export function compileChars(root: Node, options: CharNfaOptions): Nfa | undefined {
  return new CharBuilder(options).build(root);
}

class TooLarge extends Error {}

abstract class Builder {
  readonly #op: number[] = [];
  readonly #a: number[] = [];
  readonly #b: number[] = [];
  readonly #next: number[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  build(root: Node): Nfa | undefined {
    try {
      const start = this.emit(root, this.add(opMatch, 0, 0, 0));
      this.finish();
      return { op: this.#op, a: this.#a, b: this.#b, next: this.#next, start };
    } catch (error) {
      if (error instanceof TooLarge) return undefined;
      throw error;
    }
  }

  /** After all of the pattern has its instructions. */
  protected finish(): void {
    // Most machines are whole then.
  }

  /** Puts a split in the place of an instruction, which goes on elsewhere, and `others`. */
  protected branch(at: number, others: readonly number[]): void {
    const moved = this.add(this.#op[at]!, this.#a[at]!, this.#b[at]!, this.#next[at]!);
    this.#op[at] = opSplit;
    this.#a[at] = moved;
    this.#b[at] = this.any(others);
  }

  /**
   * The assertions on each way from an instruction to a match that takes no byte; at most
   * `maxWays`.
   */
  protected emptyWays(from: number, maxWays: number): readonly (readonly number[])[] {
    const ways = new Map<string, readonly number[]>();
    const walk = (at: number, places: readonly number[], seen: ReadonlySet<number>): void => {
      if (seen.has(at) || ways.size >= maxWays) return;
      const op = this.#op[at];
      const now = new Set(seen).add(at);
      if (op === opMatch) ways.set([...new Set(places)].sort((a, b) => a - b).join(), places);
      else if (op === opAssert) walk(this.#next[at]!, [...places, this.#a[at]!], now);
      else if (op === opSplit) {
        walk(this.#a[at]!, places, now);
        walk(this.#b[at]!, places, now);
      }
    };
    walk(from, [], new Set());
    return [...ways.values()];
  }

  protected abstract set(set: CodePointSet, next: number): number;
  protected abstract assert(place: Place, next: number): number;

  protected capture(node: Node & { kind: 'capture' }, next: number): number {
    return this.emit(node.body, next);
  }

  /** Parts from the one that is met last. */
  protected inOrder(parts: readonly Node[]): readonly Node[] {
    return parts.toReversed();
  }

  protected add(op: number, a: number, b: number, next: number): number {
    if (this.#op.length >= this.#limit) throw new TooLarge();
    this.#op.push(op);
    this.#a.push(a);
    this.#b.push(b);
    this.#next.push(next);
    return this.#op.length - 1;
  }

  /** One of several starts, the earlier preferred. */
  protected any(starts: readonly number[]): number {
    // No byte is from 1 to 0: what has no way on.
    if (starts.length === 0) return this.add(opByte, 1, 0, 0);
    return starts.reduceRight((rest, start) => this.add(opSplit, start, rest, 0));
  }

  /** A split that may come back to where it is. `body` is made when the split has its number. */
  protected loop(greedy: boolean, after: number, body: (loop: number) => number): number {
    const loop = this.add(opSplit, after, after, 0);
    const start = body(loop);
    if (greedy) this.#a[loop] = start;
    else this.#b[loop] = start;
    return loop;
  }

  /** Instructions for the node that go on to `next`; returns where they start. */
  protected emit(node: Node, next: number): number {
    switch (node.kind) {
      case 'set':
        return this.set(node.set, next);
      case 'sequence': {
        let start = next;
        for (const part of this.inOrder(node.parts)) start = this.emit(part, start);
        return start;
      }
      case 'choice':
        return this.any(node.options.map((option) => this.emit(option, next)));
      case 'repeat':
        return this.#repeat(node, next);
      case 'capture':
        return this.capture(node, next);
      case 'assert':
        return this.assert(node.place, next);
      case 'look':
      case 'atomic':
      case 'backreference':
        throw new Error(`no automaton for ${node.kind}`);
    }
  }

  #repeat(node: Node & { kind: 'repeat' }, next: number): number {
    let start = next;
    if (node.max === Infinity) {
      start = this.loop(node.greedy, next, (loop) => this.emit(node.body, loop));
    } else {
      for (let i = node.min; i < node.max; i++) {
        const body = this.emit(node.body, start);
        start = this.any(node.greedy ? [body, next] : [next, body]);
      }
    }
    for (let i = 0; i < node.min; i++) start = this.emit(node.body, start);
    return start;
  }
}

class CharBuilder extends Builder {
  readonly #options: CharNfaOptions;

  constructor(options: CharNfaOptions) {
    super(maxInstructions);
    this.#options = options;
  }

  protected override set(set: CodePointSet, next: number): number {
    return this.add(opSet, this.#options.numberOf(set), 0, next);
  }

  protected override assert(place: Place, next: number): number {
    return this.add(opAssert, placeNumbers[place], 0, next);
  }

  protected override inOrder(parts: readonly Node[]): readonly Node[] {
    return this.#options.reversed ? parts : parts.toReversed();
  }

  protected override capture(node: Node & { kind: 'capture' }, next: number): number {
    const index = this.#options.groups?.indexOf(node.index) ?? -1;
    if (index < 0) return this.emit(node.body, next);
    const end = this.add(opTag, groupEndTag(index), 0, next);
    return this.add(opTag, groupStartTag(index), 0, this.emit(node.body, end));
  }
}

/** Ways behind a line's end that are told apart. More need dozens of `$` and `\b` in one place. */
const maxEmptyWays = 64;

class ByteBuilder extends Builder {
  approximate = false;
  /** Where the return of a line's end is walked over, and what comes after the end. */
  readonly #returns: { readonly walked: number; readonly next: number }[] = [];
  readonly #newlines: boolean;
  readonly #coarse: boolean;

  constructor(newlines: boolean, coarse: boolean, limit: number) {
    super(limit);
    this.#newlines = newlines;
    this.#coarse = coarse;
  }

  protected override assert(place: Place, next: number): number {
    const at = (number: number): number => this.add(opAssert, number, 0, next);
    if (place === 'line-start') {
      // Behind a byte order mark, too.
      const marked = [0xbf, 0xbb, 0xef].reduce(
        (rest, byte) => this.add(opByte, byte, byte, rest),
        next,
      );
      return this.any([at(0), this.add(opAssert, placeNumbers['line-start'], 0, marked)]);
    }
    if (place === 'line-end') {
      if (this.#newlines) return at(beforeLineBreak);
      // The return of a line's end is walked over; nothing else comes behind it.
      const walked = this.add(opByte, 13, 13, at(1));
      this.#returns.push({ walked, next });
      return this.any([at(1), walked]);
    }
    this.approximate = true;
    const border = at(placeNumbers[place]);
    return this.#newlines ? border : this.add(opAssert, notInLineBreak, 0, border);
  }

  /**
   * What else is asked at a line's end (`$\b`) is asked in front of the return, before that is
   * walked over: behind it, it would be asked within the line break.
   */
  protected override finish(): void {
    const lineEnd = placeNumbers['line-end'];
    for (const { walked, next } of this.#returns) {
      const ways = this.emptyWays(next, maxEmptyWays)
        .map((places) => places.filter((place) => place !== lineEnd))
        .filter((places) => places.length > 0);
      if (ways.length === 0) continue;
      const end = this.add(opAssert, lineEnd, 0, this.add(opMatch, 0, 0, 0));
      const starts = ways.map((places) =>
        places.reduceRight(
          (rest, place) => this.add(opAssert, place, 0, rest),
          this.add(opByte, 13, 13, end),
        ),
      );
      this.branch(walked, starts);
    }
  }

  protected override set(given: CodePointSet, next: number): number {
    const set = this.#newlines ? given : without(given, 10);
    const sparesReturn = !this.#newlines && contains(set, 13) && !namesReturn(set);
    const rest = sparesReturn ? without(set, 13) : set;
    const isCoarse = this.#coarse || rest.length > 2 * maxExactRanges;
    const starts = isCoarse ? this.#coarseSet(rest, next) : [this.#exactSet(rest, next)];
    if (sparesReturn) {
      const inside = this.add(opAssert, notBeforeNewline, 0, next);
      starts.push(this.add(opByte, 13, 13, inside));
    }
    return this.any(starts);
  }

  #exactSet(set: CodePointSet, next: number): number {
    const known = new Map<string, number>();
    return this.#trie(utf8Ranges(set), 0, next, known);
  }

  /**
   * What is left of some runs from a byte on: runs that begin alike share their beginning, those
   * that end alike their end.
   */
  #trie(
    runs: readonly ByteRanges[],
    depth: number,
    next: number,
    known: Map<string, number>,
  ): number {
    const steps: string[] = [];
    const parts: (readonly [low: number, high: number, then: number])[] = [];
    for (let i = 0; i < runs.length;) {
      const [low, high] = runs[i]![depth]!;
      let end = i + 1;
      while (end < runs.length && runs[end]![depth]![0] === low && runs[end]![depth]![1] === high)
        end++;
      const isLast = runs[i]!.length === depth + 1;
      const then = isLast ? next : this.#trie(runs.slice(i, end), depth + 1, next, known);
      parts.push([low, high, then]);
      steps.push(`${low}-${high}>${then}`);
      i = end;
    }
    const key = steps.join(' ');
    const same = known.get(key);
    if (same !== undefined) return same;
    const start = this.any(parts.map(([low, high, then]) => this.add(opByte, low, high, then)));
    known.set(key, start);
    return start;
  }

  /** ASCII as it is; if anything lies beyond, everything does. */
  #coarseSet(set: CodePointSet, next: number): number[] {
    const starts: number[] = [];
    for (let i = 0; i < set.length && set[i]! < 128; i += 2) {
      starts.push(this.add(opByte, set[i]!, Math.min(set[i + 1]!, 127), next));
    }
    if ((set.at(-1) ?? 0) > 127) {
      this.approximate = true;
      const rest = this.loop(true, next, (loop) => this.add(opByte, 0x80, 0xbf, loop));
      starts.push(this.add(opByte, 0xc2, 0xf4, rest));
    }
    return starts;
  }
}
