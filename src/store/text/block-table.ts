import { partitionPoint } from '../../base/sorted.ts';
import { crc32 } from 'node:zlib';
import { countText, type TextCounts } from '../../kernels/text-counts.ts';
import { incompleteTailBytes } from './text-scan.ts';

/**
 * Longest block; 32 KiB serves reads, checksums and search alike (10 us to read and decode one;
 * docs/benchmarks.md).
 */
export const blockMaxBytes = 32_768;

/** The columns of a block table; longer than the number of blocks. */
export interface BlockColumns {
  readonly byteStart: Float64Array;
  readonly charStart: Float64Array;
  readonly lineStart: Float64Array;
  /**
   * CRC-32 of each closed block's bytes. The last block of a commit has its own, see {@link
   * CommittedBlocks}.
   */
  readonly crc: Uint32Array;
}

/** The table as of a commit. */
export interface CommittedBlocks extends BlockColumns {
  readonly count: number;
  /** Where the last block ends. */
  readonly endBytes: number;
  /** CRC-32 of the last block up to `endBytes`. */
  readonly lastCrc: number;
}

/** A place in a session's text, from its start; `lines` are those before it. */
export interface TextPlace {
  readonly bytes: number;
  readonly chars: number;
  readonly lines: number;
}

/**
 * Cuts a growing text into blocks by the rule of `BlockTable` in `src/search/types.ts`. Where a
 * block starts is settled once the text goes on for more than {@link blockMaxBytes} behind its
 * predecessor's start, and never changes again; so a commit's table stays right while more text is
 * fed. Holds one block of text, nothing more.
 */
export class BlockTable {
  #columns: BlockColumns = newColumns(64);
  /** Blocks whose end is settled; the open block is number `#closed`. */
  #closed = 0;
  readonly #open = Buffer.allocUnsafe(blockMaxBytes);
  #openBytes = 0;
  /** Of the open block. */
  #openChars = 0;
  #openNewlines = 0;
  /** Of the open block, as of the last commit. */
  #committedOpen = { chars: 0, newlines: 0 };
  #committed: CommittedBlocks = { ...this.#columns, count: 0, endBytes: 0, lastCrc: 0 };

  /** `start`: where in the session's text that is which will be fed, if not at its beginning. */
  constructor(start: TextPlace = { bytes: 0, chars: 0, lines: 0 }) {
    this.#columns.byteStart[0] = start.bytes;
    this.#columns.charStart[0] = start.chars;
    this.#columns.lineStart[0] = start.lines + 1;
  }

  /** The table as of the last commit. A value: later commits make another. */
  get committed(): CommittedBlocks {
    return this.#committed;
  }

  /**
   * Takes more text. The bytes are not kept beyond the open block. `counts` are those of the bytes,
   * where they are known already.
   */
  feed(bytes: Uint8Array, counts?: TextCounts): void {
    if (this.#openBytes + bytes.length <= blockMaxBytes) {
      this.#open.set(bytes, this.#openBytes);
      this.#openBytes += bytes.length;
      this.#addCounts(counts ?? countText(bytes));
      return;
    }
    let at = 0;
    while (at < bytes.length) {
      if (this.#openBytes === blockMaxBytes) this.#closeBlock();
      const count = Math.min(blockMaxBytes - this.#openBytes, bytes.length - at);
      const part = bytes.subarray(at, at + count);
      this.#open.set(part, this.#openBytes);
      this.#openBytes += count;
      this.#addCounts(countText(part));
      at += count;
    }
  }

  /**
   * What was fed ends at `place`, as somebody knows better: it was damaged, so that what was
   * counted in it since `from` is not what stood there. What is fed next has its right place by
   * this; places within what was damaged are only near.
   */
  correct(from: TextPlace, place: TextPlace): void {
    const { byteStart, charStart, lineStart } = this.#columns;
    for (let block = this.#closed; block >= 0 && byteStart[block]! > from.bytes; block -= 1) {
      charStart[block] = Math.min(charStart[block]!, place.chars);
      lineStart[block] = Math.min(lineStart[block]!, place.lines + 1);
    }
    this.#openChars = place.chars - charStart[this.#closed]!;
    this.#openNewlines = place.lines + 1 - lineStart[this.#closed]!;
  }

  /** All that was fed is committed now. */
  commit(): void {
    const open = this.#open.subarray(0, this.#openBytes);
    this.#committedOpen = { chars: this.#openChars, newlines: this.#openNewlines };
    this.#committed = {
      ...this.#columns,
      count: this.#closed + (this.#openBytes > 0 ? 1 : 0),
      endBytes: this.#columns.byteStart[this.#closed]! + this.#openBytes,
      lastCrc: crc32(open),
    };
  }

  /** The bytes [start, end) that {@link rollBack} wants back. */
  get lastCommittedBlock(): readonly [number, number] {
    const { count, byteStart, endBytes } = this.#committed;
    return count === 0 ? [0, 0] : [byteStart[count - 1]!, endBytes];
  }

  /**
   * Forgets what was fed since the last commit. `lastBlock` holds the bytes of {@link
   * lastCommittedBlock}.
   */
  rollBack(lastBlock: Uint8Array): void {
    this.#closed = Math.max(0, this.#committed.count - 1);
    this.#setOpen(lastBlock, this.#committedOpen);
  }

  /**
   * Starts from a table that was kept, all but its last block: the text from `byteStart[count - 1]`
   * on is to be fed again.
   */
  restore(columns: BlockColumns, count: number): void {
    const grown = newColumns(count + 64);
    copyColumns(columns, grown, count);
    this.#columns = grown;
    this.#closed = count - 1;
    this.#setOpen(Buffer.alloc(0), { chars: 0, newlines: 0 });
  }

  #setOpen(bytes: Uint8Array, counts: TextCounts): void {
    this.#open.set(bytes);
    this.#openBytes = bytes.length;
    this.#openChars = 0;
    this.#openNewlines = 0;
    this.#addCounts(counts);
  }

  #addCounts({ chars, newlines }: TextCounts): void {
    this.#openChars += chars;
    this.#openNewlines += newlines;
  }

  #closeBlock(): void {
    const newline = this.#open.lastIndexOf(0x0a);
    const length = newline >= 0 ? newline + 1 : blockMaxBytes - incompleteTailBytes(this.#open);
    const block = this.#open.subarray(0, length);
    const next = this.#closed + 1;
    if (next === this.#columns.byteStart.length) {
      const grown = newColumns(next * 2);
      copyColumns(this.#columns, grown, next);
      this.#columns = grown;
    }
    const { byteStart, charStart, lineStart, crc } = this.#columns;
    crc[this.#closed] = crc32(block);
    byteStart[next] = byteStart[this.#closed]! + length;
    // What is left over is short, as lines are: counting it is less than counting the block.
    const rest = this.#open.subarray(length);
    const { chars, newlines } = countText(rest);
    // Ascending, even where what is left over was damaged and counts for more than stood there.
    charStart[next] = charStart[this.#closed]! + Math.max(0, this.#openChars - chars);
    lineStart[next] = lineStart[this.#closed]! + Math.max(0, this.#openNewlines - newlines);
    this.#open.copyWithin(0, length, blockMaxBytes);
    this.#openBytes = rest.length;
    this.#openChars = chars;
    this.#openNewlines = newlines;
    this.#closed = next;
  }
}

/**
 * How many blocks the table has of the text's first `endBytes` bytes: one is closed once the text
 * goes on for more than {@link blockMaxBytes} behind its start.
 */
export function prefixCount(
  { byteStart, count }: Pick<CommittedBlocks, 'byteStart' | 'count'>,
  endBytes: number,
): number {
  if (endBytes === 0) return 0;
  return 1 + partitionPoint(count - 1, (block) => byteStart[block]! + blockMaxBytes < endBytes);
}

/**
 * The last of the first `count` values that is at most `value`; -1 where none is. Values ascend.
 */
export function lastAtMost(column: Float64Array, count: number, value: number): number {
  return partitionPoint(count, (index) => column[index]! <= value) - 1;
}

function newColumns(capacity: number): BlockColumns {
  return {
    byteStart: new Float64Array(capacity),
    charStart: new Float64Array(capacity),
    lineStart: new Float64Array(capacity),
    crc: new Uint32Array(capacity),
  };
}

function copyColumns(from: BlockColumns, to: BlockColumns, count: number): void {
  to.byteStart.set(from.byteStart.subarray(0, count));
  to.charStart.set(from.charStart.subarray(0, count));
  to.lineStart.set(from.lineStart.subarray(0, count));
  to.crc.set(from.crc.subarray(0, count));
}
