import type { HistoryItem } from './history.ts';

/** Where a splitter stands between two bytes. */
export interface Position {
  /** What the walked bytes belong to: the envelope, an element of `messages`, or nothing (between two elements). */
  place: 'envelope' | 'between' | 'element';
  /** Open brackets and braces around the next byte. The elements of `messages` stand at 2. */
  depth: number;
  inString: boolean;
  /** The piece before ended in an unfinished escape. */
  escaped: boolean;
  keyExpected: boolean;
  atMessages: boolean;
  sawMessages: boolean;
  elementIsScalar: boolean;
  afterElement: boolean;
  afterComma: boolean;
  complete: boolean;
}

/** A range of a block's bytes that belongs to the envelope, or to a message that goes on behind it. */
interface OpenPart {
  readonly place: 'envelope' | 'element';
  readonly from: number;
  readonly to: number;
  readonly hash?: undefined;
}

/** The range in which a message ends, and the message's hash. */
interface LastPart {
  readonly place: 'element';
  readonly from: number;
  readonly to: number;
  readonly hash: string;
}

/** A range of a block's bytes. */
export type BlockPart = OpenPart | LastPart;

/** What walking a block of a body came to: the same bytes at the same place need not be walked again. */
export interface WalkedBlock {
  readonly parts: readonly BlockPart[];
  readonly after: Readonly<Position>;
}

/** A message of a body. */
export interface RawMessage {
  /** The element's bytes, in pieces as they arrived. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** SHA-256 of the bytes, base64url. */
  readonly hash: string;
  /** What was made of it, for the case that the same block comes again and this very message with it. */
  item?: HistoryItem;
}

/** A message that ends in a block that was walked before. Its bytes are cut out when they are asked for: of most, never. */
export class SkippedMessage implements RawMessage {
  readonly sizeBytes: number;
  readonly hash: string;
  item?: HistoryItem;
  readonly #before: readonly Uint8Array[];
  readonly #block: readonly Uint8Array[];
  readonly #last: LastPart;
  #pieces: readonly Uint8Array[] | undefined;

  /** @param before What of it came in earlier blocks */
  constructor(
    before: readonly Uint8Array[],
    beforeBytes: number,
    block: readonly Uint8Array[],
    last: LastPart,
  ) {
    this.#before = before;
    this.#block = block;
    this.#last = last;
    this.sizeBytes = beforeBytes + last.to - last.from;
    this.hash = last.hash;
  }

  get pieces(): readonly Uint8Array[] {
    if (this.#pieces === undefined) {
      const last = sliceOf(this.#block, this.#last.from, this.#last.to);
      this.#pieces = this.#before.length === 0 ? last : [...this.#before, ...last];
    }
    return this.#pieces;
  }
}

/** The bytes from `from` to `to` of a block that came in pieces. */
export function sliceOf(
  block: readonly Uint8Array[],
  from: number,
  to: number,
): readonly Uint8Array[] {
  const [only] = block;
  if (block.length === 1 && only !== undefined) return [only.subarray(from, to)];
  const slices: Uint8Array[] = [];
  let start = 0;
  for (const piece of block) {
    const end = start + piece.length;
    if (start < to && from < end)
      slices.push(piece.subarray(Math.max(0, from - start), Math.min(piece.length, to - start)));
    start = end;
  }
  return slices;
}
