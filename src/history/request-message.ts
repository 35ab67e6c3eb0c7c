import type { ClientSigns } from '../clients/known-clients.ts';
import type { Entry } from '../store/types.ts';
import type { LruMap } from '../base/lru-map.ts';
import type { Message, UpstreamMessage } from '../wire/types.ts';
import { type MessageJson, type MessageShape, UnparsedMessage } from '../wire/unparsed-message.ts';
import type { Identity } from './identity.ts';
import { type MessageSize, noParts, type SizedPart } from './message-size.ts';

/** One text of a message that is kept in the store. */
export interface Captured {
  /** Index in a content list; -1 when the content is the text itself. */
  readonly part: number;
  readonly entry: Entry;
  /** Whether a stub can take its place in the prompt from the start. */
  readonly stripped: boolean;
  /** Whether that stands, whatever room there is. */
  readonly isFixed: boolean;
  /**
   * Whether the entry holds the text itself, and not the file that it is the beginning of, or what
   * UTF-8 can hold of it.
   */
  readonly isVerbatim: boolean;
  /** The text had come before: its stub says so. */
  readonly isAgain: boolean;
  /** The name under which it was shown before it had a number, and is for ever. */
  readonly standIn?: string | undefined;
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
  /** Secrets in it are masked: it is not as it came. */
  readonly isMasked?: true;
  /** What secrets it holds, where such messages are refused. */
  readonly secrets?: readonly string[];
  /** There are lines of ours in its reasoning. */
  readonly holdsProgress?: true;
  /** Looked through, and nothing in it is worth storing. */
  readonly holdsNothing?: true;
  /** Nothing but a client's own mark of a pruned output. */
  readonly isPruned?: true;
  /** What it tells of the client: who it is, where it works, what it asks for. */
  readonly signs?: ClientSigns;
  /** The places that a client's own words in it name, as a short hash. */
  readonly places?: string;
  /** Absent when there is nothing in it worth storing. */
  readonly stored?: StoredTexts;
}

/** What of a message is in a store. */
export interface StoredTexts {
  readonly sessionId: string;
  /** Empty for an output that a client has pruned. */
  readonly captured: readonly Captured[];
  /** Whether stubs can take the place of texts in it. */
  readonly hasStub: boolean;
  /** Whether they do, whatever room there is. */
  readonly isFixed: boolean;
  /** The message with its stubs, where they are not made of {@link captured}. */
  readonly stub?: Message;
  /**
   * The message without the texts that {@link captured} has: with them, or their stubs, it is what
   * stands in a prompt. Absent where one of them is neither a stub nor as it was.
   */
  readonly frame?: Message;
}

/**
 * Messages by the hash of their bytes; only small ones have these. Forgetting costs one parse.
 */
export type MessageCache = LruMap<string, RequestMessage>;

/** Whether a message whose texts are in the store can be had from there as it was. */
export function canBeWhole({ frame, captured }: StoredTexts): boolean {
  return frame !== undefined && captured.every(({ isVerbatim }) => isVerbatim);
}

/** A message of the client's history, as weaving needs it. */
export interface HistoryMessage {
  readonly identity: Identity;
  /** Whether there can be lines of ours in its reasoning. */
  readonly mayHoldProgress: boolean;
  /** The message as it is to go upstream: with stubs in place. */
  message(): UpstreamMessage;
}

/**
 * One message of a request: what is known of it, and its bytes where they are needed. It owns them,
 * as a body's bytes do not outlive its reading, so the same object serves later requests, too. What
 * stands for it in a prompt is another value, see {@link RequestMessage.showing}.
 *
 * What is asked of every message of a history lies in the message itself: of a chat that others
 * have had their turns since, each object beside it has to be fetched from memory anew.
 */
export class RequestMessage extends UnparsedMessage implements HistoryMessage, MessageSize {
  /** SHA-256 of the bytes. */
  readonly hash: string;
  readonly facts: MessageFacts;
  /** Of a message of megabytes, until it is stored: without its large texts. */
  readonly frame: Message | undefined;
  /** It goes as it came, nothing of it is stored, and it tells nothing of the client. */
  readonly isPlain: boolean;
  readonly textBytes: number;
  readonly parts: readonly SizedPart[];

  constructor(
    own: { readonly hash: string; readonly json: MessageJson; readonly sizeBytes: number },
    facts: MessageFacts,
    read: { readonly original?: Message; readonly frame?: Message } = {},
  ) {
    super(facts.shape, own, read.original);
    this.hash = own.hash;
    this.facts = facts;
    this.frame = read.frame;
    const { mustBeWritten, stored, isPruned, signs, size } = facts;
    this.isPlain = (mustBeWritten ?? stored ?? isPruned ?? signs) === undefined;
    this.textBytes = size?.textBytes ?? own.sizeBytes;
    this.parts = size?.parts ?? noParts;
  }

  get identity(): Identity {
    return this.facts.identity;
  }

  get mayHoldProgress(): boolean {
    return this.facts.holdsProgress === true;
  }

  /** What of it is in a store; absent for nothing. */
  get stored(): StoredTexts | undefined {
    return this.isPlain ? undefined : this.facts.stored;
  }

  /** Whether stubs can take the place of texts in it. */
  get hasStub(): boolean {
    return this.stored?.hasStub === true;
  }

  /** As it came. */
  message(): UpstreamMessage {
    return !this.isPlain && this.facts.mustBeWritten === true ? this.parse() : this;
  }

  /** The same message with another in its place in a prompt. */
  showing(message: Message): HistoryMessage {
    const { identity, mayHoldProgress } = this;
    return { identity, mayHoldProgress, message: () => message };
  }

  /** The message of which more is known now. */
  withFacts(facts: MessageFacts): RequestMessage {
    return new RequestMessage(this, facts);
  }

  /** The message without its bytes: for one that is stored, or to know it again. */
  bare(facts: MessageFacts = this.facts): RequestMessage {
    if (!this.hasBytes && facts === this.facts) return this;
    const { hash, sizeBytes } = this;
    return new RequestMessage({ hash, sizeBytes, json: '' }, facts);
  }
}
