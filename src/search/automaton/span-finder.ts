import { CharAlphabet } from './char-alphabet.ts';
import { CharTable } from './char-table.ts';
import { CharText, lineEndFlag, lineStartFlag, wordBorderFlag } from './char-text.ts';
import { without, type CodePointSet } from '../pattern/code-points.ts';
import {
  compileChars,
  deadState,
  maxTaggedGroups,
  opAssert,
  placeNumbers,
  type Nfa,
} from './nfa.ts';
import type { Pattern } from '../pattern/syntax.ts';
import { TagTable } from './tag-table.ts';

/**
 * Receives a match's bytes [start, end) and the texts of the groups that were asked for, each
 * undefined where its group took no part.
 */
export type TakeOccurrence = (
  start: number,
  end: number,
  values: readonly (string | undefined)[],
) => void;

const noValues: readonly undefined[] = [];

/**
 * Finds where a regular pattern matches within a text, and what its groups hold, exactly and in
 * linear time. It walks characters and not bytes, so it knows words of all scripts, the return of a
 * line's end and the mark at a line's beginning. One walk backwards marks every place where some
 * match starts; from the first place behind the last match, one walk forwards finds the end that a
 * backtracking engine would.
 */
export class SpanFinder {
  readonly #pattern: Pattern;
  readonly #sets: SetNumbers;
  readonly #forwardNfa: Nfa;
  readonly #alphabet: CharAlphabet;
  readonly #text: CharText;
  readonly #backward: CharTable;
  readonly #forward: CharTable;
  #anywhere: CharTable | undefined;
  readonly #tagged = new Map<string, TagTable>();
  /**
   * For each thread of a tagged walk, where each group starts and ends; one for the state that is,
   * one for the next.
   */
  #registers = new Int32Array(0);
  #nextRegisters = new Int32Array(0);
  /** Where the groups of the last tagged walk start and end; -1 where one took no part. */
  readonly #places = new Int32Array(2 * maxTaggedGroups);

  private constructor(pattern: Pattern, forward: Nfa, reversed: Nfa, sets: SetNumbers) {
    this.#pattern = pattern;
    this.#sets = sets;
    this.#forwardNfa = forward;
    const asked = askedFlags(forward);
    this.#alphabet = new CharAlphabet(sets.all, (asked & wordBorderFlag) !== 0);
    this.#text = new CharText(this.#alphabet, asked);
    this.#backward = new CharTable(reversed, this.#alphabet, { anchored: false, ordered: false });
    this.#forward = new CharTable(forward, this.#alphabet, { anchored: true, ordered: true });
  }

  /** Undefined for a pattern that is not regular, or too large. */
  static create(pattern: Pattern): SpanFinder | undefined {
    if (pattern.irregular) return undefined;
    const sets = new SetNumbers(pattern.multiline);
    const numberOf = (set: CodePointSet): number => sets.numberOf(set);
    const forward = compileChars(pattern.root, { reversed: false, numberOf });
    const reversed = compileChars(pattern.root, { reversed: true, numberOf });
    if (forward === undefined || reversed === undefined) return undefined;
    return new SpanFinder(pattern, forward, reversed, sets);
  }

  /**
   * Whether the pattern matches anywhere in bytes[from, to), a line or more without what surrounds
   * them.
   */
  matches(bytes: Uint8Array, from: number, to: number): boolean {
    this.#anywhere ??= new CharTable(this.#forwardNfa, this.#alphabet, {
      anchored: false,
      ordered: false,
    });
    const table = this.#anywhere;
    const text = this.#text;
    text.open(bytes, from, to);
    text.forwardAt(from);
    let state = table.start();
    for (let at = from; ;) {
      const cell = table.step(state, text.flags, text.charClass);
      if ((cell & 1) === 1) return true;
      if (at >= to) return false;
      state = cell >> 1;
      at += text.size;
      text.forwardNext(at);
    }
  }

  /** The first match in bytes[from, to); undefined if there is none. */
  first(bytes: Uint8Array, from: number, to: number): readonly [number, number] | undefined {
    const starts = this.#starts(bytes, from, to);
    for (let i = starts.length - 1; i >= 0; i--) {
      const start = starts[i]!;
      const end = this.#end(start, to);
      if (end > start || !this.#text.isInsideBorder(start)) return [start, end];
    }
    return undefined;
  }

  /**
   * Tells of all matches in the texts bytes[lines[0], lines[1]), bytes[lines[2], lines[3]), ... in
   * order, none of which starts before `startsFrom`, with the texts of some groups (0 = the whole
   * match), at most {@link maxTaggedGroups}.
   */
  each(
    bytes: Uint8Array,
    lines: readonly number[],
    startsFrom: number,
    groups: readonly number[],
    take: TakeOccurrence,
  ): void {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const inner = groups.filter((group) => group > 0);
    const tagged = inner.length === 0 ? undefined : this.#tableOf(inner);
    const valueOf = (group: number, start: number, end: number): string | undefined => {
      if (group === 0) return text.toString('utf8', start, end);
      const at = 2 * inner.indexOf(group);
      const from = this.#places[at]!;
      return from < 0 ? undefined : text.toString('utf8', from, this.#places[at + 1]);
    };
    let free = startsFrom;
    for (let next = 0; next < lines.length; next += 2) {
      const to = lines[next + 1]!;
      const starts = this.#starts(bytes, lines[next]!, to);
      for (let i = starts.length - 1; i >= 0; i--) {
        const start = starts[i]!;
        if (start < free) continue;
        const end =
          tagged === undefined
            ? this.#end(start, to)
            : this.#endTagged(tagged, inner.length, [start, to]);
        if (end === start && this.#text.isInsideBorder(start)) continue;
        const values =
          groups.length === 0 ? noValues : groups.map((group) => valueOf(group, start, end));
        take(start, end, values);
        free = end > start ? end : start + 1;
      }
    }
  }

  #tableOf(groups: readonly number[]): TagTable {
    const key = groups.join();
    const known = this.#tagged.get(key);
    if (known !== undefined) return known;
    const numberOf = (set: CodePointSet): number => this.#sets.numberOf(set);
    // With a few instructions more it is hardly larger than the one that could be compiled.
    const nfa =
      compileChars(this.#pattern.root, { reversed: false, groups, numberOf }) ?? this.#forwardNfa;
    const table = new TagTable(nfa, this.#alphabet);
    this.#tagged.set(key, table);
    const needed = 2 * groups.length * nfa.op.length;
    if (this.#registers.length < needed) {
      this.#registers = new Int32Array(needed);
      this.#nextRegisters = new Int32Array(needed);
    }
    return table;
  }

  /** Every place where a match starts, descending. Opens the text. */
  #starts(bytes: Uint8Array, from: number, to: number): number[] {
    const table = this.#backward;
    const text = this.#text;
    text.open(bytes, from, to);
    const starts: number[] = [];
    let state = table.start();
    let behind = this.#alphabet.textEnd;
    for (let at = to; ;) {
      text.backwardFrom(behind, at);
      const cell = table.step(state, text.flags, text.charClass);
      if ((cell & 1) === 1) starts.push(at);
      if (at <= from) return starts;
      state = cell >> 1;
      behind = text.charClass;
      at -= text.size;
    }
  }

  /** Where the match ends that starts at `start` in the open text. */
  #end(start: number, to: number): number {
    const table = this.#forward;
    const text = this.#text;
    text.forwardAt(start);
    let state = table.start();
    let end = start;
    for (let at = start; ;) {
      const cell = table.step(state, text.flags, text.charClass);
      if ((cell & 1) === 1) end = at;
      state = cell >> 1;
      if (state === deadState || at >= to) return end;
      at += text.size;
      text.forwardNext(at);
    }
  }

  /** The same; where the `count` groups of the table start and end is then in `#places`. */
  #endTagged(table: TagTable, count: number, [start, to]: readonly [number, number]): number {
    const text = this.#text;
    text.forwardAt(start);
    let state = table.start();
    let end = start;
    this.#places.fill(-1, 0, 2 * count);
    this.#registers.fill(-1, 0, 2 * count);
    for (let at = start; ;) {
      const { next, moves, match } = table.step(state, text.flags, text.charClass);
      if (match !== undefined) {
        end = at;
        const [thread, tags] = match;
        const from = 2 * count * thread;
        for (let k = 0; k < 2 * count; k++)
          this.#places[k] = (tags & (1 << k)) === 0 ? this.#registers[from + k]! : at;
      }
      if (next === deadState || at >= to) return end;
      if (moves !== undefined) this.#move(moves, count, at);
      state = next;
      at += text.size;
      text.forwardNext(at);
    }
  }

  #move(
    moves: readonly (readonly [from: number, tags: number])[],
    count: number,
    at: number,
  ): void {
    const before = this.#registers;
    const after = this.#nextRegisters;
    for (let i = 0; i < moves.length; i++) {
      const [thread, tags] = moves[i]!;
      const into = 2 * count * i;
      const from = 2 * count * thread;
      for (let k = 0; k < 2 * count; k++)
        after[into + k] = (tags & (1 << k)) === 0 ? before[from + k]! : at;
    }
    this.#registers = after;
    this.#nextRegisters = before;
  }
}

/** Gives equal sets the same number. Within lines there is no newline to be in one. */
class SetNumbers {
  readonly all: CodePointSet[] = [];
  readonly #byObject = new Map<CodePointSet, number>();
  readonly #byText = new Map<string, number>();

  readonly #newlines: boolean;

  constructor(newlines: boolean) {
    this.#newlines = newlines;
  }

  numberOf(set: CodePointSet): number {
    const same = this.#byObject.get(set);
    if (same !== undefined) return same;
    const own = this.#newlines ? set : without(set, 10);
    const key = own.join(',');
    const number = this.#byText.get(key) ?? this.all.push(own) - 1;
    this.#byText.set(key, number);
    this.#byObject.set(set, number);
    return number;
  }
}

/** What a machine wants to know of places. */
function askedFlags(nfa: Nfa): number {
  let flags = 0;
  for (const [i, op] of nfa.op.entries()) {
    if (op !== opAssert) continue;
    if (nfa.a[i] === placeNumbers['line-start']) flags |= lineStartFlag;
    else if (nfa.a[i] === placeNumbers['line-end']) flags |= lineEndFlag;
    else flags |= wordBorderFlag;
  }
  return flags;
}
