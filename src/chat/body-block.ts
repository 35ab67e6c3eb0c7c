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

/** A range of a block's bytes that belongs to the envelope, or to a message; with the message's hash where it ends there. */
export interface BlockPart {
  readonly place: 'envelope' | 'element';
  readonly from: number;
  readonly to: number;
  readonly hash?: string;
}

/** What walking a block of a body came to: the same bytes at the same place need not be walked again. */
export interface WalkedBlock {
  readonly parts: readonly BlockPart[];
  readonly after: Readonly<Position>;
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
