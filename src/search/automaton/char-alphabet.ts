import { partitionPoint } from '../../base/sorted.ts';
import { contains, type CodePointSet } from '../pattern/code-points.ts';
import { unicodeWordChars } from '../pattern/unicode-words.ts';

/**
 * A carriage return that is part of a line's end, and a byte order mark that begins a line:
 * characters of the file, not of the line.
 */
const mark = 0xfeff;
const carriageReturn = 13;

/**
 * A set that is no longer than this and has the mark as a member of its own was written by somebody
 * who means the mark.
 */
const maxNamedMembers = 20;

/**
 * The characters of some sets in classes: two in the same class are in the same sets. Classes are
 * numbered from 0; the last three are not of characters: the return of a line's end, the mark at a
 * line's beginning, and what lies behind the end of a text.
 */
export class CharAlphabet {
  readonly classCount: number;
  /** By class, whether its characters are of words; all false where nobody asks. */
  readonly isWord: Uint8Array;
  /** The class of a newline, which it has for itself. */
  readonly newline: number;
  readonly lineReturn: number;
  readonly lineMark: number;
  readonly textEnd: number;
  /** By class, for ASCII. */
  readonly ascii = new Uint16Array(128);
  /** One more than the class, by code point below U+10000, as far as it was asked for. */
  readonly #known = new Uint16Array(0x1_0000);
  readonly #borders: readonly number[];
  readonly #classes: readonly number[];
  readonly #members: readonly Uint8Array[];

  constructor(sets: readonly CodePointSet[], asksForWords: boolean) {
    const all: readonly CodePointSet[] = asksForWords
      ? [...sets, unicodeWordChars, [10, 10]]
      : [...sets, [10, 10]];
    this.#borders = bordersOf(all);
    const signatures = signaturesOf(all, this.#borders);
    const numbers = new Map<string, number>();
    this.#classes = signatures.map((signature) => {
      const known = numbers.get(signature) ?? numbers.size;
      numbers.set(signature, known);
      return known;
    });
    const members = all.map(() => new Uint8Array(numbers.size + 3));
    for (const [signature, charClass] of numbers) {
      for (const set of signature.split(',').slice(0, -1)) members[Number(set)]![charClass] = 1;
    }
    const plain = numbers.size;
    [this.lineReturn, this.lineMark, this.textEnd] = [plain, plain + 1, plain + 2];
    this.classCount = plain + 3;
    for (let byte = 0; byte < 128; byte++) this.ascii[byte] = this.#search(byte);
    this.newline = this.ascii[10]!;
    this.isWord = asksForWords ? members[sets.length]!.slice() : new Uint8Array(this.classCount);
    this.#members = members;
    for (const [i, set] of sets.entries()) this.#markBorders(members[i]!, set);
  }

  /**
   * Whether the characters of a class are in set number `set` of those that the alphabet was made
   * of.
   */
  has(set: number, charClass: number): boolean {
    return this.#members[set]![charClass] === 1;
  }

  /** The class of a code point that is not part of a line's end or beginning. */
  classOf(codePoint: number): number {
    if (codePoint > 0xffff) return this.#search(codePoint);
    const known = this.#known[codePoint]!;
    if (known > 0) return known - 1;
    const found = this.#search(codePoint);
    this.#known[codePoint] = found + 1;
    return found;
  }

  #search(codePoint: number): number {
    const borders = this.#borders;
    const behind = partitionPoint(borders.length, (index) => borders[index]! <= codePoint);
    return this.#classes[Math.max(0, behind - 1)]!;
  }

  /** The returns and marks of lines are in few sets. */
  #markBorders(members: Uint8Array, set: CodePointSet): void {
    // Who means both halves of a line's end gets both.
    if (namesReturn(set) || (contains(set, 10) && contains(set, carriageReturn))) {
      members[this.lineReturn] = 1;
    }
    if (namesMark(set)) members[this.lineMark] = 1;
  }
}

/**
 * Whether a set has the carriage return as a member of its own, and not just in a range or as what
 * is left out of another set.
 */
export function namesReturn(set: CodePointSet): boolean {
  return set.some((low, i) => i % 2 === 0 && low === carriageReturn && set[i + 1] === low);
}

/** The same of the byte order mark. */
export function namesMark(set: CodePointSet): boolean {
  return (
    set.length <= 2 * maxNamedMembers &&
    set.some((low, i) => i % 2 === 0 && low === mark && set[i + 1] === low)
  );
}

/** Where a set begins or ends, ascending, from 0. */
function bordersOf(sets: readonly CodePointSet[]): readonly number[] {
  const borders = new Set([0]);
  for (const set of sets) {
    for (let i = 0; i < set.length; i += 2) borders.add(set[i]!).add(set[i + 1]! + 1);
  }
  return [...borders].sort((a, b) => a - b);
}

/** For each interval between borders, which sets it is in. */
function signaturesOf(
  sets: readonly CodePointSet[],
  borders: readonly number[],
): readonly string[] {
  const signatures = borders.map(() => '');
  const indexOf = new Map(borders.map((border, i) => [border, i]));
  for (const [number, set] of sets.entries()) {
    for (let i = 0; i < set.length; i += 2) {
      const end = indexOf.get(set[i + 1]! + 1)!;
      for (let at = indexOf.get(set[i]!)!; at < end; at++) signatures[at] += `${number},`;
    }
  }
  return signatures;
}
