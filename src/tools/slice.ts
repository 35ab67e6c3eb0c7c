import { partitionPoint } from '../base/sorted.ts';
import type { Entry, SessionStore } from '../store/types.ts';
import type { Slice } from './sub-model.ts';

/**
 * The characters that a tool may see here: the slice of a sub-call, or everything. End exclusive.
 */
export function visibleChars(
  store: SessionStore,
  slice: Slice | undefined,
): { readonly startChars: number; readonly endChars: number } {
  if (slice === undefined) return { startChars: 0, endChars: store.totals.chars };
  return { startChars: slice.startChars, endChars: slice.endChars };
}

/** Byte ranges of a search, cut to a slice. `undefined` is everything. */
export function visibleRanges(
  ranges: readonly (readonly [number, number])[] | undefined,
  slice: Slice | undefined,
): readonly (readonly [number, number])[] | undefined {
  if (slice === undefined) return ranges;
  if (ranges === undefined) return [[slice.startBytes, slice.endBytes]];
  return ranges
    .map(
      ([start, end]) => [Math.max(start, slice.startBytes), Math.min(end, slice.endBytes)] as const,
    )
    .filter(([start, end]) => start < end);
}

/** Whether an entry has text inside a slice. */
export function isVisible(entry: Entry, slice: Slice | undefined): boolean {
  if (slice === undefined) return true;
  return (
    entry.offsetChars < slice.endChars && entry.offsetChars + entry.lengthChars > slice.startChars
  );
}

/** A range of characters with its bytes. Reads less than one block at each end. */
export async function sliceAt(
  store: SessionStore,
  startChars: number,
  endChars: number,
): Promise<Slice> {
  return {
    startChars,
    endChars,
    startBytes: await byteOffset(store, startChars),
    endBytes: await byteOffset(store, endChars),
  };
}

async function byteOffset(store: SessionStore, offsetChars: number): Promise<number> {
  const { blocks, totals } = await store.snapshot();
  if (offsetChars >= totals.chars) return totals.bytes;
  const { charStart, byteStart, count } = blocks;
  const block = partitionPoint(count, (at) => charStart[at]! <= offsetChars) - 1;
  const blockChars = charStart[block] ?? 0;
  const blockBytes = byteStart[block] ?? 0;
  if (offsetChars === blockChars) return blockBytes;
  const { text } = await store.read(blockChars, offsetChars - blockChars);
  return blockBytes + Buffer.byteLength(text);
}
