import type { Nfa } from './nfa.ts';
import { notBeforeNewline, opAssert, opByte, opMatch, opSplit, placeNumbers } from './nfa.ts';
import type { ProgramSlot, ScanMemory } from '../text/scan-memory.ts';

/**
 * Bits of a set that stand for a match: whatever comes next, before a newline, before anything
 * else.
 */
const matchBit = 0;
const matchAtEndBit = 1;
const matchInsideBit = 2;
const firstPositionBit = 3;

/** What has to come next for an instruction to be reached. */
const anything = 0;
const newline = 1;
const noNewline = 2;

/** Words of the specification, before its tables. */
const specBytes = 32;

/**
 * Finds the lines that match by moving a set of positions, one bit each, from byte to byte
 * (Glushkov's automaton, simulated in parallel as in NR-grep). Its work per byte does not depend on
 * the text: it takes over where the deterministic automaton has ever new states.
 */
export class BitLines {
  readonly #memory: ScanMemory;
  readonly #spec: number;

  private constructor(memory: ScanMemory, spec: number) {
    this.#memory = memory;
    this.#spec = spec;
  }

  /**
   * Lays its tables out in a slot, over whatever was there. Undefined where it cannot: for word
   * boundaries, which look at two bytes, and for more positions than the slot has room for (about
   * 640).
   */
  static create(nfa: Nfa, memory: ScanMemory, slot: ProgramSlot): BitLines | undefined {
    const { word, 'not-word': notWord } = placeNumbers;
    const looksAtWords = nfa.op.some(
      (op, i) => op === opAssert && (nfa.a[i] === word || nfa.a[i] === notWord),
    );
    if (looksAtWords) return undefined;
    const positions = new Positions(nfa);
    const words = Math.ceil(positions.count / 64);
    const tableBytes = specBytes + 8 * words * (256 + 8 * words * 256 + 4);
    if (tableBytes > slot.tableBytes) return undefined;
    layOut(memory, slot.tableAt, positions, words);
    return new BitLines(memory, slot.tableAt);
  }

  /**
   * Scans whole lines in [at, end); the addresses of hits go to `memory.hitsAt`, ascending. Returns
   * how many there are.
   */
  scan(at: number, end: number): number {
    const { kernels, hitsAt } = this.#memory;
    kernels.scanBits(at, end, this.#spec, hitsAt);
    return (kernels.bitHits.value - hitsAt) / 4;
  }
}

function layOut(memory: ScanMemory, spec: number, positions: Positions, words: number): void {
  const bytes = 8 * words;
  const masks = spec + specBytes;
  const follow = masks + 256 * bytes;
  const lineStart = follow + 8 * words * 256 * bytes;
  const always = lineStart + bytes;
  const scratch = always + bytes;
  const header = new Uint32Array(memory.kernels.memory.buffer, spec, 6);
  header.set([words, masks, follow, lineStart, always, scratch]);
  memory.bytes.fill(0, masks, scratch);
  const mark = (set: number, bit: number): void => {
    memory.bytes[set + (bit >> 3)]! |= 1 << (bit & 7);
  };
  for (let byte = 0; byte < 256; byte++) {
    for (const bit of positions.at(byte)) mark(masks + byte * bytes, bit);
  }
  for (const bit of positions.behind(undefined, true)) mark(lineStart, bit);
  for (const bit of positions.behind(undefined, false)) mark(always, bit);
  for (let bit = firstPositionBit; bit < positions.count; bit++) {
    const group = follow + (bit >> 3) * 256 * bytes;
    const next = positions.behind(bit, false);
    for (let subset = 0; subset < 256; subset++) {
      if ((subset & (1 << (bit & 7))) === 0) continue;
      for (const other of next) mark(group + subset * bytes, other);
    }
  }
}

/** The byte instructions of an automaton as numbered positions. */
class Positions {
  readonly count: number;
  readonly #nfa: Nfa;
  readonly #instructions: readonly number[];
  readonly #bits: ReadonlyMap<number, number>;

  constructor(nfa: Nfa) {
    this.#nfa = nfa;
    this.#instructions = [...nfa.op.keys()].filter((i) => nfa.op[i] === opByte);
    this.#bits = new Map(this.#instructions.map((i, index) => [i, index + firstPositionBit]));
    this.count = this.#instructions.length + firstPositionBit;
  }

  /** Positions that a byte may be at, and the matches that it lets be. */
  at(byte: number): readonly number[] {
    const bits = [matchBit, byte === 10 ? matchAtEndBit : matchInsideBit];
    for (const [index, i] of this.#instructions.entries()) {
      if (byte >= this.#nfa.a[i]! && byte <= this.#nfa.b[i]!) bits.push(index + firstPositionBit);
    }
    return bits;
  }

  /** Positions and matches that come next behind one, or at the beginning. */
  behind(bit: number | undefined, atLineStart: boolean): readonly number[] {
    const nfa = this.#nfa;
    const { start } = nfa;
    const from = bit === undefined ? start : nfa.next[this.#instructions[bit - firstPositionBit]!]!;
    const bits = new Set<number>();
    // Each instruction is met once for each thing that may have to come next.
    const seen = new Set<number>();
    const stack: { readonly at: number; readonly needs: number }[] = [
      { at: from, needs: anything },
    ];
    const goOn = (at: number, needs: number): void => {
      if (!seen.has(3 * at + needs)) stack.push({ at, needs });
      seen.add(3 * at + needs);
    };
    while (stack.length > 0) {
      const { at, needs } = stack.pop()!;
      const op = nfa.op[at]!;
      if (op === opSplit) {
        goOn(nfa.b[at]!, needs);
        goOn(nfa.a[at]!, needs);
      } else if (op === opMatch) bits.add([matchBit, matchAtEndBit, matchInsideBit][needs]!);
      else if (op === opByte) {
        // No position is for a newline.
        if (needs !== newline) bits.add(this.#bits.get(at)!);
      } else {
        const wanted = needed(nfa.a[at]!, atLineStart);
        const both = needs === anything ? wanted : wanted === anything ? needs : wanted;
        const isPossible = needs === anything || wanted === anything || needs === wanted;
        if (wanted !== undefined && both !== undefined && isPossible) goOn(nfa.next[at]!, both);
      }
    }
    return [...bits];
  }
}

/** What an assertion needs to come next; undefined where it does not hold whatever comes. */
function needed(place: number, atLineStart: boolean): number | undefined {
  if (place === placeNumbers['line-end']) return newline;
  if (place === notBeforeNewline) return noNewline;
  return atLineStart ? anything : undefined;
}
