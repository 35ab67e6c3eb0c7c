import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** A session's text, read by position. The owner closes it. */
export class TextFile {
  /** Bytes read so far. */
  bytesRead = 0;
  /** Tells this file from another one under the same name. */
  readonly inode: number;
  readonly #fd: number;

  /** @throws TextTooShort where there is no such file */
  constructor(path: string) {
    this.#fd = openText(path);
    this.inode = fstatSync(this.#fd).ino;
  }

  /**
   * Reads bytes [start, end) of the file to `into` at `at`.
   * @throws TextTooShort where the file is shorter: a snapshot promises its bytes
   */
  read(into: Uint8Array, at: number, start: number, end: number): void {
    let done = 0;
    while (start + done < end) {
      const count = readSync(this.#fd, into, at + done, end - start - done, start + done);
      if (count === 0) throw new TextTooShort();
      done += count;
    }
    this.bytesRead += done;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function openText(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw Object(error).code === 'ENOENT' ? new TextTooShort() : error;
  }
}

/** The text file ends before the snapshot does. */
export class TextTooShort extends Error {}
