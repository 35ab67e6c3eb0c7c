import { rememberJson } from '../wire/message-json.ts';
import { dropNullCalls } from '../wire/request.ts';
import type { Message } from '../wire/types.ts';
import type { RawMessage } from './body.ts';
import type { Captured } from './capture.ts';
import type { Identity } from './identity.ts';
import type { LargeMessage } from './large-message.ts';
import type { HistoryMessage } from './weave.ts';

/** What is kept of a message that has been seen: enough to recognise it by its raw bytes and never parse it again. */
export interface KnownMessage {
  readonly identity: Identity;
  /** Looked through, and nothing in it is worth storing. */
  readonly holdsNothing?: true;
  /** Nothing but a client's own mark of a pruned output. */
  readonly isPruned?: true;
  /** From an environment block, for a system message that has one. */
  readonly workingDirectory?: string;
  /** What of it is in a store, and in which; absent when there is nothing in it worth storing. */
  readonly stored?: {
    readonly sessionId: string;
    readonly captured: readonly Captured[];
    /** The message with stubs in place of stripped texts, where there are any. */
    readonly stripped?: Message;
  };
}

/** A bounded memory of messages by the hash of their bytes. Forgetting costs one parse. */
export class KnownMessages {
  readonly #byHash = new Map<string, KnownMessage>();
  readonly #maxCount: number;

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  get(hash: string): KnownMessage | undefined {
    const known = this.#byHash.get(hash);
    if (known === undefined) return undefined;
    // While there is room for as many again, nothing will have to go, and the order does not matter.
    if (this.#byHash.size * 2 < this.#maxCount) return known;
    this.#byHash.delete(hash);
    this.#byHash.set(hash, known);
    return known;
  }

  set(hash: string, known: KnownMessage): void {
    this.#byHash.set(hash, known);
    if (this.#byHash.size > this.#maxCount)
      this.#byHash.delete(this.#byHash.keys().next().value as string);
  }
}

/** One message of the request at hand: what is known of it, and its bytes until it is parsed. */
export class HistoryItem implements HistoryMessage {
  /** SHA-256 of the bytes. */
  readonly hash: string;
  /** Bytes of the message as the client sent it. */
  readonly sizeBytes: number;
  #pieces: readonly Uint8Array[];
  #original: Message | undefined;
  known: KnownMessage;
  /** Whether the stubs take the place of stripped texts in this request. */
  usesStubs = false;

  /** A message of megabytes that has been read and not parsed, until it is stored. */
  large: LargeMessage | undefined;

  constructor(
    raw: RawMessage,
    known: KnownMessage,
    read: { readonly original?: Message; readonly large?: LargeMessage } = {},
  ) {
    this.hash = raw.hash;
    this.sizeBytes = raw.sizeBytes;
    this.#pieces = raw.pieces;
    this.known = known;
    this.#original = read.original;
    this.large = read.large;
  }

  get identity(): Identity {
    return this.known.identity;
  }

  /** As the client sent it. Not to be asked for after {@link settle} of a message with a stub. */
  original(): Message {
    this.#original ??= parseAgain(textOfPieces(this.#pieces));
    return this.#original;
  }

  /** The original, with empty texts in the place of large ones. */
  frame(): Message {
    return this.large?.frame ?? this.original();
  }

  /** As it goes upstream. */
  message(): Message {
    return (this.usesStubs ? this.known.stored?.stripped : undefined) ?? this.original();
  }

  /** Forgets the parsed original of a message that is known again by its hash. */
  release(): void {
    this.#original = undefined;
    this.large = undefined;
  }

  /**
   * Once it is clear what goes upstream: lets go of the bytes of what a stub stands for. Others are copied out of the pieces in which
   * they arrived, which would otherwise keep the whole body in memory until the answer has ended.
   */
  settle(): void {
    if (
      this.#original !== undefined ||
      (this.usesStubs && this.known.stored?.stripped !== undefined)
    )
      this.#pieces = [];
    else if (this.#pieces.length > 0) this.#pieces = [Buffer.concat(this.#pieces)];
  }
}

/** A message that has passed the check before. Its text goes on with it. */
function parseAgain(json: string): Message {
  const parsed = JSON.parse(json) as Message;
  const message = dropNullCalls(parsed);
  if (message === parsed) rememberJson(message, json);
  return message;
}

/** A raw message's text. */
export function textOfPieces(pieces: readonly Uint8Array[]): string {
  const [only] = pieces;
  const bytes = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
