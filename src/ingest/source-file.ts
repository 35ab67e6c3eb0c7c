import { open, type FileHandle } from 'node:fs/promises';

const pieceBytes = 1024 * 1024;
const headBytes = 8192;

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
    return this.#first(headBytes);
  }

  /** All bytes, for a small file. One that has grown since it was opened is cut there. */
  async whole(): Promise<Buffer> {
    return this.#first(this.sizeBytes);
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

  async #first(lengthBytes: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(Math.min(lengthBytes, this.sizeBytes));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
