import type { CharAlphabet } from './char-alphabet.ts';
import {
  flagSets,
  holdsNoBorder,
  lineEndFlag,
  lineStartFlag,
  wordBorderFlag,
} from './char-text.ts';
import { StateLoops } from './state-loops.ts';
import { deadState, opMatch, opSet, opSplit, opTag, placeNumbers, type Nfa } from './nfa.ts';

/** Cells of one table at most; then it is forgotten and built anew. 1 MiB. */
const maxCells = 262_144;

/** How states are made. */
interface CharTableOptions {
  /** Matches start only where the walk starts; else anywhere. */
  readonly anchored: boolean;
  /**
   * Keeps the order of preference and forgets what is less preferred than a match: finds the end
   * that a backtracking engine finds.
   */
  readonly ordered: boolean;
}

/**
 * A machine over characters made deterministic, one transition at a time. A match is told with the
 * character behind it.
 */
export class CharTable {
  readonly #nfa: Nfa;
  readonly #alphabet: CharAlphabet;
  readonly #options: CharTableOptions;
  /**
   * Where the walk stays; what holds at the places between must be nothing. A walk that may start
   * anywhere wants to know of each match, so it has none of them where a match ends.
   */
  readonly loops: StateLoops;
  /** By state, 1 where a match ends at each place within a run of loops. */
  #matchedLoops = new Uint8Array(16);
  readonly #width: number;
  readonly #maxStates: number;
  #start = -1;
  #cells: Int32Array;
  #states: (readonly number[])[] = [[]];
  #numbers = new Map<string, number>([['', deadState]]);

  constructor(nfa: Nfa, alphabet: CharAlphabet, options: CharTableOptions) {
    this.#nfa = nfa;
    this.#alphabet = alphabet;
    this.#options = options;
    this.loops = new StateLoops(alphabet);
    this.#width = flagSets * alphabet.classCount;
    this.#maxStates = Math.max(16, Math.floor(maxCells / this.#width));
    this.#cells = new Int32Array(16 * this.#width).fill(-1);
  }

  /** The state of a walk that begins. */
  start(): number {
    if (this.#start < 0) this.#start = this.#intern([this.#nfa.start]);
    return this.#start;
  }

  /**
   * Twice the state behind a character, plus one if a match ends at the place in front of it, where
   * `flags` hold.
   */
  step(state: number, flags: number, charClass: number): number {
    const index = state * this.#width + flags * this.#alphabet.classCount + charClass;
    const cell = this.#cells[index];
    return cell === undefined || cell < 0 ? this.#compute(state, flags, charClass, index) : cell;
  }

  #compute(state: number, flags: number, charClass: number, index: number): number {
    const nfa = this.#nfa;
    const { reached, matches } = closureOf(nfa, this.#states[state]!, flags, this.#options.ordered);
    const targets = new Set<number>();
    for (const i of reached) {
      if (this.#alphabet.has(nfa.a[i]!, charClass)) targets.add(nfa.next[i]!);
    }
    const isOver = this.#options.ordered && matches;
    if (!this.#options.anchored && !isOver && charClass !== this.#alphabet.textEnd) {
      targets.add(nfa.start);
    }
    const list = [...targets];
    if (!this.#options.ordered) list.sort((a, b) => a - b);
    const matched = matches ? 1 : 0;
    if (this.#states.length >= this.#maxStates && !this.#numbers.has(list.join(','))) {
      this.#forget();
      return 2 * this.#intern(list) + matched;
    }
    const cell = 2 * this.#intern(list) + matched;
    if (index >= this.#cells.length) {
      const wider = new Int32Array(2 * (index + this.#width)).fill(-1);
      wider.set(this.#cells);
      this.#cells = wider;
    }
    this.#cells[index] = cell;
    if (cell >> 1 === state && flags === 0 && (matched === 0 || this.#options.anchored)) {
      this.loops.add(state, charClass);
      if (matched === 1) this.#noteMatched(state);
    }
    return cell;
  }

  /** Whether a match ends at each place within a run of a state's loops. */
  matchesWithin(state: number): boolean {
    return this.#matchedLoops[state] === 1;
  }

  #noteMatched(state: number): void {
    if (state >= this.#matchedLoops.length) {
      const wider = new Uint8Array(2 * state);
      wider.set(this.#matchedLoops);
      this.#matchedLoops = wider;
    }
    this.#matchedLoops[state] = 1;
  }

  #forget(): void {
    this.#states = [[]];
    this.#numbers = new Map([['', deadState]]);
    this.#cells.fill(-1);
    this.loops.forget();
    this.#matchedLoops.fill(0);
    this.#start = -1;
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

/**
 * Character instructions that are reached from some others where `flags` hold, the preferred ones
 * first, and whether a match is.
 */
function closureOf(
  nfa: Nfa,
  from: readonly number[],
  flags: number,
  ordered: boolean,
): { readonly reached: readonly number[]; readonly matches: boolean } {
  const reached: number[] = [];
  const seen = new Set<number>();
  const stack = from.toReversed();
  let matches = false;
  while (stack.length > 0) {
    const i = stack.pop()!;
    if (seen.has(i)) continue;
    seen.add(i);
    const op = nfa.op[i]!;
    if (op === opSet) reached.push(i);
    else if (op === opSplit) stack.push(nfa.b[i]!, nfa.a[i]!);
    else if (op === opMatch) {
      matches = true;
      if (ordered) break;
    } else if (op === opTag || holds(nfa.a[i]!, flags)) stack.push(nfa.next[i]!);
  }
  return { reached, matches };
}

/** Whether a machine matches nothing but what begins at a line's start. */
export function startsAtLines(nfa: Nfa): boolean {
  for (let flags = 0; flags < flagSets; flags++) {
    if ((flags & lineStartFlag) !== 0) continue;
    const { reached, matches } = closureOf(nfa, [nfa.start], flags, false);
    if (matches || reached.length > 0) return false;
  }
  return true;
}

/** Whether an assertion holds at a place. */
export function holds(place: number, flags: number): boolean {
  if (place === placeNumbers['line-start']) return (flags & lineStartFlag) !== 0;
  if (place === placeNumbers['line-end']) return (flags & lineEndFlag) !== 0;
  if (place === placeNumbers.word) return (flags & wordBorderFlag) !== 0;
  return holdsNoBorder(flags);
}
