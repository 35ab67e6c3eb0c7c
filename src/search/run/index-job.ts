import { gramRows } from '../index/gram-hash.ts';
import { realIndexDisk, writeDurably, type IndexDisk } from '../index/index-disk.ts';
import {
  blocksPerGroup,
  blocksPerSegment,
  encodeIndexHeader,
  encodeSegment,
  SegmentFile,
  segmentPath,
} from '../index/index-file.ts';
import { GroupBits } from './group-bits.ts';
import type { IndexTask } from './protocol.ts';
import { stopFlag } from './protocol.ts';
import type { Job } from './scan-job.ts';
import type { ScanMemory } from '../text/scan-memory.ts';
import { TextFile } from '../text/text-file.ts';

/**
 * Blocks done in one step: under a millisecond, so that a search that comes meanwhile does not
 * wait.
 */
export const blocksPerStep = 8;

/** The building of a segment's index. */
type SegmentTask = IndexTask & { readonly segment: number };

/**
 * Builds or widens the index of one segment. One that is whole costs a look at its header, and no
 * memory for rows.
 */
export class IndexJob implements Job {
  readonly #task: SegmentTask;
  readonly #bits: GroupBits;
  readonly #done: () => void;
  readonly #disk: IndexDisk;
  readonly #text: TextFile;
  /** Empty until there is something to do. */
  #rows = new Float64Array(0);
  /** The next block; what lies before it is in `#rows`. */
  #block = 0;
  #hasBegun = false;

  constructor(
    task: SegmentTask,
    memory: ScanMemory,
    done: () => void,
    disk: IndexDisk = realIndexDisk,
  ) {
    this.#task = task;
    this.#disk = disk;
    this.#done = done;
    this.#text = new TextFile(task.spans, task.checks);
    this.#bits = new GroupBits(memory, this.#text, task.blocks);
  }

  step(): boolean {
    const { segment, groups, control } = this.#task;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      return this.#begin() || this.#end();
    }
    const end = segment * blocksPerSegment + groups * blocksPerGroup;
    if (this.#block < end && Atomics.load(control, stopFlag) === 0) {
      this.#bits.add(this.#block, this.#block + blocksPerStep);
      this.#block += blocksPerStep;
      if (this.#block % blocksPerGroup === 0) this.#closeGroup();
      return true;
    }
    if (this.#block >= end) this.#write();
    return this.#end();
  }

  #end(): false {
    this.#done();
    return false;
  }

  [Symbol.dispose](): void {
    this.#text[Symbol.dispose]();
    free(this.#rows);
  }

  /**
   * Makes room for the rows and takes those of the file that is there. False where they are all
   * there.
   */
  #begin(): boolean {
    const { indexDir, segment, blocks, groups } = this.#task;
    using old = SegmentFile.open(segmentPath(indexDir, segment), segment, blocks, this.#text);
    if (old?.groups === groups) return false;
    this.#rows = new Float64Array(gramRows * groups);
    const known = old === undefined ? 0 : this.#takeOver(old);
    this.#block = segment * blocksPerSegment + blocksPerGroup * known;
    return true;
  }

  /** How many groups the rows of the file have that is there; none where it is damaged. */
  #takeOver(old: SegmentFile): number {
    const { groups } = this.#task;
    const bytes = old.readAll();
    if (bytes === undefined) return 0;
    const rows = new Float64Array(bytes.buffer, 0, bytes.length / 8);
    for (let row = 0; row < gramRows; row++) {
      for (let group = 0; group < old.groups; group++) {
        this.#rows[row * groups + group] = rows[row * old.groups + group]!;
      }
    }
    free(rows);
    return old.groups;
  }

  #closeGroup(): void {
    const columns = this.#bits.rows();
    const { groups, segment } = this.#task;
    const group = (this.#block - segment * blocksPerSegment) / blocksPerGroup - 1;
    const rows = this.#rows;
    for (let row = 0, at = group; row < gramRows; row++, at += groups) rows[at] = columns[row]!;
  }

  #write(): void {
    const { indexDir, segment, blocks, groups } = this.#task;
    const firstBlock = segment * blocksPerSegment;
    const endBlock = firstBlock + groups * blocksPerGroup;
    const header = encodeIndexHeader({ firstBlock, groups, endBlock }, blocks, this.#text);
    const rows = new Uint8Array(this.#rows.buffer);
    writeDurably(this.#disk, segmentPath(indexDir, segment), encodeSegment(header, rows));
  }
}

/**
 * Gives memory back at once. The garbage collector lets 64 MB of such rows lie in each worker
 * before it looks at them.
 */
function free(rows: Float64Array<ArrayBuffer>): void {
  rows.buffer.transfer(0);
}
