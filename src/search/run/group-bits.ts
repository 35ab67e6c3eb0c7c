import { crc32 } from 'node:zlib';
import { gramRows } from '../index/gram-hash.ts';
import { blocksPerGroup, type OpenBlock } from '../index/index-file.ts';
import type { ScanMemory } from '../text/scan-memory.ts';
import type { TextFile } from '../text/text-file.ts';
import type { TextBlocks } from '../types.ts';

const bitmapBytes = gramRows / 8;

/** Makes the index of one group of blocks after the other: which hashed sequences are in each. */
export class GroupBits {
  readonly #memory: ScanMemory;
  readonly #text: TextFile;
  readonly #blocks: TextBlocks;

  constructor(memory: ScanMemory, text: TextFile, blocks: TextBlocks) {
    this.#memory = memory;
    this.#text = text;
    this.#blocks = blocks;
  }

  /** Looks at the blocks [first, end), of one group; together they fit the memory for text. */
  add(first: number, end: number): void {
    const { byteStart } = this.#blocks;
    const base = byteStart[first]!;
    const { bytes, textAt } = this.#memory;
    this.#text.read(bytes, textAt, base, byteStart[end]!);
    for (let block = first; block < end; block++) {
      this.#addRead(block, byteStart[block]! - base, byteStart[block + 1]! - base);
    }
  }

  /** Looks at the last block of the table, where the text ends at `endBytes`. */
  addOpen(endBytes: number): OpenBlock {
    const { byteStart, count } = this.#blocks;
    const { bytes, textAt } = this.#memory;
    const startBytes = byteStart[count - 1]!;
    const lengthBytes = endBytes - startBytes;
    this.#text.read(bytes, textAt, startBytes, endBytes);
    this.#addRead(count - 1, 0, lengthBytes);
    return { endBytes, crc: crc32(bytes.subarray(textAt, textAt + lengthBytes)) };
  }

  /** Looks at a block whose bytes [start, end) of the memory for text are. */
  #addRead(block: number, start: number, end: number): void {
    const { kernels, textAt, indexAt } = this.#memory;
    const bitmap = this.#bitmapAt(block);
    kernels.blockGrams(textAt + start, textAt + end, indexAt.scratch, bitmap);
    // Nothing is ruled out by what is damaged.
    if (this.#text.isUnsound(block)) this.allow(block);
  }

  /** Lets a block be searched whatever is asked. */
  allow(block: number): void {
    const at = this.#bitmapAt(block);
    this.#memory.bytes.fill(255, at, at + bitmapBytes);
  }

  /** The rows of the group whose 64 blocks were told: a u64 each, valid until the next group. */
  rows(): Float64Array {
    const { kernels, indexAt, bytes } = this.#memory;
    kernels.transposeBitmaps(indexAt.bitmaps, indexAt.columns, indexAt.scratch);
    // The flags must be zero again; the transposition has used their place.
    bytes.fill(0, indexAt.scratch, indexAt.scratch + 512);
    return new Float64Array(kernels.memory.buffer, indexAt.columns, gramRows);
  }

  #bitmapAt(block: number): number {
    return this.#memory.indexAt.bitmaps + (block % blocksPerGroup) * bitmapBytes;
  }
}
