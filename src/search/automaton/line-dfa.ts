import type { Kernels } from '../../kernels/kernels.ts';
import { Determinizer } from './determinizer.ts';
import { deadState, type Nfa } from './nfa.ts';
import type { ProgramSlot, ScanMemory } from '../text/scan-memory.ts';

const unknownCell = -1;
const matchCell = -2;
const deadCell = -3;

/** Four streams pay off from this many bytes on. */
const minStreamedBytes = 2_048;

const streamCount = 4;
/** A stream's four words: where it stands, its end, its state, where its next hit goes. */
const streamWords = 4;

/**
 * Finds the lines that match: a lazily built deterministic automaton whose table lies in the
 * kernels' memory. The table has a fixed size; when it is full it is cleared and built anew from
 * where the walk stands.
 */
export class LineDfa {
  /**
   * Transitions that were computed, and how often the table was cleared: a measure of work, and of
   * state explosion.
   */
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
  readonly #streams: Uint32Array;
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
    this.#states = new Determinizer(nfa);
    this.#shouldStop = shouldStop;
    this.#rowBytes = this.#states.classCount * 4;
    this.#maxStates = Math.floor(slot.tableBytes / this.#rowBytes);
    this.#cells = new Int32Array(memory.kernels.memory.buffer, slot.tableAt, slot.tableBytes / 4);
    this.#streams = new Uint32Array(memory.kernels.memory.buffer, slot.streamsAt, 16);
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
   * Scans whole lines in [at, end); the addresses of hits go to `memory.hitsAt`, ascending. Returns
   * how many there are, or -1 if it was told to stop.
   */
  scan(at: number, end: number): number {
    return end - at < minStreamedBytes ? this.#scanOne(at, end) : this.#scanFour(at, end);
  }

  /**
   * Scans [at, end), which may end in the middle of a line, from `state`. The hits' addresses go to
   * `memory.hitsAt`. Gives back their number, the state at the end, and whether the rest of the
   * line there is to be skipped.
   */
  resume(
    at: number,
    end: number,
    state: number,
  ): { readonly hits: number; readonly state: number; readonly skipping: boolean } {
    const stopped = this.#walk(at, end, state, this.#memory.hitsAt);
    const hits = (this.#kernels.walkHits.value - this.#memory.hitsAt) / 4;
    const skipping = this.#kernels.walkAt.value > end;
    return { hits: stopped ? -1 : hits, state: this.#kernels.walkState.value, skipping };
  }

  /**
   * Scans whole lines in [at, end) for literals and confirms the lines that have one, if the
   * specification asks for that; otherwise as {@link LineDfa.scan}.
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
    return (this.#kernels.walkHits.value - this.#memory.hitsAt) / 4;
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
      at = kernels.walkAt.value;
      hitsAt = kernels.walkHits.value;
      [state] = this.#compute([kernels.walkState.value], bytes[at]!) as [number];
      if (this.#shouldStop()) return true;
    }
    return false;
  }

  #scanFour(from: number, end: number): number {
    const { hitsAt } = this.#memory;
    const { classesAt, streamsAt } = this.#slot;
    const firstHits = this.#openStreams(from, end);
    for (;;) {
      const stopped = this.#kernels.scanLinesFourfold(streamsAt, classesAt, this.#start);
      if (stopped === 0) break;
      if (this.#shouldStop()) return -1;
      this.#learn(stopped - 1);
    }
    let hits = hitsAt;
    for (const [i, first] of firstHits.entries()) {
      if (!this.#finish(i)) return -1;
      const last = this.#streams[streamWords * i + 3]!;
      this.#memory.bytes.copyWithin(hits, first, last);
      hits += last - first;
    }
    return (hits - hitsAt) / 4;
  }

  /** Four ranges of whole lines, each with room for its hits; returns where that is. */
  #openStreams(from: number, end: number): readonly number[] {
    const firstHits: number[] = [];
    let at = from;
    for (let i = 0; i < streamCount; i++) {
      const border = from + Math.floor(((i + 1) * (end - from)) / streamCount);
      const next = i + 1 < streamCount ? this.#kernels.lineStartBefore(at, border) : end;
      const hits = this.#memory.hitsAt + 4 * (at - from);
      this.#streams.set([at, next, this.#start, hits], streamWords * i);
      firstHits.push(hits);
      at = next;
    }
    return firstHits;
  }

  /** The rest of a stream, when another one has ended. */
  #finish(stream: number): boolean {
    const word = streamWords * stream;
    for (;;) {
      const [at, end, state, hits] = this.#streams.subarray(word, word + 4) as unknown as [
        number,
        number,
        number,
        number,
      ];
      const stopped = this.#kernels.scanLines(
        at,
        end,
        state,
        this.#slot.classesAt,
        this.#start,
        hits,
      );
      this.#streams[word] = this.#kernels.walkAt.value;
      this.#streams[word + 2] = this.#kernels.walkState.value;
      this.#streams[word + 3] = this.#kernels.walkHits.value;
      if (stopped === 0) return true;
      if (this.#shouldStop()) return false;
      this.#learn(stream);
    }
  }

  /**
   * Fills the cell that a stream stands before; all streams get new addresses if the table had to
   * be cleared.
   */
  #learn(stream: number): void {
    const streams = this.#streams;
    const order = [stream, ...[0, 1, 2, 3].filter((other) => other !== stream)];
    const byte = this.#memory.bytes[streams[streamWords * stream]!]!;
    const states = order.map((i) => streams[streamWords * i + 2]!);
    const moved = this.#compute(states, byte);
    for (const [k, i] of order.entries()) streams[streamWords * i + 2] = moved[k]!;
  }

  /**
   * Fills the cell of the first state; returns all states, which have new addresses if the table
   * had to be cleared.
   */
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
