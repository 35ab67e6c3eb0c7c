import { unreadableReason } from '../base/system-words.ts';
import { isUtf8 } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import { ProxyError } from '../errors.ts';
import { maskedPieces, type SecretGuard } from '../secrets/guard.ts';
import type { Entry, NewEntry, NewEntryFacts, SessionStore, SourceFile } from '../store/types.ts';
import { decodePieces, fallbackDecoding, sniffDecoding, type Decoding } from './decode.ts';
import type { SecretRange } from '../secrets/find-secrets.ts';
import type { ProgressMeter } from './progress.ts';
import { readSmallFile, SourceFileReader } from './source-file.ts';
import type { FoundFile } from './walk.ts';

/** Files up to this size are read whole and committed many at a time; larger ones are streamed. */
const wholeMaxBytes = 1024 * 1024;
const batchMaxBytes = 16 * 1024 * 1024;
const batchMaxFiles = 2000;
/** So many files are looked at before the event loop gets its turn: about a millisecond. */
const filesPerTurn = 32;

const emptySlab = Buffer.alloc(0);

/** How many files ended how. */
export interface IntakeCounts {
  stored: number;
  duplicates: number;
  unchanged: number;
  binary: number;
  bytes: number;
}

/** Takes files into a store, the small ones in batches, in the order in which they are given. */
export class FileIntake {
  readonly counts: IntakeCounts = { stored: 0, duplicates: 0, unchanged: 0, binary: 0, bytes: 0 };
  readonly failures: { readonly path: string; readonly reason: string }[] = [];
  readonly #store: SessionStore;
  readonly #meter: ProgressMeter;
  readonly #signal: AbortSignal;
  readonly #secrets: SecretGuard | undefined;
  readonly #entriesBefore: number;
  readonly #stored = new Set<string>();
  #batch: NewEntry[] = [];
  /**
   * The bytes of the batch's files, in one piece of memory: thousands of small ones would keep the
   * garbage collector busy.
   */
  #slab = emptySlab;
  /** The one of the batch that is being committed, to be used again after that. */
  #otherSlab = emptySlab;
  #slabBytes = 0;
  /** The commit that goes on while the next batch is read. */
  #committing: Promise<void> = Promise.resolve();
  #commitFailure: { readonly error: unknown } | undefined;

  constructor(
    store: SessionStore,
    meter: ProgressMeter,
    {
      signal,
      secrets,
    }: { readonly signal: AbortSignal; readonly secrets?: SecretGuard | undefined },
  ) {
    this.#store = store;
    this.#meter = meter;
    this.#signal = signal;
    this.#secrets = secrets;
    this.#entriesBefore = store.totals.entries;
  }

  /**
   * Takes files; those that cannot be read are among the {@link failures}. @throws what the store
   * throws; the signal's reason
   */
  async takeAll(files: readonly FoundFile[]): Promise<void> {
    try {
      for (const [index, file] of files.entries()) {
        if (index % filesPerTurn === 0) await setImmediate();
        this.#signal.throwIfAborted();
        await this.#takeOrFail(file);
      }
      await this.#commitBatch();
    } finally {
      await this.#committing;
    }
    await this.#settle();
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

  async #takeOrFail(file: FoundFile): Promise<void> {
    try {
      await this.#take(file);
    } catch (error) {
      if (error instanceof ProxyError || this.#signal.aborted) throw error;
      this.fail(file.path, unreadableReason(error));
    }
    this.#meter.addFile(file.path);
  }

  async #take(file: FoundFile): Promise<void> {
    const { path, sizeBytes } = file;
    if (this.#isUnchanged(file)) {
      this.counts.unchanged += 1;
      this.#meter.addBytes(sizeBytes, path);
    } else if (sizeBytes > wholeMaxBytes || !(await this.#takeWhole(file))) {
      await this.#commitBatch();
      await this.#settle();
      await using reader = await SourceFileReader.open(path);
      const decoding = sniffDecoding(await reader.head());
      if (decoding === 'binary') this.#skipBinary(path, sizeBytes);
      else await this.#stream(factsOf(path, reader), reader, decoding);
    }
  }

  /**
   * Puts a small file into the batch; false for one that is not simply UTF-8, or not as it was
   * found.
   */
  async #takeWhole(file: FoundFile): Promise<boolean> {
    const { path, sizeBytes } = file;
    if (this.#slab === emptySlab) this.#slab = Buffer.allocUnsafeSlow(batchMaxBytes);
    const bytes = readSmallFile(path, sizeBytes, this.#slab.subarray(this.#slabBytes));
    if (bytes === undefined) return false;
    const decoding = sniffDecoding(bytes);
    if (decoding === 'binary') {
      this.#skipBinary(path, sizeBytes);
      return true;
    }
    if (decoding.encoding !== 'utf-8' || !isUtf8(bytes)) return false;
    this.#addBytes(bytes.length, path);
    const found = await this.#secrets?.stored(bytes);
    if (found !== undefined && this.#secrets?.does === 'refuse') {
      this.fail(path, holdsSecret(found.kinds));
      return true;
    }
    const text = found?.content ?? bytes;
    const facts = withNote(factsOf(path, file), decoding);
    this.#batch.push({ ...(found === undefined ? facts : withNote(facts, maskedNote)), text });
    this.#slabBytes += bytes.length;
    const room = batchMaxBytes - this.#slabBytes;
    if (room <= wholeMaxBytes || this.#batch.length >= batchMaxFiles) await this.#commitBatch();
    return true;
  }

  #skipBinary(path: string, sizeBytes: number): void {
    this.counts.binary += 1;
    this.#meter.addBytes(sizeBytes, path);
  }

  /**
   * Stores a file piece by piece, a second time with another decoding where the first was wrong.
   */
  async #stream(facts: NewEntryFacts, reader: SourceFileReader, decoding: Decoding): Promise<void> {
    const path = facts.path ?? '';
    try {
      const { secrets, noted } = await this.#secretsIn(facts, reader, decoding);
      if (secrets === 'refused') return;
      const pieces = this.#counted(reader.pieces(this.#signal), path);
      const chunks = maskedPieces(decodePieces(decoding, pieces), secrets);
      this.#count(await this.#store.appendStream({ ...withNote(noted, decoding), chunks }));
    } catch (error) {
      if (!isUndecodable(error)) throw error;
      const second = await fallbackDecoding(decoding, reader.pieces(this.#signal));
      const { secrets, noted } = await this.#secretsIn(facts, reader, second);
      if (secrets === 'refused') return;
      const entry = await this.#store.appendStream({
        ...withNote(noted, second),
        chunks: maskedPieces(decodePieces(second, reader.pieces(this.#signal)), secrets),
        ...(second.lossy && secrets.length === 0 && { original: reader.pieces(this.#signal) }),
      });
      this.#count(entry);
    }
  }

  /** Reads a file once before it is stored, where its secrets are of interest. */
  async #secretsIn(
    facts: NewEntryFacts,
    reader: SourceFileReader,
    decoding: Decoding,
  ): Promise<{
    readonly secrets: readonly SecretRange[] | 'refused';
    readonly noted: NewEntryFacts;
  }> {
    if (this.#secrets === undefined) return { secrets: [], noted: facts };
    const text = decodePieces(decoding, reader.pieces(this.#signal));
    const secrets = await this.#secrets.secretsOf(text);
    if (secrets.length === 0) return { secrets, noted: facts };
    if (this.#secrets.does === 'mask') return { secrets, noted: withNote(facts, maskedNote) };
    this.fail(facts.path ?? '-', holdsSecret([...new Set(secrets.map(({ kind }) => kind))]));
    return { secrets: 'refused', noted: facts };
  }

  async *#counted(pieces: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      this.#addBytes(piece.length, path);
      yield piece;
    }
  }

  /** Starts to commit the batch, once the one before it is done. */
  async #commitBatch(): Promise<void> {
    await this.#settle();
    const batch = this.#batch;
    this.#batch = [];
    [this.#slab, this.#otherSlab] = [this.#otherSlab, this.#slab];
    this.#slabBytes = 0;
    if (batch.length > 0) this.#committing = this.#commit(batch);
  }

  async #commit(batch: readonly NewEntry[]): Promise<void> {
    try {
      for (const entry of await this.#store.append(batch)) this.#count(entry);
    } catch (error) {
      this.#commitFailure = { error };
    }
  }

  /** Waits for the commit that goes on. @throws why it failed */
  async #settle(): Promise<void> {
    await this.#committing;
    if (this.#commitFailure !== undefined) throw this.#commitFailure.error;
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

function factsOf(path: string, source: SourceFile): NewEntryFacts {
  const { sizeBytes, mtimeMs } = source;
  return { kind: 'file', path, source: { sizeBytes, mtimeMs } };
}

/** A text that is not as its file is says so. */
const maskedNote = { note: 'secrets in it are masked' };

function holdsSecret(kinds: readonly string[]): string {
  return `it holds what looks like a secret (${kinds.join(', ')}), and capture.secrets is refuse`;
}

function withNote(facts: NewEntryFacts, decoding: Pick<Decoding, 'note'>): NewEntryFacts {
  if (decoding.note === undefined) return facts;
  const notes = [facts.note, decoding.note].filter((note) => note !== undefined);
  return { ...facts, note: notes.join('; ') };
}

/**
 * The store says `invalid_request` of pieces that are not UTF-8, the decoder throws a TypeError for
 * UTF-16.
 */
function isUndecodable(error: unknown): boolean {
  return (
    (error instanceof ProxyError && error.code === 'invalid_request') || error instanceof TypeError
  );
}
