import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { fill, spanAt, type TextSpan } from '../../base/text-spans.ts';
import { blockAt } from './pieces.ts';
import { blockStates, type BlockChecks } from './block-checks.ts';

/**
 * A session's text, read by position from the files that it lies in. They are opened when the first
 * byte is wanted: a question that an index answers wants none. The owner closes it.
 */
export class TextFile {
  /** Bytes read so far. */
  bytesRead = 0;
  /** Blocks that were read and are not as their checksums say. */
  readonly wrong = new Set<number>();
  readonly #spans: readonly TextSpan[];
  /** By path; undefined until they are opened. */
  #files: ReadonlyMap<string, number> | undefined;
  #identity: string | undefined;
  readonly #checks: BlockChecks | undefined;

  /** With `checks`, every block is compared that nobody has compared yet. */
  constructor(spans: readonly TextSpan[], checks?: BlockChecks) {
    this.#spans = spans;
    this.#checks = checks;
  }

  /**
   * Tells these files from others under the same names. @throws TextTooShort where one is not there
   */
  get identity(): string {
    this.#identity ??= pathsOf(this.#spans).map(inodeOf).join(' ');
    return this.#identity;
  }

  /**
   * Opens the files, if they are not open: from here on these are what is read, whatever takes
   * their names. False where that has happened since {@link identity} was asked for.
   * @throws TextTooShort where one is not there
   */
  open(): boolean {
    if (this.#files !== undefined) return true;
    const files = new Map<string, number>();
    this.#files = files;
    for (const path of pathsOf(this.#spans)) files.set(path, openText(path));
    const identity = [...files.values()].map((file) => fstatSync(file).ino).join(' ');
    const isSame = identity === (this.#identity ?? identity);
    this.#identity = identity;
    return isSame;
  }

  /**
   * Reads bytes [start, end) of the text to `into` at `at`.
   * @throws TextTooShort where a file is shorter: a snapshot promises its bytes
   */
  read(into: Uint8Array, at: number, start: number, end: number): void {
    this.#fill(into, at, start, end);
    this.bytesRead += end - start;
    if (this.#checks !== undefined && end > start) {
      this.#compare(this.#checks, into.subarray(at, at + end - start), start);
    }
  }

  /**
   * Reads bytes as they are, neither compared nor counted: for whoever has a checksum of them.
   * @throws TextTooShort
   */
  sample(into: Uint8Array, start: number): void {
    this.#fill(into, 0, start, start + into.length);
  }

  /** CRC-32 of the last block of a text that ends there, where that is known. */
  lastCrc(endBytes: number): number | undefined {
    return this.#checks?.endBytes === endBytes ? this.#checks.lastCrc : undefined;
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
    this.bytesRead += end - start;
    return bytes;
  }

  #fill(into: Uint8Array, at: number, start: number, end: number): void {
    this.open();
    let done = start;
    for (let i = spanAt(this.#spans, start); done < end; i += 1) {
      const span = this.#spans[i];
      if (span === undefined) throw new TextTooShort();
      const stop = Math.min(end, span.endBytes);
      const target = into.subarray(at + done - start, at + stop - start);
      if ('path' in span) {
        const from = span.positionBytes + done - span.startBytes;
        readWhole(this.#files!.get(span.path)!, target, from);
      } else fill(target, done, span);
      done = stop;
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#files?.values() ?? []) closeSync(file);
  }
}

function readWhole(file: number, target: Uint8Array, positionBytes: number): void {
  for (let done = 0; done < target.length;) {
    const count = readSync(file, target, done, target.length - done, positionBytes + done);
    if (count === 0) throw new TextTooShort();
    done += count;
  }
}

/** The files that a text lies in, each once. */
function pathsOf(spans: readonly TextSpan[]): readonly string[] {
  const paths: string[] = [];
  for (const span of spans) if ('path' in span && !paths.includes(span.path)) paths.push(span.path);
  return paths;
}

/** @throws TextTooShort where it is not there */
function inodeOf(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new TextTooShort();
  return found.ino;
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
