import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { gramRows } from './gram-hash.ts';
import type { TextFile } from './text-file.ts';
import type { BlockTable } from './types.ts';

/*
 * One file for each 1,024 blocks (up to 32 MiB of text): a header of 64 bytes, then 49,152 rows, one for each hashed byte sequence. A row
 * has a bit for each block that is indexed, in groups of 64 blocks: group g of row r is the u64 at 64 + 8 * (r * groups + g). Only closed
 * blocks are indexed, and only whole groups, so that the file is never more than 18.75 % of the text it covers, and what it says about a
 * block never changes. A file is written under another name and renamed; it grows by being written anew, wider.
 *
 * Header, little-endian: magic, version, first block, groups (u32 each); first byte and end of the text covered (f64 each); CRC-32 over the
 * block table's part and over samples of the text. A file that does not fit the text is no index of it, whoever put it there.
 */

export const blocksPerSegment = 1_024;
export const blocksPerGroup = 64;
const headerBytes = 64;

const magic = 0x584d_4c52; // RLMX
const version = 1;

/** Samples of the text that go into the checksum. */
const sampleCount = 8;
const sampleBytes = 512;

/** What a segment's file says of itself. */
export interface SegmentHeader {
  readonly firstBlock: number;
  readonly groups: number;
}

/** Where the index of a segment lies. */
export function segmentPath(indexDir: string, segment: number): string {
  return join(indexDir, `blocks-${String(segment).padStart(6, '0')}.bits`);
}

/** How many groups of a segment can be indexed: its closed blocks, in whole groups. The last block of a table is open. */
export function closedGroups(blocks: BlockTable, segment: number): number {
  const closed = Math.min(blocks.count - 1 - segment * blocksPerSegment, blocksPerSegment);
  return Math.max(0, Math.floor(closed / blocksPerGroup));
}

/** The header for a segment of this text. */
export function encodeHeader(
  { firstBlock, groups }: SegmentHeader,
  blocks: BlockTable,
  text: TextFile,
): Uint8Array {
  const header = new DataView(new ArrayBuffer(headerBytes));
  const end = firstBlock + groups * blocksPerGroup;
  header.setUint32(0, magic, true);
  header.setUint32(4, version, true);
  header.setUint32(8, firstBlock, true);
  header.setUint32(12, groups, true);
  header.setFloat64(16, blocks.byteStart[firstBlock]!, true);
  header.setFloat64(24, blocks.byteStart[end]!, true);
  header.setUint32(32, checkText(blocks, text, firstBlock, end), true);
  return new Uint8Array(header.buffer);
}

/** An index file that was found to belong to the text. The owner closes it. */
export class SegmentFile {
  readonly groups: number;
  /** Tells this file from one that takes its name later. */
  readonly inode: number;
  readonly #fd: number;
  readonly #row: Uint8Array;
  readonly #words: Uint32Array;

  private constructor(fd: number, groups: number) {
    this.#fd = fd;
    this.groups = groups;
    this.inode = fstatSync(fd).ino;
    this.#words = new Uint32Array(2 * groups);
    this.#row = new Uint8Array(this.#words.buffer);
  }

  /** Opens the index of a segment; undefined if there is none that fits the text. */
  static open(
    path: string,
    segment: number,
    blocks: BlockTable,
    text: TextFile,
  ): SegmentFile | undefined {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      if (Object(error).code === 'ENOENT') return undefined;
      throw error;
    }
    const found = new Uint8Array(headerBytes);
    readSync(fd, found, 0, headerBytes, 0);
    const groups = new DataView(found.buffer).getUint32(12, true);
    const firstBlock = segment * blocksPerSegment;
    const isWhole = fstatSync(fd).size === headerBytes + 8 * gramRows * groups;
    // An index of blocks that this snapshot has not closed yet may be right, but it cannot be checked.
    if (isWhole && groups > 0 && groups <= closedGroups(blocks, segment)) {
      const wanted = encodeHeader({ firstBlock, groups }, blocks, text);
      if (Buffer.compare(found, wanted) === 0) return new SegmentFile(fd, groups);
    }
    closeSync(fd);
    return undefined;
  }

  /** A row's bits: two u32 for each group. Valid until the next call. */
  row(number: number): Uint32Array {
    const size = this.#row.length;
    const read = readSync(this.#fd, this.#row, 0, size, headerBytes + number * size);
    // Somebody has cut the file since it was opened: every block may match.
    if (read < size) this.#row.fill(255);
    return this.#words;
  }

  /** All rows. */
  readAll(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(gramRows * this.#row.length);
    readSync(this.#fd, all, 0, all.length, headerBytes);
    return all;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function checkText(blocks: BlockTable, text: TextFile, first: number, end: number): number {
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
    text.read(sample, 0, at, at + sampleBytes);
    sum = crc32(sample, sum);
  }
  return sum;
}
