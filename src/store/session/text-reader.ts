import { createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ProxyError } from '../../errors.ts';
import { blockMaxBytes, lastAtMost, type CommittedBlocks } from '../text/block-table.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { corruptStore, toStoreFailure } from '../disk/store-failure.ts';
import { countCodePoints } from '../../kernels/text-counts.ts';
import type { TableRebuild } from '../checks/table-rebuild.ts';
import type { TextChecks } from '../checks/text-checks.ts';
import { TextSections, type TextPart } from '../checks/text-sections.ts';
import { charToByte, incompleteTailBytes, lineToByte } from '../text/text-scan.ts';
import { pieceMaxBytes } from '../text/text-pieces.ts';
import { goneSentence } from '../text/gone-text.ts';
import type { Entry, Forgetting, TextSlice } from '../types.ts';

/** Blocks that are read and decoded in one go: 1 MiB, about 3 ms. */
const groupBlocks = pieceMaxBytes / blockMaxBytes;
/**
 * Up to so many blocks (256 KiB) are read without leaving the event loop's turn: a millisecond even
 * where the disk must be asked.
 */
const nowBlocks = 8;
/** Most code points of one read; at most half the longest string that V8 makes. */
const readMaxChars = 64 * 1024 * 1024;
const entryMaxBytes = 256 * 1024 * 1024;
/** A read may meet so many blocks that are wrong; each is looked into once. */
const maxLooks = 1_000;

/**
 * Reads committed text by position. Never shows bytes whose checksum is wrong. What the block table
 * does not cover (yet) is read by sections.
 */
export class TextReader {
  readonly #file: ContextFile;
  readonly #index: EntryIndex;
  readonly #rebuild: TableRebuild;
  readonly #checks: TextChecks;
  readonly #sections: TextSections;
  /** For reads that are decoded before anything else can happen. */
  #scratch: Buffer | undefined;

  constructor(file: ContextFile, index: EntryIndex, rebuild: TableRebuild, checks: TextChecks) {
    this.#file = file;
    this.#index = index;
    this.#rebuild = rebuild;
    this.#checks = checks;
    this.#sections = new TextSections(file, index, checks);
  }

  /** See `SessionStore.read`. */
  async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    const { chars } = this.#index.totals;
    const from = clamp(offsetChars, 0, chars);
    const to = clamp(from + clamp(lengthChars, 0, readMaxChars), from, chars);
    let text = '';
    for (let at = from; at < to;) {
      const [piece, end] = await this.#lookingInto(async () => this.#readPart(at, to));
      text += piece;
      at = end;
    }
    return { text, offsetChars: from, lengthChars: to - from };
  }

  /** See `SessionStore.readBytes`. */
  async readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    const { chars } = this.#index.totals;
    const from = clamp(offsetChars, 0, chars);
    const to = clamp(from + clamp(lengthChars, 0, readMaxChars), from, chars);
    const pieces: Buffer[] = [];
    for (let at = from; at < to;) {
      const [part, end] = await this.#lookingInto(async () => this.#readPartBytes(at, to));
      for (const piece of part) pieces.push(piece);
      at = end;
    }
    const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let size = 0;
    for (const piece of pieces) {
      bytes.set(piece, size);
      size += piece.length;
    }
    return bytes;
  }

  /** The bytes from `from` on, at most to `to`, and how far they go. */
  async #readPartBytes(from: number, to: number): Promise<readonly [readonly Buffer[], number]> {
    const { blocks, endChars } =
      this.#tablePart('chars', from) ?? (await this.#section('chars', from));
    const end = Math.min(to, endChars);
    const behind = lastAtMost(blocks.charStart, blocks.count, end - 1) + 1;
    const pieces: Buffer[] = [];
    for (
      let at = lastAtMost(blocks.charStart, blocks.count, from);
      at < behind;
      at += groupBlocks
    ) {
      const groupEnd = Math.min(at + groupBlocks, behind);
      const bytes = await this.#readBlocks(blocks, at, groupEnd);
      pieces.push(charBytes(blocks, bytes, [at, groupEnd], [from, end]));
    }
    return [pieces, end];
  }

  /** The text from `from` on, at most to `to`, and how far it goes. */
  async #readPart(from: number, to: number): Promise<readonly [string, number]> {
    const { blocks, endChars } =
      this.#tablePart('chars', from) ?? (await this.#section('chars', from));
    const end = Math.min(to, endChars);
    const last = lastAtMost(blocks.charStart, blocks.count, end - 1);
    const first = lastAtMost(blocks.charStart, blocks.count, from);
    if (last - first >= nowBlocks) {
      return [await this.#readGroups(blocks, [first, last + 1], [from, end]), end];
    }
    const bytes = this.#readBlocksNow(blocks, first, last + 1);
    return [decodeChars(blocks, bytes, [first, last + 1], [from, end]), end];
  }

  /**
   * Runs a read; where it meets a block that is wrong, that is looked into, and the read done again
   * in the knowledge of what was found.
   */
  async #lookingInto<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof BlockWrong)) throw error;
        if (attempt === maxLooks) throw this.#damagedRange(error.startBytes, error.endBytes);
        await this.#checks.look([error.block]);
      }
    }
  }

  /** See `SessionStore.readLines`. */
  async readLines(first: number, last: number): Promise<TextSlice> {
    const { lines, chars } = this.#index.totals;
    const from = clamp(first, 1, lines + 1);
    const to = clamp(last, from - 1, lines);
    const start = from > lines ? chars : await this.#lineToChar(from);
    const end = to >= lines ? chars : await this.#lineToChar(to + 1);
    return this.read(start, end - start);
  }

  /** See `SessionStore.readEntry`. */
  async readEntry(entry: Entry): Promise<string> {
    if (entry.forgotten !== undefined) throw goneText(entry, entry.forgotten);
    if (entry.lengthBytes <= pieceMaxBytes) {
      const bytes = await this.#readRange(entry.offsetBytes, entry.lengthBytes);
      if (hash('sha256', bytes) !== entry.sha256) throw await this.#foundDamaged(entry);
      return bytes.toString('utf8', 0, bytes.length);
    }
    if (entry.lengthBytes > entryMaxBytes) {
      throw new ProxyError(
        'limit_reached',
        `Entry ${entry.id} has ${entry.lengthChars} characters, too many to hand out whole.`,
        { hint: 'Read it in ranges by offset and length.' },
      );
    }
    let text = '';
    let carried = Buffer.alloc(0);
    for await (const piece of this.readEntryPieces(entry)) {
      const bytes = Buffer.concat([carried, piece]);
      const whole = bytes.length - incompleteTailBytes(bytes);
      text += bytes.toString('utf8', 0, whole);
      carried = bytes.subarray(whole);
    }
    return text;
  }

  /**
   * The entry's bytes in pieces of at most 1 MiB; throws `store_corrupt` at the end where they are
   * not what was stored.
   */
  async *readEntryPieces(entry: Entry): AsyncGenerator<Buffer> {
    if (entry.forgotten !== undefined) throw goneText(entry, entry.forgotten);
    const digest = createHash('sha256');
    for (let at = 0; at < entry.lengthBytes; at += pieceMaxBytes) {
      const length = Math.min(pieceMaxBytes, entry.lengthBytes - at);
      const piece = await this.#readRange(entry.offsetBytes + at, length);
      digest.update(piece);
      yield piece;
    }
    if (digest.digest('hex') !== entry.sha256) throw await this.#foundDamaged(entry);
  }

  async #foundDamaged(entry: Entry): Promise<ProxyError> {
    await this.#checks.lookAt(entry);
    return this.#damaged(entry);
  }

  /**
   * What the block table covers, if that is where `value` is and its block is not known to be
   * damaged; up to the next that is.
   */
  #tablePart(measure: 'chars' | 'lines', value: number): TextPart | undefined {
    const { coveredEntries } = this.#rebuild;
    const end = this.#index.startOf(coveredEntries);
    if (value >= end[measure]) return undefined;
    const blocks = this.#file.table.committed;
    const column = measure === 'chars' ? blocks.charStart : blocks.lineStart;
    const block = Math.max(0, lastAtMost(column, blocks.count, value));
    if (this.#checks.isDamaged(block)) return undefined;
    const next = this.#checks.nextDamaged(block);
    const endChars = next < blocks.count ? Math.min(end.chars, blocks.charStart[next]!) : end.chars;
    return measure === 'chars' && endChars <= value ? undefined : { blocks, endChars };
  }

  /**
   * The section of the entry at a place. @throws ProxyError `store_corrupt` where that is damaged
   */
  async #section(measure: 'chars' | 'lines', value: number): Promise<TextPart> {
    const at = this.#index.indexAt(measure, value);
    const entry = this.#index.entries[at]!;
    if (this.#index.damaged.has(entry)) throw this.#damaged(entry);
    const part = await this.#sections.at(at);
    if (this.#index.damaged.has(entry)) throw this.#damaged(entry);
    return part;
  }

  async #readGroups(
    blocks: CommittedBlocks,
    [first, end]: readonly [number, number],
    chars: readonly [number, number],
  ): Promise<string> {
    let text = '';
    for (let at = first; at < end; at += groupBlocks) {
      const groupEnd = Math.min(at + groupBlocks, end);
      const bytes = await this.#readBlocks(blocks, at, groupEnd);
      text += decodeChars(blocks, bytes, [at, groupEnd], chars);
    }
    return text;
  }

  /** The code point offset at which a line starts. */
  async #lineToChar(lineNumber: number): Promise<number> {
    return this.#lookingInto(async () => this.#lineStart(lineNumber));
  }

  async #lineStart(lineNumber: number): Promise<number> {
    const before = lineNumber - 1;
    // An entry's start is known without its text, which may still be on its way.
    const entry = this.#index.startOf(this.#index.indexAt('lines', before));
    if (entry.lines === before) return entry.chars;
    const { blocks } = this.#tablePart('lines', before) ?? (await this.#section('lines', before));
    // The first byte of a line lies in, or right behind, the last block that starts in an earlier
    // line.
    const block = lastAtMost(blocks.lineStart, blocks.count, before);
    if (block < 0) return blocks.charStart[0]!;
    const bytes = this.#readBlocksNow(blocks, block, block + 1);
    const start = lineToByte(bytes, lineNumber - blocks.lineStart[block]!);
    return blocks.charStart[block]! + countCodePoints(bytes.subarray(0, start));
  }

  /** The bytes of the blocks [first, end), each checked. */
  async #readBlocks(blocks: CommittedBlocks, first: number, end: number): Promise<Buffer> {
    const start = blocks.byteStart[first]!;
    const bytes = await this.#readRange(start, blockEnd(blocks, end - 1) - start);
    this.#checkBlocks(blocks, bytes, first, end);
    return bytes;
  }

  /**
   * The same at once, for at most {@link nowBlocks} blocks, in a buffer that the next call uses
   * again.
   */
  #readBlocksNow(blocks: CommittedBlocks, first: number, end: number): Buffer {
    const start = blocks.byteStart[first]!;
    this.#scratch ??= Buffer.allocUnsafe(nowBlocks * blockMaxBytes);
    const bytes = this.#scratch.subarray(0, blockEnd(blocks, end - 1) - start);
    let count: number;
    try {
      count = this.#file.readNow(bytes, start);
    } catch (error) {
      throw toStoreFailure(error, this.#file.path);
    }
    if (count < bytes.length) throw this.#damagedRange(start, start + bytes.length);
    this.#checkBlocks(blocks, bytes, first, end);
    return bytes;
  }

  #checkBlocks(blocks: CommittedBlocks, bytes: Buffer, first: number, end: number): void {
    const start = blocks.byteStart[first]!;
    for (let block = first; block < end; block += 1) {
      const from = blocks.byteStart[block]!;
      const to = blockEnd(blocks, block);
      const expected = block === blocks.count - 1 ? blocks.lastCrc : blocks.crc[block];
      if (crc32(bytes.subarray(from - start, to - start)) !== expected) {
        if (blocks === this.#file.table.committed) throw new BlockWrong(block, from, to);
        throw this.#damagedRange(from, to);
      }
    }
  }

  async #readRange(positionBytes: number, lengthBytes: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(lengthBytes);
    let count: number;
    try {
      count = await this.#file.read(bytes, positionBytes);
    } catch (error) {
      throw toStoreFailure(error, this.#file.path);
    }
    if (count < lengthBytes) throw this.#damagedRange(positionBytes, positionBytes + lengthBytes);
    return bytes;
  }

  #damaged(entry: Entry): ProxyError {
    return corruptStore(
      this.#file.path,
      `entry ${entry.id} (bytes ${entry.offsetBytes} to ${entry.offsetBytes + entry.lengthBytes}) is not what was stored`,
    );
  }

  #damagedRange(startBytes: number, endBytes: number): ProxyError {
    const entries = this.#index.overlapping(startBytes, endBytes);
    const first = entries[0]?.id ?? '';
    const last = entries.at(-1)?.id ?? '';
    const names = first === last ? `entry ${first}` : `one of the entries ${first} to ${last}`;
    return corruptStore(
      this.#file.path,
      `${names} (bytes ${startBytes} to ${endBytes}) is not what was stored`,
    );
  }
}

function goneText(entry: Entry, forgotten: Forgetting): ProxyError {
  return new ProxyError('not_found', goneSentence(entry, forgotten));
}

/** A block of the table is not as its checksum says. */
class BlockWrong extends Error {
  readonly block: number;
  readonly startBytes: number;
  readonly endBytes: number;

  constructor(block: number, startBytes: number, endBytes: number) {
    super('a block is not as its checksum says');
    this.block = block;
    this.startBytes = startBytes;
    this.endBytes = endBytes;
  }
}

/**
 * The code points [from, to) of the text, as far as they lie in the blocks [first, end), whose
 * bytes are given.
 */
function decodeChars(
  blocks: CommittedBlocks,
  bytes: Buffer,
  range: readonly [number, number],
  chars: readonly [number, number],
): string {
  return charBytes(blocks, bytes, range, chars).toString('utf8');
}

/** The same, as bytes. */
function charBytes(
  blocks: CommittedBlocks,
  bytes: Buffer,
  [first, end]: readonly [number, number],
  [from, to]: readonly [number, number],
): Buffer {
  const head = from - blocks.charStart[first]!;
  const start = head > 0 ? blockCharToByte(blocks, first, bytes, head) : 0;
  const last = end - 1;
  const goesOn = last < blocks.count - 1 && to >= blocks.charStart[end]!;
  if (goesOn) return bytes.subarray(start);
  const lastStart = blocks.byteStart[last]! - blocks.byteStart[first]!;
  const within = to - blocks.charStart[last]!;
  const stop = lastStart + blockCharToByte(blocks, last, bytes.subarray(lastStart), within);
  return bytes.subarray(start, stop);
}

/** Where code point `chars` of a block starts in its bytes; at once where the block is ASCII. */
function blockCharToByte(
  blocks: CommittedBlocks,
  block: number,
  bytes: Buffer,
  chars: number,
): number {
  if (block < blocks.count - 1) {
    const blockBytes = blocks.byteStart[block + 1]! - blocks.byteStart[block]!;
    const blockChars = blocks.charStart[block + 1]! - blocks.charStart[block]!;
    if (blockBytes === blockChars) return chars;
  }
  return charToByte(bytes, chars);
}

function blockEnd(blocks: CommittedBlocks, block: number): number {
  return block === blocks.count - 1 ? blocks.endBytes : blocks.byteStart[block + 1]!;
}

/** The whole number nearest to `value` in [low, high]; `low` for what is not a number. */
function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(Number.isNaN(value) ? low : Math.trunc(value), low), high);
}
