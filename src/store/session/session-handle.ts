import { LruMap } from '../../base/lru-map.ts';
import { turnKeyPrefix, type FileChatMemory } from './chat-memory.ts';
import type { SessionEvents } from './session-events.ts';
import { PastStore } from './past-store.ts';
import type { FileSessionStore } from './session-store.ts';
import type {
  ChatMemory,
  ChatRecord,
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
  StoreEvent,
  StoreEvents,
  TextSlice,
  Totals,
} from '../types.ts';

/** The files of a session, while they are open. */
export interface OpenSession {
  readonly store: FileSessionStore;
  readonly memory: FileChatMemory;
  readonly events: SessionEvents;
}

/**
 * A session as its users hold it, for as long as they like. The files behind it are closed when
 * nothing has been asked of them for a while, and opened again by the next question; nothing is
 * closed under a question. What is known without the files (entries, totals) is answered from what
 * was there when they were closed: nobody can have written since, because a session has one handle.
 */
export class SessionHandle implements Session {
  readonly id: string;
  readonly createdMs: number;
  readonly store: SessionStore;
  readonly memory: ChatMemory;
  readonly events: StoreEvents;
  readonly #reopen: () => Promise<OpenSession>;
  readonly #used: (handle: SessionHandle) => void;
  readonly #directory: () => string | undefined;
  /** What is open, or was last. */
  #last: OpenSession;
  /** Absent while the files are closed. */
  #open: Promise<OpenSession> | undefined;
  #closing: Promise<void> = Promise.resolve();
  #users = 0;
  /** Questions that the files are answering. */
  #asking = 0;
  /** What who asks waits for. */
  #gate: Promise<void> | undefined;
  #drained: (() => void) | undefined;

  constructor(
    facts: Pick<Session, 'id' | 'createdMs'>,
    parts: {
      readonly open: OpenSession;
      /** The directory that has it now: people may give it another one. */
      readonly directory: () => string | undefined;
      /** Opens the files again. Rejects as the first opening does. */
      readonly reopen: () => Promise<OpenSession>;
      /** Hears of every use, when it begins and when it ends. */
      readonly used: (handle: SessionHandle) => void;
    },
  ) {
    this.id = facts.id;
    this.createdMs = facts.createdMs;
    this.#last = parts.open;
    this.#open = Promise.resolve(parts.open);
    this.#reopen = parts.reopen;
    this.#used = parts.used;
    this.#directory = parts.directory;
    this.store = new HandledStore(this);
    this.memory = new HandledMemory(this);
    this.events = new HandledEvents(this);
  }

  get directory(): string | undefined {
    return this.#directory();
  }

  /** Whether the files are open, or being opened. */
  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Whether somebody waits for an answer of the files. */
  get isInUse(): boolean {
    return this.#users > 0;
  }

  /** What is known without the files. */
  get last(): OpenSession {
    return this.#last;
  }

  /** Asks the files something; they are opened if they are not. */
  async use<T>(ask: (open: OpenSession) => T | Promise<T>): Promise<T> {
    this.begin();
    try {
      const open = await this.opened();
      this.#asking += 1;
      try {
        return await ask(open);
      } finally {
        this.#asking -= 1;
        if (this.#asking === 0) this.#drained?.();
      }
    } finally {
      this.end();
    }
  }

  /**
   * Resolves when nothing is being asked of the files; what is asked from now on waits for `until`.
   */
  async drain(until: Promise<void>): Promise<void> {
    const open = async (): Promise<void> => {
      await until;
      this.#gate = undefined;
    };
    this.#gate = open();
    if (this.#asking === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    await promise;
    this.#drained = undefined;
  }

  /** From here on until {@link end} the files are wanted. */
  begin(): void {
    this.#users += 1;
    this.#used(this);
  }

  end(): void {
    this.#users -= 1;
    this.#used(this);
  }

  /** The files, for who has said {@link begin}. */
  async opened(): Promise<OpenSession> {
    for (;;) {
      while (this.#gate !== undefined) await this.#gate;
      this.#open ??= this.#openAgain();
      const open = await this.#open;
      if (this.#gate === undefined) return open;
    }
  }

  /** Closes the files, whoever uses them; what is under way ends first. */
  async close(): Promise<void> {
    const open = this.#open;
    if (open !== undefined) {
      this.#open = undefined;
      this.#closing = closeFiles(open);
    }
    await this.#closing;
  }

  async #openAgain(): Promise<OpenSession> {
    try {
      await this.#closing.catch(() => undefined);
      this.#last = await this.#reopen();
      return this.#last;
    } catch (error) {
      this.#open = undefined;
      throw error;
    }
  }
}

/**
 * The files that an opening gives, if it succeeds. The chat memory first: closing the store may
 * need a descriptor for a moment.
 */
async function closeFiles(open: Promise<OpenSession>): Promise<void> {
  const files = await open.catch(() => undefined);
  await files?.memory[Symbol.asyncDispose]();
  await files?.events[Symbol.asyncDispose]();
  await files?.store[Symbol.asyncDispose]();
}

class HandledStore implements SessionStore {
  readonly #handle: SessionHandle;

  constructor(handle: SessionHandle) {
    this.#handle = handle;
  }

  get sessionId(): string {
    return this.#handle.id;
  }

  get textPath(): string {
    return this.#handle.last.store.textPath;
  }

  get indexDir(): string {
    return this.#handle.last.store.indexDir;
  }

  get totals(): Totals {
    return this.#handle.last.store.totals;
  }

  get entries(): readonly Entry[] {
    return this.#handle.last.store.entries;
  }

  get list(): EntryList {
    return this.#handle.last.store.list;
  }

  entry(id: string): Entry | undefined {
    return this.#handle.last.store.entry(id);
  }

  entryByHash(sha256: string): Entry | undefined {
    return this.#handle.last.store.entryByHash(sha256);
  }

  outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    return this.#handle.last.store.outputsOf(chatId, toolCallId);
  }

  source(path: string): { readonly file: SourceFile; readonly entry: Entry } | undefined {
    return this.#handle.last.store.source(path);
  }

  append(entries: readonly NewEntry[], outlinesOf?: OutlinesOf): Promise<readonly Entry[]> {
    return this.#handle.use(({ store }) => store.append(entries, outlinesOf));
  }

  appendStream(stream: NewStream): Promise<Entry> {
    return this.#handle.use(({ store }) => store.appendStream(stream));
  }

  read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    return this.#handle.use(({ store }) => store.read(offsetChars, lengthChars));
  }

  readBytes(offsetChars: number, lengthChars: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#handle.use(({ store }) => store.readBytes(offsetChars, lengthChars));
  }

  readLines(first: number, last: number): Promise<TextSlice> {
    return this.#handle.use(({ store }) => store.readLines(first, last));
  }

  readEntry(entry: Entry): Promise<string> {
    return this.#handle.use(({ store }) => store.readEntry(entry));
  }

  async *readOriginal(entry: Entry): AsyncGenerator<Uint8Array> {
    this.#handle.begin();
    try {
      const { store } = await this.#handle.opened();
      yield* store.readOriginal(entry);
    } finally {
      this.#handle.end();
    }
  }

  verify(): Promise<readonly Entry[]> {
    return this.#handle.use(({ store }) => store.verify());
  }

  async at(moment: Moment): Promise<SessionStore> {
    return new PastStore(this, await this.#handle.use(({ store }) => store.pastIndex(moment)));
  }

  snapshot(): Promise<Snapshot> {
    return this.#handle.use(async ({ store }) => this.#held(await store.snapshot()));
  }

  /** Looking again asks the files, which may have been closed meanwhile. */
  #held(snapshot: Snapshot): Snapshot {
    const recheck = async (blocks: readonly number[]): Promise<Snapshot> =>
      this.#handle.use(async ({ store }) => {
        const { checks } = await store.snapshot();
        return this.#held(await checks.recheck(blocks));
      });
    return { ...snapshot, checks: { ...snapshot.checks, recheck } };
  }
}

/** Values kept of a session, small ones: a few for each turn of the chats that go on now. */
const maxKept = 10_000;

/**
 * Small values that were written or read lately are at hand: every turn asks for the same ones, and
 * a look at the disk, by way of another thread, takes longer than all else that a short turn does.
 */
class HandledMemory implements ChatMemory {
  readonly #handle: SessionHandle;
  readonly #kept = new LruMap<string, unknown>(maxKept);

  constructor(handle: SessionHandle) {
    this.#handle = handle;
  }

  has(key: string): boolean {
    return this.#handle.last.memory.has(key);
  }

  atHand(key: string): unknown {
    // What the file has forgotten is forgotten here, too.
    return this.has(key) ? this.#kept.get(key) : undefined;
  }

  async get(key: string): Promise<unknown> {
    if (!this.has(key)) return undefined;
    const kept = this.atHand(key);
    if (kept !== undefined) return kept;
    const value = await this.#handle.use(({ memory }) => memory.get(key));
    // What was put meanwhile is newer than what was read.
    if (!this.#kept.has(key)) this.#keep(key, value);
    return this.#kept.get(key) ?? value;
  }

  async put(records: readonly ChatRecord[]): Promise<void> {
    await this.#handle.use(({ memory }) => memory.put(records));
    for (const { key, value } of records) this.#keep(key, value);
  }

  #keep(key: string, value: unknown): void {
    if (!key.startsWith(turnKeyPrefix)) this.#kept.set(key, value);
  }
}

class HandledEvents implements StoreEvents {
  readonly #handle: SessionHandle;

  constructor(handle: SessionHandle) {
    this.#handle = handle;
  }

  get all(): readonly StoreEvent[] {
    return this.#handle.last.events.all;
  }

  add(event: StoreEvent): Promise<void> {
    return this.#handle.use(({ events }) => events.add(event));
  }
}
