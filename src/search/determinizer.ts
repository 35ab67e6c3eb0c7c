import { opByte, opMatch, opSplit, type Nfa } from './nfa.ts';

/** What a byte is to an assertion beside it. */
const other = 0;
const newline = 1;
const word = 2;
/** A continuation byte: in front of it is no place in a text, however little a word it is. */
const inside = 3;

/** The dead state: nothing can match from it. */
export const deadState = 0;

/** How the subsets are built. */
export interface DeterminizerOptions {
  /** Matches start only where the walk starts; else anywhere. */
  readonly anchored: boolean;
  /** Keeps the order of preference and forgets what is less preferred than a match: finds the end that a backtracking engine finds. */
  readonly ordered: boolean;
  /** The bytes are given from the last to the first. */
  readonly backwards: boolean;
}

/** One subset: instructions to go on from, before their splits and assertions are followed. */
interface Subset {
  readonly targets: readonly number[];
  /** What the byte before was. */
  readonly before: number;
  /** By what the next byte is: the byte instructions that are reached, and whether a match is. */
  readonly closures: (Closure | undefined)[];
}

interface Closure {
  readonly bytes: readonly number[];
  readonly matches: boolean;
}

/**
 * Turns an {@link Nfa} into a deterministic machine, one transition at a time. A match is noticed one byte late, when the byte after
 * it is known, so that `$` and `\b` can look at it. States are numbered from 0, the dead one; their number is the caller's to limit, by
 * {@link Determinizer.forget}.
 */
export class Determinizer {
  /** Bytes that no instruction tells apart share a class. */
  readonly classOf = new Uint8Array(256);
  readonly classCount: number;
  readonly #nfa: Nfa;
  readonly #options: DeterminizerOptions;
  readonly #kindOf = new Uint8Array(256);
  readonly #mark: Uint32Array;
  readonly #restarts: boolean;
  #generation = 0;
  #subsets: Subset[] = [];
  #numbers = new Map<string, number>();

  constructor(nfa: Nfa, options: DeterminizerOptions) {
    this.#nfa = nfa;
    this.#options = options;
    this.#mark = new Uint32Array(nfa.op.length);
    const asks = new Set(nfa.a.filter((_, i) => nfa.op[i] === 2));
    if (asks.has(0) || asks.has(1)) this.#kindOf[10] = newline;
    if (asks.has(2) || asks.has(3)) {
      for (let byte = 0; byte < 128; byte++) {
        if (/\w/.test(String.fromCharCode(byte))) this.#kindOf[byte] = word;
      }
    }
    if (asks.has(3) && !options.backwards) this.#kindOf.fill(inside, 0x80, 0xc0);
    this.classCount = this.#findClasses();
    this.#clear();
    this.#restarts = [other, word].some((before) => this.#canStart(before));
  }

  /** Number of states so far. */
  get stateCount(): number {
    return this.#subsets.length;
  }

  /** The state before the first byte, given the byte in front of it (10 at the start of a line). */
  start(byteBefore: number): number {
    return this.#intern([this.#nfa.start], this.#kindOf[byteBefore]!);
  }

  /** Twice the state after `byte`, plus one if a match ends just before that byte. */
  step(state: number, byte: number): number {
    const nfa = this.#nfa;
    const closure = this.#closure(this.#subsets[state]!, this.#kindOf[byte]!);
    const generation = ++this.#generation;
    const targets: number[] = [];
    for (const i of closure.bytes) {
      if (byte < nfa.a[i]! || byte > nfa.b[i]! || this.#mark[nfa.next[i]!] === generation) continue;
      this.#mark[nfa.next[i]!] = generation;
      targets.push(nfa.next[i]!);
    }
    const cut = this.#options.ordered && closure.matches;
    const restart = !this.#options.anchored && !cut && (this.#restarts || byte === 10);
    if (restart && this.#mark[nfa.start] !== generation) targets.push(nfa.start);
    const next = targets.length === 0 ? deadState : this.#intern(targets, this.#kindOf[byte]!);
    return 2 * next + (closure.matches ? 1 : 0);
  }

  /** Forgets all states but these; returns their new numbers. */
  forget(kept: readonly number[]): readonly number[] {
    const subsets = kept.map((state) => this.#subsets[state]!);
    this.#clear();
    return subsets.map(({ targets, before }) =>
      targets.length === 0 ? deadState : this.#intern([...targets], before),
    );
  }

  #clear(): void {
    this.#subsets = [{ targets: [], before: other, closures: [] }];
    this.#numbers = new Map();
  }

  #canStart(before: number): boolean {
    const subset: Subset = { targets: [this.#nfa.start], before, closures: [] };
    return [other, newline, word].some((after) => {
      const closure = this.#closure(subset, after);
      return closure.matches || closure.bytes.length > 0;
    });
  }

  #intern(targets: number[], before: number): number {
    if (!this.#options.ordered) targets.sort((a, b) => a - b);
    const key = `${before}:${targets.join(',')}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#subsets.push({ targets, before, closures: [] }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  #closure(subset: Subset, after: number): Closure {
    const known = subset.closures[after];
    if (known !== undefined) return known;
    const nfa = this.#nfa;
    const generation = ++this.#generation;
    const bytes: number[] = [];
    const stack = subset.targets.toReversed();
    let matches = false;
    while (stack.length > 0) {
      const i = stack.pop()!;
      if (this.#mark[i] === generation) continue;
      this.#mark[i] = generation;
      const op = nfa.op[i]!;
      if (op === opByte) bytes.push(i);
      else if (op === opSplit) stack.push(nfa.b[i]!, nfa.a[i]!);
      else if (op === opMatch) {
        matches = true;
        if (this.#options.ordered) break;
      } else if (holds(nfa.a[i]!, subset.before, after)) stack.push(nfa.next[i]!);
    }
    const closure = { bytes, matches };
    subset.closures[after] = closure;
    return closure;
  }

  #findClasses(): number {
    const borders = new Set([0, 10, 11]);
    for (const [i, op] of this.#nfa.op.entries()) {
      if (op === opByte) borders.add(this.#nfa.a[i]!).add(this.#nfa.b[i]! + 1);
    }
    let number = -1;
    for (let byte = 0; byte < 256; byte++) {
      const kindChanges = byte > 0 && this.#kindOf[byte] !== this.#kindOf[byte - 1];
      if (borders.has(byte) || kindChanges) number++;
      this.classOf[byte] = number;
    }
    return number + 1;
  }
}

/** Whether an assertion holds between two kinds of bytes. */
function holds(place: number, before: number, after: number): boolean {
  if (place === 0) return before === newline;
  if (place === 1) return after === newline;
  return after !== inside && ((before === word) !== (after === word)) === (place === 2);
}
