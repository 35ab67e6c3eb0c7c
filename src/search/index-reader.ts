import { statSync } from 'node:fs';
import { gramRowsOf } from './gram-hash.ts';
import { blocksPerSegment, closedGroups, SegmentFile, segmentPath } from './index-file.ts';
import type { Literals } from './literals.ts';
import type { Scope } from './pieces.ts';
import type { TextFile } from './text-file.ts';

/** Rows read for one query at most; each is a read of up to 128 bytes, about 1.5 us. */
const maxRows = 2_400;

/** When more of the blocks survive, reading everything in order is faster. */
const maxShare = 0.6;

/** Open index files: those of two texts of 1 GB. */
const maxOpen = 64;

/** Asks the index which blocks may hold a match. One per worker; keeps files open, and notices when they vanish or change. */
export class IndexReader {
  readonly #open = new Map<string, { readonly text: number; readonly file: SegmentFile }>();

  /**
   * The blocks that may hold every one of the literals' lists; undefined if the index cannot say, or says nothing worth while. Blocks
   * that are not indexed, and lines that span blocks, are among them always.
   */
  candidates(
    indexDir: string,
    scope: Scope,
    text: TextFile,
    required: readonly Literals[],
  ): ((block: number) => boolean) | undefined {
    const { blocks } = scope;
    const lists = required.map(toRows).filter((list) => list !== undefined);
    if (lists.length === 0) return undefined;
    const segments = Math.ceil(blocks.count / blocksPerSegment);
    const rowsPerLiteral = limitRows(lists, segments);
    if (rowsPerLiteral < 3) return undefined;
    const bits = new Uint32Array(Math.ceil(blocks.count / 32)).fill(-1);
    let indexed = false;
    for (let segment = 0; segment < segments; segment++) {
      if (closedGroups(blocks, segment) === 0) break;
      const path = segmentPath(indexDir, segment);
      const file = this.#segment(path, segment, scope, text);
      if (file === undefined) continue;
      indexed = true;
      const words = new Uint32Array(2 * file.groups).fill(-1);
      for (const list of lists) narrow(file, list, rowsPerLiteral, words);
      bits.set(words, (segment * blocksPerSegment) / 32);
    }
    if (!indexed) return undefined;
    addSpanning(scope, bits);
    const share = countBits(bits, blocks.count) / blocks.count;
    return share > maxShare
      ? undefined
      : (block) => ((bits[block >> 5]! >>> (block & 31)) & 1) === 1;
  }

  #segment(path: string, segment: number, scope: Scope, text: TextFile): SegmentFile | undefined {
    const known = this.#open.get(path);
    const wanted = closedGroups(scope.blocks, segment);
    const inode = statSync(path, { throwIfNoEntry: false })?.ino;
    if (known !== undefined) {
      const isSame = known.file.inode === inode && known.text === text.inode;
      if (isSame && known.file.groups <= wanted) return known.file;
      known.file[Symbol.dispose]();
      this.#open.delete(path);
    }
    if (inode === undefined) return undefined;
    const file = SegmentFile.open(path, segment, scope.blocks, text);
    if (file === undefined) return undefined;
    if (this.#open.size >= maxOpen) this.#closeOldest();
    this.#open.set(path, { text: text.inode, file });
    return file;
  }

  #closeOldest(): void {
    for (const [path, { file }] of this.#open) {
      file[Symbol.dispose]();
      this.#open.delete(path);
      return;
    }
  }
}

/** The rows of each alternative; undefined where one of them is too short to be indexed. */
function toRows(list: Literals): readonly (readonly number[])[] | undefined {
  const rows = list.map(({ text }) => gramRowsOf(Buffer.from(text)));
  return rows.some((own) => own.length === 0) ? undefined : rows;
}

function limitRows(lists: readonly (readonly (readonly number[])[])[], segments: number): number {
  const literals = lists.reduce((sum, list) => sum + list.length, 0);
  return Math.min(24, Math.floor(maxRows / (literals * segments)));
}

/** Clears the bits of blocks that hold none of the alternatives. */
function narrow(
  file: SegmentFile,
  list: readonly (readonly number[])[],
  maxRowsEach: number,
  words: Uint32Array,
): void {
  const any = new Uint32Array(words.length);
  for (const rows of list) {
    const own = words.slice();
    for (const row of spread(rows, maxRowsEach)) {
      const found = new Uint32Array(file.row(row).buffer);
      let left = 0;
      for (let i = 0; i < own.length; i++) left |= own[i]! &= found[i]!;
      if (left === 0) break;
    }
    for (let i = 0; i < any.length; i++) any[i]! |= own[i]!;
  }
  words.set(any);
}

/** So many of the rows, from all over the literal. */
function spread(rows: readonly number[], count: number): readonly number[] {
  if (rows.length <= count) return rows;
  return Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]!);
}

/** A literal may lie across the border of two blocks where a line does. */
function addSpanning({ blocks }: Scope, bits: Uint32Array): void {
  const { lineStart, count } = blocks;
  for (let block = 0; block + 1 < count; block++) {
    if (lineStart[block] === lineStart[block + 1]) bits[block >> 5]! |= 1 << (block & 31);
  }
}

function countBits(bits: Uint32Array, count: number): number {
  let sum = 0;
  for (let block = 0; block < count; block++) sum += (bits[block >> 5]! >>> (block & 31)) & 1;
  return sum;
}
