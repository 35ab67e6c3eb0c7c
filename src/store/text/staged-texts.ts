import { dirname, join } from 'node:path';
import type { EntryIndex } from './entry-index.ts';
import { needsSeparator } from '../format.ts';
import { writeFully, type Files, type OpenFile } from '../disk/files.ts';
import { pieceMaxBytes } from './text-pieces.ts';
import type { Entry } from '../types.ts';

/** How a text's file is called until all of it is there. */
const partPrefix = 'part-';

/** A large text that lies whole and synced in a file of its own. */
export interface StagedText {
  readonly path: string;
  readonly lengthBytes: number;
}

/**
 * The folder of large texts on their way into a session: a text of any length comes in here, beside
 * the commit queue, is committed by its journal line alone, and then moves to its place in the text
 * file in steps, while other texts are appended behind that place. So nobody waits longer than for
 * one step. A text that is still here is read from nowhere else; what a crash leaves is moved at
 * the next opening.
 */
export class StagedTexts {
  readonly #files: Files;
  readonly #folder: string;
  readonly #index: EntryIndex;
  /** Committed texts that are not, or not wholly, in their place yet. */
  readonly #pending = new Map<Entry, { readonly path: string; readonly isLeft: boolean }>();
  #parts = 0;

  private constructor(files: Files, folder: string, index: EntryIndex) {
    this.#files = files;
    this.#folder = folder;
    this.#index = index;
  }

  /** Looks at what an earlier process has left, and removes what belongs to no entry. */
  static async open(files: Files, folder: string, index: EntryIndex): Promise<StagedTexts> {
    const staged = new StagedTexts(files, folder, index);
    for (const name of await files.list(folder)) {
      const path = join(folder, name);
      const entry = index.byKey(name.replace('_', ':'));
      if (entry === undefined) await files.remove(path);
      else staged.#add(entry, { path, isLeft: true });
    }
    return staged;
  }

  /**
   * The first `count` entries are known to be in their place: a crash came before their files were
   * removed.
   */
  async dropFirst(count: number): Promise<void> {
    for (const entry of this.entries) if (entry.seq <= count) await this.settled(entry);
  }

  /** Whether nothing is on its way. */
  get isEmpty(): boolean {
    return this.#pending.size === 0;
  }

  has(entry: Entry | undefined): boolean {
    return entry !== undefined && this.#pending.has(entry);
  }

  /** The committed texts that are not in their place yet. */
  get entries(): readonly Entry[] {
    return [...this.#pending.keys()];
  }

  /** A new file for a text that is coming. */
  async create(): Promise<StagedPart> {
    await this.#files.makeDirectory(this.#folder);
    this.#parts += 1;
    const path = join(this.#folder, `${partPrefix}${this.#parts}`);
    await this.#files.remove(path);
    return new StagedPart(this.#files, path, await this.#files.open(path, { create: true }));
  }

  /** Gives a text that is whole the name under which it is found after a crash. */
  async keep(part: StagedPart, key: string): Promise<StagedText> {
    const path = join(this.#folder, key.replace(':', '_'));
    await this.#files.rename(part.path, path);
    await this.#files.syncDirectory(this.#folder);
    await this.#files.syncDirectory(dirname(this.#folder));
    return { path, lengthBytes: part.lengthBytes };
  }

  /**
   * Whether the disk has room for a text once more, and some to spare for what else is written
   * meanwhile.
   */
  async hasRoom({ lengthBytes }: StagedText, spareBytes: number): Promise<boolean> {
    return (await this.#files.freeBytes(this.#folder)) >= lengthBytes + spareBytes;
  }

  /** The entry is committed, its text is only here. */
  add(entry: Entry, { path }: StagedText): void {
    this.#add(entry, { path, isLeft: false });
  }

  /** Removes a text that was not committed, or was known already. */
  async discard({ path }: StagedText): Promise<void> {
    for (const pending of this.#pending.values()) if (pending.path === path) return;
    await this.#files.remove(path);
  }

  /** Whether an earlier process has left the text: then it is to be verified. */
  isLeft(entry: Entry): boolean {
    return this.#pending.get(entry)?.isLeft === true;
  }

  /** The text with its separator in pieces of at most 1 MiB, each valid until the next. */
  async *pieces(entry: Entry): AsyncGenerator<Uint8Array> {
    const { path } = this.#pending.get(entry)!;
    const file = await this.#files.open(path, { create: false });
    try {
      const scratch = Buffer.allocUnsafeSlow(pieceMaxBytes);
      let lastByte: number | undefined;
      for (let at = 0; at < entry.lengthBytes; at += scratch.length) {
        const piece = scratch.subarray(0, Math.min(scratch.length, entry.lengthBytes - at));
        const count = await file.read(piece, at);
        // What is not there any more shall be found damaged, not taken for what the last piece
        // held.
        piece.fill(0, count);
        lastByte = piece.at(-1);
        yield piece;
      }
      if (needsSeparator(lastByte)) yield Buffer.from('\n');
    } finally {
      await file.close();
    }
  }

  /** The text is in its place, and synced there. */
  async settled(entry: Entry): Promise<void> {
    const pending = this.#pending.get(entry)!;
    this.#pending.delete(entry);
    this.#index.unplaced.delete(entry);
    await this.#files.remove(pending.path);
  }

  #add(entry: Entry, pending: { readonly path: string; readonly isLeft: boolean }): void {
    this.#pending.set(entry, pending);
    this.#index.unplaced.add(entry);
  }
}

/** A text that is coming in. */
export class StagedPart {
  readonly path: string;
  lengthBytes = 0;
  readonly #files: Files;
  #file: OpenFile | undefined;

  constructor(files: Files, path: string, file: OpenFile) {
    this.#files = files;
    this.path = path;
    this.#file = file;
  }

  async write(piece: Uint8Array): Promise<void> {
    await writeFully(this.#file!, piece, this.lengthBytes);
    this.lengthBytes += piece.length;
  }

  /** All of it is there: on the disk when this resolves. */
  async finish(): Promise<void> {
    await this.#file!.datasync();
    await this.#close();
  }

  /** It will not be needed. */
  async abandon(): Promise<void> {
    await this.#close();
    await this.#files.remove(this.path);
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
