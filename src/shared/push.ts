import { hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import type { Files } from '../store/disk/files.ts';
import { sessionPaths, unknownSession } from '../store/disk/session-paths.ts';
import { type AliasRecord, type EntryRecord, recordToEntry } from '../store/format.ts';
import { factsOf, journalRecords } from '../store/session/journal-records.ts';
import { linksOf } from '../store/session/links.ts';
import { readMetadata } from '../store/session/session-metadata.ts';
import { openReplicas, type ReplicaSessions, type SessionsOptions } from '../store/sessions.ts';
import type { PushedStore, PushOptions, PushProgress, PushReport } from '../store/shared-side.ts';
import type { ChatMemory, Entry, NewEntryFacts, Session, StoreEvent } from '../store/types.ts';
import { type LogText, rowTextMaxBytes } from './log.ts';
import { positionKey } from './replica.ts';
import type { SharedLog } from './shared-log.ts';

/** Texts of one row, at most. */
const rowTexts = 128;
/** Values of chats in one row, at most: and so many bytes of JSON. */
const rowValues = 64;
const rowValuesBytes = 512 * 1024;
/** How far a push is, is written down after so many lines of a journal. */
const markLines = 1_000;

/** What a push needs. */
export interface PushParts {
  /** Of the local stores, but for where they are. */
  readonly options: Omit<SessionsOptions, 'dataDir'> & { readonly files: Files };
  /** The shared store of a directory or a key; made with `create`. */
  readonly open: (
    place: { readonly directory: string } | { readonly key: string },
    create: boolean,
  ) => Promise<SharedLog | undefined>;
  /** What the store of a directory or a key is called. */
  readonly nameOf: (
    place: { readonly directory: string } | { readonly key: string },
  ) => Promise<string>;
  /** Whether all that comes through this proxy is one project. */
  readonly isOneProject: boolean;
  /** What is remembered beside all stores. */
  readonly chats: ChatMemory;
}

/** A local store, and which shared one it is to become. */
interface LocalStore {
  readonly session: Session;
  readonly place: { readonly directory: string } | { readonly key: string };
  readonly project: string;
}

/** How far a store was pushed, in the chat memory of the shared one. */
interface PushMark {
  /** Lines of the local journal. */
  readonly lines: number;
  /** Events of the local store. */
  readonly events: number;
  /** Every entry has the same number there. */
  readonly isSame: boolean;
}

const markKey = (localId: string): string => `pushed:${localId}`;
const unmarked: PushMark = { lines: 0, events: 0, isSame: true };

/**
 * Adds what local stores hold to the shared stores of their projects: texts with their times,
 * calls and paths in the order in which they came, then what was decided, and what chats remember.
 * Whatever is there already is found again by its hash, its name or its key, and how far a store
 * came is written down there: however often it is run, and wherever it was stopped, each is there
 * once.
 */
export async function* push(
  parts: PushParts,
  { from, stores, isTrial }: PushOptions,
): AsyncGenerator<PushProgress, PushReport> {
  const local = await openLocal(parts, from);
  try {
    const chosen = await chosenStores(parts, local, { from, stores });
    const work = new Pushing(parts, local, { from, isTrial });
    const pushed: PushedStore[] = [];
    for (const store of chosen) pushed.push(yield* work.take(store));
    for (const [at, store] of chosen.entries()) {
      pushed[at] = { ...pushed[at]!, ...(await work.link(store, pushed)) };
    }
    if (!isTrial) await rememberMissing(local, parts.chats);
    return { stores: pushed };
  } finally {
    await local[Symbol.asyncDispose]();
  }
}

async function openLocal({ options }: PushParts, dataDir: string): Promise<ReplicaSessions> {
  try {
    return await openReplicas({ ...options, dataDir, bounds: {}, keepsBounds: false, holders: [] });
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'store_locked') throw error;
    throw new ProxyError(
      'store_locked',
      `The stores of this machine are in use. ${error.message}`,
      {
        cause: error,
        hint: 'End it first: RLM_STORE_URL= rlm-opencode stop',
      },
    );
  }
}

/** @throws ProxyError `unknown_session`, `invalid_request` for one that is of no project */
async function chosenStores(
  { options, nameOf, isOneProject }: PushParts,
  local: ReplicaSessions,
  { from, stores }: Pick<PushOptions, 'from' | 'stores'>,
): Promise<readonly LocalStore[]> {
  if (isOneProject && stores.length === 0) {
    throw new ProxyError(
      'invalid_request',
      'With store.project set, all stores would become one: say which.',
      { hint: 'Name directories or session ids, or unset RLM_STORE_PROJECT.' },
    );
  }
  const listed = (await local.list()).filter(({ copyOf }) => copyOf === undefined);
  for (const name of stores) {
    if (!listed.some(({ id, directory }) => id === name || directory === name))
      throw unknownSession(name, from);
  }
  const chosen: LocalStore[] = [];
  // The oldest first, as they were made.
  for (const { id, directory, totals } of listed.toSorted((a, b) => a.createdMs - b.createdMs)) {
    const isNamed = stores.includes(id) || (directory !== undefined && stores.includes(directory));
    if (stores.length > 0 ? !isNamed : totals.entries === 0) continue;
    const name = (await readMetadata(options.files, from, id))?.name;
    const key = name?.startsWith('key:') === true ? name.slice('key:'.length) : undefined;
    if (directory === undefined && key === undefined) {
      if (!isNamed) continue;
      throw new ProxyError('invalid_request', `${id} has no directory any more.`, {
        hint: `Give it one: RLM_STORE_URL= rlm-opencode sessions move ${id} DIRECTORY`,
      });
    }
    const place = directory === undefined ? { key: key! } : { directory };
    chosen.push({ session: await local.byId(id), place, project: await nameOf(place) });
  }
  return chosen;
}

class Pushing {
  readonly #parts: PushParts;
  readonly #local: ReplicaSessions;
  readonly #from: string;
  readonly #isTrial: boolean;

  constructor(
    parts: PushParts,
    local: ReplicaSessions,
    { from, isTrial }: { readonly from: string; readonly isTrial: boolean },
  ) {
    this.#parts = parts;
    this.#local = local;
    this.#from = from;
    this.#isTrial = isTrial;
  }

  async *take(store: LocalStore): AsyncGenerator<PushProgress, PushedStore> {
    const { session, place, project } = store;
    const log = await this.#parts.open(place, !this.#isTrial);
    await log?.catchUp();
    const mark =
      ((await log?.replica.session.memory.get(markKey(session.id))) as PushMark | undefined) ??
      unmarked;
    const texts = new PushedTexts({ session, log, mark, isTrial: this.#isTrial });
    const snapshots = snapshotsOf(session.events.all.slice(mark.events));
    const paths = sessionPaths(this.#from, session.id);
    const total = session.store.entries.length;
    let lines = 0;
    let events = 0;
    let marked = mark.lines;
    for await (const record of journalRecords(this.#parts.options.files, paths)) {
      for (const name of snapshots.get(lines) ?? []) {
        await texts.flush();
        events += await this.#snapshot(log, name);
      }
      snapshots.delete(lines);
      lines += 1;
      if (lines <= mark.lines) continue;
      await texts.take(record);
      if (texts.hasFlushed) yield { project, done: Math.min(texts.done, total), total };
      if (lines - marked >= markLines) {
        await texts.flush();
        await this.#mark(log, session.id, { ...mark, lines, isSame: texts.isSame });
        marked = lines;
      }
    }
    await texts.flush();
    // From here on no text is sent again, whatever stops this.
    if (lines > mark.lines) {
      await this.#mark(log, session.id, { ...mark, lines, isSame: texts.isSame });
    }
    for (const name of [...snapshots.values()].flat()) events += await this.#snapshot(log, name);
    await texts.forget();
    events += await this.#decide(log, session, mark.events);
    const remembered = await this.#remember(log, session, texts.isSame);
    const end = { lines, events: session.events.all.length, isSame: texts.isSame };
    if (end.events > mark.events) await this.#mark(log, session.id, end);
    const directory = 'directory' in place ? { directory: place.directory } : {};
    return {
      from: session.id,
      ...(log && { session: log.id }),
      ...directory,
      project,
      ...texts.counts,
      events,
      remembered: remembered ?? 0,
      ...(remembered === undefined && { isRenumbered: true }),
    };
  }

  /** Links of a store, once all stores that they may lead to are there. */
  async link(
    { session, place }: LocalStore,
    pushed: readonly PushedStore[],
  ): Promise<{ readonly unlinked?: readonly string[] }> {
    const links = linksOf(session.events.all);
    const log = await this.#parts.open(place, false);
    if (links.length === 0 || log === undefined) return {};
    const unlinked: string[] = [];
    for (const link of links) {
      const target =
        pushed.find(({ from }) => from === link.sessionId)?.session ??
        (await this.#sharedIdOf(link.sessionId));
      if (target === undefined) {
        unlinked.push(link.as);
        continue;
      }
      const there = linksOf(log.replica.session.events.all);
      const isThere = there.some(({ as, sessionId }) => as === link.as || sessionId === target);
      if (isThere || this.#isTrial) continue;
      const { as, timeMs, directory } = link;
      const event = { type: 'link', as, timeMs, sessionId: target } as const;
      await log.decide({
        op: 'event',
        event: directory === undefined ? event : { ...event, directory },
      });
    }
    return unlinked.length === 0 ? {} : { unlinked };
  }

  async #sharedIdOf(localId: string): Promise<string | undefined> {
    const name = (await readMetadata(this.#parts.options.files, this.#from, localId))?.name;
    if (name === undefined) return undefined;
    const place = name.startsWith('key:')
      ? { key: name.slice('key:'.length) }
      : { directory: name };
    return (await this.#parts.open(place, false))?.id;
  }

  async #snapshot(log: SharedLog | undefined, name: string): Promise<number> {
    const isThere = log?.replica.session.events.all.some(
      (event) => event.type === 'snapshot' && event.name === name,
    );
    if (isThere === true) return 0;
    if (!this.#isTrial) await log!.decide({ op: 'snapshot', name });
    return 1;
  }

  /** Pins, and the store's own name. */
  async #decide(log: SharedLog | undefined, session: Session, from: number): Promise<number> {
    let sent = 0;
    for (const event of session.events.all.slice(from)) {
      if (event.type !== 'pin' && event.type !== 'unpin' && event.type !== 'name') continue;
      sent += 1;
      if (this.#isTrial) continue;
      await log!.decide({ op: 'event', event: renumbered(event, session, log!) });
    }
    return sent;
  }

  /** How many values were sent; undefined where they would name other entries. */
  async #remember(
    log: SharedLog | undefined,
    session: Session,
    isSame: boolean,
  ): Promise<number | undefined> {
    const keys = await this.#local.hold(session.id, ({ memory }) => memory.keys());
    const there = log?.replica.session.memory;
    // How far it was as a replica says nothing there.
    const missing = keys.filter((key) => key !== positionKey && there?.has(key) !== true);
    if (missing.length > 0 && !isSame) return undefined;
    if (this.#isTrial) return missing.length;
    for await (const records of recordsOf(session.memory, missing)) {
      await log!.remember(records, { maySpool: false });
    }
    return missing.length;
  }

  async #mark(log: SharedLog | undefined, localId: string, mark: PushMark): Promise<void> {
    if (this.#isTrial) return;
    await log!.remember([{ key: markKey(localId), value: mark }], { maySpool: false });
  }
}

/** Sends texts, many in a row, and counts them. */
class PushedTexts {
  readonly #session: Session;
  readonly #log: SharedLog | undefined;
  readonly #isTrial: boolean;
  readonly counts = { texts: 0, again: 0, bytes: 0 };
  /** Whether every entry up to now has the same number there as here. */
  isSame: boolean;
  /** Texts that were looked at, those before the mark among them. */
  done = 0;
  #waiting: { readonly facts: LogText; readonly bytes: Uint8Array; readonly seq?: number }[] = [];
  #waitingBytes = 0;
  readonly #waitingSeqs = new Set<number>();
  #hasFlushed = false;

  constructor(of: {
    readonly session: Session;
    readonly log: SharedLog | undefined;
    readonly mark: PushMark;
    readonly isTrial: boolean;
  }) {
    this.#session = of.session;
    this.#log = of.log;
    this.#isTrial = of.isTrial;
    this.isSame = of.mark.isSame;
  }

  /** Whether anything was sent since this was asked last. */
  get hasFlushed(): boolean {
    const has = this.#hasFlushed;
    this.#hasFlushed = false;
    return has;
  }

  async take(record: EntryRecord | AliasRecord): Promise<void> {
    if (record.type === 'alias') await this.#again(record);
    else await this.#text(record);
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const sent = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#waitingSeqs.clear();
    this.#hasFlushed = true;
    if (this.#isTrial) return;
    const entries = await this.#log!.addTexts(sent, { maySpool: false });
    for (const [at, { seq }] of sent.entries()) {
      if (seq !== undefined && entries[at]?.seq !== seq) this.isSame = false;
    }
  }

  /** What was forgotten here is so there, too, where it was sent as something that says so. */
  async forget(): Promise<void> {
    if (this.#log === undefined || this.#isTrial) return;
    const { store } = this.#log.replica.session;
    const whole = this.#session.store.entries.flatMap(({ seq, forgotten }) =>
      forgotten === undefined
        ? []
        : (store.entryByHash(hash('sha256', placeholder(seq)))?.seq ?? []),
    );
    if (whole.length === 0) return;
    const wanted = { whole, why: 'asked', mayComeAgain: true } as const;
    await this.#log.decide({ op: 'forget', wanted });
  }

  async #text(record: EntryRecord): Promise<void> {
    this.done = record.seq;
    // What has become of it since stands in the list, not in the line.
    const entry = this.#session.store.entries[record.seq - 1] ?? recordToEntry(record);
    if (entry.forgotten !== undefined) {
      const { kind, timeMs } = entry;
      const text = placeholder(entry.seq);
      const known = await this.#log?.known(hash('sha256', text), { kind });
      if (known === undefined) await this.#add(entry, { kind, timeMs }, text);
      else if (known.entry.seq !== entry.seq) this.isSame = false;
      return;
    }
    const facts = sentFacts(entry, record);
    const known = await this.#known(entry, facts);
    if (known !== undefined) {
      if (known.entry.seq !== entry.seq) this.isSame = false;
      if (!known.isNoted) await this.#addAgain(known.entry, facts);
      return;
    }
    const { original } = entry;
    if (entry.lengthBytes > rowTextMaxBytes && original === undefined) {
      await this.flush();
      this.#count(entry.lengthBytes);
      this.#hasFlushed = true;
      if (this.#isTrial) return;
      const chunks = this.#session.store.readOriginal(entry);
      const stored = await this.#log!.addStream(facts, chunks);
      if (stored.seq !== entry.seq) this.isSame = false;
      return;
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#session.store.readOriginal(entry)) chunks.push(chunk);
    const encoding = original?.encoding === 'utf-16le' ? { encoding: 'utf-16le' as const } : {};
    await this.#add(entry, { ...facts, ...encoding }, Buffer.concat(chunks));
  }

  async #again(record: AliasRecord): Promise<void> {
    const entry = this.#session.store.entries[record.seq - 1];
    if (entry === undefined || entry.forgotten !== undefined) return;
    if (this.#waitingSeqs.has(entry.seq)) await this.flush();
    const { toolCallId, chatId, call, path, source, standIn } = record;
    const facts: NewEntryFacts = {
      kind: entry.kind,
      ...(toolCallId !== undefined && { toolCallId }),
      ...(chatId !== undefined && { chatId }),
      ...(call !== undefined && { call }),
      ...(path !== undefined && { path }),
      ...(source && { source }),
      ...(standIn !== undefined && { standIn }),
    };
    const known = await this.#known(entry, facts);
    if (known?.isNoted === true) return;
    if (known !== undefined) await this.#addAgain(known.entry, facts);
    else this.counts.again += 1;
  }

  /** The entry there with the text of one here, and whether it came so already. */
  async #known(
    entry: Entry,
    facts: NewEntryFacts,
  ): Promise<{ readonly entry: Entry; readonly isNoted: boolean } | undefined> {
    if (this.#log === undefined) return undefined;
    if (entry.original === undefined) return this.#log.known(entry.sha256, facts);
    const found = this.#log.replica.session.store.entryByHash(entry.sha256);
    return found?.original?.sha256 === entry.original.sha256
      ? { entry: found, isNoted: found.toolCallId === facts.toolCallId }
      : undefined;
  }

  async #add(entry: Entry, facts: Omit<LogText, 'bytes'>, bytes: Uint8Array): Promise<void> {
    const isFull = this.#waitingBytes + bytes.length > rowTextMaxBytes;
    if (isFull || this.#waiting.length >= rowTexts) await this.flush();
    this.#count(bytes.length);
    this.#waiting.push({ facts: { ...facts, bytes: bytes.length }, bytes, seq: entry.seq });
    this.#waitingBytes += bytes.length;
    this.#waitingSeqs.add(entry.seq);
  }

  async #addAgain(entry: Entry, facts: NewEntryFacts): Promise<void> {
    if (this.#waiting.length >= rowTexts) await this.flush();
    this.counts.again += 1;
    this.#waiting.push({ facts: { ...facts, bytes: 0, seq: entry.seq }, bytes: nothing });
  }

  #count(bytes: number): void {
    this.counts.texts += 1;
    this.counts.bytes += bytes;
  }
}

/** A value that chats remember. */
type ChatRecord = Parameters<ChatMemory['put']>[0][number];

const nothing = new Uint8Array();

/** No two are the same, so that each is an entry of its own. */
function placeholder(seq: number): Buffer {
  return Buffer.from(`The text of e${seq} was forgotten.\n`);
}

/** What is said of a text in stead of what UTF-8 cannot hold; it is said again over there. */
const readableNote =
  /(?:^|; )(?:\d+ lone surrogates? replaced by U\+FFFD; the original is kept|invalid UTF-8 replaced by U\+FFFD; the original bytes are kept)$/;

function sentFacts(entry: Entry, { source }: EntryRecord): NewEntryFacts {
  const { note, ...facts } = factsOf(entry, source);
  const said = entry.original === undefined ? note : note?.replace(readableNote, '');
  return said === undefined || said === '' ? facts : { ...facts, note: said };
}

/** Names of moments, by how many lines the journal had. */
function snapshotsOf(events: readonly StoreEvent[]): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const event of events) {
    if (event.type !== 'snapshot') continue;
    const lines = event.ranges.reduce((sum, { records }) => sum + records, 0);
    found.set(lines, [...(found.get(lines) ?? []), event.name]);
  }
  return found;
}

/** A decision with the numbers that its entries have there. */
function renumbered(event: StoreEvent, { store }: Session, log: SharedLog): StoreEvent {
  if (event.type !== 'pin' && event.type !== 'unpin') return event;
  const there = log.replica.session.store;
  const whole = event.whole.flatMap((seq) => {
    const entry = store.entries[seq - 1];
    return (entry && there.entryByHash(entry.sha256)?.seq) ?? [];
  });
  return { ...event, whole };
}

/** Values of a chat memory, a row's worth at a time. */
async function* recordsOf(
  memory: ChatMemory,
  keys: readonly string[],
): AsyncGenerator<readonly ChatRecord[]> {
  let records: ChatRecord[] = [];
  let bytes = 0;
  for (const key of keys) {
    const value = await memory.get(key);
    if (value === undefined) continue;
    records.push({ key, value });
    bytes += JSON.stringify(value).length;
    if (records.length < rowValues && bytes < rowValuesBytes) continue;
    yield records;
    records = [];
    bytes = 0;
  }
  if (records.length > 0) yield records;
}

/**
 * What is remembered beside all stores, as far as it is not there.
 * @param chats Where to
 * @throws ProxyError as {@link ChatMemory.put}
 */
export async function rememberMissing(local: ReplicaSessions, chats: ChatMemory): Promise<void> {
  const missing = local.chatKeys().filter((key) => !chats.has(key));
  for await (const records of recordsOf(local.chats, missing)) await chats.put(records);
}
