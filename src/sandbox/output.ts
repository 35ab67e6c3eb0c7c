import { grouped } from '../base/numbers.ts';

/** Share of the limit that the beginning of the output gets; the end gets the rest. */
const headShare = 0.6;

/**
 * Printed text with a limit: the beginning and the end are kept, the middle is counted and named.
 */
export class OutputBuffer {
  readonly #headLimit: number;
  readonly #tailLimit: number;
  #head = '';
  #tail = '';
  #omittedChars = 0;

  /** `limitChars` counts UTF-16 units, so that a limit in code points is never exceeded. */
  constructor(limitChars: number) {
    this.#headLimit = Math.ceil(limitChars * headShare);
    this.#tailLimit = limitChars - this.#headLimit;
  }

  /** Adds a text of which the caller already left out `omittedChars` between `start` and `end`. */
  add(start: string, omittedChars: number, end: string): void {
    this.#append(start);
    if (omittedChars === 0) return;
    this.#omittedChars += omittedChars + this.#tail.length;
    this.#tail = end;
    this.#trim();
  }

  #append(text: string): void {
    const room =
      this.#omittedChars > 0 || this.#tail !== ''
        ? 0
        : Math.max(0, this.#headLimit - this.#head.length);
    this.#head += text.slice(0, room);
    this.#tail += text.slice(room);
    this.#trim();
  }

  #trim(): void {
    const excess = this.#tail.length - this.#tailLimit;
    if (excess <= 0) return;
    this.#omittedChars += excess;
    this.#tail = this.#tail.slice(excess);
  }

  /** The text, with a line in place of what was left out. */
  text(): string {
    if (this.#omittedChars === 0) return this.#head + this.#tail;
    const count = grouped(this.#omittedChars);
    const note = `\n[... ${count} characters of output left out; print less, or keep them in a variable ...]\n`;
    return `${this.#head.toWellFormed()}${note}${this.#tail.toWellFormed()}`;
  }
}
