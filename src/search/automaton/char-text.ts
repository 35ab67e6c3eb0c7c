import type { CharAlphabet } from './char-alphabet.ts';
import { isWithinLine, type StateLoops } from './state-loops.ts';

/** A line begins at this place between two characters. Flags of a place are added up. */
export const lineStartFlag = 1;
/** A line ends there. */
export const lineEndFlag = 2;
/** A word begins or ends there. */
export const wordBorderFlag = 4;
/**
 * The place is within a line's end, or in front of a mark at its beginning: no border of anything.
 */
const insideFlag = 8;
/** How many sets of them there are. */
export const flagSets = 16;

/**
 * Whether a place that has these flags is between two words' characters that belong together, or
 * between two others.
 */
export function holdsNoBorder(flags: number): boolean {
  return (flags & (wordBorderFlag | insideFlag)) === 0;
}

/**
 * Walks a text character by character, to either side, and tells what each is to an alphabet and
 * what holds between them. A text is bytes[from, to), a line or more without what surrounds them,
 * valid UTF-8. The members are the walk's place: read them, never keep them.
 */
export class CharText {
  /** Class of the character behind the place (forwards) or in front of it (backwards). */
  charClass = 0;
  /** Bytes of that character. */
  size = 0;
  /** What holds at the place. */
  flags = 0;
  readonly #alphabet: CharAlphabet;
  /** The flags that anybody asks for. */
  readonly #asked: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #from = 0;
  #to = 0;

  constructor(alphabet: CharAlphabet, asked: number) {
    this.#alphabet = alphabet;
    this.#asked = asked;
  }

  /** Sets the text to walk. */
  open(bytes: Uint8Array, from: number, to: number): void {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
  }

  /**
   * The character that starts at `at`, and what holds before it. At the end of the text the
   * character is none.
   */
  forwardAt(at: number): void {
    // Before the other, because each leaves the size of its character.
    const before = this.#asked === 0 ? 0 : this.#classBefore(at);
    this.charClass = this.#classAt(at);
    if (this.#asked !== 0) this.flags = this.#flagsBetween(before, at, this.charClass);
  }

  /** The same one character on. */
  forwardNext(at: number): void {
    const before = this.charClass;
    this.charClass = this.#classAt(at);
    if (this.#asked !== 0) this.flags = this.#flagsBetween(before, at, this.charClass);
  }

  /**
   * Where a run of characters ends that starts at `at`, behind another character, and changes
   * nothing in a state: `at` where there is none. Between them nothing holds but what is asked of
   * words.
   */
  skip(loops: StateLoops, state: number, at: number): number {
    return isWithinLine(this.#bytes[at - 1]!) ? loops.skip(state, this.#bytes, at, this.#to) : at;
  }

  /** Where a line begins in a text of one line, descending: behind a mark once more. */
  lineStarts(): readonly number[] {
    const from = this.#from;
    const bytes = this.#bytes;
    const isMarked =
      from + 3 <= this.#to &&
      bytes[from] === 0xef &&
      bytes[from + 1] === 0xbb &&
      bytes[from + 2] === 0xbf;
    return isMarked ? [from + 3, from] : [from];
  }

  /**
   * The character that ends at `at`, and what holds behind it. `classBehind` is the class of the
   * character that starts there.
   */
  backwardFrom(classBehind: number, at: number): void {
    const before = this.#classBefore(at);
    if (this.#asked !== 0) this.flags = this.#flagsBetween(before, at, classBehind);
    this.charClass = at <= this.#from ? this.#alphabet.textEnd : before;
  }

  /**
   * Class of the character in front of `at`: at the start of the text, a newline. `size` are its
   * bytes.
   */
  #classBefore(at: number): number {
    if (at <= this.#from) {
      this.size = 0;
      return this.#alphabet.newline;
    }
    let start = at - 1;
    while (start > this.#from && at - start < 4 && (this.#bytes[start]! & 0xc0) === 0x80) start--;
    const found = this.#classAt(start);
    this.size = at - start;
    return found;
  }

  /** Class of the character that starts at `at`. `size` are its bytes. */
  #classAt(at: number): number {
    const alphabet = this.#alphabet;
    if (at >= this.#to) {
      this.size = 0;
      return alphabet.textEnd;
    }
    const bytes = this.#bytes;
    const byte = bytes[at]!;
    if (byte < 0x80) {
      this.size = 1;
      const endsLine = byte === 13 && (at + 1 >= this.#to || bytes[at + 1] === 10);
      return endsLine ? alphabet.lineReturn : alphabet.ascii[byte]!;
    }
    const codePoint = this.#decode(at, byte);
    if (codePoint === 0xfeff && (at === this.#from || bytes[at - 1] === 10)) {
      return alphabet.lineMark;
    }
    return alphabet.classOf(codePoint);
  }

  #decode(at: number, lead: number): number {
    const bytes = this.#bytes;
    const second = bytes[at + 1]! & 63;
    if (lead < 0xe0) {
      this.size = 2;
      return ((lead & 31) << 6) | second;
    }
    const third = bytes[at + 2]! & 63;
    if (lead < 0xf0) {
      this.size = 3;
      return ((lead & 15) << 12) | (second << 6) | third;
    }
    this.size = 4;
    return ((lead & 7) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 63);
  }

  #flagsBetween(before: number, at: number, behind: number): number {
    const { newline, lineMark, lineReturn, textEnd, isWord } = this.#alphabet;
    let flags = 0;
    if (before === newline || before === lineMark || at <= this.#from) flags = lineStartFlag;
    if (behind === newline || behind === lineReturn || behind === textEnd) flags |= lineEndFlag;
    if (isWord[before] !== isWord[behind]) flags |= wordBorderFlag;
    flags &= this.#asked;
    return before === lineReturn || behind === lineMark ? flags | insideFlag : flags;
  }

  /**
   * Whether no empty match may be at `at`: within a line's end, or in front of a
   * mark at its beginning.
   */
  isInsideBorder(at: number): boolean {
    const { lineReturn, lineMark } = this.#alphabet;
    return (
      (at > this.#from && this.#bytes[at - 1] === 13 && this.#classBefore(at) === lineReturn) ||
      this.#classAt(at) === lineMark
    );
  }
}
