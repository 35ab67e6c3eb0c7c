import { setImmediate } from 'node:timers/promises';

/** Letters and digits that a passage must have in common with a text, in a row, to count as it. */
const windowUnits = 16;
/** At most so many windows are kept of one text, 4 bytes each: of longer ones every so many-th. */
const maxWindows = 8 * 1024 * 1024;
/** Shorter than this, nothing is recognised: it would be found everywhere. */
const minUnits = 4;
/** Work between two turns of the event loop, UTF-16 units: some 2 ms. */
const sliceUnits = 262_144;

/**
 * Recognises passages of texts in what was made from them: quotes in hidden steps, answers of
 * programs and sub-models. Only letters and digits count, so that it does not matter how a quote
 * was wrapped, numbered or escaped. Of a text, windows of 16 are kept, one behind the other; in
 * what is looked at, every window is looked up (the way of rsync, Tridgell and Mackerras 1996), so
 * each passage of at least 31 letters and digits is found; of shorter texts only the whole.
 */
export class Passages {
  readonly #windows = new Set<number>();
  readonly #short = new Set<string>();
  #carried = '';
  #taken = 0;
  readonly #stride: number;

  /** `totalUnits`: how long all the texts are that are going to be added, about. */
  constructor(totalUnits: number) {
    this.#stride = windowUnits * Math.max(1, Math.ceil(totalUnits / windowUnits / maxWindows));
  }

  get isEmpty(): boolean {
    return this.#windows.size === 0 && this.#short.size === 0;
  }

  /** Adds a piece of a text. */
  async add(piece: string): Promise<void> {
    for (let at = 0; at < piece.length; at += sliceUnits) {
      this.#take(this.#carried + plain(piece.slice(at, at + sliceUnits)));
      await setImmediate();
    }
  }

  /** The text has ended; the next piece is of another. */
  end(): void {
    const isShort = this.#taken === 0 && this.#carried.length < 2 * windowUnits;
    if (isShort && this.#carried.length >= minUnits) this.#short.add(this.#carried);
    else if (this.#carried.length >= windowUnits) this.#keep(this.#carried.slice(-windowUnits));
    this.#carried = '';
    this.#taken = 0;
  }

  /** Whether a passage of the texts is in a value of JSON. */
  isIn(value: unknown): boolean {
    for (const text of stringsIn(value)) if (this.#isInUnits(plain(text))) return true;
    return false;
  }

  /** Whether a passage of the texts is in a text, as it stands. */
  isInText(text: string): boolean {
    return this.#isInUnits(plain(text));
  }

  /**
   * Where passages of the texts stand in another text: whole lines of it, as bytes [start, end),
   * ascending and disjoint.
   */
  linesIn(text: string): readonly (readonly [number, number])[] {
    const lines = text.split('\n');
    const isQuote = lines.map((line) => this.#isInUnits(plain(line)));
    // A passage may go over the end of a line.
    for (let at = 1; at < lines.length; at += 1) {
      if (isQuote[at - 1] === true || isQuote[at] === true) continue;
      if (this.#isInUnits(plain(lines[at - 1]! + lines[at]!))) isQuote[at - 1] = isQuote[at] = true;
    }
    const ranges: [number, number][] = [];
    let start = 0;
    for (const [at, line] of lines.entries()) {
      const end = start + Buffer.byteLength(line);
      if (isQuote[at] === true && end > start) ranges.push([start, end]);
      start = end + 1;
    }
    return ranges;
  }

  #take(units: string): void {
    let at = 0;
    for (; at + 2 * windowUnits <= units.length; at += this.#stride) {
      this.#keep(units.slice(at, at + windowUnits));
      this.#taken += 1;
    }
    this.#carried = units.slice(Math.min(at, units.length));
  }

  #keep(window: string): void {
    this.#windows.add(hashOf(window, 0));
  }

  #isInUnits(units: string): boolean {
    for (const short of this.#short) if (units.includes(short)) return true;
    if (this.#windows.size === 0 || units.length < windowUnits) return false;
    let hash = hashOf(units, 0);
    for (let at = 0; ; at += 1) {
      if (this.#windows.has(hash)) return true;
      const next = at + windowUnits;
      if (next >= units.length) return false;
      const gone = Math.imul(units.charCodeAt(at), topFactor);
      hash = (Math.imul(hash - gone, factor) + units.charCodeAt(next)) >>> 0;
    }
  }
}

/** Of the rolling hash, modulo 2^32 (Rabin and Karp 1987); the multiplier is Knuth's. */
const factor = 2_654_435_761;
let topFactor = 1;
for (let i = 1; i < windowUnits; i += 1) topFactor = Math.imul(topFactor, factor);

function hashOf(units: string, from: number): number {
  let hash = 0;
  for (let i = 0; i < windowUnits; i += 1) {
    hash = (Math.imul(hash, factor) + units.charCodeAt(from + i)) >>> 0;
  }
  return hash;
}

function plain(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}]+/gu, '');
}

/** All strings in a value; what is JSON once more (arguments of calls) is looked into, too. */
function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') {
    yield value;
    if (/^\s*[[{"]/.test(value)) yield* stringsIn(parsed(value));
  } else if (Array.isArray(value)) {
    for (const each of value) yield* stringsIn(each);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) {
      yield name;
      yield* stringsIn(each);
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
