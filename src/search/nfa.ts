import { without } from './code-points.ts';
import type { Node, Place } from './syntax.ts';
import { utf8Ranges } from './utf8-ranges.ts';

/** What an instruction does. */
export const opByte = 0;
export const opSplit = 1;
export const opAssert = 2;
export const opMatch = 3;

/** Numbers of the assertions, in `a` of an `opAssert`. */
export const placeNumbers: Readonly<Record<Place, number>> = {
  'line-start': 0,
  'line-end': 1,
  word: 2,
  'not-word': 3,
};

/**
 * A pattern as a machine over bytes. Instruction i: `opByte` goes to next[i] on a byte from a[i] to b[i]; `opSplit` goes to a[i], or
 * with less preference to b[i]; `opAssert` goes to next[i] if assertion a[i] holds; `opMatch` ends.
 */
export interface Nfa {
  readonly op: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly next: readonly number[];
  readonly start: number;
}

/** How to compile. */
export interface NfaOptions {
  /** Matches the text read backwards. */
  readonly reversed: boolean;
  /** Whether a newline is a character like any other; else nothing matches it. */
  readonly newlines: boolean;
}

/** More instructions than this are not compiled. A pattern of that size would crawl as an automaton as well. */
const maxInstructions = 40_000;

/** The machine of a regular pattern; undefined if it is too large. */
export function compileNfa(root: Node, options: NfaOptions): Nfa | undefined {
  try {
    const builder = new Builder(options);
    const start = builder.emit(root, builder.add(opMatch, 0, 0, 0));
    return { op: builder.op, a: builder.a, b: builder.b, next: builder.next, start };
  } catch (error) {
    if (error instanceof TooLarge) return undefined;
    throw error;
  }
}

class TooLarge extends Error {}

class Builder {
  readonly op: number[] = [];
  readonly a: number[] = [];
  readonly b: number[] = [];
  readonly next: number[] = [];
  readonly #options: NfaOptions;

  constructor(options: NfaOptions) {
    this.#options = options;
  }

  add(op: number, a: number, b: number, next: number): number {
    if (this.op.length >= maxInstructions) throw new TooLarge();
    this.op.push(op);
    this.a.push(a);
    this.b.push(b);
    this.next.push(next);
    return this.op.length - 1;
  }

  /** Instructions for the node that go on to `next`; returns where they start. */
  emit(node: Node, next: number): number {
    switch (node.kind) {
      case 'set':
        return this.#set(node, next);
      case 'sequence': {
        const parts = this.#options.reversed ? node.parts : node.parts.toReversed();
        let start = next;
        for (const part of parts) start = this.emit(part, start);
        return start;
      }
      case 'choice': {
        const starts = node.options.map((option) => this.emit(option, next));
        return starts.reduceRight((rest, start) => this.add(opSplit, start, rest, 0));
      }
      case 'repeat':
        return this.#repeat(node, next);
      case 'capture':
        return this.emit(node.body, next);
      case 'assert':
        return this.add(opAssert, placeNumbers[this.#seen(node.place)], 0, next);
      case 'look':
      case 'atomic':
      case 'backreference':
        throw new Error(`no automaton for ${node.kind}`);
    }
  }

  /** Backwards, the end of a line comes first. */
  #seen(place: Place): Place {
    if (!this.#options.reversed) return place;
    if (place === 'line-start') return 'line-end';
    return place === 'line-end' ? 'line-start' : place;
  }

  #set(node: Node & { kind: 'set' }, next: number): number {
    const set = this.#options.newlines ? node.set : without(node.set, 10);
    const runs = utf8Ranges(set);
    // No byte is from 1 to 0: the set without members.
    if (runs.length === 0) return this.add(opByte, 1, 0, next);
    const shared = new Map<string, number>();
    const starts = new Set<number>();
    for (const run of runs) {
      let start = next;
      for (const [low, high] of this.#options.reversed ? run : run.toReversed()) {
        const key = `${low},${high},${start}`;
        const known = shared.get(key);
        start = known ?? this.add(opByte, low, high, start);
        if (known === undefined) shared.set(key, start);
      }
      starts.add(start);
    }
    return [...starts].reduceRight((rest, start) => this.add(opSplit, start, rest, 0));
  }

  #repeat(node: Node & { kind: 'repeat' }, next: number): number {
    let start = next;
    if (node.max === Infinity) {
      const loop = this.#split(node.greedy, next, next);
      const body = this.emit(node.body, loop);
      if (node.greedy) this.a[loop] = body;
      else this.b[loop] = body;
      start = loop;
    } else {
      for (let i = node.min; i < node.max; i++) {
        start = this.#split(node.greedy, this.emit(node.body, start), next);
      }
    }
    for (let i = 0; i < node.min; i++) start = this.emit(node.body, start);
    return start;
  }

  #split(greedy: boolean, body: number, after: number): number {
    return greedy ? this.add(opSplit, body, after, 0) : this.add(opSplit, after, body, 0);
  }
}
