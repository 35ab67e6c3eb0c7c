import { BlockTable } from './block-table.ts';
import { writeFully, type OpenFile } from './files.ts';

/** Small pieces are gathered up to this size before they are written. */
const gatherBytes = 256 * 1024;

/** A session's text file together with its block table, which sees every byte that is written. Owns the file. One writer. */
export class ContextFile {
  readonly path: string;
  readonly table: BlockTable;
  readonly #file: OpenFile;
  #endBytes = 0;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;

  constructor(path: string, file: OpenFile, table: BlockTable) {
    this.path = path;
    this.#file = file;
    this.table = table;
  }

  /** Everything behind this is written anew by the next {@link write}. */
  get endBytes(): number {
    return this.#endBytes + this.#gatheredBytes;
  }

  /** Appends a piece, uncommitted. It may be kept until {@link sync} or {@link rollBack}. */
  async write(piece: Uint8Array): Promise<void> {
    this.table.feed(piece);
    this.#gathered.push(piece);
    this.#gatheredBytes += piece.length;
    if (this.#gatheredBytes >= gatherBytes) await this.#flush();
  }

  /** Brings all pieces to the disk. */
  async sync(): Promise<void> {
    await this.#flush();
    await this.#file.datasync();
  }

  /** Back to the last `table.commit()`: cuts what lies behind it. Safe to repeat until it succeeds. */
  async rollBack(): Promise<void> {
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const [start, end] = this.table.lastCommittedBlock;
    if ((await this.#file.sizeBytes()) > end) await this.#file.truncate(end);
    const lastBlock = Buffer.allocUnsafe(end - start);
    await this.#file.read(lastBlock, start);
    this.table.rollBack(lastBlock);
    this.#endBytes = end;
  }

  /** Feeds the table with text that is on the disk already, up to `endBytes`, and lets the caller see each piece. */
  async replay(
    fromBytes: number,
    endBytes: number,
    see: (piece: Uint8Array) => void,
  ): Promise<void> {
    const piece = Buffer.allocUnsafe(Math.min(1024 * 1024, endBytes - fromBytes));
    for (let at = fromBytes; at < endBytes; at += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, endBytes - at));
      await this.#file.read(bytes, at);
      this.table.feed(bytes);
      see(bytes);
    }
    this.table.commit();
    this.#endBytes = endBytes;
  }

  /** Fills `target` from a position; the number of bytes there were. */
  async read(target: Uint8Array, positionBytes: number): Promise<number> {
    return this.#file.read(target, positionBytes);
  }

  /** The same at once. */
  readNow(target: Uint8Array, positionBytes: number): number {
    return this.#file.readNow(target, positionBytes);
  }

  /** What the file has on the disk, committed or not. */
  async sizeBytes(): Promise<number> {
    return this.#file.sizeBytes();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    if (this.#gatheredBytes === 0) return;
    const bytes = this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered);
    await writeFully(this.#file, bytes, this.#endBytes);
    this.#endBytes += bytes.length;
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }
}
