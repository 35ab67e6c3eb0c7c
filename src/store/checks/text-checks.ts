import { partitionPoint } from '../../base/sorted.ts';
import { crc32 } from 'node:zlib';
import type { CommittedBlocks } from '../text/block-table.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import { runFrom, RunReader } from './text-runs.ts';
import type { DamagedText, Entry, SnapshotChecks } from '../types.ts';

/** What is known of a block: nothing yet, that it is as its checksum says, that it is not. */
const unknown = 0;
const sound = 1;
const damaged = 2;

/** Blocks that are compared in one go: 256 KiB, some 50 us of the event loop. */
const groupBlocks = 8;

/**
 * What is known of the soundness of a session's text, block by block, shared with the threads that
 * search it. A block that nothing is known of is compared by whoever reads it first, or by the
 * scrub; one that is wrong is looked into entry by entry, so that it is known which text is lost
 * and which only lies beside it.
 */
export class TextChecks {
  readonly #text: ContextFile;
  readonly #index: EntryIndex;
  #states = new Uint8Array(new SharedArrayBuffer(64));
  /**
   * Closed blocks from here on were written by this process, as their checksums were made. Infinity
   * until {@link begin}.
   */
  #ownFrom = Infinity;
  /** Blocks whose state has been set at least once. */
  #known = 0;
  #ranges: readonly DamagedText[] = [];
  #damagedBlocks: readonly number[] = [];
  #anchors = new Float64Array(new SharedArrayBuffer(0));
  #looking: Promise<void> = Promise.resolve();
  /** Blocks below this are not unknown. */
  #scrubbed = 0;

  constructor(text: ContextFile, index: EntryIndex) {
    this.#text = text;
    this.#index = index;
  }

  /**
   * The table covers all text now. Its first `fromCache` blocks come from a cache; all behind them
   * have just been read and compared.
   */
  begin(fromCache: number, areSound: boolean): void {
    const isFirst = this.#ownFrom === Infinity;
    // Later, when the table is whole again: what has come meanwhile was written, or compared, by
    // us.
    if (isFirst) this.#ownFrom = fromCache;
    this.#grow();
    if (isFirst && areSound) this.#states.fill(sound, 0, fromCache);
    this.#mark();
  }

  /**
   * Somebody else has touched the file: nothing is known of it any more but what was found damaged.
   */
  forget(): void {
    this.#states = new Uint8Array(new SharedArrayBuffer(this.#states.length));
    // The open block, too, may have been changed; as it is in memory it is what was stored.
    this.#ownFrom = this.#text.table.committed.count;
    this.#known = 0;
    this.#scrubbed = 0;
    this.#grow();
    this.#mark();
  }

  /** What is known to be damaged, ascending. */
  get ranges(): readonly DamagedText[] {
    return this.#ranges;
  }

  /** Whether a block of the table is known to be damaged. */
  isDamaged(block: number): boolean {
    return this.#ranges.length > 0 && this.#states[block] === damaged;
  }

  /** The first block from `block` on that is known to be damaged; Infinity for none. */
  nextDamaged(block: number): number {
    return this.#damagedBlocks.find((other) => other >= block) ?? Infinity;
  }

  /** For a snapshot of the table as it is committed now. */
  snapshot(): Omit<SnapshotChecks, 'recheck'> {
    this.#grow();
    const { lastCrc } = this.#text.table.committed;
    return {
      states: this.#states,
      lastCrc,
      damaged: this.#ranges,
      anchors: this.#anchors,
    };
  }

  /** Notes that all of an entry is damaged, as far as anybody can tell. */
  addEntry(entry: Entry): void {
    if (this.#index.damaged.has(entry)) return;
    this.#index.addDamaged(entry);
    const end = this.#index.startOf(entry.seq).bytes;
    this.#add([{ startBytes: entry.offsetBytes, endBytes: end, name: entry.id }]);
  }

  /** Looks into blocks that are not as their checksums say: which entries are damaged there. */
  async look(blocks: readonly number[]): Promise<void> {
    const turn = this.#lookAfter(this.#looking, blocks);
    this.#looking = turn.catch(() => undefined);
    await turn;
  }

  async #lookAfter(before: Promise<void>, blocks: readonly number[]): Promise<void> {
    await before;
    for (const block of blocks) await this.#lookInto(block);
  }

  /**
   * Looks for the damage in an entry whose text is not what was stored: by its blocks, and where
   * these seem right it is all of it.
   */
  async lookAt(entry: Entry): Promise<void> {
    if (this.#text.isTableWhole) {
      const [first, end] = this.#blocksOf(entry.offsetBytes, this.#index.startOf(entry.seq).bytes);
      await this.look(Array.from({ length: end - first }, (_, i) => first + i));
    }
    if (!this.#index.damaged.has(entry)) this.addEntry(entry);
  }

  /** Compares the last block, of which nothing is kept. */
  async lookAtLast(): Promise<void> {
    await this.look([this.#text.table.committed.count - 1]);
  }

  /**
   * Compares the next blocks that nothing is known of; false when there are none. Throws the
   * signal's reason.
   */
  async scrubSome(signal: AbortSignal): Promise<boolean> {
    this.#grow();
    const states = this.#states;
    const blocks = this.#text.table.committed;
    let first = this.#scrubbed;
    while (first < blocks.count && states[first] !== unknown) first += 1;
    this.#scrubbed = first;
    // The last block changes with each commit; who reads it compares it.
    const end = Math.min(first + groupBlocks, blocks.count - 1);
    if (first >= end) return false;
    const start = blocks.byteStart[first]!;
    const bytes = Buffer.allocUnsafe(blocks.byteStart[end]! - start);
    const count = await this.#text.read(bytes, start);
    signal.throwIfAborted();
    const wrong: number[] = [];
    for (let block = first; block < end; block += 1) {
      const from = blocks.byteStart[block]! - start;
      const to = blocks.byteStart[block + 1]! - start;
      if (to <= count && crc32(bytes.subarray(from, to)) === blocks.crc[block]) {
        if (states[block] === unknown) states[block] = sound;
      } else wrong.push(block);
    }
    await this.look(wrong.filter((block) => states[block] !== damaged));
    this.#scrubbed = Math.max(this.#scrubbed, end);
    return true;
  }

  async #lookInto(block: number): Promise<void> {
    const blocks = this.#text.table.committed;
    if (block < 0 || block >= blocks.count || this.#states[block] === damaged) return;
    const from = blocks.byteStart[block]!;
    const to = blockEnd(blocks, block);
    const bytes = Buffer.alloc(to - from);
    await this.#text.read(bytes, from);
    const expected = block === blocks.count - 1 ? blocks.lastCrc : blocks.crc[block];
    if (crc32(bytes) === expected) return;
    const entries = this.#index.overlapping(from, to);
    const lost = entries.length === 1 ? entries : await this.#damagedOf(entries);
    for (const entry of lost) this.#index.addDamaged(entry);
    // All entries are what was stored: then it is the table that is wrong, and nothing is lost.
    if (lost.length === 0) this.#states[block] = sound;
    this.#add(
      lost.map((entry) => ({
        startBytes: Math.max(from, entry.offsetBytes),
        endBytes: Math.min(to, this.#index.startOf(entry.seq).bytes),
        name: entry.id,
      })),
    );
  }

  /** Compares entries, which lie one behind the other, with their hashes. */
  async #damagedOf(entries: readonly Entry[]): Promise<readonly Entry[]> {
    const reader = new RunReader(this.#text, this.#index);
    const found: Entry[] = [];
    const end = entries.at(-1)!.seq;
    for (let first = entries[0]!.seq - 1; first < end;) {
      const run = runFrom(this.#index, first);
      const cut = [first, Math.min(run[1], end)] as const;
      found.push(...(await reader.read(cut)));
      first = cut[1];
    }
    return found;
  }

  #add(ranges: readonly DamagedText[]): void {
    if (ranges.length === 0) return;
    const all = [...this.#ranges, ...ranges].sort((a, b) => a.startBytes - b.startBytes);
    const merged: DamagedText[] = [];
    for (const range of all) {
      const last = merged.at(-1);
      const goesOn = last?.name === range.name && range.startBytes <= last.endBytes;
      if (goesOn) {
        merged[merged.length - 1] = { ...last, endBytes: Math.max(last.endBytes, range.endBytes) };
      } else if (range.endBytes > range.startBytes) merged.push(range);
    }
    this.#ranges = merged;
    this.#mark();
  }

  /** Marks the blocks in which there is damage, and where entries start in them. */
  #mark(): void {
    if (this.#ranges.length === 0) return;
    this.#grow();
    const { committed } = this.#text.table;
    const blocks = new Set<number>();
    for (const { startBytes, endBytes } of this.#ranges) {
      if (startBytes >= committed.endBytes) break;
      const [first, end] = this.#blocksOf(startBytes, endBytes);
      for (let block = first; block < end; block += 1) blocks.add(block);
    }
    this.#damagedBlocks = [...blocks].sort((a, b) => a - b);
    const anchors: number[] = [];
    for (const block of this.#damagedBlocks) {
      this.#states[block] = damaged;
      const from = committed.byteStart[block]!;
      for (const entry of this.#index.overlapping(from, blockEnd(committed, block))) {
        if (entry.offsetBytes < from) continue;
        anchors.push(entry.offsetBytes, entry.offsetChars, entry.lineNumber);
      }
    }
    this.#anchors = new Float64Array(new SharedArrayBuffer(8 * anchors.length));
    this.#anchors.set(anchors);
  }

  /** Makes room for all blocks, and notes what was written since. */
  #grow(): void {
    const { count, byteStart } = this.#text.table.committed;
    if (this.#states.length < count) {
      const grown = new Uint8Array(new SharedArrayBuffer(Math.max(64, byteStart.length)));
      grown.set(this.#states);
      this.#states = grown;
    }
    if (this.#ownFrom === Infinity) return;
    const from = Math.max(this.#known, this.#ownFrom);
    for (let block = from; block + 1 < count; block += 1) {
      if (this.#states[block] === unknown) this.#states[block] = sound;
    }
    this.#known = Math.max(this.#known, count - 1);
  }

  /** The blocks that have a byte in [startBytes, endBytes), as [first, end). */
  #blocksOf(startBytes: number, endBytes: number): readonly [number, number] {
    const { count, byteStart } = this.#text.table.committed;
    const behind = partitionPoint(count, (block) => byteStart[block]! <= startBytes);
    const first = Math.max(0, behind - 1);
    let end = first + 1;
    while (end < count && byteStart[end]! < endBytes) end += 1;
    return [first, Math.min(end, count)];
  }
}

function blockEnd(blocks: CommittedBlocks, block: number): number {
  return block === blocks.count - 1 ? blocks.endBytes : blocks.byteStart[block + 1]!;
}
