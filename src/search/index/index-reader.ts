import { statSync } from 'node:fs';
import { countBlocks, noBlocks, type BlockBits } from '../text/block-bits.ts';
import { gramRowsOf } from './gram-hash.ts';
import {
  blocksPerSegment,
  closedGroups,
  minTailBlocks,
  SegmentFile,
  segmentPath,
  tailPath,
} from './index-file.ts';
import type { Literals } from '../pattern/literals.ts';
import type { Scope } from '../text/pieces.ts';
import type { TextFile } from '../text/text-file.ts';
import type { TextBlocks } from '../types.ts';

/** Rows read for one query at most; each is a read of up to 128 bytes, about 1.5 us. */
const maxRows = 2_400;

/**
 * Of one literal so many rows are read at most, and if not even the fewer are left of `maxRows`,
 * none.
 */
const maxRowsEach = 24;
const minRowsEach = 3;

/** Reading a block and searching it takes as long as reading so many rows. */
const rowsPerBlock = 4;
/** Rows in a row that must have ruled out nothing before the rest is left unread. */
const minQuietRows = 3;

/** When more of the blocks survive, reading everything in order is faster. */
const maxShare = 0.6;

/** Open index files: those of two texts of 1 GB. */
const maxOpen = 64;

/**
 * Asks the index which blocks may hold a match. One per worker; keeps files open, and notices when
 * they vanish or change.
 */
export class IndexReader {
  readonly #open = new Map<string, { readonly text: string; readonly file: SegmentFile }>();
  /** By what a program's matches must hold: ten linked stores are asked for the same. */
  readonly #rows = new WeakMap<readonly Literals[], readonly RowList[]>();
  /** Room for the answer, and for what is being found of one file. */
  #all: BlockBits = noBlocks(0);
  readonly #own: BlockBits = noBlocks(blocksPerSegment);
  readonly #any: BlockBits = noBlocks(blocksPerSegment);

  /**
   * The blocks that may hold every one of the literals' lists, valid until the next call; undefined
   * if the index cannot say, or says nothing worth while. Blocks that are not indexed, and lines
   * that span blocks, are among them always.
   */
  candidates(
    indexDir: string,
    scope: Scope,
    text: TextFile,
    required: readonly Literals[],
  ): BlockBits | undefined {
    const { blocks } = scope;
    const lists = this.#rowsOf(required);
    const literals = lists.reduce((sum, list) => sum + list.length, 0);
    const segments = Math.ceil(blocks.count / blocksPerSegment);
    if (literals === 0 || literals * segments * minRowsEach > maxRows) return undefined;
    const bits = this.#bits(blocks.count).fill(-1);
    let indexed = false;
    let rowsLeft = maxRows;
    const files = [...segmentFiles(indexDir, blocks), ...tailFile(indexDir, blocks)];
    for (const [i, { path, open }] of files.entries()) {
      const file = this.#file(path, scope, text, open);
      if (file === undefined) continue;
      indexed = true;
      const first = file.firstBlock / 32;
      const words = bits.subarray(first, first + 2 * file.groups);
      // A tail says nothing of what was the open block, where the text has gone on since.
      const last = file.endBlock - file.firstBlock;
      const isOpenKept = last < 32 * words.length && !file.coversOpen(blocks, scope.endBytes, text);
      const keptBit = isOpenKept ? words[last >> 5]! & (1 << (last & 31)) : 0;
      const rowsEach = Math.floor(rowsLeft / (literals * (files.length - i)));
      for (const list of lists) {
        const read = this.#narrow(file, list, rowsEach, words);
        if (read === undefined) {
          // A row of it is not what was written: no other row of it is believed, either.
          words.fill(-1);
          this.#close(path);
          break;
        }
        rowsLeft -= read;
      }
      if (keptBit !== 0) words[last >> 5]! |= keptBit;
    }
    if (!indexed) return undefined;
    addSpanning(scope, bits);
    return countBlocks(bits) > maxShare * blocks.count ? undefined : bits;
  }

  /** Memory of more than 64 bytes costs a microsecond each time that it is made. */
  #bits(count: number): BlockBits {
    if (32 * this.#all.length < count) this.#all = noBlocks(2 * count);
    return this.#all.subarray(0, Math.ceil(count / 32));
  }

  #rowsOf(required: readonly Literals[]): readonly RowList[] {
    let lists = this.#rows.get(required);
    if (lists === undefined) {
      lists = required.map(toRows).filter((list) => list !== undefined);
      this.#rows.set(required, lists);
    }
    return lists;
  }

  /**
   * Clears the bits of blocks that hold none of the alternatives. How many rows it has read;
   * undefined where one of them is damaged.
   */
  #narrow(
    file: SegmentFile,
    list: RowList,
    maxRowsHere: number,
    words: BlockBits,
  ): number | undefined {
    if (words.every((word) => word === 0)) return 0;
    const any = this.#any.subarray(0, words.length).fill(0);
    const own = this.#own.subarray(0, words.length);
    let read = 0;
    for (const rows of list) {
      own.set(words);
      let quietRows = 0;
      for (const row of rows.slice(0, maxRowsHere)) {
        read++;
        const bits = file.row(row);
        if (bits === undefined) return undefined;
        const { isEmpty, isSame } = keepCommon(own, bits);
        if (isEmpty) break;
        quietRows = isSame ? quietRows + 1 : 0;
        // What has withstood several rows is most likely there; where it is little, it is faster to
        // look than to ask on.
        if (quietRows >= minQuietRows && countBlocks(own) <= quietRows * rowsPerBlock) break;
      }
      for (let i = 0; i < any.length; i++) any[i]! |= own[i]!;
    }
    words.set(any);
    return read;
  }

  #file(
    path: string,
    { blocks }: Scope,
    text: TextFile,
    open: (text: TextFile) => SegmentFile | undefined,
  ): SegmentFile | undefined {
    const known = this.#open.get(path);
    const inode = inodeOf(path);
    if (known !== undefined) {
      const isSame = known.file.inode === inode && known.text === text.identity;
      if (isSame && known.file.endBlock <= blocks.count - 1) return known.file;
      this.#close(path);
    }
    if (inode === undefined) return undefined;
    const file = open(text);
    if (file === undefined) return undefined;
    if (this.#open.size >= maxOpen) this.#closeOldest();
    this.#open.set(path, { text: text.identity, file });
    return file;
  }

  #closeOldest(): void {
    for (const path of this.#open.keys()) {
      this.#close(path);
      return;
    }
  }

  #close(path: string): void {
    this.#open.get(path)?.file[Symbol.dispose]();
    this.#open.delete(path);
  }
}

/** Undefined where it is not there, or cannot be looked at. */
function inodeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}

/** An index file that there may be. */
interface FilePlace {
  readonly path: string;
  readonly open: (text: TextFile) => SegmentFile | undefined;
}

function* segmentFiles(indexDir: string, blocks: TextBlocks): Generator<FilePlace> {
  for (let segment = 0; closedGroups(blocks, segment) > 0; segment++) {
    const path = segmentPath(indexDir, segment);
    yield { path, open: (text) => SegmentFile.open(path, segment, blocks, text) };
  }
}

/** Also where it is that of an earlier tail: what lies behind that is read. */
function tailFile(indexDir: string, blocks: TextBlocks): readonly FilePlace[] {
  const path = tailPath(indexDir);
  const open = (text: TextFile): SegmentFile | undefined =>
    SegmentFile.openTail(path, blocks, text);
  return blocks.count >= minTailBlocks(blocks) ? [{ path, open }] : [];
}

/** The rows of each alternative. */
type RowList = readonly (readonly number[])[];

/** Undefined where one of the alternatives is too short to be indexed. */
function toRows(list: Literals): RowList | undefined {
  const rows = list.map(({ text }) => gramRowsOf(Buffer.from(text)).slice(0, maxRowsEach));
  return rows.some((own) => own.length === 0) ? undefined : rows;
}

/** Leaves only the blocks that the row has, too; whether none is left, or all are. */
function keepCommon(
  bits: BlockBits,
  row: BlockBits,
): { readonly isEmpty: boolean; readonly isSame: boolean } {
  let left = 0;
  let gone = 0;
  for (let i = 0; i < bits.length; i++) {
    const before = bits[i]!;
    const after = before & row[i]!;
    left |= after;
    gone |= before ^ after;
    bits[i] = after;
  }
  return { isEmpty: left === 0, isSame: gone === 0 };
}

/** A literal may lie across the border of two blocks where a line does. */
function addSpanning({ blocks }: Scope, bits: BlockBits): void {
  for (let i = 0; i < bits.length; i++) bits[i]! |= blocks.spanning[i]!;
  const rest = blocks.count & 31;
  if (rest !== 0) bits[bits.length - 1]! &= ~(-1 << rest);
}
