import type { Pieces } from '../text/pieces.ts';
import type { Program } from '../automaton/program.ts';
import { HitOrder } from './hit-order.ts';
import { nextChunk, stopFlag, type Plan, type SearchPart, type SearchTask } from './protocol.ts';
import type { TextFile } from '../text/text-file.ts';

/** Work that is done in small steps, so that several share a worker fairly. */
export interface Job {
  /** Does a little (a millisecond or two); false when nothing is left. */
  step(): boolean;
  /** Gives back what it holds. For whoever steps it, when nothing is left or a step has failed. */
  [Symbol.dispose](): void;
}

/**
 * Bytes that are searched before other jobs get their turn; chunks may be as small as a block.
 */
const stepBytes = 262_144;

/** A line that has to be in memory as a whole may be this long. */
export const maxWholeBytes = 67_108_864;

/** Searches the chunks it claims, line by line. */
export class ScanJob implements Job {
  readonly #task: SearchTask;
  readonly #pieces: Pieces;
  readonly #program: Program;
  readonly #file: TextFile;
  readonly #done: (part: SearchPart) => void;
  readonly #order: HitOrder;
  /** Chunks as they are claimed. */
  readonly #chunks: Int32Array;
  #hits: readonly number[] = [];
  readonly #indexed: boolean;
  #total = 0;
  #blocks = 0;
  #stopped = false;

  constructor(
    parts: {
      readonly task: SearchTask;
      readonly plan: Plan;
      readonly program: Program;
      readonly file: TextFile;
    },
    done: (part: SearchPart) => void,
  ) {
    this.#task = parts.task;
    this.#pieces = parts.plan.pieces;
    this.#order = new HitOrder(parts.task);
    this.#chunks = this.#order.chunks(this.#pieces);
    this.#program = parts.program;
    this.#file = parts.file;
    this.#indexed = parts.plan.indexed;
    this.#done = done;
    this.#program.users++;
  }

  step(): boolean {
    const chunks = this.#pieces.first.length - 1;
    this.#program.shouldStop = () => this.#shouldStop();
    for (let done = 0; done < stepBytes;) {
      const claimed = this.#shouldStop() ? chunks : Atomics.add(this.#task.control, nextChunk, 1);
      if (claimed >= chunks) return this.#finish();
      done += this.#chunk(this.#chunks[claimed]!);
    }
    return true;
  }

  #finish(): false {
    this.#stopped ||= this.#shouldStop();
    this.#done({
      total: this.#total,
      hits: this.#hits.map((at) => ({ at })),
      bytesRead: this.#file.bytesRead,
      blocksRead: this.#blocks,
      wrongBlocks: [...this.#file.wrong],
      stopped: this.#stopped,
      engine: this.#program.engine,
      indexed: this.#indexed,
      skippedLines: this.#program.takeSkippedLines(),
      note: this.#program.note,
    });
    return false;
  }

  [Symbol.dispose](): void {
    this.#program.users--;
    this.#file[Symbol.dispose]();
  }

  #shouldStop(): boolean {
    return Atomics.load(this.#task.control, stopFlag) !== 0;
  }

  /** Returns how many bytes it was. */
  #chunk(chunk: number): number {
    const { bounds, first } = this.#pieces;
    const from = first[chunk]!;
    const to = first[chunk + 1]!;
    const base = bounds[2 * from]!;
    const end = bounds[2 * to - 1]!;
    const worst = this.#hits[this.#task.query.maxResults];
    const isWanted = worst === undefined || this.#order.mayBeat(base, end, worst);
    const found = isWanted ? [] : undefined;
    if (end - base > this.#program.memory.textBytes) this.#long(base, end, found);
    else {
      const { bytes, textAt } = this.#program.memory;
      this.#file.read(bytes, textAt, base, end);
      for (let piece = from; piece < to; piece++) {
        const pieceEnd = bounds[2 * piece + 1]!;
        const count = this.#program.scan(
          textAt + bounds[2 * piece]! - base,
          textAt + pieceEnd - base,
        );
        this.#take(count, base - textAt, pieceEnd, found);
      }
    }
    this.#blocks += Math.ceil((end - base) / 32_768);
    if (found !== undefined) this.#keep(found);
    return end - base;
  }

  /** A line that does not fit the memory, and what follows it in its last block. */
  #long(base: number, end: number, found: number[] | undefined): void {
    if (!this.#program.scansParts) {
      this.#whole(base, end, found);
      return;
    }
    const { bytes, textAt, textBytes } = this.#program.memory;
    let walk = this.#program.startLong();
    for (let at = base; at < end; at += textBytes) {
      const size = Math.min(textBytes, end - at);
      this.#file.read(bytes, textAt, at, at + size);
      walk = this.#program.scanLong(textAt, textAt + size, at + size === end, walk);
      this.#take(walk.hits, at - textAt, at + size, found);
      if (this.#shouldStop()) return;
    }
  }

  /** The same where the line has to be looked at as a whole. */
  #whole(base: number, end: number, found: number[] | undefined): void {
    if (end - base > maxWholeBytes) {
      this.#program.skipLong();
      return;
    }
    const text = Buffer.allocUnsafeSlow(end - base);
    this.#file.read(text, 0, base, end);
    const hits = this.#program.scanWhole(text);
    this.#total += hits.length;
    for (const hit of hits) found?.push(hit + base);
  }

  /**
   * Takes over the hits in the program's memory. A hit that is known only at the end of the text
   * belongs to the byte before it.
   */
  #take(count: number, shift: number, end: number, found: number[] | undefined): void {
    if (count < 0) {
      this.#stopped = true;
      return;
    }
    this.#total += count;
    if (found === undefined) return;
    const { hits } = this.#program;
    for (let i = 0; i < count; i++) found.push(Math.min(hits[i]! + shift, end - 1));
  }

  /**
   * Keeps the best hits of a chunk, one more than asked for, so that it is known whether there are
   * more.
   */
  #keep(found: readonly number[]): void {
    const most = this.#task.query.maxResults + 1;
    const best = this.#order.best(found, most);
    if (best.length === 0) return;
    this.#hits = [...this.#hits, ...best].sort((a, b) => this.#order.compare(a, b)).slice(0, most);
  }
}
