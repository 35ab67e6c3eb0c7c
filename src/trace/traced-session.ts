import { partitionPoint } from '../base/sorted.ts';
import type {
  ChatMemory,
  Entry,
  Moment,
  NewEntry,
  NewStream,
  OutlinesOf,
  Session,
  SessionStore,
  TextSlice,
} from '../store/types.ts';
import { StoreView } from '../store/session/store-view.ts';
import type { Touch } from './touched-entries.ts';

/** Hears what is done with a session. */
export interface SessionEar {
  /** A value of the chat memory was read. */
  onMemory(memoryName: string, key: string, value: unknown): void;
  /** A key of the chat memory was found there, whatever its value. */
  onPresent(memoryName: string, key: string): void;
  onEntry(store: SessionStore, entry: Entry, how: Touch): void;
}

/** A session as one turn sees it: the same, with an ear for what the turn reads and stores. */
export function tracedSession(session: Session, ear: SessionEar): Session {
  const { id, createdMs, directory, memory, store, events } = session;
  return {
    id,
    createdMs,
    directory,
    memory: tracedMemory(memory, {
      onRead: (key, value) => ear.onMemory(id, key, value),
      onPresent: (key) => ear.onPresent(id, key),
    }),
    store: new TracedStore(store, ear),
    events,
  };
}

/** The same memory, with an ear for the values that are read and the keys that are found. */
export function tracedMemory(
  memory: ChatMemory,
  {
    onRead,
    onPresent,
  }: {
    readonly onRead: (key: string, value: unknown) => void;
    readonly onPresent: (key: string) => void;
  },
): ChatMemory {
  return {
    has: (key) => {
      const isThere = memory.has(key);
      if (isThere) onPresent(key);
      return isThere;
    },
    put: async (records) => memory.put(records),
    atHand: (key) => {
      const value = memory.atHand(key);
      if (value !== undefined) onRead(key, value);
      return value;
    },
    get: async (key) => {
      const value = await memory.get(key);
      onRead(key, value);
      return value;
    },
  };
}

class TracedStore extends StoreView {
  protected readonly viewed: SessionStore;
  readonly #ear: SessionEar;

  constructor(store: SessionStore, ear: SessionEar) {
    super();
    this.viewed = store;
    this.#ear = ear;
  }

  override async append(
    entries: readonly NewEntry[],
    outlinesOf?: OutlinesOf,
  ): Promise<readonly Entry[]> {
    const stored = await this.viewed.append(entries, outlinesOf);
    for (const entry of stored) this.#touch(entry, 'captured');
    return stored;
  }

  override async appendStream(stream: NewStream): Promise<Entry> {
    const stored = await this.viewed.appendStream(stream);
    this.#touch(stored, 'captured');
    return stored;
  }

  override async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    const slice = await this.viewed.read(offsetChars, lengthChars);
    this.#touchRange(slice);
    return slice;
  }

  override async readBytes(
    offsetChars: number,
    lengthChars: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#touchRange({ offsetChars, lengthChars });
    return this.viewed.readBytes(offsetChars, lengthChars);
  }

  override async readLines(first: number, last: number): Promise<TextSlice> {
    const slice = await this.viewed.readLines(first, last);
    this.#touchRange(slice);
    return slice;
  }

  override async readEntry(entry: Entry): Promise<string> {
    this.#touch(entry, 'read');
    return this.viewed.readEntry(entry);
  }

  override async at(moment: Moment): Promise<SessionStore> {
    return new TracedStore(await this.viewed.at(moment), this.#ear);
  }

  override readOriginal(entry: Entry): AsyncIterable<Uint8Array> {
    this.#touch(entry, 'read');
    return this.viewed.readOriginal(entry);
  }

  #touch(entry: Entry, how: Touch): void {
    this.#ear.onEntry(this.viewed, entry, how);
  }

  /** Entries follow each other in the text, so those of a range stand together in the list. */
  #touchRange({ offsetChars, lengthChars }: Omit<TextSlice, 'text'>): void {
    const { entries } = this.viewed;
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
