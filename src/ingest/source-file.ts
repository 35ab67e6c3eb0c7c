import { closeSync, openSync, readSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

const pieceBytes = 1024 * 1024;
const headBytes = 8192;

/**
 * Reads a small file at once into the start of `target`: about 10 us, against 200 us through the
 * thread pool, and in a source tree the files are many and small. Undefined for a file that has not
 * `sizeBytes` bytes (any more); `target` has room for one more. Throws the system's error.
 */
export function readSmallFile(path: string, sizeBytes: number, target: Buffer): Buffer | undefined {
  const descriptor = openSync(path, 'r');
  try {
    // One byte more than there should be, so that a file that has grown shows without being asked
    // for its size.
    const count = readSync(descriptor, target, 0, sizeBytes + 1, 0);
    return count === sizeBytes ? target.subarray(0, count) : undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** A file that is being read, perhaps several times. Whoever opens it closes it. */
export class SourceFileReader {
  readonly #handle: FileHandle;
  readonly sizeBytes: number;
  readonly mtimeMs: number;

  private constructor(handle: FileHandle, sizeBytes: number, mtimeMs: number) {
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
    this.mtimeMs = mtimeMs;
  }

  /** Opens for reading, with size and time as they are now. Rejects with the system's error. */
  static async open(path: string): Promise<SourceFileReader> {
    const handle = await open(path, 'r');
    try {
      const stats = await handle.stat();
      return new SourceFileReader(handle, stats.size, stats.mtimeMs);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The first bytes, at most 8 KiB. */
  async head(): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(headBytes);
    const { bytesRead } = await this.#handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  }

  /**
   * All bytes from the start, in pieces of at most 1 MiB, each in memory of its own. Stops with the
   * signal's reason.
   */
  async *pieces(signal: AbortSignal): AsyncGenerator<Buffer> {
    for (let at = 0; ;) {
      signal.throwIfAborted();
      const bytes = Buffer.allocUnsafe(pieceBytes);
      const { bytesRead } = await this.#handle.read(bytes, 0, bytes.length, at);
      if (bytesRead === 0) return;
      yield bytes.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
