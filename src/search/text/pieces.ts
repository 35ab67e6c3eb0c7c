import { partitionPoint } from '../../base/sorted.ts';
import { nextBlock, type BlockBits } from './block-bits.ts';
import type { Ranges } from './ranges.ts';
import type { SharedTable } from './shared-blocks.ts';
import type { EntryBorders } from './shared-entries.ts';
import type { TextBlocks } from '../types.ts';

/**
 * Text is claimed, read and scanned in chunks of about this size: flat from 64 KiB to 1 MiB, and
 * small enough to share workers fairly.
 */
const chunkBytes = 262_144;

/** Pieces of one chunk are read together, gaps included, up to this gap. */
const maxGapBytes = 16_384;

/**
 * What a search reads. Piece i is the byte range [bounds[2i], bounds[2i + 1]), whole lines of what
 * may be searched; chunk c is the pieces from first[c] to first[c + 1].
 */
export interface Pieces {
  readonly bounds: Float64Array;
  readonly first: Int32Array;
  readonly bytes: number;
}

/** What may be searched of a text. */
export interface Scope {
  readonly blocks: SharedTable;
  /** End of the snapshot. */
  readonly endBytes: number;
  readonly ranges: Ranges;
  /** The entries that the text is made of; absent = one text. */
  readonly entries?: EntryBorders;
  /** Places in damaged blocks that are known for certain, see `CorpusChecks`. */
  readonly anchors?: Float64Array;
}

/**
 * Cuts a scope into pieces. `wanted` are the blocks that may hold a match, all that span lines
 * among them; absent = all. A line that spans blocks is never cut.
 */
export function cutPieces(scope: Scope, wanted?: BlockBits): Pieces {
  const bounds: number[] = [];
  const first: number[] = [];
  let chunkStart = -1;
  let bytes = 0;
  const add = (start: number, end: number): void => {
    const gap = start - (bounds.at(-1) ?? start);
    if (chunkStart < 0 || end - chunkStart > chunkBytes || gap > maxGapBytes) {
      first.push(bounds.length / 2);
      chunkStart = start;
    }
    bounds.push(start, end);
    bytes += end - start;
  };
  const { ranges } = scope;
  let block = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    block = Math.max(block, blockAt(scope.blocks, ranges[i]!));
    addRange(scope, [ranges[i]!, ranges[i + 1]!], block, wanted, add);
  }
  first.push(bounds.length / 2);
  return { bounds: Float64Array.from(bounds), first: Int32Array.from(first), bytes };
}

/** The same in memory that all threads see. */
export function sharePieces({ bounds, first, bytes }: Pieces): Pieces {
  return { bounds: shared(Float64Array, bounds), first: shared(Int32Array, first), bytes };
}

function addRange(
  scope: Scope,
  [from, end]: readonly [number, number],
  firstBlock: number,
  wanted: BlockBits | undefined,
  add: (start: number, end: number) => void,
): void {
  const { blocks } = scope;
  let start = from;
  let pieceEnd = from;
  let block = firstBlock;
  const flush = (): void => {
    if (pieceEnd > start) add(start, pieceEnd);
  };
  while (pieceEnd < end && block < blocks.count) {
    if (wanted !== undefined) {
      const next = nextBlock(wanted, block, blocks.count);
      if (next === blocks.count || blocks.byteStart[next]! >= end) break;
      if (next > block) {
        flush();
        block = next;
        start = blocks.byteStart[next]!;
        pieceEnd = start;
      }
    }
    // A line that spans blocks keeps them together.
    let last = block;
    while (last + 1 < blocks.count && blocks.lineStart[last + 1] === blocks.lineStart[last]) last++;
    const unitEnd = Math.min(last + 1 < blocks.count ? blocks.byteStart[last + 1]! : end, end);
    if (unitEnd - start > chunkBytes) {
      flush();
      start = pieceEnd;
    }
    pieceEnd = unitEnd;
    block = last + 1;
  }
  flush();
}

/** The block that byte `offset` lies in; the last one for an offset at or behind the end. */
export function blockAt(blocks: TextBlocks, offset: number): number {
  const { byteStart, count } = blocks;
  return Math.max(0, partitionPoint(count, (block) => byteStart[block]! <= offset) - 1);
}

function shared<Into extends Float64Array | Int32Array>(
  into: { new (buffer: SharedArrayBuffer): Into; readonly BYTES_PER_ELEMENT: number },
  values: ArrayLike<number>,
): Into {
  const array = new into(new SharedArrayBuffer(values.length * into.BYTES_PER_ELEMENT));
  array.set(values);
  return array;
}
