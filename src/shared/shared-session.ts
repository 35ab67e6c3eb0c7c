import { isUtf8 } from 'node:buffer';
import { createHash, hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type {
  ChatMemory,
  Entry,
  Moment,
  NewEntry,
  NewEntryFacts,
  NewStream,
  OutlinesOf,
  Session,
  SessionStore,
  Snapshot,
  StoredOutput,
  StoreEvent,
  StoreEvents,
  TextSlice,
} from '../store/types.ts';
import { pieceMaxBytes } from '../store/text/text-pieces.ts';
import { toProxyError } from '../errors.ts';
import { textBytes } from './log.ts';
import type { SharedLog } from './shared-log.ts';
import { StoreView } from '../store/session/store-view.ts';

/** Longest `args` that a store keeps, UTF-16 units: more of it is not sent. */
const argsMaxUnits = 2000;

/**
 * A store that many machines share, as one of them sees it: read from the files of its replica,
 * written to its log. What is here is what was here when the turn began, and what this machine has
 * added; a text that another one is adding at this moment may be missed, and is the same entry all
 * the same once both are in the log.
 */
export class SharedSession implements Session {
  readonly store: SessionStore;
  readonly memory: ChatMemory;
  readonly events: StoreEvents;
  readonly #held: HeldLog;

  constructor(log: SharedLog) {
    this.#held = new HeldLog(log);
    this.store = new SharedStore(this.#held);
    this.memory = new SharedMemory(this.#held);
    this.events = new SharedEvents(this.#held);
  }

  get id(): string {
    return this.#held.log.id;
  }

  get directory(): string | undefined {
    return this.#held.log.replica.session.directory;
  }

  get createdMs(): number {
    return this.#held.log.replica.session.createdMs;
  }
}

/** The log of a store that a session reads, as long as its files are there. */
class HeldLog {
  #log: SharedLog;

  constructor(log: SharedLog) {
    this.#log = log;
  }

  get log(): SharedLog {
    return this.#log;
  }

  /** The one that has the store's files by now, for who adds something. */
  async current(): Promise<SharedLog> {
    return (this.#log = await this.#log.current());
  }

  /** Asks its files something; where they went meanwhile, those that are had in their place. */
  async asked<T>(ask: (log: SharedLog) => Promise<T>): Promise<T> {
    try {
      return await ask(this.#log);
    } catch (error) {
      if (toProxyError(error).code !== 'unknown_session') throw error;
      return ask(await this.current());
    }
  }
}

/** What its replica's files answer, and what waits for the database beside them. */
class SharedStore extends StoreView {
  readonly #held: HeldLog;

  constructor(held: HeldLog) {
    super();
    this.#held = held;
  }

  /** Another one after the files were made anew. */
  protected override get viewed(): SessionStore {
    return this.#held.log.replica.session.store;
  }

  override get waitingTexts(): number {
    return this.#held.log.pending.texts;
  }

  override entry(id: string): Entry | undefined {
    return this.viewed.entry(id) ?? this.#held.log.pending.entry(id);
  }

  override entryByHash(sha256: string): Entry | undefined {
    return this.viewed.entryByHash(sha256) ?? this.#held.log.pending.byHash(sha256);
  }

  override outputsOf(chatId: string, toolCallId: string): readonly StoredOutput[] {
    const stored = this.viewed.outputsOf(chatId, toolCallId);
    const waiting = this.#held.log.pending.outputsOf(chatId, toolCallId);
    return waiting.length === 0 ? stored : [...stored, ...waiting];
  }

  override async append(
    entries: readonly NewEntry[],
    outlinesOf?: OutlinesOf,
  ): Promise<readonly Entry[]> {
    const given: GivenText[] = [];
    for (const entry of entries) given.push(await this.#given(entry));
    const outlines = outlinesOf === undefined ? undefined : await outlinesFor(given, outlinesOf);
    const fresh = given.filter(({ isNoted }) => !isNoted);
    const log = await this.#held.current();
    const added = await log.addTexts(
      fresh.map((text) => {
        const { bytes, encoding, known, isPlain } = text;
        const outline = outlines?.get(text);
        const facts: NewEntryFacts =
          outline === undefined ? text.facts : { ...text.facts, outline };
        if (known !== undefined)
          return { bytes: nothing, facts: { ...facts, bytes: 0, seq: known.seq } };
        const length = bytes.length;
        return {
          bytes,
          sha256: isPlain ? text.sha256 : undefined,
          facts:
            encoding === undefined
              ? { ...facts, bytes: length }
              : { ...facts, bytes: length, encoding },
        };
      }),
    );
    let at = 0;
    return given.map(({ known, isNoted }) => (isNoted ? known! : added[at++]!));
  }

  /** A text and what is here of it. */
  async #given(entry: NewEntry): Promise<GivenText> {
    const { text, ...all } = entry;
    const facts: NewEntryFacts =
      all.args === undefined ? all : { ...all, args: all.args.slice(0, argsMaxUnits) };
    const { bytes, encoding } = textBytes(text);
    const sha256 = await digestOf(bytes);
    // What UTF-8 cannot hold is known by another hash: the machines find out when they store it.
    const isPlain = encoding === undefined && (typeof text === 'string' || isUtf8(bytes));
    const found = isPlain
      ? await this.#held.asked(async (log) => log.known(sha256, facts))
      : undefined;
    const { entry: known, isNoted = false } = found ?? {};
    return { entry, facts, bytes, encoding, isPlain, sha256, known, isNoted };
  }

  override async appendStream(stream: NewStream): Promise<Entry> {
    const { chunks, original, originalEncoding, ...facts } = stream;
    if (original === undefined) return (await this.#held.current()).addStream(facts, chunks);
    // Its readable form follows from it, on every machine alike.
    const parts: Uint8Array[] = [];
    for await (const chunk of original) parts.push(Buffer.from(chunk));
    const whole = Buffer.concat(parts);
    const text = originalEncoding === 'utf-16le' ? whole.toString('utf16le') : whole;
    const [entry] = await this.append([{ ...facts, text }]);
    return entry!;
  }

  override async read(offsetChars: number, lengthChars: number): Promise<TextSlice> {
    return this.#held.asked(
      async ({ pending }) =>
        pending.read(offsetChars, lengthChars) ?? this.viewed.read(offsetChars, lengthChars),
    );
  }

  override async readBytes(
    offsetChars: number,
    lengthChars: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#held.asked(async ({ pending }) => {
      const waiting = pending.read(offsetChars, lengthChars);
      if (waiting !== undefined) return new TextEncoder().encode(waiting.text);
      return this.viewed.readBytes(offsetChars, lengthChars);
    });
  }

  override async readEntry(entry: Entry): Promise<string> {
    return this.#held.asked(async ({ pending }) => {
      const waiting = entry.standIn === entry.id ? pending.textOf(entry.id) : undefined;
      return waiting ?? this.viewed.readEntry(this.viewed.entry(entry.id) ?? entry);
    });
  }

  override async readLines(first: number, last: number): Promise<TextSlice> {
    return this.#held.asked(async () => this.viewed.readLines(first, last));
  }

  override async verify(): Promise<readonly Entry[]> {
    return this.#held.asked(async () => this.viewed.verify());
  }

  override async at(moment: Moment): Promise<SessionStore> {
    return this.#held.asked(async () => this.viewed.at(moment));
  }

  override async snapshot(): Promise<Snapshot> {
    return this.#held.asked(async () => this.viewed.snapshot());
  }

  override async *readOriginal(entry: Entry): AsyncGenerator<Uint8Array> {
    const waiting =
      entry.standIn === entry.id ? this.#held.log.pending.originalOf(entry.id) : undefined;
    if (waiting !== undefined) yield waiting;
    else yield* this.viewed.readOriginal(this.viewed.entry(entry.id) ?? entry);
  }
}

/** A text that is to be stored, and what is here of it. */
interface GivenText {
  readonly entry: NewEntry;
  readonly facts: NewEntryFacts;
  readonly bytes: Uint8Array;
  readonly encoding: 'utf-16le' | undefined;
  /** Whether it is UTF-8, which is stored as it is. */
  readonly isPlain: boolean;
  readonly sha256: string;
  /** The entry that has it. */
  readonly known: Entry | undefined;
  /** It came so before: there is nothing to add. */
  readonly isNoted: boolean;
}

const nothing = new Uint8Array();

/** Of texts that are not here yet, each once. */
async function outlinesFor(
  given: readonly GivenText[],
  outlinesOf: OutlinesOf,
): Promise<ReadonlyMap<GivenText, Entry['outline']>> {
  const fresh = new Map<string, GivenText>();
  for (const text of given) {
    if (text.known === undefined && !fresh.has(text.sha256)) fresh.set(text.sha256, text);
  }
  const wanted = [...fresh.values()];
  if (wanted.length === 0) return new Map();
  const outlines = await outlinesOf(wanted.map(({ entry }) => entry));
  return new Map(wanted.map((text, at) => [text, outlines[at]]));
}

/** SHA-256 in hexadecimal; others have their turn between two pieces. */
async function digestOf(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= pieceMaxBytes) return hash('sha256', bytes);
  const digest = createHash('sha256');
  for (let at = 0; at < bytes.length; at += pieceMaxBytes) {
    digest.update(bytes.subarray(at, at + pieceMaxBytes));
    await setImmediate();
  }
  return digest.digest('hex');
}

class SharedMemory implements ChatMemory {
  readonly #held: HeldLog;

  constructor(held: HeldLog) {
    this.#held = held;
  }

  get #files(): ChatMemory {
    return this.#held.log.replica.session.memory;
  }

  has(key: string): boolean {
    return this.#held.log.pending.hasValue(key) || this.#files.has(key);
  }

  atHand(key: string): unknown {
    const { pending } = this.#held.log;
    return pending.hasValue(key) ? pending.value(key) : this.#files.atHand(key);
  }

  async get(key: string): Promise<unknown> {
    return this.#held.asked(async ({ pending }) =>
      pending.hasValue(key) ? pending.value(key) : this.#files.get(key),
    );
  }

  async put(records: readonly { readonly key: string; readonly value: unknown }[]): Promise<void> {
    if (records.length > 0) await (await this.#held.current()).remember(records);
  }
}

class SharedEvents implements StoreEvents {
  readonly #held: HeldLog;

  constructor(held: HeldLog) {
    this.#held = held;
  }

  get all(): readonly StoreEvent[] {
    return this.#held.log.replica.session.events.all;
  }

  async add(event: StoreEvent): Promise<void> {
    await (await this.#held.current()).decide({ op: 'event', event });
  }
}
