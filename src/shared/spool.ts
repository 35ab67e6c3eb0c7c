import { join } from 'node:path';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Files } from '../store/disk/files.ts';
import { replaceFile } from '../store/disk/files.ts';
import { toStoreFailure } from '../store/disk/store-failure.ts';
import { isObject, parseJson } from '../wire/json.ts';
import type { LogOperation } from './log.ts';

/** A row that waits for the database. */
export interface SpooledRow {
  readonly session: string;
  readonly writer: string;
  readonly n: number;
  readonly ops: readonly LogOperation[];
  /** The texts of its operations, one behind the other. */
  readonly text: Uint8Array;
}

/** What a {@link Spool} is opened with. */
interface SpoolOptions {
  /** What may wait at most. */
  readonly maxBytes: number;
  readonly log: Logger;
}

interface SpoolFile {
  readonly name: string;
  readonly session: string;
  readonly sizeBytes: number;
}

/** Between what a row says and its texts in a file. */
const newline = 0x0a;

/**
 * Rows that could not be handed to the database, one file each, synced before anybody is told that
 * they are kept; those of each store are sent in their order when it is back. A row that was sent
 * and whose file is still there is sent again, which adds nothing.
 */
export class Spool {
  readonly #files: Files;
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #log: Logger;
  /** By store; those of one in their order. */
  readonly #waiting = new Map<string, SpoolFile[]>();
  #rows = 0;
  #bytes = 0;
  #next = 1;

  private constructor(files: Files, folder: string, { maxBytes, log }: SpoolOptions) {
    this.#files = files;
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** @throws Error of the system */
  static async open(files: Files, folder: string, options: SpoolOptions): Promise<Spool> {
    await files.makeDirectory(folder);
    const spool = new Spool(files, folder, options);
    for (const name of (await files.list(folder)).toSorted()) {
      const [, number, session] = /^row-(\d{12})-(sess_[0-9a-f]+)$/.exec(name) ?? [];
      if (number === undefined || session === undefined) continue;
      spool.#next = Number(number) + 1;
      const sizeBytes = (await files.readWhole(join(folder, name)))?.length ?? 0;
      spool.#note({ name, session, sizeBytes });
    }
    return spool;
  }

  /** The stores for which something waits. */
  get sessions(): readonly string[] {
    return [...this.#waiting.keys()];
  }

  /** Whether something waits for a store. */
  has(session: string): boolean {
    return this.#waiting.has(session);
  }

  get rows(): number {
    return this.#rows;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Keeps a row behind all others of its store.
   * @throws ProxyError `store_full`, `internal` where it cannot be written
   */
  async add({ text, ...row }: SpooledRow): Promise<void> {
    const head = Buffer.from(`${JSON.stringify(row)}\n`);
    const sizeBytes = head.length + text.length;
    if (this.#bytes + sizeBytes > this.#maxBytes) {
      throw new ProxyError(
        'store_full',
        `More than ${this.#maxBytes} bytes would wait for the shared store.`,
        { hint: 'Chats go on; nothing more is stored until it can be reached (store.spoolBytes).' },
      );
    }
    const { session } = row;
    const file = {
      name: `row-${String(this.#next).padStart(12, '0')}-${session}`,
      session,
      sizeBytes,
    };
    this.#next += 1;
    // Its room is taken now, whatever is written first.
    this.#bytes += sizeBytes;
    const path = join(this.#folder, file.name);
    try {
      await replaceFile(this.#files, path, Buffer.concat([head, text]));
    } catch (error) {
      throw toStoreFailure(error, path);
    } finally {
      this.#bytes -= sizeBytes;
    }
    this.#note(file);
  }

  /** What waits for a store, the oldest first, one at a time. */
  async *all(session: string): AsyncGenerator<SpooledRow> {
    for (const { name } of this.#waiting.get(session)?.slice() ?? []) {
      const row = await this.#read(name);
      if (row !== undefined) yield row;
    }
  }

  /** The oldest row that waits for a store; undefined where none does. */
  async first(session: string): Promise<SpooledRow | undefined> {
    for (;;) {
      const file = this.#waiting.get(session)?.[0];
      if (file === undefined) return undefined;
      const row = await this.#read(file.name);
      if (row !== undefined) return row;
      await this.dropFirst(session);
    }
  }

  /** The oldest row of a store is in the log now. */
  async dropFirst(session: string): Promise<void> {
    const waiting = this.#waiting.get(session);
    const file = waiting?.shift();
    if (waiting === undefined || file === undefined) return;
    if (waiting.length === 0) this.#waiting.delete(session);
    this.#rows -= 1;
    this.#bytes -= file.sizeBytes;
    await this.#files.remove(join(this.#folder, file.name));
  }

  #note(file: SpoolFile): void {
    const waiting = this.#waiting.get(file.session) ?? [];
    waiting.push(file);
    // Written at the same time they may have ended in another order.
    waiting.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#waiting.set(file.session, waiting);
    this.#rows += 1;
    this.#bytes += file.sizeBytes;
  }

  /** Undefined for a file that is gone, or is not what was written: that is put aside. */
  async #read(name: string): Promise<SpooledRow | undefined> {
    const path = join(this.#folder, name);
    const bytes = await this.#files.readWhole(path);
    if (bytes === undefined) return undefined;
    const row = decodeRow(bytes);
    if (row === undefined) {
      await this.#files.rename(path, `${path}.damaged`);
      this.#log.error(
        { path: `${path}.damaged` },
        'a text that waited for the shared store is damaged: it is put aside, the others go on',
      );
    }
    return row;
  }
}

/** Undefined where a file is not what {@link Spool.add} writes. */
function decodeRow(bytes: Buffer): SpooledRow | undefined {
  const end = bytes.indexOf(newline);
  const row = parseJson(bytes.toString('utf8', 0, Math.max(0, end)));
  if (!isObject(row) || !Array.isArray(row['ops'])) return undefined;
  return { ...(row as unknown as Omit<SpooledRow, 'text'>), text: bytes.subarray(end + 1) };
}
