import { setImmediate } from 'node:timers/promises';
import { type Candidate, type CaptureLimits, candidatesOf } from './capture-rules.ts';
import { TurnOutlines } from './outlines.ts';
import { PrunedOutputs } from './pruned-outputs.ts';
import { isGone, isReadable, readStub, withoutGone } from './rehydrate.ts';
import type { ClientKind } from '../clients/client.ts';
import { cutNote, isCutByClient } from '../clients/cut-output.ts';
import {
  type SpillLimits,
  type SpillNote,
  fittingNote,
  isFilledUp,
  readSpillFile,
  spillNoteOf,
} from '../clients/spill-file.ts';
import { withTexts } from '../history/message-texts.ts';
import {
  type Captured,
  type MessageCache,
  type MessageFacts,
  type RequestMessage,
  canBeWhole,
} from '../history/request-message.ts';
import type { ResolvedSession } from '../history/session-resolver.ts';
import type { SecretGuard } from '../secrets/guard.ts';
import type { Outliner } from '../outline/outliner.ts';
import type { Entry, NewEntry, Session, SessionStore } from '../store/types.ts';
import type { Message, ToolCall } from '../wire/types.ts';

/**
 * Bytes of messages committed together: one data sync for a turn, and a bound on what the first
 * sight of a long history holds.
 */
const groupBytes = 4_194_304;
/** Known messages passed over before others get their turn: 1 ms. */
const sliceItems = 4_096;
/** Bytes of messages looked through before others get their turn: 3 ms. */
const sliceBytes = 262_144;

/** A message whose texts are not stored yet. */
interface Waiting {
  readonly index: number;
  /** The message, its large texts left out. */
  readonly frame: Message;
  readonly candidates: readonly Candidate[];
}

/** Stores what is new and large in one request's history. */
export class HistoryStore {
  readonly #items: RequestMessage[];
  readonly #known: MessageCache;
  readonly #limits: CaptureLimits;
  readonly #usesStubs: boolean;
  readonly #client: ClientKind | undefined;
  readonly #outlines: TurnOutlines;
  readonly #secrets: SecretGuard | undefined;

  constructor(
    items: readonly RequestMessage[],
    known: MessageCache,
    {
      limits,
      usesStubs,
      outliner,
      client,
      secrets,
    }: {
      readonly limits: CaptureLimits;
      readonly usesStubs: boolean;
      readonly outliner: Outliner;
      readonly client: ClientKind | undefined;
      readonly secrets?: SecretGuard | undefined;
    },
  ) {
    this.#items = [...items];
    this.#known = known;
    this.#limits = limits;
    this.#usesStubs = usesStubs;
    this.#client = client;
    this.#secrets = secrets;
    this.#outlines = new TurnOutlines(outliner, limits.outlineWaitMs);
  }

  /**
   * The history with what is known of it now. What the session's store has stands in it without its
   * bytes, if a stub can take its place.
   */
  items(session: Session | undefined): readonly RequestMessage[] {
    if (this.#items.every((item) => item.stored === undefined)) return this.#items;
    return this.#items.map((item) => {
      const { stored } = item;
      if (stored === undefined) return item;
      // Another project has the same text, and this one could not store it.
      if (stored.sessionId !== session?.id) return item.withFacts(withoutStored(item.facts));
      const isSpared = this.#usesStubs && isReadable(session) && canBeWhole(stored);
      return isSpared && stored.hasStub ? item.bare() : item;
    });
  }

  /**
   * @returns The session, if there is one now. @throws ProxyError what the store throws; then the
   * texts stay where they are
   */
  async store(resolved: ResolvedSession): Promise<Session | undefined> {
    let { session } = resolved;
    try {
      for await (const group of this.#waiting(resolved)) {
        session ??= await resolved.ensure();
        await this.#storeGroup(session, group);
      }
      await this.#replacePruned(resolved);
    } finally {
      // Also where nothing more can be stored: what is gone is shown in no case.
      if (session?.store.list.hasGone === true) await this.#replaceGone(session);
    }
    return session;
  }

  /**
   * What was forgotten is not shown again, though the client still sends it: for this request the
   * message is one without it.
   */
  async #replaceGone({ id, store }: Session): Promise<void> {
    for (const [index, item] of this.#items.entries()) {
      const { stored } = item.facts;
      if (stored?.sessionId !== id || !stored.captured.some((own) => isGone(store, own))) continue;
      const stub = await withoutGone(item, stored, store);
      const shown = { sessionId: id, captured: [], hasStub: true, isFixed: true, stub };
      this.#items[index] = item.bare({ ...item.facts, stored: shown });
    }
  }

  /** What is to be stored, in groups that are committed together. */
  async *#waiting(resolved: ResolvedSession): AsyncGenerator<readonly Waiting[], void, void> {
    let found: Waiting[] = [];
    let foundBytes = 0;
    let sinceBytes = 0;
    const limits = this.#limits;
    for (let index = 0; index < this.#items.length; index += 1) {
      if (index % sliceItems === sliceItems - 1) await setImmediate();
      const item = this.#items[index] as RequestMessage;
      const { role } = item;
      if ((role !== 'tool' && role !== 'user') || item.sizeBytes < limits.captureMinChars) continue;
      const { stored } = item.facts;
      if (stored !== undefined && stored.sessionId === resolved.session?.id) continue;
      if (item.facts.holdsNothing === true) continue;
      sinceBytes += item.sizeBytes;
      if (sinceBytes > sliceBytes) {
        sinceBytes = 0;
        await setImmediate();
      }
      const call = role === 'tool' ? this.#callOf(index) : undefined;
      const frame = item.frame ?? item.read();
      const candidates = candidatesOf(frame, call, {
        chatId: resolved.chatId,
        limits,
      });
      if (candidates.length > 0) {
        found.push({ index, frame, candidates });
        foundBytes += item.sizeBytes;
        if (foundBytes >= groupBytes) {
          yield found;
          found = [];
          foundBytes = 0;
        }
        continue;
      }
      this.#note(index, { ...item.facts, holdsNothing: true });
    }
    if (found.length > 0) yield found;
  }

  async #storeGroup(session: Session, group: readonly Waiting[]): Promise<void> {
    const candidates = group.flatMap((waiting) => waiting.candidates);
    const stored = await storeCandidates(session, candidates, {
      limits: this.#limits,
      outlines: this.#outlines,
      client: this.#client,
      secrets: this.#secrets,
    });
    let from = 0;
    for (const { index, frame, candidates: own } of group) {
      const captured = stored.slice(from, (from += own.length));
      const { facts } = this.#items[index] as RequestMessage;
      this.#note(index, {
        ...facts,
        stored: {
          sessionId: session.id,
          captured,
          hasStub: captured.some(({ stripped }) => stripped),
          isFixed: captured.some(({ stripped, isFixed }) => stripped && isFixed),
          ...frameMember(frame, captured),
        },
      });
    }
  }

  /** What is known now of a message, for this request and for later ones. */
  #note(index: number, facts: MessageFacts): void {
    const item = this.#items[index] as RequestMessage;
    this.#items[index] = item.withFacts(facts);
    this.#known.set(item.hash, item.bare(facts));
  }

  /**
   * A client that has pruned an output itself left a mark where the stub can stand: it says where
   * the original is.
   */
  async #replacePruned(resolved: ResolvedSession): Promise<void> {
    const { session } = resolved;
    if (session === undefined) return;
    const pruned = new PrunedOutputs(session, resolved.chatId, this.#items);
    for (let index = 0; index < this.#items.length; index += 1) {
      if (index % sliceItems === sliceItems - 1) await setImmediate();
      const item = this.#items[index] as RequestMessage;
      if (item.facts.isPruned !== true) continue;
      const entry = await pruned.entryFor(index, this.#callOf(index));
      if (entry === undefined) continue;
      const stub = { ...item.read(), content: await readStub(session.store, entry) };
      const stored = { sessionId: session.id, captured: [], hasStub: true, isFixed: true, stub };
      // For this request alone: which call the mark answers is a matter of its place.
      this.#items[index] = item.withFacts({ ...item.facts, stored });
    }
    await pruned.save();
  }

  /** The call a tool message answers: in the nearest turn before it. */
  #callOf(index: number): ToolCall | undefined {
    const id = this.#items[index]?.identity.toolCallId;
    for (let at = index - 1; at >= 0; at -= 1) {
      const item = this.#items[at] as RequestMessage;
      if (item.role === 'tool') continue;
      if (id === undefined || !item.identity.callIds.includes(id)) return undefined;
      return item.read().tool_calls?.find((call) => call.id === id);
    }
    return undefined;
  }
}

function withoutStored(facts: MessageFacts): MessageFacts {
  const { stored: _, ...rest } = facts;
  return rest;
}

/** A message without its texts, where the store has all that is needed to put it together again. */
function frameMember(
  message: Message,
  captured: readonly Captured[],
): { readonly frame?: Message } {
  const isMadeOfThem = captured.every(({ stripped, isVerbatim }) => stripped || isVerbatim);
  if (!isMadeOfThem) return {};
  return { frame: withTexts(message, new Map(captured.map(({ part }) => [part, '']))) };
}

/**
 * Stores candidates. Where a result says that the client cut it, and names the file with all of it,
 * the file's text is stored in its place, if it may be read and really begins or ends with what was
 * printed; where it has been before, the same entry stands for it again, file or no file. Of what
 * the client has cut and there is no more of, that is noted.
 * @throws ProxyError `store_full`, `store_corrupt`
 */
async function storeCandidates(
  { store, directory }: Pick<Session, 'store' | 'directory'>,
  candidates: readonly Candidate[],
  {
    limits,
    outlines,
    client,
    secrets,
  }: {
    readonly limits: CaptureLimits;
    readonly outlines: TurnOutlines;
    readonly client: ClientKind | undefined;
    readonly secrets: SecretGuard | undefined;
  },
): Promise<readonly Captured[]> {
  const wholes = await Promise.all(
    candidates.map(async (candidate) => {
      const { entry, ends } = candidate;
      if (entry.kind !== 'tool_result') return undefined;
      const note = spillNoteOf(entry.text, ends, limits.spillFolders);
      if (note === undefined) return undefined;
      return wholeOf(store, entry, note, {
        maxBytes: limits.maxSpillBytes,
        projectDirectory: directory,
        ownFolders: limits.spillFolders,
        secrets,
      });
    }),
  );
  const texts = candidates.map(({ entry }, index) => {
    const whole = wholes[index];
    if (whole !== undefined && whole !== 'gone') return whole;
    const isCut =
      whole === 'gone' || (entry.kind === 'tool_result' && isCutByClient(entry.text, client));
    return isCut ? { ...entry, note: cutNote } : entry;
  });
  const entries = await store.append(texts, (added) => outlines.of(store, added));
  return candidates.map((candidate, index) => {
    const entry = entries[index] as Entry;
    const isVerbatim = texts[index]?.text === candidate.entry.text && entry.original === undefined;
    const { minChars, isFixed } = candidate.strip;
    const stripped = entry.lengthChars >= minChars;
    const shown = shownAs(store, entry, candidate.entry);
    return { part: candidate.part, entry, stripped, isFixed, isVerbatim, ...shown };
  });
}

/**
 * What the store's journal says of how a text is shown: as one that had come before it came as the
 * output of this call, or under the name that stood for it before it had a number.
 */
function shownAs(
  store: SessionStore,
  { id, standIn }: Entry,
  { chatId = '', toolCallId, call }: NewEntry,
): Pick<Captured, 'isAgain' | 'standIn'> {
  if (toolCallId === undefined) return { isAgain: false, standIn };
  const own = store
    .outputsOf(chatId, toolCallId)
    .filter((output) => output.entry.id === id && output.call === call);
  return {
    isAgain: own.some(({ isAgain }) => isAgain === true),
    standIn: own.find((output) => output.standIn !== undefined)?.standIn,
  };
}

const fullTextNote = 'the whole text, from the file that the client saved';
/** Of an entry whose text came from a file in which the client itself had kept a part. */
const keptTextNote = `${cutNote}; what it had kept, from its file`;

/**
 * The whole text of which an output is a part; nothing where the output is no part of what the file
 * holds, and so only quotes a note; `gone` where there is no file that may be read.
 */
async function wholeOf(
  store: SessionStore,
  entry: NewEntry,
  note: SpillNote,
  limits: SpillLimits & { readonly secrets: SecretGuard | undefined },
): Promise<NewEntry | 'gone' | undefined> {
  const { chatId = '', toolCallId, call } = entry;
  const { path } = note;
  const outputs = toolCallId === undefined ? [] : store.outputsOf(chatId, toolCallId);
  const before = outputs.findLast((output) => output.call === call)?.entry;
  const known = before?.note;
  if (before?.path === path && (known === fullTextNote || known === keptTextNote)) {
    const text = await store.readEntry(before);
    const said = note.added.toString();
    const whole = text.endsWith(said) ? text.slice(0, text.length - said.length) : text;
    if (fittingNote(note, Buffer.from(whole)) !== undefined)
      return { ...entry, text, path, note: known };
  }
  const read = await readSpillFile(note, limits);
  const bytes = read === undefined ? undefined : await guarded(read, limits.secrets);
  if (bytes === undefined) return 'gone';
  const fitting = fittingNote(note, bytes);
  if (fitting === undefined) return undefined;
  const text = fitting.added.length === 0 ? bytes : Buffer.concat([bytes, fitting.added]);
  const kept = isFilledUp(note.form, bytes) ? keptTextNote : fullTextNote;
  return { ...entry, text, path, note: kept };
}

/**
 * What a file holds, its secrets masked as those of the output are; nothing where it is refused.
 */
async function guarded<Bytes extends Uint8Array>(
  bytes: Bytes,
  secrets: SecretGuard | undefined,
): Promise<Bytes | Buffer | undefined> {
  const found = await secrets?.stored(bytes);
  if (found === undefined) return bytes;
  return secrets?.does === 'refuse' ? undefined : Buffer.from(found.content);
}
