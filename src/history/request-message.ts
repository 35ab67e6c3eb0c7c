import type { Entry } from '../store/types.ts';
import type { LruMap } from '../base/lru-map.ts';
import type { Message, UpstreamMessage } from '../wire/types.ts';
import { type MessageShape, UnparsedMessage } from '../wire/unparsed-message.ts';
import type { RawMessage } from './split-body.ts';
import type { Identity } from './identity.ts';
import type { LargeMessage } from './large-message.ts';
import type { MessageSize } from './message-size.ts';

/** One text of a message that is kept in the store. */
export interface Captured {
  /** Index in a content list; -1 when the content is the text itself. */
  readonly part: number;
  readonly entry: Entry;
  /** Whether its place in the prompt is taken from the start. */
  readonly stripped: boolean;
  /**
   * Whether the entry holds the text itself, and not the file that it is the beginning of, or what
   * UTF-8 can hold of it.
   */
  readonly isVerbatim: boolean;
}

/**
 * What is kept of a message that has been seen: enough to recognise it by its raw bytes and never
 * parse it again.
 */
export interface MessageFacts {
  readonly identity: Identity;
  readonly shape: MessageShape;
  /** What decides about its tokens; absent where its bytes tell. */
  readonly size?: MessageSize;
  /**
   * Not to be sent as it came: its bytes are no UTF-8, or a member has a null that some providers
   * refuse.
   */
  readonly mustBeWritten?: true;
  /** There are lines of ours in its reasoning. */
  readonly holdsProgress?: true;
  /** Looked through, and nothing in it is worth storing. */
  readonly holdsNothing?: true;
  /** Nothing but a client's own mark of a pruned output. */
  readonly isPruned?: true;
  /** From an environment block, for a system message that has one. */
  readonly workingDirectory?: string;
  /** The places that a client's own words in it name, as a short hash. */
  readonly places?: string;
  /** What of it is in a store, and in which; absent when there is nothing in it worth storing. */
  readonly stored?: {
    readonly sessionId: string;
    readonly captured: readonly Captured[];
    /** Whether stubs take the place of texts in it. */
    readonly hasStub: boolean;
    /**
     * The message with those stubs. Of a turn that has left the prompt, it is made again from
     * {@link frame} if it is wanted.
     */
    stripped?: Message | undefined;
    /**
     * A tool output without the texts that {@link captured} has: with them, or their stubs, it is
     * what stands in the prompt.
     */
    readonly frame?: Message;
  };
  /** Stands whole in some chat's prompt, though it has a stub: its bytes are wanted. */
  isWanted?: true;
  /**
   * The chat that has it in a turn that has left the prompt; of several, the one that was laid out
   * last.
   */
  evictedIn?: string | undefined;
  /**
   * The same item for every request, for a message of a long history: one that needs no bytes any
   * more, or few.
   */
  lasting?: RequestMessage | undefined;
}

/** Messages by the hash of their bytes. Forgetting costs one parse. */
export type MessageCache = LruMap<string, MessageFacts>;

/** Whether a message whose texts are in the store can be had from there as it was. */
export function canBeWhole({ captured }: NonNullable<MessageFacts['stored']>): boolean {
  return captured.every(({ isVerbatim }) => isVerbatim);
}

/** A message of the client's history, as weaving needs it. */
export interface HistoryMessage {
  readonly identity: Identity;
  /** Whether there can be lines of ours in its reasoning. */
  readonly mayHoldProgress: boolean;
  /** The message as it is to go upstream: with stubs in place. */
  message(): UpstreamMessage;
}

/** One message of the request at hand: its bytes, and what is known of it. */
export class RequestMessage extends UnparsedMessage implements HistoryMessage {
  /** SHA-256 of the bytes. */
  readonly hash: string;
  known: MessageFacts;
  #usesStubs = false;
  #stripped: Message | undefined;
  /** What takes the message's place is none of its known stubs. */
  #isCut = false;
  /**
   * The same object stands for the message in other requests, too: what one of them decides must
   * not change it.
   */
  isShared = false;

  /** A message of megabytes that has been read and not parsed, until it is stored. */
  large: LargeMessage | undefined;

  constructor(
    raw: RawMessage,
    known: MessageFacts,
    read: { readonly original?: Message; readonly large?: LargeMessage } = {},
  ) {
    super(known.shape, raw, read.original);
    this.hash = raw.hash;
    this.known = known;
    this.large = read.large;
  }

  get identity(): Identity {
    return this.known.identity;
  }

  get mayHoldProgress(): boolean {
    return this.known.holdsProgress === true;
  }

  /** What takes the message's place in this request, if something does. */
  get stripped(): Message | undefined {
    return this.#stripped;
  }

  /** Whether stubs are to take the place of texts in this request. */
  get wantsStub(): boolean {
    return this.#isCut || (this.#usesStubs && this.known.stored?.hasStub === true);
  }

  /**
   * Puts the stubs that are known in the place of texts. From now on the item has them, whatever
   * becomes of them elsewhere.
   */
  useStubs(): void {
    this.#usesStubs = true;
    if (this.#isCut) this.#stripped = undefined;
    this.#isCut = false;
    this.#stripped ??= this.known.stored?.stripped;
  }

  /** Leaves all texts where they are. */
  useNoStubs(): void {
    this.#usesStubs = false;
    this.#isCut = false;
    this.#stripped = undefined;
  }

  /** Puts a message in its place that has only parts of its texts. */
  useCut(message: Message): void {
    this.#isCut = true;
    this.#stripped = message;
  }

  /** The same message for this request alone. */
  copy(): RequestMessage {
    const { hash, pieces, sizeBytes } = this;
    return new RequestMessage({ hash, pieces, sizeBytes }, this.known);
  }

  /** The original, with empty texts in the place of large ones. */
  frame(): Message {
    return this.large?.frame ?? this.parse();
  }

  /** As it goes upstream. */
  message(): UpstreamMessage {
    return (
      this.stripped ?? (this.known.mustBeWritten === true || this.isDropped ? this.parse() : this)
    );
  }

  /** Forgets the parsed original of a message that is known again by its hash. */
  override release(): void {
    super.release();
    this.large = undefined;
  }
}

/** Bodies smaller than this may stay in memory until their answer has ended, bytes. */
const smallBodyBytes = 1_048_576;

/**
 * Once it is clear what goes upstream: lets go of the bytes of what stubs stand for. The others are
 * copied out of the pieces in which they arrived, which would otherwise keep the whole body in
 * memory until the answer has ended.
 */
export function settle(items: readonly RequestMessage[]): void {
  let sizeBytes = 0;
  for (const item of items) sizeBytes += item.sizeBytes;
  if (sizeBytes < smallBodyBytes) return;
  for (const item of items) {
    if (item.stripped !== undefined) item.drop();
    else item.detach();
  }
}
