import type { SecretGuard } from '../secrets/guard.ts';
import { readMessage } from './read-message.ts';
import type { ClientKind, HelperForm } from '../clients/client.ts';
import { type ClientSigns, conversationIn, type NamedDirectory } from '../clients/known-clients.ts';
import type { Origin } from '../clients/origin.ts';
import { unknownClient } from '../clients/unknown.ts';
import type { Session } from '../store/types.ts';
import { type MessageJson, textOfPieces } from '../wire/unparsed-message.ts';
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
const parsedTwiceBytes = 4_096;

/** What reading requests needs. */
export interface RequestReaderOptions {
  readonly finder: SessionResolver;
  /** Shorter messages hold nothing to store, bytes. */
  readonly minStoredBytes: number;
  /** False where every text goes upstream as it came, whatever is stored. */
  readonly usesStubs: boolean;
  /** Absent where secrets stay as they are. */
  readonly secrets?: SecretGuard | undefined;
  /** Whether a session's store has never failed to give a text back. */
  readonly isReadable: (session: Session) => boolean;
  /** What stood in the last prompt of a chat; `chat` as {@link RequestReader.chat}. */
  readonly standing: (session: Session, chat: string) => StandingTexts;
}

/** What of a chat's history stood in a prompt. */
export interface StandingTexts {
  /** Messages that had left it, from the beginning on. */
  readonly evictedBefore: number;
  /** Hashes of messages that could have had stubs and stood whole. */
  readonly whole: ReadonlySet<string>;
}

/** Of a chat whose last prompt is not known. */
export const nothingKnown: StandingTexts = { evictedBefore: 0, whole: new Set() };

/** One request while it arrives: its messages, and as soon as they tell, whose it is. */
export class RequestReader {
  readonly items: RequestMessage[] = [];
  /** Messages that were not known by their bytes. */
  parsedMessages = 0;
  readonly #known: MessageCache;
  readonly #options: RequestReaderOptions;
  readonly #sender: { readonly origin: Origin; readonly keyHash: string };
  /** The client: by its headers, else by its prompt. */
  #client: ClientKind | undefined;
  /** The working directory, as the forms of the clients find it: the first one of each. */
  readonly #directories = new Map<ClientKind, NamedDirectory>();
  /** What the system prompt shows to be no turn of a chat. */
  #promptHelpers: ClientSigns['helpers'];
  #hasUser = false;
  /** Of a conversation that its client gives no name: what its history tells. */
  readonly #trail: Trail;
  #standing: StandingTexts | undefined;
  #place: SessionPlace | undefined;
  #resolved: ResolvedSession | undefined;
  #namedChat: string | undefined;

  constructor(
    known: MessageCache,
    options: RequestReaderOptions,
    sender: { readonly origin: Origin; readonly keyHash: string },
  ) {
    this.#known = known;
    this.#options = options;
    this.#sender = sender;
    this.#client = sender.origin.client;
    this.#trail = options.finder.trail(sender.keyHash);
  }

  /** Takes the next messages. Nothing is parsed that is known by its bytes. */
  async addAll(messages: readonly RawMessage[]): Promise<void> {
    // By index: an iterator over them would outlive each wait.
    for (let at = 0; at < messages.length; at += 1) {
      const raw = messages[at]!;
      if (raw.item !== undefined && this.#isFinal(raw.item)) {
        this.#add(raw, raw.item);
        continue;
      }
      const cached = this.#known.get(raw.hash);
      if (cached === undefined) this.#add(raw, await this.#read(raw));
      else if (
        cached.facts.stored !== undefined &&
        this.#isNamed &&
        this.#isSpared(cached, (this.#place ??= await this.#placeNamed())?.session)
      )
        this.#add(raw, cached);
      else if (cached.facts.isMasked === true) this.#add(raw, await this.#maskedItem(raw, cached));
      else this.#add(raw, this.#knownItem(raw, cached));
    }
  }

  /** Whether nothing more will be known of a message: none of it is stored, now or later. */
  #isFinal({ isPlain, stored, facts, sizeBytes }: RequestMessage): boolean {
    const isDone = stored === undefined && (isPlain || facts.isPruned !== true);
    return isDone && !this.#mayHoldText(sizeBytes, facts);
  }

  #knownItem(raw: RawMessage, cached: RequestMessage): RequestMessage {
    const { facts } = cached;
    if (raw.kept !== undefined) {
      if (raw.item?.facts !== facts)
        raw.item = new RequestMessage({ ...ofRaw(raw), json: raw.kept }, facts);
      return raw.item;
    }
    if (cached.hasBytes) return cached;
    const item = new RequestMessage({ ...ofRaw(raw), json: this.#ownJson(raw, facts) }, facts);
    if (typeof item.json === 'string') this.#known.set(raw.hash, item);
    return item;
  }

  /** A known message that is not as it came: masked once more, where it is not at hand. */
  async #maskedItem(raw: RawMessage, cached: RequestMessage): Promise<RequestMessage> {
    const { facts } = cached;
    if (cached.hasBytes) return cached;
    if (raw.item?.facts === facts) return raw.item;
    const { seen } = await this.#guarded(raw);
    const item = new RequestMessage({ ...ofRaw(seen), json: this.#ownJson(seen, facts) }, facts);
    if (raw.kept !== undefined) raw.item = item;
    return item;
  }

  /**
   * A message as it is read, and what is noted of it. This is the one place where the bytes of a
   * message become known, so whoever reads, stores or sends it has it masked.
   */
  async #guarded(
    raw: RawMessage,
  ): Promise<{ readonly seen: RawMessage; readonly noted: Partial<MessageFacts> }> {
    const { secrets } = this.#options;
    const found = await secrets?.json(raw.pieces);
    if (found === undefined) return { seen: raw, noted: {} };
    if (secrets?.does === 'refuse') return { seen: raw, noted: { secrets: found.kinds } };
    const { content } = found;
    const seen = { pieces: [content], sizeBytes: content.length, hash: raw.hash };
    return { seen, noted: { isMasked: true } };
  }

  /** A copy that outlives the body's own bytes. */
  #ownJson(
    { pieces, sizeBytes }: RawMessage,
    { mustBeWritten }: MessageFacts,
    text?: string,
  ): MessageJson {
    const isSmall = sizeBytes < this.#options.minStoredBytes;
    if (!isSmall || mustBeWritten === true) return [Buffer.concat(pieces)];
    return text ?? textOfPieces(pieces);
  }

  /**
   * Whether what is known by now says whose the request is, and that it is no client's helper:
   * nothing that follows changes it.
   */
  get #isNamed(): boolean {
    const { sessionId, directory } = this.#sender.origin;
    const named = sessionId ?? directory ?? this.#ownDirectory?.path;
    return named !== undefined && this.#hasUser && this.#toldHelper?.goes !== 'untouched';
  }

  /**
   * Whether the next message needs no bytes: a stub stands for it, or it has left the prompt with
   * its turn, and the store has what is needed to make it again. Such bytes go while the body still
   * arrives, and with them the pieces they came in: so a history of 100 MB takes no more memory
   * than what of it goes upstream.
   */
  #isSpared({ hash, facts: { stored } }: RequestMessage, session: Session | undefined): boolean {
    const { usesStubs, isReadable, standing } = this.#options;
    if (!usesStubs || stored === undefined || session === undefined) return false;
    if (stored.sessionId !== session.id || !isReadable(session)) return false;
    const { chat } = this;
    if (this.#standing === undefined && chat !== undefined)
      this.#standing = standing(session, chat);
    const { evictedBefore, whole } = this.#standing ?? nothingKnown;
    if (stored.hasStub && canBeWhole(stored) && !whole.has(hash)) return true;
    return stored.frame !== undefined && this.items.length < evictedBefore;
  }

  /**
   * What names the chat while its messages come: its client's name for it, else how it begins, up
   * to the first answer. Two chats can begin alike: it decides about memory and nothing else.
   */
  get chat(): string | undefined {
    return this.#sender.origin.chatId ?? this.#trail.beginning;
  }

  /** The client's own name for the chat; to be asked after {@link resolved}. */
  get namedChat(): string | undefined {
    return this.#namedChat;
  }

  #add(raw: RawMessage, item: RequestMessage): void {
    this.items.push(item);
    if (raw.kept === undefined && raw.isPassing !== true) raw.item = item;
    // Of others nothing is held that their bytes hang on.
    if (this.#sender.origin.chatId === undefined)
      this.#trail.add(item, raw.kept === undefined ? undefined : raw);
    const signs = item.isPlain ? undefined : item.facts.signs;
    if (signs !== undefined) this.#note(signs);
    if (item.role === 'user') this.#hasUser = true;
  }

  /**
   * What a client's words tell. Who it is, and what only a client that is not known would mean, is
   * told before the first user speaks.
   */
  #note({ client, directories, helpers }: ClientSigns): void {
    if (!this.#hasUser) {
      this.#client ??= client;
      this.#promptHelpers ??= helpers;
    }
    for (const [row, directory] of directories ?? [])
      if (!this.#directories.has(row) && (row !== unknownClient || !this.#hasUser))
        this.#directories.set(row, directory);
  }

  /** The directory in the client's own form, or of one that is not known in that of all. */
  get #ownDirectory(): NamedDirectory | undefined {
    return this.#directories.get(this.#client ?? unknownClient);
  }

  /** The client; `undefined` for one that is not known. */
  get client(): ClientKind | undefined {
    return this.#client;
  }

  /** Set where the request is no turn of a chat; to be asked when all of it has come. */
  get helper(): HelperForm | undefined {
    const last = this.items.at(-1)?.facts;
    const ofLast = last?.identity.role === 'user' ? last.signs?.helpers : undefined;
    return this.#toldHelper ?? this.#ownOf(ofLast);
  }

  /** The same as far as headers and system prompt tell. */
  get #toldHelper(): HelperForm | undefined {
    return this.#sender.origin.helper ?? this.#ownOf(this.#promptHelpers);
  }

  #ownOf(helpers: ClientSigns['helpers']): HelperForm | undefined {
    if (this.#client === undefined) return helpers?.values().next().value;
    return helpers?.get(this.#client);
  }

  /**
   * The session the request belongs to; to be asked when all of it has come. `members` are those of
   * the body beside the messages: some clients name their conversation there. @throws ProxyError
   * `unknown_session`, `invalid_request`
   */
  async resolved(members: Readonly<Record<string, unknown>>): Promise<ResolvedSession> {
    const { finder } = this.#options;
    const { origin } = this.#sender;
    const inBody = this.#client === undefined ? undefined : conversationIn(this.#client, members);
    this.#namedChat = origin.chatId ?? inBody;
    const sender = { ...this.#sender, origin: { ...origin, chatId: this.#namedChat } };
    // A version that has other words for its directory may still have those of all clients.
    this.#place ??= await this.#placeNamed(
      this.#ownDirectory ?? this.#directories.get(unknownClient),
      sender,
    );
    this.#resolved ??= await finder.find(sender, this.#trail, this.#place);
    return this.#resolved;
  }

  async #placeNamed(
    named = this.#ownDirectory,
    sender: { readonly origin: Origin } = this.#sender,
  ): Promise<SessionPlace | undefined> {
    return this.#options.finder.placeNamed({
      origin: sender.origin,
      ...(named === undefined ? {} : { workingDirectory: named.path, root: named.root }),
    });
  }

  async #read(raw: RawMessage): Promise<RequestMessage> {
    this.parsedMessages += 1;
    if (this.#options.secrets === undefined) return this.#readAs(raw, {});
    const { seen, noted } = await this.#guarded(raw);
    return this.#readAs(seen, noted);
  }

  async #readAs(raw: RawMessage, noted: Partial<MessageFacts>): Promise<RequestMessage> {
    const read = await readMessage(raw, this.items.length);
    const { frame } = read;
    const facts = this.#options.secrets === undefined ? read.facts : { ...read.facts, ...noted };
    // What a message of megabytes came in holds little else.
    const isAlone = frame !== undefined && raw.isPassing !== true;
    const json = isAlone ? raw.pieces : this.#ownJson(raw, facts, read.text);
    // A message with large texts is only known once they are stored.
    const isDone = frame === undefined && !this.#mayHoldText(raw.sizeBytes, facts);
    // Nobody looks into one that is not stored. Of a long history that was never seen, texts are
    // held only while their group is stored.
    const isHeld = !isDone && (frame !== undefined || raw.sizeBytes < parsedTwiceBytes);
    const item = new RequestMessage({ ...ofRaw(raw), json }, facts, isHeld ? read : {});
    if (isDone) {
      this.#known.set(raw.hash, facts.isMasked === true ? item.withFacts(facts) : item.bare());
    }
    return item;
  }

  /** Of a short message no fact is looked at: there are many. */
  #mayHoldText(sizeBytes: number, facts: MessageFacts): boolean {
    if (sizeBytes < this.#options.minStoredBytes || facts.holdsNothing === true) return false;
    const { role } = facts.identity;
    return role === 'tool' || role === 'user';
  }
}

function ofRaw({ hash, sizeBytes }: RawMessage): Pick<RawMessage, 'hash' | 'sizeBytes'> {
  return { hash, sizeBytes };
}
