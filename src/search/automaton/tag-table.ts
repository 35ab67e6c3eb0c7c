import type { CharAlphabet } from './char-alphabet.ts';
import { holds } from './char-table.ts';
import { flagSets } from './char-text.ts';
import { StateLoops } from './state-loops.ts';
import { opMatch, opSet, opSplit, opTag, type Nfa } from './nfa.ts';

/** Transitions of one table at most; then it is forgotten and built anew. */
const maxTransitions = 50_000;

/** One step of all threads. */
export interface TagStep {
  /** State behind the character; 0 when no thread is left. */
  readonly next: number;
  /**
   * For each thread of that state: the thread before that it comes from, and the tags it has met.
   * Absent = all as they were.
   */
  readonly moves: readonly (readonly [from: number, tags: number])[] | undefined;
  /** The thread that has matched at the place in front of the character, and its tags. */
  readonly match: readonly [from: number, tags: number] | undefined;
}

/** A thread while splits and assertions are followed. */
type Thread = readonly [pc: number, from: number, tags: number];

/**
 * A machine over characters that notes where a capture group begins and ends, made deterministic: a
 * state is its threads in the order of preference, and a transition says which thread goes on as
 * which (Laurikari's tagged automata, built as they are needed). A walk of it is linear, whatever
 * the pattern.
 */
export class TagTable {
  readonly #nfa: Nfa;
  readonly #alphabet: CharAlphabet;
  /** Where all threads stay as they are; what holds there must be nothing. */
  readonly loops: StateLoops;
  /** Of states with loops, the match at a place where nothing holds. */
  #matches: TagStep['match'][] = [];
  #start = -1;
  #steps: TagStep[] = [];
  /** One more than the number of the step, by state, flags and class. */
  #cells = new Int32Array(1_024);
  #states: (readonly number[])[] = [[]];
  #numbers = new Map<string, number>([['', 0]]);

  constructor(nfa: Nfa, alphabet: CharAlphabet) {
    this.#nfa = nfa;
    this.#alphabet = alphabet;
    this.loops = new StateLoops(alphabet);
  }

  /** The state of a walk that begins: one thread. */
  start(): number {
    if (this.#start < 0) this.#start = this.#intern([this.#nfa.start]);
    return this.#start;
  }

  /** What matches at each place within a run of a state's loops. */
  matchWithin(state: number): TagStep['match'] {
    return this.#matches[state];
  }

  /** What a state becomes with a character, at a place where `flags` hold. */
  step(state: number, flags: number, charClass: number): TagStep {
    const key = (state * flagSets + flags) * this.#alphabet.classCount + charClass;
    const known = key < this.#cells.length ? this.#cells[key]! : 0;
    if (known > 0) return this.#steps[known - 1]!;
    const threads = this.#states[state]!;
    if (this.#steps.length >= maxTransitions) {
      this.#steps = [];
      this.#cells.fill(0);
      this.#states = [[]];
      this.#numbers = new Map([['', 0]]);
      this.#matches = [];
      this.loops.forget();
      this.#start = -1;
      return this.#compute(threads, flags, charClass);
    }
    const step = this.#compute(threads, flags, charClass);
    if (key >= this.#cells.length) {
      const wider = new Int32Array(2 * key + 1_024);
      wider.set(this.#cells);
      this.#cells = wider;
    }
    this.#cells[key] = this.#steps.push(step);
    if (step.next === state && step.moves === undefined && flags === 0) {
      this.#matches[state] = step.match;
      this.loops.add(state, charClass);
    }
    return step;
  }

  #compute(threads: readonly number[], flags: number, charClass: number): TagStep {
    const nfa = this.#nfa;
    const { reached, match } = this.#closure(threads, flags);
    const targets: number[] = [];
    const moves: (readonly [number, number])[] = [];
    for (const [pc, from, tags] of reached) {
      const next = nfa.next[pc]!;
      if (!this.#alphabet.has(nfa.a[pc]!, charClass) || targets.includes(next)) continue;
      targets.push(next);
      moves.push([from, tags]);
    }
    const isSame =
      moves.length === threads.length && moves.every(([from, tags], i) => from === i && tags === 0);
    return { next: this.#intern(targets), moves: isSame ? undefined : moves, match };
  }

  #closure(
    threads: readonly number[],
    flags: number,
  ): { readonly reached: readonly Thread[]; readonly match: TagStep['match'] } {
    const nfa = this.#nfa;
    const reached: Thread[] = [];
    const seen = new Set<number>();
    const stack: Thread[] = threads.map((pc, from): Thread => [pc, from, 0]).reverse();
    while (stack.length > 0) {
      const [pc, from, tags] = stack.pop()!;
      if (seen.has(pc)) continue;
      seen.add(pc);
      const op = nfa.op[pc]!;
      if (op === opMatch) return { reached, match: [from, tags] };
      if (op === opSet) reached.push([pc, from, tags]);
      else if (op === opSplit) stack.push([nfa.b[pc]!, from, tags], [nfa.a[pc]!, from, tags]);
      else if (op === opTag) stack.push([nfa.next[pc]!, from, tags | nfa.a[pc]!]);
      else if (holds(nfa.a[pc]!, flags)) stack.push([nfa.next[pc]!, from, tags]);
    }
    return { reached, match: undefined };
  }

  #intern(targets: readonly number[]): number {
    const key = targets.join(',');
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#states.push(targets) - 1;
    this.#numbers.set(key, number);
    return number;
  }
}
