import { crc32 } from 'node:zlib';
import { ProxyError } from '../../errors.ts';
import { prefixCount, type CommittedBlocks } from '../text/block-table.ts';
import type { EntryIndex } from '../text/entry-index.ts';
import type {
  Entry,
  EntryList,
  SessionStore,
  Snapshot,
  SourceFile,
  StoredOutput,
  TextSlice,
  Totals,
} from '../types.ts';

/**
 * A session as it was at a moment: the same texts, read through the store of today, and of what has
 * come since nothing. What was forgotten since is forgotten here, too.
 */
export class PastStore implements SessionStore {
  readonly #today: SessionStore;
  readonly #index: EntryIndex;

  /** `index` is what the session held at the moment. */
  constructor(today: SessionStore, index: EntryIndex) {
    this.#today = today;
    this.#index = index;
  }

  get sessionId(): string {
    return this.#today.sessionId;
  }

  get textPath(): string {
    return this.#today.textPath;
  }

  get indexDir(): string {
    return this.#today.indexDir;
  }

  get totals(): Totals {
    return this.#index.totals;
  }

  get entries(): readonly Entry[] {
    return this.#index.entries;
  }

  get list(): EntryList {
    return this.#index.listing;
  }

  entry(id: string): Entry | undefined {
    return this.#index.byId(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.#index.byHash(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#index.outputsOf(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#index.source(path);
  }

  append(): never {
    throw unchangeable();
  }

  appendStream(): never {
    throw unchangeable();
  }

  async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    return this.#today.read(...this.#within(offsetChars, lengthChars));
  }

  async readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#today.readBytes(...this.#within(offsetChars, lengthChars));
  }

  async readLines(first: number, last: number): Promise<TextSlice> {
    const { lines } = this.totals;
    return first > lines
      ? this.read(this.totals.chars, 0)
      : this.#today.readLines(first, Math.min(last, lines));
  }

  async readEntry(entry: Entry): Promise<string> {
    return this.#today.readEntry(this.#today.entry(entry.id) ?? entry);
  }

  async *readOriginal(entry: Entry): AsyncGenerator<Uint8Array> {
    yield* this.#today.readOriginal(this.#today.entry(entry.id) ?? entry);
  }

  async verify(): Promise<readonly Entry[]> {
    const damaged = await this.#today.verify();
    return damaged.filter(({ seq }) => seq <= this.totals.entries);
  }

  async at(moment: Parameters<SessionStore['at']>[0]): Promise<SessionStore> {
    return this.#today.at(moment);
  }

  async snapshot(): Promise<Snapshot> {
    return this.#cut(await snapshotOf(this.#today, this.totals));
  }

  async #cut(snapshot: Snapshot): Promise<Snapshot> {
    const { totals, entries } = this;
    const blocks = await blocksUntil(this.#today, snapshot, totals);
    const { checks } = snapshot;
    const recheck = async (wrong: readonly number[]): Promise<Snapshot> =>
      this.#cut(await checks.recheck(wrong));
    const damaged = checks.damaged.filter(({ startBytes }) => startBytes < totals.bytes);
    return {
      ...snapshot,
      totals,
      entries,
      blocks,
      checks: { ...checks, damaged, recheck, lastCrc: blocks.lastCrc },
    };
  }

  #within(offsetChars: number, lengthChars: number): readonly [number, number] {
    const { chars } = this.totals;
    return [offsetChars, Math.max(0, Math.min(lengthChars, chars - Math.max(0, offsetChars)))];
  }
}

/** A snapshot that holds a moment's text, waiting for one that is on its way to its place. */
async function snapshotOf(store: SessionStore, { bytes, chars }: Totals): Promise<Snapshot> {
  const snapshot = await store.snapshot();
  if (snapshot.totals.bytes >= bytes) return snapshot;
  await store.readBytes(chars - 1, 1);
  return store.snapshot();
}

/**
 * The block table of a session's text up to a moment: that of today, but for its last block.
 * @throws ProxyError `store_corrupt` where that is damaged
 */
export async function blocksUntil(
  store: SessionStore,
  { blocks }: Pick<Snapshot, 'blocks'>,
  { bytes, chars }: Totals,
): Promise<CommittedBlocks> {
  const count = prefixCount(blocks, bytes);
  const { byteStart, charStart, lineStart, crc } = blocks;
  const start = count === 0 ? 0 : charStart[count - 1]!;
  const last = count === 0 ? new Uint8Array() : await store.readBytes(start, chars - start);
  const lastCrc = crc32(last);
  return { byteStart, charStart, lineStart, crc, count, endBytes: bytes, lastCrc };
}

function unchangeable(): ProxyError {
  return new ProxyError('invalid_request', 'What a store was at a moment cannot be added to.', {
    hint: '`rlm-opencode sessions branch` makes a store that goes on from there.',
  });
}
