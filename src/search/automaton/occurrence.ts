/**
 * What the groups of a match hold that were asked for, by their place among those. To be read while
 * the match is being told, and no longer.
 */
export interface GroupTexts {
  /** The text; undefined where the group took no part. */
  text(i: number): string | undefined;
  /** Bytes of the text in UTF-8; 0 where the group took no part. */
  size(i: number): number;
  /** Writes those bytes into `into`, from `at` on. */
  write(i: number, into: Buffer, at: number): void;
}

/** Receives a match's bytes [start, end) and what its groups hold. */
export type TakeOccurrence = (start: number, end: number, groups: GroupTexts) => void;

/** Shorter texts are copied byte by byte: a call that copies costs more. */
const minCopyBytes = 24;

/** Groups as places in the text that was searched. */
export class PlacedGroups implements GroupTexts {
  readonly #text: Buffer;
  /** Where each group asked for starts and ends; -1 where it took no part. */
  readonly places: Int32Array;

  constructor(bytes: Uint8Array, count: number) {
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.places = new Int32Array(2 * count);
  }

  text(i: number): string | undefined {
    const from = this.places[2 * i]!;
    return from < 0 ? undefined : this.#text.toString('utf8', from, this.places[2 * i + 1]);
  }

  size(i: number): number {
    return this.places[2 * i + 1]! - this.places[2 * i]!;
  }

  write(i: number, into: Buffer, at: number): void {
    const from = this.places[2 * i]!;
    const to = this.places[2 * i + 1]!;
    if (to - from >= minCopyBytes) this.#text.copy(into, at, from, to);
    else for (let k = from; k < to; k++) into[at + k - from] = this.#text[k]!;
  }
}

/** Groups as texts of their own. */
export class SpelledGroups implements GroupTexts {
  readonly #texts: readonly (string | undefined)[];

  constructor(texts: readonly (string | undefined)[]) {
    this.#texts = texts;
  }

  text(i: number): string | undefined {
    return this.#texts[i];
  }

  size(i: number): number {
    return Buffer.byteLength(this.#texts[i] ?? '');
  }

  write(i: number, into: Buffer, at: number): void {
    into.write(this.#texts[i] ?? '', at);
  }
}
