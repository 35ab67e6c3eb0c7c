/**
 * `_index/blocks.bin`, the block table as of some commit. Numbers are little-endian:
 *   bytes 0-7 `rlmblk01` | 8-11 CRC-32 of all that follows | 12-15 number of blocks | 16-19 CRC-32
 *   of the last block
 *   20-23 zero | 24-31 end of the text, bytes | 32-39 number of entries | 40-103 SHA-256 of the
 *   last entry, hexadecimal
 *   then the columns: byteStart, charStart, lineStart (8 bytes each), crc (4 bytes each)
 * It is used only if the journal has that entry with that end. What is behind that end, or
 * everything where it is missing, is made anew from the text in the background
 * (`table-rebuild.ts`).
 */
import { crc32 } from 'node:zlib';
import type { BlockColumns, CommittedBlocks } from './block-table.ts';
import type { EntryIndex } from './entry-index.ts';

/** Its name in the folder of a session's caches. */
export const blockCacheName = 'blocks.bin';

const magic = 'rlmblk01';
const headBytes = 104;
const rowBytes = 28;

/** A table that was kept. */
export interface KeptBlocks {
  readonly columns: BlockColumns;
  readonly count: number;
  readonly endBytes: number;
  readonly lastCrc: number;
  /** How many entries it covers. */
  readonly entries: number;
}

/**
 * The file's bytes for a table of the first `entries` entries (at least one), which ends where they
 * do.
 */
export function encodeBlocks(blocks: CommittedBlocks, index: EntryIndex, entries: number): Buffer {
  const { count } = blocks;
  const bytes = Buffer.alloc(headBytes + count * rowBytes);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt32LE(count, 12);
  bytes.writeUInt32LE(blocks.lastCrc, 16);
  bytes.writeDoubleLE(blocks.endBytes, 24);
  bytes.writeDoubleLE(entries, 32);
  bytes.write(index.entries[entries - 1]!.sha256, 40, 'latin1');
  let at = headBytes;
  for (const column of [blocks.byteStart, blocks.charStart, blocks.lineStart, blocks.crc]) {
    const used = column.subarray(0, count);
    bytes.set(new Uint8Array(used.buffer, used.byteOffset, used.byteLength), at);
    at += used.byteLength;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  return bytes;
}

/**
 * The table in the file's bytes; undefined where they are damaged or belong to another text than
 * the journal's.
 */
export function decodeBlocks(bytes: Buffer, index: EntryIndex): KeptBlocks | undefined {
  if (bytes.length < headBytes || bytes.toString('latin1', 0, 8) !== magic) return undefined;
  if (bytes.readUInt32LE(8) !== crc32(bytes.subarray(12))) return undefined;
  const count = bytes.readUInt32LE(12);
  const endBytes = bytes.readDoubleLE(24);
  const entries = bytes.readDoubleLE(32);
  const last = index.entries[entries - 1];
  const next = index.entries[entries]?.offsetBytes ?? index.totals.bytes;
  if (last?.sha256 !== bytes.toString('latin1', 40, 104) || next !== endBytes) return undefined;
  if (bytes.length !== headBytes + count * rowBytes || count === 0) return undefined;
  // A copy, because the columns need alignment.
  const rows = new Uint8Array(bytes.subarray(headBytes)).buffer;
  const columns = {
    byteStart: new Float64Array(rows, 0, count),
    charStart: new Float64Array(rows, count * 8, count),
    lineStart: new Float64Array(rows, count * 16, count),
    crc: new Uint32Array(rows, count * 24, count),
  };
  return { columns, count, endBytes, entries, lastCrc: bytes.readUInt32LE(16) };
}
