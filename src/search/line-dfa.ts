import type { Kernels } from '../kernels/kernels.ts';
import { deadState, Determinizer } from './determinizer.ts';
import type { Nfa } from './nfa.ts';
import type { ProgramSlot, ScanMemory } from './scan-memory.ts';

const unknownCell = -1;
const matchCell = -2;
const deadCell = -3;

/** Two streams pay off from this many bytes on. */
const minTwoStreamBytes = 512;

/**
 * Finds the lines that match: a lazily built deterministic automaton whose table lies in the kernels' memory. The table has a fixed
 * size; when it is full it is cleared and built anew from where the walk stands.
 */
export class LineDfa {
  /** Transitions that were computed, and how often the table was cleared: a measure of work, and of state explosion. */
  computed = 0;
  cleared = 0;
  /** Lines that the last scan for literals had to confirm. */
  candidates = 0;
  readonly #memory: ScanMemory;
  readonly #slot: ProgramSlot;
  readonly #kernels: Kernels;
  readonly #states: Determinizer;
  readonly #cells: Int32Array;
  readonly #hits: Uint32Array;
  readonly #rowBytes: number;
  readonly #maxStates: number;
  readonly #shouldStop: () => boolean;
  #start = 0;
  /** Rows of the table that are in use. */
  #rows = 0;

  constructor(nfa: Nfa, memory: ScanMemory, slot: ProgramSlot, shouldStop: () => boolean) {
    this.#memory = memory;
    this.#slot = slot;
    this.#kernels = memory.kernels;
    this.#states = new Determinizer(nfa, { anchored: false, ordered: false });
    this.#shouldStop = shouldStop;
    this.#rowBytes = this.#states.classCount * 4;
    this.#maxStates = Math.floor(slot.tableBytes / this.#rowBytes);
    this.#cells = new Int32Array(memory.kernels.memory.buffer, slot.tableAt, slot.tableBytes / 4);
    this.#hits = new Uint32Array(memory.kernels.memory.buffer, memory.hitsAt);
    const classes = new Uint16Array(memory.kernels.memory.buffer, slot.classesAt, 256);
    for (let byte = 0; byte < 256; byte++) classes[byte] = this.#states.classOf[byte]! * 4;
    this.#begin();
  }

  /** The state at the start of a line. */
  get start(): number {
    return this.#start;
  }

  /**
   * Scans whole lines in [at, end); the addresses of hits go to `memory.hitsAt`, ascending. Returns how many there are, or -1 if it was
   * told to stop.
   */
  scan(at: number, end: number): number {
    const middle =
      end - at < minTwoStreamBytes ? at : this.#kernels.lineStartBefore(at, at + ((end - at) >> 1));
    return middle === at ? this.#scanOne(at, end) : this.#scanTwo(at, middle, end);
  }

  /**
   * Scans [at, end), which may end in the middle of a line, from `state`. The hits' addresses go to `memory.hitsAt`. Gives back their
   * number, the state at the end, and whether the rest of the line there is to be skipped.
   */
  resume(
    at: number,
    end: number,
    state: number,
  ): { readonly hits: number; readonly state: number; readonly skipping: boolean } {
    const stopped = this.#walk(at, end, state, this.#memory.hitsAt);
    const hits = (this.#kernels.hits1.value - this.#memory.hitsAt) / 4;
    const skipping = this.#kernels.at1.value > end;
    return { hits: stopped ? -1 : hits, state: this.#kernels.state1.value, skipping };
  }

  /**
   * Scans whole lines in [at, end) for literals and confirms the lines that have one, if the specification asks for that; otherwise
   * as {@link LineDfa.scan}.
   */
  scanLiterals(from: number, end: number, spec: number): number {
    const { bytes, hitsAt } = this.#memory;
    const { classesAt } = this.#slot;
    const kernels = this.#kernels;
    const words = this.#hits;
    this.candidates = 0;
    let at = from;
    let hits = hitsAt;
    while (kernels.literalLines(at, end, spec, classesAt, this.#start, hits) !== 0) {
      this.candidates += kernels.candidates.value;
      const line = kernels.literalAt.value;
      hits = kernels.literalHits.value;
      if (this.#shouldStop()) return -1;
      if (this.#matchesLine(line)) {
        words[(hits - hitsAt) / 4] = line;
        hits += 4;
      }
      at = bytes.indexOf(10, line) + 1;
    }
    this.candidates += kernels.candidates.value;
    return (kernels.literalHits.value - hitsAt) / 4;
  }

  /** Walks one line, learning what is not known yet. */
  #matchesLine(from: number): boolean {
    const { bytes } = this.#memory;
    let state = this.#start;
    for (let at = from; ; at++) {
      [state] = this.#compute([state], bytes[at]!) as [number];
      const cell = this.#known(state, bytes[at]!);
      if (cell < 0) return cell === matchCell;
      if (bytes[at] === 10) return false;
      state = cell;
    }
  }

  /** Whether a line that stands in `state` matches where it ends. */
  matchesAtEnd(state: number): boolean {
    const [current] = this.#compute([state], 10) as [number];
    return this.#known(current, 10) === matchCell;
  }

  #scanOne(at: number, end: number): number {
    if (this.#walk(at, end, this.#start, this.#memory.hitsAt)) return -1;
    return (this.#kernels.hits1.value - this.#memory.hitsAt) / 4;
  }

  /** One stream to the end; true if told to stop. */
  #walk(from: number, end: number, fromState: number, hits: number): boolean {
    const { bytes } = this.#memory;
    const { classesAt } = this.#slot;
    const kernels = this.#kernels;
    let at = from;
    let state = fromState;
    let hitsAt = hits;
    while (kernels.scanLines(at, end, state, classesAt, this.#start, hitsAt) !== 0) {
      at = kernels.at1.value;
      hitsAt = kernels.hits1.value;
      [state] = this.#compute([kernels.state1.value], bytes[at]!) as [number];
      if (this.#shouldStop()) return true;
    }
    return false;
  }

  #scanTwo(from: number, middle: number, end: number): number {
    const { bytes, hitsAt } = this.#memory;
    const { classesAt } = this.#slot;
    const kernels = this.#kernels;
    const otherHitsAt = hitsAt + (middle - from) * 4;
    let at = from;
    let state = this.#start;
    let hits = hitsAt;
    let otherAt = middle;
    let otherState = this.#start;
    let otherHits = otherHitsAt;
    for (;;) {
      const stopped = kernels.scanLinesTwice(
        at,
        middle,
        state,
        hits,
        otherAt,
        end,
        otherState,
        otherHits,
        classesAt,
        this.#start,
      );
      at = kernels.at1.value;
      state = kernels.state1.value;
      hits = kernels.hits1.value;
      otherAt = kernels.at2.value;
      otherState = kernels.state2.value;
      otherHits = kernels.hits2.value;
      if (stopped === 0) break;
      if (this.#shouldStop()) return -1;
      if (stopped === 1)
        [state, otherState] = this.#compute([state, otherState], bytes[at]!) as [number, number];
      else
        [otherState, state] = this.#compute([otherState, state], bytes[otherAt]!) as [
          number,
          number,
        ];
    }
    return this.#finish(
      { at, end: middle, state, hits },
      { at: otherAt, end, state: otherState, hits: otherHits, hitsAt: otherHitsAt },
    );
  }

  /** Whichever stream is not done goes on alone; then the second stream's hits move up behind the first's. */
  #finish(
    first: { at: number; end: number; state: number; hits: number },
    second: { at: number; end: number; state: number; hits: number; hitsAt: number },
  ): number {
    if (first.at < first.end) {
      if (this.#walk(first.at, first.end, first.state, first.hits)) return -1;
      first.hits = this.#kernels.hits1.value;
    } else if (second.at < second.end) {
      if (this.#walk(second.at, second.end, second.state, second.hits)) return -1;
      second.hits = this.#kernels.hits1.value;
    }
    this.#memory.bytes.copyWithin(first.hits, second.hitsAt, second.hits);
    const total = first.hits - this.#memory.hitsAt + second.hits - second.hitsAt;
    return total / 4;
  }

  /** Fills the cell of the first state; returns all states, which have new addresses if the table had to be cleared. */
  #compute(states: readonly number[], byte: number): readonly number[] {
    const known = this.#known(states[0]!, byte);
    if (known !== unknownCell || this.#states.stateCount < this.#maxStates) return states;
    const numbers = states.map((address) => this.#numberOf(address));
    const kept = this.#states.forget(numbers);
    this.cleared++;
    this.#begin();
    return kept.map((number) => this.#addressOf(number));
  }

  /** The cell's value, computed if there is room for one more state. */
  #known(state: number, byte: number): number {
    const index = (state - this.#slot.tableAt) / 4 + this.#states.classOf[byte]!;
    const cell = this.#cells[index]!;
    if (cell !== unknownCell || this.#states.stateCount >= this.#maxStates) return cell;
    const result = this.#states.step(this.#numberOf(state), byte);
    this.computed++;
    const next = result >> 1;
    const value =
      result % 2 === 1 ? matchCell : next === deadState ? deadCell : this.#addressOf(next);
    this.#cells[index] = value;
    return value;
  }

  #begin(): void {
    this.#rows = 0;
    this.#start = this.#addressOf(this.#states.start(10));
  }

  #numberOf(address: number): number {
    return (address - this.#slot.tableAt) / this.#rowBytes;
  }

  /** A state's row, cleared when the state is new. */
  #addressOf(number: number): number {
    if (number >= this.#rows) {
      const width = this.#states.classCount;
      this.#cells.fill(unknownCell, this.#rows * width, (number + 1) * width);
      this.#rows = number + 1;
    }
    return this.#slot.tableAt + number * this.#rowBytes;
  }
}
