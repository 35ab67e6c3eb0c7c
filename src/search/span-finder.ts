import { Determinizer } from './determinizer.ts';
import type { Nfa } from './nfa.ts';

/** Receives a match's bytes [start, end) and the text of the group that was asked for, undefined where it took no part. */
export type TakeOccurrence = (start: number, end: number, value: string | undefined) => void;

/** Cells of one automaton at most; then it is forgotten and built anew. 1 MiB each. */
const maxCells = 262_144;

/**
 * Finds where a pattern matches within a text that is known to hold a match, in linear time. One walk backwards marks every place where
 * some match starts; from the first place behind the last match, one walk forwards finds the end that a backtracking engine would.
 */
export class SpanFinder {
  readonly #backward: LazyTable;
  readonly #forward: LazyTable;

  constructor(forward: Nfa, reversed: Nfa) {
    this.#backward = new LazyTable(
      new Determinizer(reversed, { anchored: false, ordered: false, backwards: true }),
    );
    this.#forward = new LazyTable(
      new Determinizer(forward, { anchored: true, ordered: true, backwards: false }),
    );
  }

  /** The first match in bytes[from, to), a line or more without what surrounds them; undefined if there is none. */
  first(bytes: Uint8Array, from: number, to: number): readonly [number, number] | undefined {
    const starts = this.#starts(bytes, from, to);
    const start = starts.at(-1);
    return start === undefined ? undefined : [start, this.#end(bytes, start, from, to)];
  }

  /**
   * Tells of all matches in the texts bytes[lines[0], lines[1]), bytes[lines[2], lines[3]), ... in order, none of which starts before
   * `startsFrom`. The only group it knows is 0, the whole match; undefined = texts are not asked for.
   */
  each(
    bytes: Uint8Array,
    lines: readonly number[],
    startsFrom: number,
    group: number | undefined,
    take: TakeOccurrence,
  ): void {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let free = startsFrom;
    for (let next = 0; next < lines.length; next += 2) {
      const from = lines[next]!;
      const to = lines[next + 1]!;
      const starts = this.#starts(bytes, from, to);
      for (let i = starts.length - 1; i >= 0; i--) {
        const start = starts[i]!;
        if (start < free) continue;
        const end = this.#end(bytes, start, from, to);
        take(start, end, group === undefined ? undefined : text.toString('utf8', start, end));
        free = end > start ? end : start + 1;
      }
    }
  }

  /** Every place where a match starts, descending. */
  #starts(bytes: Uint8Array, from: number, to: number): number[] {
    const table = this.#backward;
    const starts: number[] = [];
    let state = table.start(10);
    for (let at = to; at >= from; at--) {
      const cell = table.step(state, at > from ? bytes[at - 1]! : 10);
      const continues = at < to && (bytes[at]! & 0xc0) === 0x80;
      if ((cell & 1) === 1 && !continues) starts.push(at);
      state = cell >> 1;
    }
    return starts;
  }

  #end(bytes: Uint8Array, start: number, from: number, to: number): number {
    const table = this.#forward;
    let state = table.start(start > from ? bytes[start - 1]! : 10);
    let end = start;
    for (let at = start; at <= to; at++) {
      const cell = table.step(state, at < to ? bytes[at]! : 10);
      if ((cell & 1) === 1) end = at;
      state = cell >> 1;
      if (state === 0) break;
    }
    return end;
  }
}

/** A determinizer's transitions, remembered. Cells are what `step` gives. */
class LazyTable {
  readonly #states: Determinizer;
  readonly #maxStates: number;
  #cells: Int32Array;

  constructor(states: Determinizer) {
    this.#states = states;
    this.#maxStates = Math.floor(maxCells / states.classCount);
    this.#cells = new Int32Array(64 * states.classCount).fill(-1);
  }

  start(byteBefore: number): number {
    return this.#states.start(byteBefore);
  }

  step(state: number, byte: number): number {
    const states = this.#states;
    const index = state * states.classCount + states.classOf[byte]!;
    const cell = this.#cells[index];
    return cell === undefined || cell < 0 ? this.#compute(state, byte, index) : cell;
  }

  #compute(state: number, byte: number, index: number): number {
    const result = this.#states.step(state, byte);
    if (this.#states.stateCount >= this.#maxStates) {
      const [next] = this.#states.forget([result >> 1]) as [number];
      this.#cells.fill(-1);
      return 2 * next + (result % 2);
    }
    if (index >= this.#cells.length) {
      const wider = new Int32Array(2 * (index + this.#states.classCount)).fill(-1);
      wider.set(this.#cells);
      this.#cells = wider;
    }
    this.#cells[index] = result;
    return result;
  }
}
