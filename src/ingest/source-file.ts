import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

const pieceBytes = 1024 * 1024;
const headBytes = 8192;

/** A file that was read whole, if `bytes` are as many as `sizeBytes`. */
export interface SmallFile {
  readonly bytes: Buffer;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/**
 * Reads a small file at once into the start of `target`: about 30 us, against 200 us through the thread pool, and in a source tree
 * the files are many and small. A file that does not fit (any more) is cut. Throws the system's error.
 */
export function readSmallFile(path: string, target: Buffer): SmallFile {
  const descriptor = openSync(path, 'r');
  try {
    const { size: sizeBytes, mtimeMs } = fstatSync(descriptor);
    const wanted = Math.min(sizeBytes, target.length);
    let filled = 0;
    while (filled < wanted) {
      const count = readSync(descriptor, target, filled, wanted - filled, filled);
      if (count === 0) break;
      filled += count;
    }
    return { bytes: target.subarray(0, filled), sizeBytes, mtimeMs };
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

  /** All bytes from the start, in pieces of at most 1 MiB, each in memory of its own. Stops with the signal's reason. */
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
