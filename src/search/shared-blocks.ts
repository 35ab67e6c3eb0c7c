import type { BlockTable } from './types.ts';

interface Copy {
  readonly capacity: number;
  count: number;
  readonly byteStart: Float64Array;
  readonly charStart: Float64Array;
  readonly lineStart: Float64Array;
}

/**
 * Puts block tables where all workers can read them. Tables only grow, so of one that was seen before only the new part is copied; one
 * that lies in shared memory already is taken as it is.
 */
export class SharedBlocks {
  readonly #copies = new WeakMap<object, Copy>();

  /** The first `count` blocks of the table, in shared memory. */
  share(blocks: BlockTable, count: number): BlockTable {
    if (blocks.byteStart.buffer instanceof SharedArrayBuffer) return { ...pick(blocks), count };
    let copy = this.#copies.get(blocks.byteStart.buffer);
    if (copy === undefined || copy.capacity < count) {
      copy = createCopy(blocks.byteStart.length);
      this.#copies.set(blocks.byteStart.buffer, copy);
    }
    if (copy.count < count) {
      for (const column of columns) {
        copy[column].set(blocks[column].subarray(copy.count, count), copy.count);
      }
      copy.count = count;
    }
    return { ...pick(copy), count };
  }
}

const columns = ['byteStart', 'charStart', 'lineStart'] as const;

function pick(table: Omit<BlockTable, 'count'>): Omit<BlockTable, 'count'> {
  const { byteStart, charStart, lineStart } = table;
  return { byteStart, charStart, lineStart };
}

function createCopy(capacity: number): Copy {
  const column = (): Float64Array => new Float64Array(new SharedArrayBuffer(8 * capacity));
  return { capacity, count: 0, byteStart: column(), charStart: column(), lineStart: column() };
}
