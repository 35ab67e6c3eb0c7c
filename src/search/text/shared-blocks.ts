import { noBlocks, type BlockBits } from './block-bits.ts';
import type { TextBlocks } from '../types.ts';

/** A block table that all threads see. */
export interface SharedTable extends TextBlocks {
  /**
   * The blocks that end in the middle of a line. May know more of them than the table has blocks.
   */
  readonly spanning: BlockBits;
}

interface Copy {
  readonly capacity: number;
  readonly places: Omit<SharedTable, 'count' | 'crc'>;
  count: number;
  /** Made when checksums first come with the table: they come and go. */
  crc: Uint32Array | undefined;
  crcCount: number;
}

/**
 * Puts block tables where all workers can read them. Tables only grow, so of one that was seen
 * before only the new part is copied; one that lies in shared memory already is taken as it is.
 */
export class SharedBlocks {
  readonly #copies = new WeakMap<object, Copy>();

  /** The first `count` blocks of the table, in shared memory. */
  share(blocks: TextBlocks, count: number): SharedTable {
    let copy = this.#copies.get(blocks.byteStart.buffer);
    if (copy === undefined || copy.capacity < count) {
      copy = createCopy(blocks);
      this.#copies.set(blocks.byteStart.buffer, copy);
    }
    if (copy.count < count) extend(copy, blocks, count);
    if (blocks.crc === undefined) return { ...copy.places, count };
    return { ...copy.places, crc: shareChecksums(copy, blocks.crc, count), count };
  }
}

function createCopy(blocks: TextBlocks): Copy {
  const capacity = blocks.byteStart.length;
  const column = (from: Float64Array): Float64Array =>
    from.buffer instanceof SharedArrayBuffer
      ? from
      : new Float64Array(new SharedArrayBuffer(8 * capacity));
  const places = {
    byteStart: column(blocks.byteStart),
    charStart: column(blocks.charStart),
    lineStart: column(blocks.lineStart),
    spanning: new Uint32Array(new SharedArrayBuffer(noBlocks(capacity).byteLength)),
  };
  return { capacity, places, count: 0, crc: undefined, crcCount: 0 };
}

function extend(copy: Copy, blocks: TextBlocks, count: number): void {
  const { lineStart, spanning } = copy.places;
  for (const name of ['byteStart', 'charStart', 'lineStart'] as const) {
    const to = copy.places[name];
    if (to !== blocks[name]) to.set(blocks[name].subarray(copy.count, count), copy.count);
  }
  for (let block = Math.max(0, copy.count - 1); block + 1 < count; block++) {
    if (lineStart[block] === lineStart[block + 1]) spanning[block >> 5]! |= 1 << (block & 31);
  }
  copy.count = count;
}

function shareChecksums(copy: Copy, crc: Uint32Array, count: number): Uint32Array {
  copy.crc ??= new Uint32Array(new SharedArrayBuffer(4 * copy.capacity));
  if (copy.crcCount < count) {
    // The block that was the last one then has been closed meanwhile, if there are more now.
    const first = Math.max(0, copy.crcCount - 1);
    copy.crc.set(crc.subarray(first, count), first);
    copy.crcCount = count;
  }
  return copy.crc;
}
