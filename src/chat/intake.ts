import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { headerOf, originOf, type Origin } from '../opencode/environment.ts';
import type { Session } from '../store/types.ts';
import type { Envelope, Message, ToolCall } from '../wire/types.ts';
import type { RawMessage } from './body.ts';
import { BodyReader } from './body-reader.ts';
import {
  candidatesOf,
  readStub,
  storeCandidates,
  type Candidate,
  type Captured,
  type CaptureLimits,
} from './capture.ts';
import { readMessage } from './message-reader.ts';
import { KnownBlocks } from './known-blocks.ts';
import { KnownEnvelopes } from './known-envelopes.ts';
import { PrunedOutputs } from './pruned-outputs.ts';
import { HistoryItem, KnownMessages, type KnownMessage } from './history.ts';
import type { SessionFinder, Whose } from './whose.ts';
import { withTexts } from './message-texts.ts';

/** A client's request, taken in: large texts are in the store, and every message is known. */
export interface Intake {
  /** The request without its messages, members in the client's order. */
  readonly envelope: Envelope;
  /** Its size as it came. */
  readonly envelopeBytes: number;
  readonly items: readonly HistoryItem[];
  readonly whose: Whose;
  /** A client's own helper request (title, compaction): passed on untouched. */
  readonly isHelper: boolean;
  /** Texts of this request that were not in the store before. */
  readonly newlyStored: number;
  /** Entries the store held before this request. */
  readonly entriesBefore: number;
  /** Why nothing could be stored, if so. The chat goes on without. */
  readonly storeFault?: ProxyError;
}

/** What taking in requests needs. */
export interface IntakeOptions {
  readonly finder: SessionFinder;
  readonly limits: CaptureLimits;
  /** False where every text goes upstream as it came, whatever is stored. */
  readonly usesStubs: boolean;
  readonly log: Logger;
}

/**
 * Messages that are recognised by their bytes: those of several chats of 100 MB, less than 1 KB each. (One that was longer than this would
 * find none of its messages: what is forgotten first is what comes next.)
 */
const maxKnownMessages = 65_536;
/** Bytes of messages committed together: one data sync for a turn, and a bound on what the first sight of a long history holds. */
const groupBytes = 8_388_608;
/** Larger messages are parsed again when their texts are stored, bytes. */
const releasedBytes = 4_096;
/** Bytes of messages looked through, or replaced by stubs, before others get their turn: 3 ms. */
const sliceBytes = 262_144;

/** A message whose texts are not stored yet. */
interface Waiting {
  readonly item: HistoryItem;
  readonly candidates: readonly Candidate[];
}

/** Takes in requests: cuts them up as they arrive, recognises what is known, stores what is new and large. */
export class RequestIntake {
  readonly #options: IntakeOptions;
  readonly #known: KnownMessages;
  readonly #blocks: KnownBlocks;
  readonly #envelopes = new KnownEnvelopes();

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#known = new KnownMessages(maxKnownMessages);
    this.#blocks = new KnownBlocks(2 * maxKnownMessages);
  }

  /**
   * @throws ProxyError `invalid_request`, `unknown_session`, and what reading the body throws. A store that fails does not throw: see `storeFault`.
   */
  async take(body: AsyncIterable<Uint8Array>, headers: IncomingHttpHeaders): Promise<Intake> {
    const reader = new BodyReader(this.#blocks);
    const reading = new Reading(this.#known, this.#options, originOf(headers), keyHashOf(headers));
    for await (const piece of body) await reading.addAll(reader.feed(piece));
    await reading.addAll(reader.end());
    const envelopeText = reader.envelope();
    const envelope = this.#envelopes.parse(envelopeText);
    const envelopeBytes = envelopeText.length;
    if (reading.items.length === 0)
      throw new ProxyError('invalid_request', '`messages` must hold at least one message.', {
        param: 'messages',
      });
    const whose = await reading.whose();
    const isHelper = isHelperRequest(envelope, whose, headers);
    if (isHelper)
      return {
        envelope,
        envelopeBytes,
        items: reading.items,
        whose,
        isHelper,
        newlyStored: 0,
        entriesBefore: whose.session?.store.totals.entries ?? 0,
      };
    const outcome = await reading.store();
    return { envelope, envelopeBytes, items: reading.items, whose, isHelper, ...outcome };
  }
}

/** A title or a compaction: no tools and no directory of its own, from a client that names its conversation. */
function isHelperRequest(envelope: Envelope, whose: Whose, headers: IncomingHttpHeaders): boolean {
  const hasTools = (envelope.tools ?? []).length > 0;
  return !hasTools && !whose.isNamed && originOf(headers).chatId !== undefined;
}

/** Only keeps apart, never identifies: a short hash of the key the client sent. */
function keyHashOf(headers: IncomingHttpHeaders): string {
  return hash('sha256', headerOf(headers, 'authorization') ?? '').slice(0, 16);
}

/** One request while it is read. */
class Reading {
  readonly items: HistoryItem[] = [];
  readonly #known: KnownMessages;
  readonly #options: IntakeOptions;
  readonly #origin: Origin;
  readonly #keyHash: string;
  #workingDirectory: string | undefined;
  #beginning: string | undefined;
  #whose: Whose | undefined;
  #entriesBefore = 0;
  /** Since bytes have been let go, those of other messages do not stay in the pieces they came in. */
  #hasLetGo = false;

  constructor(known: KnownMessages, options: IntakeOptions, origin: Origin, keyHash: string) {
    this.#known = known;
    this.#options = options;
    this.#origin = origin;
    this.#keyHash = keyHash;
  }

  /** Takes the next messages. Nothing is parsed that is known by its bytes. */
  async addAll(messages: readonly RawMessage[]): Promise<void> {
    for (const raw of messages) {
      const known = this.#known.get(raw.hash);
      const item = known === undefined ? await this.#read(raw) : new HistoryItem(raw, known);
      this.#add(item);
      if (known?.stored?.stripped !== undefined && this.#isNamed)
        this.#letGo(item, await this.whose());
      else if (this.#hasLetGo) item.detach();
    }
  }

  /** Whether what is known by now says whose the request is, and that it is no client's helper: nothing that follows changes it. */
  get #isNamed(): boolean {
    const { sessionId, directory } = this.#origin;
    const named = sessionId ?? directory ?? this.#workingDirectory;
    return named !== undefined && this.#beginning !== undefined;
  }

  /**
   * The bytes of a text that a stub stands for go while the body still arrives, and with them the pieces they came in: so a history of 100
   * MB takes no more memory than what of it goes upstream.
   */
  #letGo(item: HistoryItem, { session }: Whose): void {
    const { stored } = item.known;
    if (!this.#options.usesStubs || stored?.sessionId !== session?.id) return;
    item.usesStubs = true;
    item.drop();
    this.#hasLetGo = true;
  }

  #add(item: HistoryItem): void {
    this.items.push(item);
    const { identity, workingDirectory } = item.known;
    if (identity.role === 'system' || identity.role === 'developer')
      this.#workingDirectory ??= workingDirectory;
    else if (identity.role === 'user') this.#beginning ??= identity.textHash;
  }

  async whose(): Promise<Whose> {
    if (this.#whose === undefined) {
      this.#whose = await this.#options.finder.find({
        origin: this.#origin,
        beginning: this.#beginning ?? '',
        keyHash: this.#keyHash,
        ...(this.#workingDirectory === undefined
          ? {}
          : { workingDirectory: this.#workingDirectory }),
      });
      this.#entriesBefore = this.#whose.session?.store.totals.entries ?? 0;
    }
    return this.#whose;
  }

  /** Stores what is new and large, and puts stubs in place. A failing store leaves the texts where they are. */
  async store(): Promise<{
    readonly newlyStored: number;
    readonly entriesBefore: number;
    readonly storeFault?: ProxyError;
  }> {
    const whose = await this.whose();
    const entriesBefore = this.#entriesBefore;
    let { session } = whose;
    try {
      for await (const group of this.#waiting(whose)) {
        session ??= await whose.ensure();
        await this.#storeGroup(session, group);
      }
      await this.#replacePruned(whose);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#options.log.warn(
        { code: error.code, reason: error.message },
        'texts could not be stored; they stay in the prompt',
      );
      return { newlyStored: 0, entriesBefore, storeFault: error };
    }
    return {
      newlyStored: (session?.store.totals.entries ?? 0) - entriesBefore,
      entriesBefore,
      ...(whose.fault === undefined ? {} : { storeFault: whose.fault }),
    };
  }

  async #read(raw: RawMessage): Promise<HistoryItem> {
    const read = await readMessage(raw, this.items.length);
    // A message with large texts is only known once they are stored.
    const isDone = read.large === undefined && !this.#mayHoldText(raw, read.known);
    if (isDone) this.#known.set(raw.hash, read.known);
    const item = new HistoryItem(raw, read.known, read);
    // Of a long history that was never seen, texts are held only while their group is stored.
    if (!isDone && raw.sizeBytes >= releasedBytes && read.large === undefined) item.release();
    return item;
  }

  #mayHoldText(raw: RawMessage, { identity: { role } }: KnownMessage): boolean {
    return (
      (role === 'tool' || role === 'user') && raw.sizeBytes >= this.#options.limits.captureMinChars
    );
  }

  /** What is to be stored, in groups that are committed together. */
  async *#waiting(whose: Whose): AsyncGenerator<readonly Waiting[], void, void> {
    let found: Waiting[] = [];
    let foundBytes = 0;
    let sinceBytes = 0;
    const { limits } = this.#options;
    for (const [index, item] of this.items.entries()) {
      const { role } = item.identity;
      if ((role !== 'tool' && role !== 'user') || item.sizeBytes < limits.captureMinChars) continue;
      if (item.known.stored !== undefined && item.known.stored.sessionId === whose.session?.id) {
        item.usesStubs = true;
        continue;
      }
      if (item.known.holdsNothing === true) continue;
      sinceBytes += item.sizeBytes;
      if (sinceBytes > sliceBytes) {
        sinceBytes = 0;
        await setImmediate();
      }
      const call = role === 'tool' ? this.#callOf(index) : undefined;
      const candidates = candidatesOf(item.frame(), call, {
        chatId: whose.chatId,
        limits,
        ...(item.large === undefined ? {} : { large: item.large.texts }),
      });
      if (candidates.length > 0) {
        found.push({ item, candidates });
        foundBytes += item.sizeBytes;
        if (foundBytes >= groupBytes) {
          yield found;
          found = [];
          foundBytes = 0;
        }
        continue;
      }
      item.known = { ...item.known, holdsNothing: true };
      this.#known.set(item.hash, item.known);
    }
    if (found.length > 0) yield found;
  }

  async #storeGroup(session: Session, group: readonly Waiting[]): Promise<void> {
    const candidates = group.flatMap((waiting) => waiting.candidates);
    const stored = await storeCandidates(session.store, candidates, this.#options.limits);
    let from = 0;
    let sinceBytes = 0;
    for (const { item, candidates: own } of group) {
      // What was just stored is read back from memory, and nothing of that waits.
      sinceBytes += item.sizeBytes;
      if (sinceBytes > sliceBytes) {
        sinceBytes = 0;
        await setImmediate();
      }
      const captured = stored.slice(from, (from += own.length));
      const stripped = await strippedMessage(session, item, captured);
      item.known = {
        ...item.known,
        stored: {
          sessionId: session.id,
          captured,
          ...(stripped === undefined ? {} : { stripped }),
        },
      };
      item.usesStubs = true;
      this.#known.set(item.hash, item.known);
      if (stripped !== undefined) item.release();
    }
  }

  /** A client that has pruned an output itself left a mark where the stub can stand: it says where the original is. */
  async #replacePruned(whose: Whose): Promise<void> {
    const { session } = whose;
    if (session === undefined) return;
    const pruned = new PrunedOutputs(session, whose.chatId, this.items);
    for (const [index, item] of this.items.entries()) {
      if (item.known.isPruned !== true) continue;
      const entry = await pruned.entryFor(index, this.#callOf(index));
      if (entry === undefined) continue;
      const stripped = { ...item.parse(), content: await readStub(session.store, entry) };
      item.known = { ...item.known, stored: { sessionId: session.id, captured: [], stripped } };
      item.usesStubs = true;
    }
    await pruned.save();
  }

  /** The call a tool message answers: in the nearest turn before it. */
  #callOf(index: number): ToolCall | undefined {
    const id = this.items[index]?.identity.toolCallId;
    for (let at = index - 1; at >= 0; at -= 1) {
      const item = this.items[at] as HistoryItem;
      if (item.identity.role === 'tool') continue;
      if (id === undefined || !item.identity.callIds.includes(id)) return undefined;
      return item.parse().tool_calls?.find((call) => call.id === id);
    }
    return undefined;
  }
}

async function strippedMessage(
  session: Session,
  item: HistoryItem,
  captured: readonly Captured[],
): Promise<Message | undefined> {
  const texts = new Map<number, string>();
  for (const { part, entry, stripped } of captured)
    if (stripped) texts.set(part, await readStub(session.store, entry));
  if (texts.size === 0) return undefined;
  // A setting may leave even megabytes where they are.
  const isWhole = [...(item.large?.texts.keys() ?? [])].some((part) => !texts.has(part));
  return withTexts(isWhole ? item.parse() : item.frame(), texts);
}
