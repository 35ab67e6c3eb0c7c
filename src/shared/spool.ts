import { join } from 'node:path';
import { ProxyError } from '../errors.ts';
import type { Files } from '../store/disk/files.ts';
import { replaceFile } from '../store/disk/files.ts';
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

interface SpoolFile {
  readonly name: string;
  readonly sizeBytes: number;
}

/** Between what a row says and its texts in a file. */
const newline = 0x0a;

/**
 * Rows that could not be handed to the database, one file each, synced before anybody is told that
 * they are kept; sent in their order when it is back. A row that was sent and whose file is still
 * there is sent again, which adds nothing.
 */
export class Spool {
  readonly #files: Files;
  readonly #folder: string;
  readonly #maxBytes: number;
  #waiting: SpoolFile[] = [];
  #bytes = 0;
  #next = 1;

  private constructor(files: Files, folder: string, maxBytes: number) {
    this.#files = files;
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  /** @param maxBytes What may wait at most */
  static async open(files: Files, folder: string, maxBytes: number): Promise<Spool> {
    await files.makeDirectory(folder);
    const spool = new Spool(files, folder, maxBytes);
    for (const name of (await files.list(folder)).toSorted()) {
      const number = /^row-(\d{12})$/.exec(name)?.[1];
      if (number === undefined) continue;
      spool.#next = Number(number) + 1;
      const sizeBytes = (await files.readWhole(join(folder, name)))?.length ?? 0;
      spool.#waiting.push({ name, sizeBytes });
      spool.#bytes += sizeBytes;
    }
    return spool;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get rows(): number {
    return this.#waiting.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a row behind all others. @throws ProxyError `store_full`; the file system's errors */
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
    const file = { name: `row-${String(this.#next).padStart(12, '0')}`, sizeBytes };
    this.#next += 1;
    // Its place in the line is taken now, whatever is written first.
    this.#bytes += sizeBytes;
    try {
      await replaceFile(this.#files, join(this.#folder, file.name), Buffer.concat([head, text]));
    } catch (error) {
      this.#bytes -= sizeBytes;
      throw error;
    }
    this.#waiting.push(file);
    this.#waiting.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** All rows that wait, the oldest first, one at a time. */
  async *all(): AsyncGenerator<SpooledRow> {
    for (const { name } of this.#waiting.slice()) {
      const row = await this.#read(name);
      if (row !== undefined) yield row;
    }
  }

  /** The oldest row; undefined where none waits. */
  async first(): Promise<SpooledRow | undefined> {
    for (;;) {
      const [file] = this.#waiting;
      if (file === undefined) return undefined;
      const row = await this.#read(file.name);
      if (row !== undefined) return row;
      this.#waiting.shift();
    }
  }

  /** The oldest is in the log now. */
  async dropFirst(): Promise<void> {
    const file = this.#waiting.shift();
    if (file === undefined) return;
    this.#bytes -= file.sizeBytes;
    await this.#files.remove(join(this.#folder, file.name));
  }

  async #read(name: string): Promise<SpooledRow | undefined> {
    const bytes = await this.#files.readWhole(join(this.#folder, name));
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(newline);
    const row = JSON.parse(bytes.toString('utf8', 0, end)) as Omit<SpooledRow, 'text'>;
    return { ...row, text: bytes.subarray(end + 1) };
  }
}
