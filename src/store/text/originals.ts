import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeFully, type Files } from '../disk/files.ts';
import { corruptStore } from '../disk/store-failure.ts';
import { pieceMaxBytes } from './text-pieces.ts';
import type { OriginalBytes } from '../types.ts';

/** The folder of bytes that the text file cannot hold, each under its hash. */
export class Originals {
  readonly #files: Files;
  readonly #folder: string;
  readonly #otherFolders: readonly string[];
  /** Numbers of the files that are being written. */
  readonly #incoming = new Set<number>();

  /** `otherFolders`: where else bytes are that the session's texts name. */
  constructor(files: Files, folder: string, otherFolders: readonly string[] = []) {
    this.#files = files;
    this.#folder = folder;
    this.#otherFolders = otherFolders;
  }

  /**
   * Keeps bytes; they are on the disk when this resolves. Bytes that no entry comes to name are
   * overwritten by the next.
   */
  async keep(
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    encoding: OriginalBytes['encoding'],
  ): Promise<OriginalBytes> {
    await this.#files.makeDirectory(this.#folder);
    let number = 0;
    while (this.#incoming.has(number)) number += 1;
    this.#incoming.add(number);
    try {
      return await this.#keepAs(join(this.#folder, `incoming-${number}`), pieces, encoding);
    } finally {
      this.#incoming.delete(number);
    }
  }

  async #keepAs(
    temporary: string,
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    encoding: OriginalBytes['encoding'],
  ): Promise<OriginalBytes> {
    const file = await this.#files.open(temporary, { create: true });
    const digest = createHash('sha256');
    let sizeBytes = 0;
    try {
      await file.truncate(0);
      for await (const piece of pieces) {
        digest.update(piece);
        await writeFully(file, piece, sizeBytes);
        sizeBytes += piece.length;
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    const sha256 = digest.digest('hex');
    await this.#files.rename(temporary, join(this.#folder, sha256));
    await this.#files.syncDirectory(this.#folder);
    return { sha256, sizeBytes, encoding };
  }

  async #find(name: string): Promise<string> {
    const own = join(this.#folder, name);
    for (const folder of this.#otherFolders) {
      if (await this.#files.exists(own)) break;
      if (await this.#files.exists(join(folder, name))) return join(folder, name);
    }
    return own;
  }

  /**
   * The kept bytes, in pieces of at most 1 MiB. @throws ProxyError `store_corrupt` at the end where
   * they are others
   */
  async *read(original: OriginalBytes): AsyncGenerator<Uint8Array> {
    const path = await this.#find(original.sha256);
    const file = await this.#files.open(path, { create: false });
    try {
      const digest = createHash('sha256');
      for (let at = 0; at < original.sizeBytes;) {
        const piece = Buffer.allocUnsafe(Math.min(pieceMaxBytes, original.sizeBytes - at));
        const count = await file.read(piece, at);
        if (count === 0) break;
        digest.update(piece.subarray(0, count));
        yield piece.subarray(0, count);
        at += count;
      }
      if (digest.digest('hex') !== original.sha256) {
        throw corruptStore(path, 'the kept original is not what was stored');
      }
    } finally {
      await file.close();
    }
  }
}
