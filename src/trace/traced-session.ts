import { partitionPoint } from '../base/sorted.ts';
import type {
  ChatMemory,
  Entry,
  EntryList,
  Moment,
  NewEntry,
  NewStream,
  OutlinesOf,
  Session,
  SessionStore,
  Snapshot,
  SourceFile,
  StoredOutput,
  TextSlice,
  Totals,
} from '../store/types.ts';
import type { Touch } from './touched-entries.ts';

/** Hears what is done with a session. */
export interface SessionEar {
  /** A value of the chat memory was read. */
  onMemory(memoryName: string, key: string, value: unknown): void;
  onEntry(store: SessionStore, entry: Entry, how: Touch): void;
}

/** A session as one turn sees it: the same, with an ear for what the turn reads and stores. */
export function tracedSession(session: Session, ear: SessionEar): Session {
  const { id, createdMs, directory, memory, store, events } = session;
  return {
    id,
    createdMs,
    directory,
    memory: tracedMemory(memory, (key, value) => ear.onMemory(id, key, value)),
    store: new TracedStore(store, ear),
    events,
  };
}

/** The same memory, with an ear for the values that are read. */
export function tracedMemory(
  memory: ChatMemory,
  onRead: (key: string, value: unknown) => void,
): ChatMemory {
  return {
    has: (key) => memory.has(key),
    put: async (records) => memory.put(records),
    get: async (key) => {
      const value = await memory.get(key);
      onRead(key, value);
      return value;
    },
  };
}

class TracedStore implements SessionStore {
  readonly #store: SessionStore;
  readonly #ear: SessionEar;

  constructor(store: SessionStore, ear: SessionEar) {
    this.#store = store;
    this.#ear = ear;
  }

  get sessionId(): string {
    return this.#store.sessionId;
  }

  get textPath(): string {
    return this.#store.textPath;
  }

  get indexDir(): string {
    return this.#store.indexDir;
  }

  get totals(): Totals {
    return this.#store.totals;
  }

  get entries(): readonly Entry[] {
    return this.#store.entries;
  }

  get list(): EntryList {
    return this.#store.list;
  }

  entry(id: string): Entry | undefined {
    return this.#store.entry(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.#store.entryByHash(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#store.outputsOf(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#store.source(path);
  }

  async append(entries: readonly NewEntry[], outlinesOf?: OutlinesOf): Promise<readonly Entry[]> {
    const stored = await this.#store.append(entries, outlinesOf);
    for (const entry of stored) this.#touch(entry, 'captured');
    return stored;
  }

  async appendStream(stream: NewStream): Promise<Entry> {
    const stored = await this.#store.appendStream(stream);
    this.#touch(stored, 'captured');
    return stored;
  }

  async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    const slice = await this.#store.read(offsetChars, lengthChars);
    this.#touchRange(slice);
    return slice;
  }

  async readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#touchRange({ offsetChars, lengthChars });
    return this.#store.readBytes(offsetChars, lengthChars);
  }

  async readLines(first: number, last: number): Promise<TextSlice> {
    const slice = await this.#store.readLines(first, last);
    this.#touchRange(slice);
    return slice;
  }

  async readEntry(entry: Entry): Promise<string> {
    this.#touch(entry, 'read');
    return this.#store.readEntry(entry);
  }

  async at(moment: Moment): Promise<SessionStore> {
    return new TracedStore(await this.#store.at(moment), this.#ear);
  }

  readOriginal(entry: Entry): AsyncIterable<Uint8Array> {
    this.#touch(entry, 'read');
    return this.#store.readOriginal(entry);
  }

  verify(): Promise<readonly Entry[]> {
    return this.#store.verify();
  }

  snapshot(): Promise<Snapshot> {
    return this.#store.snapshot();
  }

  #touch(entry: Entry, how: Touch): void {
    this.#ear.onEntry(this.#store, entry, how);
  }

  /** Entries follow each other in the text, so those of a range stand together in the list. */
  #touchRange({ offsetChars, lengthChars }: Omit<TextSlice, 'text'>): void {
    const { entries } = this.#store;
    const from = partitionPoint(entries.length, (at) => endOf(entries[at]!) <= offsetChars);
    const to = partitionPoint(
      entries.length,
      (at) => entries[at]!.offsetChars < offsetChars + lengthChars,
    );
    for (let at = from; at < to; at += 1) this.#touch(entries[at]!, 'read');
  }
}

function endOf(entry: Entry): number {
  return entry.offsetChars + entry.lengthChars;
}
