import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { blockAt } from './pieces.ts';
import { blockStates, type BlockChecks } from './block-checks.ts';

/** A session's text, read by position. The owner closes it. */
export class TextFile {
  /** Bytes read so far. */
  bytesRead = 0;
  /** Tells this file from another one under the same name. */
  readonly inode: number;
  /** Blocks that were read and are not as their checksums say. */
  readonly wrong = new Set<number>();
  readonly #fd: number;
  readonly #checks: BlockChecks | undefined;

  /**
   * With `checks`, every block is compared that nobody has compared yet. @throws TextTooShort where
   * there is no such file
   */
  constructor(path: string, checks?: BlockChecks) {
    this.#fd = openText(path);
    this.#checks = checks;
    this.inode = fstatSync(this.#fd).ino;
  }

  /**
   * Reads bytes [start, end) of the file to `into` at `at`.
   * @throws TextTooShort where the file is shorter: a snapshot promises its bytes
   */
  read(into: Uint8Array, at: number, start: number, end: number): void {
    this.#fill(into, at, start, end);
    if (this.#checks !== undefined && end > start) {
      this.#compare(this.#checks, into.subarray(at, at + end - start), start);
    }
  }

  /** Whether a block, which was read, is damaged or wrong. */
  isUnsound(block: number): boolean {
    return this.wrong.has(block) || this.#checks?.states[block] === blockStates.damaged;
  }

  /**
   * Compares the blocks that have a byte in `bytes`, which begin at `start`. Of one that is not all
   * there the rest is read.
   */
  #compare(
    { blocks, endBytes, lastCrc, states }: BlockChecks,
    bytes: Uint8Array,
    start: number,
  ): void {
    const { byteStart, count, crc } = blocks;
    const end = start + bytes.length;
    for (let block = blockAt(blocks, start); block < count && byteStart[block]! < end; block++) {
      if (states[block] !== blockStates.unknown) continue;
      const isLast = block === count - 1;
      const from = byteStart[block]!;
      const to = isLast ? endBytes : byteStart[block + 1]!;
      const isWhole = from >= start && to <= end;
      const own = isWhole ? bytes.subarray(from - start, to - start) : this.#whole(from, to);
      if (crc32(own) !== (isLast ? lastCrc : crc![block])) this.wrong.add(block);
      else if (!isLast) states[block] = blockStates.sound;
    }
  }

  #whole(start: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - start);
    this.#fill(bytes, 0, start, end);
    return bytes;
  }

  #fill(into: Uint8Array, at: number, start: number, end: number): void {
    let done = 0;
    while (start + done < end) {
      const count = readSync(this.#fd, into, at + done, end - start - done, start + done);
      if (count === 0) throw new TextTooShort();
      done += count;
    }
    this.bytesRead += done;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function openText(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw Object(error).code === 'ENOENT' ? new TextTooShort() : error;
  }
}

/** The text file ends before the snapshot does. */
export class TextTooShort extends Error {}
