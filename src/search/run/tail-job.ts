import { realIndexDisk, writeDurably, type IndexDisk } from '../index/index-disk.ts';
import {
  blocksPerGroup,
  encodeIndexHeader,
  encodeSegment,
  isTailWanted,
  SegmentFile,
  tailOf,
  tailPath,
} from '../index/index-file.ts';
import type { ScanMemory } from '../text/scan-memory.ts';
import { TextFile } from '../text/text-file.ts';
import { GroupBits } from './group-bits.ts';
import { blocksPerStep } from './index-job.ts';
import { stopFlag, type IndexTask } from './protocol.ts';
import type { Job } from './scan-job.ts';

/**
 * Builds the index of what lies behind the last whole group, the open block among it. One that
 * covers all of it but a few blocks costs a look at its header; one by a program that did not cover
 * the open block is made anew, once.
 */
export class TailJob implements Job {
  readonly #task: IndexTask;
  readonly #done: () => void;
  readonly #disk: IndexDisk;
  readonly #text: TextFile;
  readonly #bits: GroupBits;
  /** The next block; undefined until it has begun. */
  #block: number | undefined;

  constructor(
    task: IndexTask,
    memory: ScanMemory,
    done: () => void,
    disk: IndexDisk = realIndexDisk,
  ) {
    this.#task = task;
    this.#done = done;
    this.#disk = disk;
    this.#text = new TextFile(task.spans, task.checks);
    this.#bits = new GroupBits(memory, this.#text, task.blocks);
  }

  step(): boolean {
    const { blocks, endBytes, indexDir, control } = this.#task;
    const tail = tailOf(blocks);
    if (tail === undefined || Atomics.load(control, stopFlag) !== 0) return this.#end();
    const { firstBlock, endBlock } = tail;
    if (this.#block === undefined) {
      this.#block = firstBlock;
      using old = SegmentFile.openTail(tailPath(indexDir), blocks, this.#text);
      const known = old?.firstBlock === firstBlock ? old.endBlock : firstBlock;
      const isOpenKnown = old?.coversOpen(blocks, endBytes, this.#text) === true;
      const isOlder = old?.namesOpen === false;
      return isOlder || isTailWanted(blocks, known, isOpenKnown) ? true : this.#end();
    }
    if (this.#block < endBlock) {
      const end = Math.min(endBlock, this.#block + blocksPerStep);
      this.#bits.add(this.#block, end);
      this.#block = end;
      return true;
    }
    const open = this.#bits.addOpen(endBytes);
    for (let block = endBlock + 1; block < firstBlock + blocksPerGroup; block++)
      this.#bits.allow(block);
    const rows = this.#bits.rows();
    const covered = { firstBlock, groups: 1, endBlock, open };
    const header = encodeIndexHeader(covered, blocks, this.#text);
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
    writeDurably(this.#disk, tailPath(indexDir), encodeSegment(header, bytes));
    return this.#end();
  }

  #end(): false {
    this.#done();
    return false;
  }

  [Symbol.dispose](): void {
    this.#text[Symbol.dispose]();
  }
}
