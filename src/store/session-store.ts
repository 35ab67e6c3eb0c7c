import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { encodeBlocks } from './block-cache.ts';
import { Committer } from './committer.ts';
import type { ContextFile } from './context-file.ts';
import type { EntryIndex } from './entry-index.ts';
import { replaceFile, type Files } from './files.ts';
import { Originals } from './originals.ts';
import type { RecordLog } from './record-log.ts';
import { recoverSession } from './recover.ts';
import type { SessionPaths } from './session-paths.ts';
import { TableRebuild } from './table-rebuild.ts';
import { pieceMaxBytes, prepareSmallText, prepareText, type PreparedText } from './text-pieces.ts';
import { TextReader } from './text-reader.ts';
import { runFrom, RunReader } from './text-runs.ts';
import { TextWriter } from './text-writer.ts';
import type {
  Entry,
  NewEntry,
  NewStream,
  SessionStore,
  Snapshot,
  SourceFile,
  TextSlice,
  Totals,
} from './types.ts';

/** The cached block table is written again after so much new text: making it anew for that much takes about 50 ms. */
const cacheEveryBytes = 64 * 1024 * 1024;

/** What {@link FileSessionStore.open} needs. */
export interface SessionStoreOptions {
  readonly sessionId: string;
  readonly paths: SessionPaths;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Logger;
  /** Largest text of the session, bytes. */
  readonly maxSessionBytes: number;
}

/** A session's texts in files (`format.ts`). Owns them until it is disposed of. */
export class FileSessionStore implements SessionStore {
  readonly sessionId: string;
  readonly createdMs: number;
  readonly #paths: SessionPaths;
  readonly #files: Files;
  readonly #log: Logger;
  readonly #text: ContextFile;
  readonly #journal: RecordLog;
  readonly #index: EntryIndex;
  readonly #reader: TextReader;
  readonly #writer: TextWriter;
  readonly #committer: Committer;
  readonly #rebuild: TableRebuild;
  readonly #originals: Originals;
  #cachedBytes: number;

  private constructor(
    options: SessionStoreOptions,
    parts: Awaited<ReturnType<typeof recoverSession>>,
  ) {
    this.sessionId = options.sessionId;
    this.createdMs = parts.createdMs;
    this.#paths = options.paths;
    this.#files = options.files;
    this.#log = options.log;
    this.#text = parts.text;
    this.#journal = parts.journal;
    this.#index = parts.index;
    this.#cachedBytes = parts.index.startOf(parts.coveredEntries).bytes;
    this.#originals = new Originals(options.files, options.paths.originalsDir);
    this.#writer = new TextWriter(parts.text, this.#originals, options.maxSessionBytes);
    this.#committer = new Committer({
      ...parts,
      clock: options.clock,
      afterCommit: async () => {
        // While the table is being made, it is kept on the way.
        if (parts.text.isTableWhole) await this.#saveBlocks(cacheEveryBytes);
        else this.#rebuild.start();
      },
    });
    this.#rebuild = new TableRebuild({
      ...parts,
      committer: this.#committer,
      log: options.log.child({ session: options.sessionId }),
      // Each time as much again, so that a table of any size is written a few times only; and what is done is kept at once.
      onRun: () =>
        this.#saveBlocks(
          parts.text.isTableWhole ? 1 : Math.max(cacheEveryBytes, this.#cachedBytes),
        ),
    });
    this.#reader = new TextReader(parts.text, parts.index, this.#rebuild);
    this.#rebuild.start();
  }

  /** Opens and, where a crash left a torn tail, repairs. @throws ProxyError `store_corrupt` */
  static async open(options: SessionStoreOptions): Promise<FileSessionStore> {
    const parts = await recoverSession(options.files, options.paths, options.sessionId);
    await options.files.makeDirectory(options.paths.indexDir);
    return new FileSessionStore(options, parts);
  }

  get textPath(): string {
    return this.#text.path;
  }

  get indexDir(): string {
    return this.#paths.indexDir;
  }

  get totals(): Totals {
    return this.#index.totals;
  }

  get entries(): readonly Entry[] {
    return this.#index.entries;
  }

  entry(id: string): Entry | undefined {
    return this.#index.byId(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.#index.byHash(sha256);
  }

  entryByToolCall(toolCallId: string): Entry | undefined {
    return this.#index.byToolCall(toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#index.source(path);
  }

  async append(entries: readonly NewEntry[]): Promise<readonly Entry[]> {
    const texts: PreparedText[] = [];
    let hashedBytes = 0;
    for (const entry of entries) {
      const text = prepareSmallText(entry) ?? (await prepareText(entry));
      texts.push(text);
      hashedBytes += text.lengthBytes;
      if (hashedBytes > pieceMaxBytes) {
        hashedBytes = 0;
        await setImmediate();
      }
    }
    return this.#committer.commit(this.#writer.textsJob(texts));
  }

  async appendStream(stream: NewStream): Promise<Entry> {
    let failure: { readonly error: unknown } | undefined;
    const job = this.#writer.streamJob(stream, (error) => {
      failure = { error };
    });
    try {
      const [entry] = await this.#committer.commit(job);
      return entry!;
    } catch (error) {
      throw failure === undefined ? error : failure.error;
    }
  }

  async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    return this.#reader.read(offsetChars, lengthChars);
  }

  async readLines(first: number, last: number): Promise<TextSlice> {
    return this.#reader.readLines(first, last);
  }

  async readEntry(entry: Entry): Promise<string> {
    return this.#reader.readEntry(entry);
  }

  readOriginal(entry: Entry): AsyncIterable<Uint8Array> {
    return entry.original === undefined
      ? this.#reader.readEntryPieces(entry)
      : this.#originals.read(entry.original);
  }

  async verify(): Promise<readonly Entry[]> {
    const reader = new RunReader(this.#text, this.#index);
    const { entries } = this.totals;
    const damaged: Entry[] = [];
    for (let first = 0; first < entries;) {
      const run = runFrom(this.#index, first);
      damaged.push(...(await reader.read(run)));
      first = run[1];
    }
    return damaged;
  }

  async snapshot(): Promise<Snapshot> {
    await this.#rebuild.whole();
    const { sessionId, textPath, indexDir, totals } = this;
    const { count, byteStart, charStart, lineStart, crc } = this.#text.table.committed;
    const places = { count, byteStart, charStart, lineStart };
    // Checksums that were made of damaged text would vouch for it.
    const blocks = this.#index.damaged.size > 0 ? places : { ...places, crc };
    return { sessionId, textPath, indexDir, totals, blocks, entries: this.entries };
  }

  /** Waits for what is being appended, then closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rebuild.stop();
    await this.#committer.close();
    await this.#saveBlocks(1);
    await this.#text.close();
    await this.#journal.close();
  }

  /** Keeps the table, as far as it is, where that is at least `grownBytes` more than what is kept. */
  async #saveBlocks(grownBytes: number): Promise<void> {
    const { coveredEntries } = this.#rebuild;
    const coveredBytes = this.#index.startOf(coveredEntries).bytes;
    if (coveredBytes - this.#cachedBytes < grownBytes) return;
    // While an entry is known as damaged the table must be made, and the text verified, at each opening.
    if (this.#index.damaged.size > 0) return;
    const bytes = encodeBlocks(this.#text.table.committed, this.#index, coveredEntries);
    this.#cachedBytes = coveredBytes;
    try {
      await this.#files.makeDirectory(this.#paths.indexDir);
      await replaceFile(this.#files, join(this.#paths.indexDir, 'blocks.bin'), bytes);
    } catch (error) {
      this.#log.warn({ err: error, session: this.sessionId }, 'block table not cached');
    }
  }
}
