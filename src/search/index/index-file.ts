import { closeSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { partitionPoint } from '../../base/sorted.ts';
import { gramRows } from './gram-hash.ts';
import type { TextFile } from '../text/text-file.ts';
import type { TextBlocks } from '../types.ts';

/*
 * One file for each 1,024 blocks (up to 32 MiB of text): a header of 64 bytes, then 49,152 rows,
 * one for each hashed byte sequence. A row has a bit for each block that is indexed, in groups of
 * 64 blocks, a u64 each. Rows lie in units of up to 128 bytes, each followed by its CRC-32 (u32): a
 * unit is what is read for a row, and it is compared with its checksum each time. With g groups a
 * unit has the most rows, a power of two, that make at most 16 groups. Only closed blocks are
 * indexed, and only whole groups, so that the file is never more than 20 % of the text it covers,
 * and what it says about a block never changes. A file is written under another name, synced and
 * renamed, and then its folder is synced; it grows by being written anew, wider, from rows that
 * were compared.
 *
 * Header, little-endian: magic, version, first block, groups (u32 each); first byte and end of the
 * text covered (f64 each); CRC-32 over the block table's part and over samples of the text; CRC-32
 * of the header before it; of a tail that covers the open block, where that ended (f64) and the
 * CRC-32 of its bytes, else zeros. A file that does not fit the text is not an index of it, whoever
 * put it there. The checksum of a unit starts from that of the header and the unit's number, so
 * that no unit passes for another.
 *
 * A file that is wrong is deleted by whoever finds it: the folder changes by that, so that the next
 * upkeep builds it anew.
 *
 * What lies behind the last whole group is searched always, up to 2 MiB of each text: little for
 * one that is being written, much where ten are asked together. Where a text has come to rest,
 * these blocks have a file of their own, `tail.bits`: one group, in which the bits of blocks that
 * are not covered are set. Its header says the end of what it covers. It is written anew when the
 * text has come to rest again, and believed as far as it goes until then. The open block is in it,
 * too, but only as long as the text ends where it did: a block that has grown holds more. An older
 * program takes a header that names one for that of another text, and makes the file anew.
 */

/** Blocks of a segment, which has an index file of its own: up to 32 MiB of text. */
export const blocksPerSegment = 1_024;
/** Blocks of a group: only whole groups are indexed. */
export const blocksPerGroup = 64;
const headerBytes = 64;

const magic = 0x584d_4c52; // RLMX
const version = 2;

/** Samples of the text that go into the checksum. */
const sampleCount = 8;
const sampleBytes = 512;

/**
 * Fewer blocks behind the last whole group, the open one among them, are not worth a file of
 * 400 KB: they are searched in 0.2 ms. Of a text of 20 MiB that file is 2 %, and where ten such are
 * asked together these times would add up.
 */
export function minTailBlocks({ count }: Pick<TextBlocks, 'count'>): number {
  return count < 640 ? 16 : 2;
}

/** What an index file covers. */
export interface SegmentHeader {
  readonly firstBlock: number;
  /** Groups that have begun: all but a tail's are whole. */
  readonly groups: number;
  /** The first block that it does not cover, the open one apart. */
  readonly endBlock: number;
  /** The block at `endBlock`, where it is covered as far as it went when it was open. */
  readonly open?: OpenBlock;
}

/** A block that was the last one of a text. */
export interface OpenBlock {
  /** Where the text ended. */
  readonly endBytes: number;
  /** CRC-32 of the block's bytes up to there. */
  readonly crc: number;
}

/** Where the index of a segment lies. */
export function segmentPath(indexDir: string, segment: number): string {
  return join(indexDir, `blocks-${String(segment).padStart(6, '0')}.bits`);
}

/** Where the index of what lies behind the last whole group lies. */
export function tailPath(indexDir: string): string {
  return join(indexDir, 'tail.bits');
}

/**
 * The closed blocks [first, end) behind the last whole group; undefined where they are, with the
 * open one, too few for an index.
 */
export function tailOf(
  blocks: TextBlocks,
): { readonly firstBlock: number; readonly endBlock: number } | undefined {
  const endBlock = blocks.count - 1;
  const firstBlock = Math.floor(Math.max(0, endBlock) / blocksPerGroup) * blocksPerGroup;
  const count = blocks.count - firstBlock;
  return count < minTailBlocks(blocks) ? undefined : { firstBlock, endBlock };
}

/**
 * Whether a tail's index that covers the blocks before `coveredBlocks`, and the open one or not, is
 * to be made anew: for a few blocks more that is not worth it.
 */
export function isTailWanted(
  blocks: TextBlocks,
  coveredBlocks: number,
  isOpenCovered: boolean,
): boolean {
  const missing = blocks.count - coveredBlocks - (isOpenCovered ? 1 : 0);
  return missing >= minTailBlocks(blocks);
}

/**
 * How many groups of a segment can be indexed: its closed blocks, in whole groups. The last block
 * of a table is open.
 */
export function closedGroups(blocks: TextBlocks, segment: number): number {
  const closed = Math.min(blocks.count - 1 - segment * blocksPerSegment, blocksPerSegment);
  return Math.max(0, Math.floor(closed / blocksPerGroup));
}

/** The header for a segment of this text. */
export function encodeIndexHeader(
  { firstBlock, groups, endBlock: end, open }: SegmentHeader,
  blocks: TextBlocks,
  text: TextFile,
): Uint8Array {
  const header = new DataView(new ArrayBuffer(headerBytes));
  header.setUint32(0, magic, true);
  header.setUint32(4, version, true);
  header.setUint32(8, firstBlock, true);
  header.setUint32(12, groups, true);
  header.setFloat64(16, blocks.byteStart[firstBlock]!, true);
  header.setFloat64(24, blocks.byteStart[end]!, true);
  header.setUint32(32, checkText(blocks, text, firstBlock, end), true);
  header.setUint32(36, checkHeader(header), true);
  header.setFloat64(40, open?.endBytes ?? 0, true);
  header.setUint32(48, open?.crc ?? 0, true);
  return new Uint8Array(header.buffer);
}

/** Groups of a unit at most. */
const unitGroups = 16;
const checksumBytes = 4;

/** How the rows of a file lie. */
class Layout {
  readonly groups: number;
  readonly rowBytes: number;
  /** Rows of a unit, a power of two. */
  readonly unitRows: number;
  readonly unitBytes: number;
  /** From a unit to the next. */
  readonly strideBytes: number;
  readonly #seed: number;

  constructor(groups: number, header: Uint8Array) {
    this.groups = groups;
    this.rowBytes = 8 * groups;
    this.unitRows = groups > unitGroups / 2 ? 1 : 2 ** Math.floor(Math.log2(unitGroups / groups));
    this.unitBytes = this.unitRows * this.rowBytes;
    this.strideBytes = this.unitBytes + checksumBytes;
    this.#seed = crc32(header);
  }

  get fileBytes(): number {
    return headerBytes + (gramRows / this.unitRows) * this.strideBytes;
  }

  checksum(unit: number, rows: Uint8Array): number {
    return crc32(rows, (this.#seed + unit) >>> 0);
  }

  /**
   * Whether the bytes of a unit, with its checksum behind them, are what was written. `rows` are
   * the same without the checksum.
   */
  isSound(unit: number, bytes: Buffer, rows = bytes.subarray(0, this.unitBytes)): boolean {
    return bytes.readUInt32LE(this.unitBytes) === this.checksum(unit, rows);
  }
}

/** Units that are written in one go. */
const unitsPerPiece = 2_048;

/**
 * The bytes of an index file, in pieces, each valid until the next. `rows` are the rows one behind
 * the other, a u64 for each group.
 */
export function* encodeSegment(header: Uint8Array, rows: Uint8Array): Generator<Uint8Array> {
  yield header;
  const layout = new Layout(rows.length / gramRows / 8, header);
  const { unitBytes, strideBytes } = layout;
  const units = rows.length / unitBytes;
  const piece = Buffer.allocUnsafe(unitsPerPiece * strideBytes);
  for (let first = 0; first < units; first += unitsPerPiece) {
    const count = Math.min(unitsPerPiece, units - first);
    for (let i = 0; i < count; i++) {
      const unit = rows.subarray((first + i) * unitBytes, (first + i + 1) * unitBytes);
      piece.set(unit, i * strideBytes);
      piece.writeUInt32LE(layout.checksum(first + i, unit), i * strideBytes + unitBytes);
    }
    yield piece.subarray(0, count * strideBytes);
  }
}

/** An index file that was found to belong to the text. The owner closes it. */
export class SegmentFile {
  /** Tells this file from one that takes its name later. */
  readonly inode: number;
  readonly #fd: number;
  readonly #path: string;
  readonly #layout: Layout;
  /** The unit that was read last, with its checksum. */
  readonly #unit: Buffer;
  /** Its rows, as bytes and as words. */
  readonly #rows: Buffer;
  readonly #words: Uint32Array;
  /** The blocks that it covers. */
  readonly firstBlock: number;
  readonly endBlock: number;
  readonly #openBlock: OpenBlock | undefined;
  /** Whether the open block is as it was; undefined until somebody has looked. */
  #isOpenSame: boolean | undefined;

  private constructor(path: string, fd: number, layout: Layout, header: SegmentHeader) {
    this.#path = path;
    this.#fd = fd;
    this.firstBlock = header.firstBlock;
    this.endBlock = header.endBlock;
    this.#openBlock = header.open;
    this.inode = fstatSync(fd).ino;
    this.#layout = layout;
    const unit = new ArrayBuffer(layout.strideBytes);
    this.#unit = Buffer.from(unit);
    this.#rows = this.#unit.subarray(0, layout.unitBytes);
    this.#words = new Uint32Array(unit, 0, layout.unitBytes / 4);
  }

  get groups(): number {
    return this.#layout.groups;
  }

  /** Whether it was made by a program that covers the open block of a tail. */
  get namesOpen(): boolean {
    return this.#openBlock !== undefined;
  }

  /**
   * Whether it covers the open block of the text, whose end is `endBytes`. The first time that it
   * may, the block is compared: a branch goes on with another text from a place within it. It is
   * read for that only where nobody knows its checksum.
   * @throws TextTooShort
   */
  coversOpen({ byteStart, count }: TextBlocks, endBytes: number, text: TextFile): boolean {
    if (endBytes !== this.#openBlock?.endBytes || count !== this.endBlock + 1) return false;
    if (this.#isOpenSame === undefined) {
      const crc = text.lastCrc(endBytes) ?? crcOf(text, byteStart[this.endBlock]!, endBytes);
      this.#isOpenSame = crc === this.#openBlock.crc;
    }
    return this.#isOpenSame;
  }

  /**
   * Opens the index of a segment; undefined if there is none that fits the text, or it cannot be
   * read: a text is searched as well without. One that can fit no later text either is deleted.
   * @throws TextTooShort
   */
  static open(
    path: string,
    segment: number,
    blocks: TextBlocks,
    text: TextFile,
  ): SegmentFile | undefined {
    return SegmentFile.#open(path, blocks, text, (numbers) => {
      const firstBlock = segment * blocksPerSegment;
      const groups = numbers.getUint32(12, true);
      return { firstBlock, groups, endBlock: firstBlock + groups * blocksPerGroup };
    });
  }

  /** The same for the blocks behind the last whole group, as they were when it was written. */
  static openTail(path: string, blocks: TextBlocks, text: TextFile): SegmentFile | undefined {
    return SegmentFile.#open(path, blocks, text, (numbers) => {
      const { byteStart, count } = blocks;
      const firstBlock = numbers.getUint32(8, true);
      const endBytes = numbers.getFloat64(24, true);
      const endBlock = partitionPoint(count, (block) => byteStart[block]! < endBytes);
      const isOne =
        firstBlock % blocksPerGroup === 0 &&
        endBlock > firstBlock &&
        endBlock - firstBlock <= blocksPerGroup;
      // A header of more than one group is none of ours.
      const groups = numbers.getUint32(12, true) === 1 && (isOne || endBlock === count) ? 1 : 0;
      const open = { endBytes: numbers.getFloat64(40, true), crc: numbers.getUint32(48, true) };
      return { firstBlock, groups, endBlock, ...(open.endBytes > 0 && { open }) };
    });
  }

  static #open(
    path: string,
    blocks: TextBlocks,
    text: TextFile,
    covered: (numbers: DataView) => SegmentHeader,
  ): SegmentFile | undefined {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch {
      return undefined;
    }
    using opened = new DisposableStack();
    opened.defer(() => closeSync(fd));
    const found = new Uint8Array(headerBytes);
    readFound(fd, found, 0);
    const numbers = new DataView(found.buffer);
    const isOurs =
      numbers.getUint32(0, true) === magic &&
      numbers.getUint32(4, true) === version &&
      numbers.getUint32(36, true) === checkHeader(numbers);
    const header = covered(numbers);
    // An index of blocks that this snapshot has not closed yet may be right, but it cannot be
    // checked.
    const isAhead = isOurs && header.endBlock > blocks.count - 1;
    if (isOurs && header.groups > 0 && !isAhead) {
      const layout = new Layout(header.groups, found);
      const wanted = encodeIndexHeader(header, blocks, text);
      const fits = Buffer.compare(found, wanted) === 0;
      if (fits && fstatSync(fd).size === layout.fileBytes) {
        opened.move();
        return new SegmentFile(path, fd, layout, header);
      }
    }
    if (!isAhead) removeIndex(path);
    return undefined;
  }

  /**
   * A row's bits: two u32 for each group, valid until the next call. Undefined where the file is
   * damaged; it is deleted then.
   */
  row(number: number): Uint32Array | undefined {
    const { unitRows, strideBytes, groups } = this.#layout;
    const unit = Math.floor(number / unitRows);
    const read = readFound(this.#fd, this.#unit, headerBytes + unit * strideBytes);
    if (read < strideBytes || !this.#layout.isSound(unit, this.#unit, this.#rows)) {
      removeIndex(this.#path);
      return undefined;
    }
    if (unitRows === 1) return this.#words;
    const first = 2 * groups * (number % unitRows);
    return this.#words.subarray(first, first + 2 * groups);
  }

  /**
   * All rows, one behind the other; undefined where one of them is damaged. The file is deleted
   * then.
   */
  readAll(): Uint8Array<ArrayBuffer> | undefined {
    const { strideBytes, unitBytes, unitRows } = this.#layout;
    const units = gramRows / unitRows;
    const all = Buffer.from(new ArrayBuffer(units * strideBytes));
    const isWhole = readFound(this.#fd, all, headerBytes) === all.length;
    for (let unit = 0; unit < units; unit++) {
      const at = unit * strideBytes;
      if (!isWhole || !this.#layout.isSound(unit, all.subarray(at, at + strideBytes))) {
        removeIndex(this.#path);
        return undefined;
      }
      all.copyWithin(unit * unitBytes, at, at + unitBytes);
    }
    return new Uint8Array(all.buffer, 0, units * unitBytes);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Fills `into`; how many bytes of it were there. None where the disk does not give them. */
function readFound(fd: number, into: Uint8Array, positionBytes: number): number {
  try {
    return readSync(fd, into, 0, into.length, positionBytes);
  } catch {
    return 0;
  }
}

function removeIndex(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A folder that may not be written: the file is looked at, and not believed, each time.
  }
}

/** CRC-32 of bytes [start, end) of a text, which are a block at most. */
function crcOf(text: TextFile, start: number, end: number): number {
  const bytes = new Uint8Array(end - start);
  text.sample(bytes, start);
  return crc32(bytes);
}

function checkHeader({ buffer }: DataView<ArrayBuffer>): number {
  return crc32(new Uint8Array(buffer, 0, 36));
}

function checkText(blocks: TextBlocks, text: TextFile, first: number, end: number): number {
  let sum = 0;
  for (const column of [blocks.byteStart, blocks.charStart, blocks.lineStart]) {
    const part = column.slice(first, end + 1);
    sum = crc32(new Uint8Array(part.buffer), sum);
  }
  const from = blocks.byteStart[first]!;
  const stride = (blocks.byteStart[end]! - from - sampleBytes) / (sampleCount - 1);
  const sample = new Uint8Array(sampleBytes);
  for (let i = 0; i < sampleCount; i++) {
    const at = Math.max(from, Math.floor(from + i * stride));
    text.sample(sample, at);
    sum = crc32(sample, sum);
  }
  return sum;
}
