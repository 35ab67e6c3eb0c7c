import type { TextSpan } from '../../base/text-spans.ts';
import type { TextCounts } from '../../kernels/text-counts.ts';
import { BlockTable } from './block-table.ts';
import { writeFully, type OpenFile } from '../disk/files.ts';

/**
 * Small pieces are gathered up to this size before they are written: a write through the thread
 * pool costs as much as 200 KiB of it.
 */
const gatherBytes = 512 * 1024;

/** What a {@link ContextFile} begins with. */
interface ContextFileState {
  readonly spans: readonly TextSpan[];
  readonly committedBytes: number;
  readonly identify: () => string | undefined;
}

/**
 * A session's text file together with its block table, which sees every byte that is written once
 * it is whole; until then it is being made (`table-rebuild.ts`). Owns the file. One writer.
 */
export class ContextFile {
  readonly path: string;
  /** Where the text lies. */
  readonly spans: readonly TextSpan[];
  readonly table: BlockTable;
  readonly #file: OpenFile;
  #isTableWhole = false;
  #committedBytes: number;
  #endBytes: number;
  /**
   * Room has been left, uncommitted, for a text that comes later: the table cannot see what
   * follows.
   */
  #hasReserved = false;
  /** Made when the first piece comes: most sessions are only read. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  readonly #identify: () => string | undefined;
  /** Of the file as it was left by us. */
  #identity: string | undefined;
  /** How many are writing to it, of our own. */
  #writing = 0;
  #isCommitting = false;
  #wasChanged = false;

  /**
   * `path` is the file that grows. `committedBytes`: where the committed text ends; what lies
   * behind it in the file is cut by {@link rollBack}. `identify` tells whether somebody has written
   * to the file.
   */
  constructor(path: string, file: OpenFile, { spans, committedBytes, identify }: ContextFileState) {
    this.path = path;
    this.spans = spans;
    this.#identify = identify;
    this.#identity = identify();
    this.#file = file;
    this.table = new BlockTable();
    this.#committedBytes = committedBytes;
    this.#endBytes = committedBytes;
  }

  /** Everything behind this is written anew by the next {@link write}. */
  get endBytes(): number {
    return this.#endBytes + this.#gatheredBytes;
  }

  /** Whether the table covers all of the text. */
  get isTableWhole(): boolean {
    return this.#isTableWhole;
  }

  /**
   * The table covers all committed text now, and nothing else has been written: from here on it
   * sees what is.
   */
  adoptTable(): void {
    this.#isTableWhole = true;
  }

  /** The file as it was left by us, in one word; undefined where it is being written. */
  get identity(): string | undefined {
    return this.#writing > 0 ? undefined : this.#identity;
  }

  /**
   * Whether somebody else has written to the file, or put another in its place, since that was last
   * taken. Costs one look at it.
   */
  hasForeignChange(): boolean {
    this.#look();
    return this.#wasChanged;
  }

  /** The same, and taken. */
  takeForeignChange(): boolean {
    const wasChanged = this.hasForeignChange();
    this.#wasChanged = false;
    return wasChanged;
  }

  #look(): void {
    // While we write ourselves it changes anyhow; then the change is seen before or after.
    if (this.#writing > 0) return;
    const now = this.#identify();
    if (now !== this.#identity) this.#wasChanged = true;
    this.#identity = now;
  }

  /** We begin to write. */
  #enter(): void {
    this.#look();
    this.#writing += 1;
  }

  /** We have written. */
  #leave(): void {
    this.#writing -= 1;
    if (this.#writing === 0) this.#identity = this.#identify();
  }

  /** A commit writes, or cuts, until it is done or rolled back. */
  #enterCommit(): void {
    if (this.#isCommitting) return;
    this.#isCommitting = true;
    this.#enter();
  }

  #leaveCommit(): void {
    if (!this.#isCommitting) return;
    this.#isCommitting = false;
    this.#leave();
  }

  /** Appends a piece, uncommitted; `counts` are its own. */
  async write(piece: Uint8Array, counts: TextCounts): Promise<void> {
    if (this.#isTableWhole) this.table.feed(piece, counts);
    if (this.#gatheredBytes + piece.length > gatherBytes) await this.#flush();
    if (piece.length > gatherBytes) {
      await this.#writeOut(piece);
    } else {
      this.#gathered ??= Buffer.allocUnsafeSlow(gatherBytes);
      this.#gathered.set(piece, this.#gatheredBytes);
      this.#gatheredBytes += piece.length;
    }
  }

  /**
   * Leaves room for a text that is safe elsewhere and will be {@link fill}ed in. From the next
   * {@link commit} on the table is not whole. Nothing else may be in the same commit.
   */
  reserve(lengthBytes: number): void {
    this.#endBytes += lengthBytes;
    this.#hasReserved = true;
  }

  /** Writes a piece of a text for which there is room. */
  async fill(piece: Uint8Array, positionBytes: number): Promise<void> {
    this.#enter();
    try {
      await writeFully(this.#file, piece, positionBytes);
    } finally {
      this.#leave();
    }
  }

  /** Brings what was filled in to the disk. */
  async syncFilled(): Promise<void> {
    await this.#file.datasync();
  }

  /** Brings all pieces to the disk. */
  async sync(): Promise<void> {
    await this.#flush();
    await this.#file.datasync();
  }

  /** What was written and synced is committed now. */
  commit(): void {
    this.#committedBytes = this.#endBytes;
    this.#leaveCommit();
    if (this.#hasReserved) this.#isTableWhole = false;
    else if (this.#isTableWhole) this.table.commit();
    this.#hasReserved = false;
  }

  /**
   * Back to the last {@link commit}: cuts what lies behind it. Safe to repeat until it succeeds.
   */
  async rollBack(): Promise<void> {
    this.#gatheredBytes = 0;
    this.#hasReserved = false;
    if ((await this.#file.sizeBytes()) > this.#committedBytes) {
      this.#enterCommit();
      await this.#file.truncate(this.#committedBytes);
    }
    this.#leaveCommit();
    if (this.#isTableWhole) await this.rollBackTable();
    this.#endBytes = this.#committedBytes;
  }

  /** The table back to its own last commit. */
  async rollBackTable(): Promise<void> {
    const [start, end] = this.table.lastCommittedBlock;
    const lastBlock = Buffer.allocUnsafe(end - start);
    await this.#file.read(lastBlock, start);
    this.table.rollBack(lastBlock);
  }

  /**
   * Shows text that is on the disk, piece by piece, each in `scratch` until the next. Throws the
   * signal's reason.
   */
  async replay(options: {
    readonly range: readonly [from: number, end: number];
    readonly scratch: Buffer;
    readonly see: (piece: Uint8Array) => void;
    readonly signal?: AbortSignal | undefined;
  }): Promise<void> {
    const { range, scratch, see, signal } = options;
    for (let at = range[0]; at < range[1]; at += scratch.length) {
      const bytes = scratch.subarray(0, Math.min(scratch.length, range[1] - at));
      const count = await this.#file.read(bytes, at);
      signal?.throwIfAborted();
      // What is not there any more shall be found damaged, not taken for what the last piece held.
      bytes.fill(0, count);
      see(bytes);
    }
  }

  /** Fills `target` from a position; the number of bytes there were. */
  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    return this.#file.read(target, positionBytes);
  }

  /** The same at once. */
  readNow(target: Uint8Array, positionBytes: number): number {
    return this.#file.readNow(target, positionBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    await this.#writeOut(this.#gathered!.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  async #writeOut(bytes: Uint8Array): Promise<void> {
    this.#enterCommit();
    await writeFully(this.#file, bytes, this.#endBytes);
    this.#endBytes += bytes.length;
  }
}
