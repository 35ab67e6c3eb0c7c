import type { CharAlphabet } from './char-alphabet.ts';

const asciiCount = 128;
const newline = 10;
const carriageReturn = 13;

/**
 * For each state of a walk the ASCII characters that change nothing: with them the walk stays where
 * it is. `.+` and the like have nearly all of them, and a walk goes over those without a look at
 * anything else. What may belong to a line's end is never among them.
 */
export class StateLoops {
  readonly #alphabet: CharAlphabet;
  /** By state and character: 1 = changes nothing. */
  #cells = new Uint8Array(16 * asciiCount);

  constructor(alphabet: CharAlphabet) {
    this.#alphabet = alphabet;
  }

  /** Notes that characters of this class leave a state as it is, where nothing else holds. */
  add(state: number, charClass: number): void {
    const base = state * asciiCount;
    if (base >= this.#cells.length) {
      const wider = new Uint8Array(2 * (base + asciiCount));
      wider.set(this.#cells);
      this.#cells = wider;
    }
    const { ascii } = this.#alphabet;
    for (let byte = 0; byte < asciiCount; byte++) {
      if (ascii[byte] === charClass && !mayEndLine(byte)) this.#cells[base + byte] = 1;
    }
  }

  /** States have new numbers. */
  forget(): void {
    this.#cells.fill(0);
  }

  /** Where the run of such characters ends that starts at `at`: at most at `to`. */
  skip(state: number, bytes: Uint8Array, at: number, to: number): number {
    const cells = this.#cells;
    const base = state * asciiCount;
    if (base >= cells.length) return at;
    let end = at;
    while (end < to) {
      const byte = bytes[end]!;
      if (byte >= asciiCount || cells[base + byte] !== 1) break;
      end++;
    }
    return end;
  }

  /** Where the run begins that ends at `at`: at least at `from`. */
  skipBack(state: number, bytes: Uint8Array, from: number, at: number): number {
    const cells = this.#cells;
    const base = state * asciiCount;
    if (base >= cells.length) return at;
    let start = at;
    while (start > from) {
      const byte = bytes[start - 1]!;
      if (byte >= asciiCount || cells[base + byte] !== 1) break;
      start--;
    }
    return start;
  }
}

/** Whether a byte is a character after which nothing holds that has to do with lines. */
export function isWithinLine(byte: number): boolean {
  return byte < asciiCount && !mayEndLine(byte);
}

function mayEndLine(byte: number): boolean {
  return byte === newline || byte === carriageReturn;
}
