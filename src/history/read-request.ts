import { readMessage } from './read-message.ts';
import type { Origin } from '../clients/origin.ts';
import type { RawMessage } from './split-body.ts';
import {
  canBeWhole,
  RequestMessage,
  type MessageFacts,
  type MessageCache,
} from './request-message.ts';
import type { Trail } from './answer-memory.ts';
import type { SessionPlace, SessionResolver, ResolvedSession } from './session-resolver.ts';

/** Larger messages are parsed again when their texts are stored, bytes. */
const releasedBytes = 4_096;

/** What reading requests needs. */
export interface RequestReaderOptions {
  readonly finder: SessionResolver;
  /** Shorter messages hold nothing to store, bytes. */
  readonly minStoredBytes: number;
  /** False where every text goes upstream as it came, whatever is stored. */
  readonly usesStubs: boolean;
}

/** One request while it arrives: its messages, and as soon as they tell, whose it is. */
export class RequestReader {
  readonly items: RequestMessage[] = [];
  /** Messages that were not known by their bytes. */
  parsedMessages = 0;
  readonly #known: MessageCache;
  readonly #options: RequestReaderOptions;
  readonly #sender: { readonly origin: Origin; readonly keyHash: string };
  #workingDirectory: string | undefined;
  #hasUser = false;
  /** Of a conversation that its client gives no name: what its history tells. */
  readonly #trail: Trail;
  #place: SessionPlace | undefined;
  #resolved: ResolvedSession | undefined;

  constructor(
    known: MessageCache,
    options: RequestReaderOptions,
    sender: { readonly origin: Origin; readonly keyHash: string },
  ) {
    this.#known = known;
    this.#options = options;
    this.#sender = sender;
    this.#trail = options.finder.trail(sender.keyHash);
  }

  /** Takes the next messages. Nothing is parsed that is known by its bytes. */
  async addAll(messages: readonly RawMessage[]): Promise<void> {
    for (const raw of messages) {
      const known = this.#known.get(raw.hash);
      if (known === undefined) this.#add(await this.#read(raw));
      else if (
        known.stored !== undefined &&
        this.#isNamed &&
        this.#isGone(known, (this.#place ??= await this.#placeNamed()))
      )
        this.#add(this.#gone(raw, known));
      else if (raw.item?.known === known) this.#add(raw.item);
      else this.#add(this.#knownItem(raw, known));
    }
  }

  #knownItem(raw: RawMessage, known: MessageFacts): RequestMessage {
    if (raw.isPassing === true) {
      // Of a long history most messages are small: they are copied once and for all, and not out of
      // every body.
      const isSmall = raw.sizeBytes < this.#options.minStoredBytes;
      if (isSmall && known.isPruned !== true && known.mustBeWritten !== true)
        return lastingOf(known) ?? lastingItem(raw, known);
      const item = new RequestMessage(raw, known);
      item.detach();
      return item;
    }
    const item = new RequestMessage(raw, known);
    // What is stored, or could be, is for each request to say.
    if (!this.#mayHoldText(raw, known) && known.isPruned !== true) {
      item.isShared = true;
      raw.item = item;
    }
    return item;
  }

  /**
   * Whether what is known by now says whose the request is, and that it is no client's helper:
   * nothing that follows changes it.
   */
  get #isNamed(): boolean {
    const { sessionId, directory } = this.#sender.origin;
    const named = sessionId ?? directory ?? this.#workingDirectory;
    return named !== undefined && this.#hasUser;
  }

  /**
   * Whether a text needs no bytes: a stub stands for it, or it has left the prompt with its turn.
   */
  #isGone({ stored, evictedIn, isWanted }: MessageFacts, place: SessionPlace | undefined): boolean {
    if (!this.#options.usesStubs || stored === undefined) return false;
    if (stored.sessionId !== place?.session?.id) return false;
    if (stored.stripped !== undefined && isWanted !== true && canBeWhole(stored)) return true;
    // Which chat it is without a name shows only at its end; what it wants after all is made again.
    const { chatId = evictedIn } = this.#sender.origin;
    return stored.frame !== undefined && evictedIn !== undefined && evictedIn === chatId;
  }

  /**
   * Such bytes go while the body still arrives, and with them the pieces they came in: so a history
   * of 100 MB takes no more memory than what of it goes upstream.
   */
  #gone(raw: RawMessage, known: MessageFacts): RequestMessage {
    let item = lastingOf(known);
    if (item === undefined) {
      item = new RequestMessage(raw, known);
      item.useStubs();
      item.drop();
      item.isShared = true;
      known.lasting = item;
    }
    return item;
  }

  #add(item: RequestMessage): void {
    this.items.push(item);
    const { identity, workingDirectory, places } = item.known;
    if (this.#sender.origin.chatId === undefined) this.#trail.add(identity, places);
    if (identity.role === 'system' || identity.role === 'developer')
      this.#workingDirectory ??= workingDirectory;
    else if (identity.role === 'user') this.#hasUser = true;
  }

  /**
   * ResolvedSession the request is; to be asked when all of it has come. @throws ProxyError
   * `unknown_session`, `invalid_request`
   */
  async resolved(): Promise<ResolvedSession> {
    this.#place ??= await this.#placeNamed();
    this.#resolved ??= await this.#options.finder.find(this.#sender, this.#trail, this.#place);
    return this.#resolved;
  }

  async #placeNamed(): Promise<SessionPlace | undefined> {
    const workingDirectory = this.#workingDirectory;
    return this.#options.finder.placeNamed({
      ...this.#sender,
      ...(workingDirectory === undefined ? {} : { workingDirectory }),
    });
  }

  async #read(raw: RawMessage): Promise<RequestMessage> {
    this.parsedMessages += 1;
    const read = await readMessage(raw, this.items.length);
    // A message with large texts is only known once they are stored.
    const isDone = read.large === undefined && !this.#mayHoldText(raw, read.known);
    if (isDone) this.#known.set(raw.hash, read.known);
    const item = new RequestMessage(raw, read.known, read);
    if (raw.isPassing === true) item.detach();
    // Of a long history that was never seen, texts are held only while their group is stored.
    if (!isDone && raw.sizeBytes >= releasedBytes && read.large === undefined) item.release();
    return item;
  }

  #mayHoldText(raw: RawMessage, { identity: { role }, holdsNothing }: MessageFacts): boolean {
    if (holdsNothing === true) return false;
    return (role === 'tool' || role === 'user') && raw.sizeBytes >= this.#options.minStoredBytes;
  }
}

/**
 * The item that was made for all requests; one that was made for what was known before does not
 * count.
 */
function lastingOf(known: MessageFacts): RequestMessage | undefined {
  return known.lasting?.known === known ? known.lasting : undefined;
}

function lastingItem(raw: RawMessage, known: MessageFacts): RequestMessage {
  const item = new RequestMessage(raw, known);
  item.condense();
  item.isShared = true;
  known.lasting = item;
  return item;
}
