import {
  beforeLineBreak,
  deadState,
  notBeforeNewline,
  notInLineBreak,
  opAssert,
  opByte,
  opMatch,
  opSplit,
  placeNumbers,
  type Nfa,
} from './nfa.ts';

/** What a byte is to an assertion beside it. */
const other = 0;
const newline = 1;
const word = 2;
/** A byte of a character beyond ASCII, which may or may not be of a word. */
const wide = 3;
const carriageReturn = 4;
const kinds = [other, newline, word, wide, carriageReturn];

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
 * Turns an {@link Nfa} over bytes into a deterministic machine that finds matches anywhere, one
 * transition at a time. A match is noticed one byte late, when the byte after it is known, so that
 * `$` and `\b` can look at it. States are numbered from 0, the dead one; their number is the
 * caller's to limit, by {@link Determinizer.forget}.
 */
export class Determinizer {
  /** Bytes that no instruction tells apart share a class. */
  readonly classOf = new Uint8Array(256);
  readonly classCount: number;
  readonly #nfa: Nfa;
  readonly #kindOf = new Uint8Array(256);
  readonly #mark: Uint32Array;
  readonly #restarts: boolean;
  #generation = 0;
  #subsets: Subset[] = [];
  #numbers = new Map<string, number>();

  constructor(nfa: Nfa) {
    this.#nfa = nfa;
    this.#mark = new Uint32Array(nfa.op.length);
    const asks = new Set(nfa.a.filter((_, i) => nfa.op[i] === opAssert));
    const asksForWords = asks.has(placeNumbers.word) || asks.has(placeNumbers['not-word']);
    if (asksForWords) {
      for (let byte = 0; byte < 128; byte++) {
        if (/\w/.test(String.fromCharCode(byte))) this.#kindOf[byte] = word;
      }
      this.#kindOf.fill(wide, 0x80);
    }
    const asksForNewlines = [...asks].some(
      (place) => place !== placeNumbers.word && place !== placeNumbers['not-word'],
    );
    if (asksForNewlines) this.#kindOf[10] = newline;
    if (asks.has(beforeLineBreak) || asks.has(notInLineBreak)) this.#kindOf[13] = carriageReturn;
    this.classCount = this.#findClasses();
    this.#clear();
    this.#restarts = kinds.some((before) => before !== newline && this.#canStart(before));
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
    const restart = this.#restarts || byte === 10;
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
    return kinds.some((after) => {
      const closure = this.#closure(subset, after);
      return closure.matches || closure.bytes.length > 0;
    });
  }

  #intern(targets: number[], before: number): number {
    targets.sort((a, b) => a - b);
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
      else if (op === opMatch) matches = true;
      else if (holds(nfa.a[i]!, subset.before, after)) stack.push(nfa.next[i]!);
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

/**
 * Whether an assertion holds between two kinds of bytes. Beside a character beyond ASCII a word may
 * begin, end or go on.
 */
function holds(place: number, before: number, after: number): boolean {
  switch (place) {
    case placeNumbers['line-start']:
      return before === newline;
    case placeNumbers['line-end']:
      return after === newline;
    case notBeforeNewline:
      return after !== newline;
    case beforeLineBreak:
      return after === newline || after === carriageReturn;
    case notInLineBreak:
      return before !== carriageReturn || after !== newline;
    default:
      if (before === wide || after === wide) return true;
      return ((before === word) !== (after === word)) === (place === placeNumbers.word);
  }
}
