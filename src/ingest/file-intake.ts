import { isUtf8 } from 'node:buffer';
import { ProxyError } from '../errors.ts';
import type { Entry, NewEntry, NewEntryFacts, SessionStore } from '../store/types.ts';
import { decodePieces, fallbackDecoding, sniffDecoding, type Decoding } from './decode.ts';
import type { ProgressMeter } from './progress.ts';
import { SourceFileReader } from './source-file.ts';
import type { FoundFile } from './walk.ts';

/** Files up to this size are read whole and committed many at a time; larger ones are streamed. */
const wholeMaxBytes = 1024 * 1024;
const batchMaxBytes = 8 * 1024 * 1024;
const batchMaxFiles = 500;
/** Small files that are read at the same time. */
const readAhead = 16;

/** How many files ended how. */
export interface IntakeCounts {
  stored: number;
  duplicates: number;
  unchanged: number;
  binary: number;
  bytes: number;
}

/** What reading a file gave: a text to put into a batch, or a file that has to be streamed, or nothing to store. */
type Reading =
  | { readonly kind: 'text'; readonly entry: NewEntry & { readonly text: Uint8Array } }
  | { readonly kind: 'stream'; readonly reader: SourceFileReader; readonly decoding: Decoding }
  | { readonly kind: 'nothing' };

/** Takes files into a store, the small ones in batches, in the order in which they are given. */
export class FileIntake {
  readonly counts: IntakeCounts = { stored: 0, duplicates: 0, unchanged: 0, binary: 0, bytes: 0 };
  readonly failures: { readonly path: string; readonly reason: string }[] = [];
  readonly #store: SessionStore;
  readonly #meter: ProgressMeter;
  readonly #signal: AbortSignal;
  readonly #entriesBefore: number;
  readonly #stored = new Set<string>();
  #batch: NewEntry[] = [];
  #batchBytes = 0;

  constructor(store: SessionStore, meter: ProgressMeter, signal: AbortSignal) {
    this.#store = store;
    this.#meter = meter;
    this.#signal = signal;
    this.#entriesBefore = store.totals.entries;
  }

  /** Takes files; those that cannot be read are among the {@link failures}. @throws what the store throws; the signal's reason */
  async takeAll(files: readonly FoundFile[]): Promise<void> {
    for (let at = 0; at < files.length; at += readAhead) {
      this.#signal.throwIfAborted();
      const group = files.slice(at, at + readAhead);
      const readings = await Promise.all(group.map((file) => this.#read(file)));
      try {
        for (const [index, reading] of readings.entries()) {
          await this.#accept(group[index]!, reading);
        }
      } finally {
        for (const reading of readings) {
          if (reading.kind === 'stream') await reading.reader[Symbol.asyncDispose]();
        }
      }
    }
    await this.#commitBatch();
  }

  /** Takes a file's text without remembering the file: for what only passed through it. */
  async takeUnnamed(path: string, facts: NewEntryFacts): Promise<void> {
    await using reader = await SourceFileReader.open(path);
    const decoding = sniffDecoding(await reader.head());
    if (decoding === 'binary') this.counts.binary += 1;
    else await this.#stream(facts, reader, decoding);
  }

  /** Notes a file that could not be taken. */
  fail(path: string, reason: string): void {
    this.failures.push({ path, reason });
  }

  async #read(file: FoundFile): Promise<Reading> {
    if (this.#isUnchanged(file)) {
      this.counts.unchanged += 1;
      this.#meter.addBytes(file.sizeBytes, file.path);
      return { kind: 'nothing' };
    }
    let reader: SourceFileReader | undefined;
    try {
      reader = await SourceFileReader.open(file.path);
      return await this.#readOpened(file, reader);
    } catch (error) {
      await reader?.[Symbol.asyncDispose]();
      this.fail(file.path, reasonOf(error));
      return { kind: 'nothing' };
    }
  }

  async #readOpened(file: FoundFile, reader: SourceFileReader): Promise<Reading> {
    const whole = reader.sizeBytes <= wholeMaxBytes;
    const head = whole ? await reader.whole() : await reader.head();
    const decoding = sniffDecoding(head);
    if (decoding !== 'binary' && !(whole && decoding.encoding === 'utf-8' && isUtf8(head))) {
      return { kind: 'stream', reader, decoding };
    }
    await reader[Symbol.asyncDispose]();
    if (decoding === 'binary') {
      this.counts.binary += 1;
      this.#meter.addBytes(file.sizeBytes, file.path);
      return { kind: 'nothing' };
    }
    this.#addBytes(head.length, file.path);
    return {
      kind: 'text',
      entry: { ...withNote(factsOf(file.path, reader), decoding), text: head },
    };
  }

  async #accept(file: FoundFile, reading: Reading): Promise<void> {
    if (reading.kind === 'text') {
      this.#batch.push(reading.entry);
      this.#batchBytes += reading.entry.text.length;
      if (this.#batchBytes >= batchMaxBytes || this.#batch.length >= batchMaxFiles) {
        await this.#commitBatch();
      }
    } else if (reading.kind === 'stream') {
      const { reader, decoding } = reading;
      await this.#commitBatch();
      try {
        await this.#stream(factsOf(file.path, reader), reader, decoding);
      } catch (error) {
        if (error instanceof ProxyError || this.#signal.aborted) throw error;
        this.fail(file.path, reasonOf(error));
      }
    }
    this.#meter.addFile(file.path);
  }

  /** Stores a file piece by piece, a second time with another decoding where the first was wrong. */
  async #stream(facts: NewEntryFacts, reader: SourceFileReader, decoding: Decoding): Promise<void> {
    const path = facts.path ?? '';
    try {
      const pieces = this.#counted(reader.pieces(this.#signal), path);
      const chunks = decodePieces(decoding, pieces);
      this.#count(await this.#store.appendStream({ ...withNote(facts, decoding), chunks }));
    } catch (error) {
      if (!isUndecodable(error)) throw error;
      const second = await fallbackDecoding(decoding, reader.pieces(this.#signal));
      const entry = await this.#store.appendStream({
        ...withNote(facts, second),
        chunks: decodePieces(second, reader.pieces(this.#signal)),
        ...(second.lossy && { original: reader.pieces(this.#signal) }),
      });
      this.#count(entry);
    }
  }

  async *#counted(pieces: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#addBytes(piece.length, path);
      yield piece;
    }
  }

  async #commitBatch(): Promise<void> {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    for (const entry of await this.#store.append(batch)) this.#count(entry);
  }

  #count(entry: Entry): void {
    const isNew = entry.seq > this.#entriesBefore && !this.#stored.has(entry.id);
    this.#stored.add(entry.id);
    if (isNew) this.counts.stored += 1;
    else this.counts.duplicates += 1;
  }

  #addBytes(bytes: number, path: string): void {
    this.counts.bytes += bytes;
    this.#meter.addBytes(bytes, path);
  }

  #isUnchanged(file: FoundFile): boolean {
    const known = this.#store.source(file.path)?.file;
    return known?.sizeBytes === file.sizeBytes && known.mtimeMs === file.mtimeMs;
  }
}

function factsOf(path: string, reader: SourceFileReader): NewEntryFacts {
  const { sizeBytes, mtimeMs } = reader;
  return { kind: 'file', path, source: { sizeBytes, mtimeMs } };
}

function withNote(facts: NewEntryFacts, decoding: Decoding): NewEntryFacts {
  const notes = [facts.note, decoding.note].filter((note) => note !== undefined);
  return notes.length === 0 ? facts : { ...facts, note: notes.join('; ') };
}

/** The store says `invalid_request` of pieces that are no UTF-8, the decoder throws a TypeError for UTF-16. */
function isUndecodable(error: unknown): boolean {
  return (
    (error instanceof ProxyError && error.code === 'invalid_request') || error instanceof TypeError
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
