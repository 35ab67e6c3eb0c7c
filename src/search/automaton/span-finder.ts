import { CharAlphabet } from './char-alphabet.ts';
import { CharTable, startsAtLines } from './char-table.ts';
import { CharText, lineEndFlag, lineStartFlag, wordBorderFlag } from './char-text.ts';
import { without, type CodePointSet } from '../pattern/code-points.ts';
import { compileChars, deadState, opAssert, placeNumbers, type Nfa } from './nfa.ts';
import { PlacedGroups, type TakeOccurrence } from './occurrence.ts';
import type { Pattern } from '../pattern/syntax.ts';
import { isWithinLine } from './state-loops.ts';
import { TagTable, type TagStep } from './tag-table.ts';

/**
 * Finds where a regular pattern matches within a text, and what its groups hold, exactly and in
 * linear time. It walks characters and not bytes, so it knows words of all scripts, the return of a
 * line's end and the mark at a line's beginning. One walk backwards marks every place where some
 * match starts (a pattern that begins with a line needs none); from the first place behind the last
 * match, one walk forwards finds the end that a backtracking engine would.
 */
export class SpanFinder {
  readonly #pattern: Pattern;
  readonly #sets: SetNumbers;
  readonly #forwardNfa: Nfa;
  readonly #alphabet: CharAlphabet;
  readonly #text: CharText;
  /** Whether a match starts only where a line does. */
  readonly #startsAtLines: boolean;
  /** Whether characters that change nothing can be gone over: where words end is not asked. */
  readonly #mayLoop: boolean;
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

  private constructor(pattern: Pattern, forward: Nfa, reversed: Nfa, sets: SetNumbers) {
    this.#pattern = pattern;
    this.#sets = sets;
    this.#forwardNfa = forward;
    const asked = askedFlags(forward);
    this.#alphabet = new CharAlphabet(sets.all, (asked & wordBorderFlag) !== 0);
    this.#text = new CharText(this.#alphabet, asked);
    this.#startsAtLines = !pattern.multiline && startsAtLines(forward);
    this.#mayLoop = (asked & wordBorderFlag) === 0;
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
      if (end > start || (end === start && !this.#text.isInsideBorder(start))) return [start, end];
    }
    return undefined;
  }

  /**
   * Tells of all matches in the texts bytes[lines[0], lines[1]), bytes[lines[2], lines[3]), ... in
   * order, none of which starts before `startsFrom`, with what some groups hold (0 = the whole
   * match), at most {@link maxTaggedGroups}.
   */
  each(
    bytes: Uint8Array,
    lines: readonly number[],
    startsFrom: number,
    groups: readonly number[],
    take: TakeOccurrence,
  ): void {
    const inner = groups.filter((group) => group > 0);
    const tagged = inner.length === 0 ? undefined : this.#tableOf(inner);
    const isDirect = inner.length === groups.length;
    const held = new PlacedGroups(bytes, groups.length);
    const walked = isDirect ? held.places : new Int32Array(2 * inner.length);
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
            : this.#endTagged(tagged, walked, [start, to]);
        if (end < start || (end === start && this.#text.isInsideBorder(start))) continue;
        if (!isDirect) place(groups, walked, held.places, [start, end]);
        take(start, end, held);
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

  /**
   * Every place where a match starts, descending; for a pattern that begins with a line, every one
   * where a match may start. Opens the text.
   */
  #starts(bytes: Uint8Array, from: number, to: number): readonly number[] {
    const text = this.#text;
    text.open(bytes, from, to);
    if (this.#startsAtLines) return text.lineStarts();
    const table = this.#backward;
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
      if (!this.#mayLoop || !isWithinLine(bytes[at]!)) continue;
      const start = table.loops.skipBack(state, bytes, from, at);
      if (start === at) continue;
      at = start;
      behind = this.#alphabet.ascii[bytes[at]!]!;
    }
  }

  /** Where the match ends that starts at `start` in the open text; -1 if there is none. */
  #end(start: number, to: number): number {
    const table = this.#forward;
    const text = this.#text;
    text.forwardAt(start);
    let state = table.start();
    let end = -1;
    for (let at = start; ;) {
      const cell = table.step(state, text.flags, text.charClass);
      if ((cell & 1) === 1) end = at;
      state = cell >> 1;
      if (state === deadState || at >= to) return end;
      at += text.size;
      const run = this.#mayLoop ? text.skip(table.loops, state, at) : at;
      if (run === at) text.forwardNext(at);
      else {
        if (table.matchesWithin(state)) end = run - 1;
        at = run;
        text.forwardAt(at);
      }
    }
  }

  /** The same; where the groups of the table start and end is then in `places`. */
  #endTagged(table: TagTable, places: Int32Array, [start, to]: readonly [number, number]): number {
    const text = this.#text;
    text.forwardAt(start);
    let state = table.start();
    let end = -1;
    // The last match, whose places are looked up before the threads move on.
    let match: TagStep['match'];
    places.fill(-1);
    this.#registers.fill(-1, 0, places.length);
    for (let at = start; ;) {
      const step = table.step(state, text.flags, text.charClass);
      if (step.match !== undefined) {
        end = at;
        match = step.match;
      }
      const isOver = step.next === deadState || at >= to;
      if (match !== undefined && (isOver || step.moves !== undefined)) {
        this.#keep(match, end, places);
        match = undefined;
      }
      if (isOver) return end;
      if (step.moves !== undefined) this.#move(step.moves, places.length, at);
      state = step.next;
      at += text.size;
      const run = this.#mayLoop ? text.skip(table.loops, state, at) : at;
      if (run === at) text.forwardNext(at);
      else {
        const within = table.matchWithin(state);
        if (within !== undefined) {
          end = run - 1;
          match = within;
        }
        at = run;
        text.forwardAt(at);
      }
    }
  }

  /** Notes what a thread has met when it has matched at `end`. */
  #keep([thread, tags]: NonNullable<TagStep['match']>, end: number, places: Int32Array): void {
    const registers = this.#registers;
    const from = places.length * thread;
    for (let k = 0; k < places.length; k++)
      places[k] = (tags & (1 << k)) === 0 ? registers[from + k]! : end;
  }

  #move(
    moves: readonly (readonly [from: number, tags: number])[],
    width: number,
    at: number,
  ): void {
    const before = this.#registers;
    const after = this.#nextRegisters;
    for (let i = 0; i < moves.length; i++) {
      const [thread, tags] = moves[i]!;
      const into = width * i;
      const from = width * thread;
      for (let k = 0; k < width; k++)
        after[into + k] = (tags & (1 << k)) === 0 ? before[from + k]! : at;
    }
    this.#registers = after;
    this.#nextRegisters = before;
  }
}

/** Puts the places that were walked for, and the whole match, where they were asked for. */
function place(
  groups: readonly number[],
  walked: Int32Array,
  into: Int32Array,
  [start, end]: readonly [number, number],
): void {
  let next = 0;
  for (let i = 0; i < groups.length; i++) {
    const isWhole = groups[i]! <= 0;
    into[2 * i] = isWhole ? start : walked[next]!;
    into[2 * i + 1] = isWhole ? end : walked[next + 1]!;
    if (!isWhole) next += 2;
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
