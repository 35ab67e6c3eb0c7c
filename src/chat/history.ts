import type { Message } from '../wire/types.ts';
import type { RawMessage } from './body.ts';
import type { Captured } from './capture.ts';
import type { Identity } from './identity.ts';
import type { HistoryMessage } from './weave.ts';

/** What is kept of a message that has been seen: enough to recognise it by its raw bytes and never parse it again. */
export interface KnownMessage {
  readonly identity: Identity;
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
  readonly #raw: RawMessage;
  #original: Message | undefined;
  known: KnownMessage;
  /** Whether the stubs take the place of stripped texts in this request. */
  usesStubs = false;

  constructor(raw: RawMessage, known: KnownMessage, original?: Message) {
    this.#raw = raw;
    this.known = known;
    this.#original = original;
  }

  get hash(): string {
    return this.#raw.hash;
  }

  get identity(): Identity {
    return this.known.identity;
  }

  /** Bytes of the message as the client sent it. */
  get sizeBytes(): number {
    return this.#raw.sizeBytes;
  }

  /** As the client sent it. */
  original(): Message {
    this.#original ??= JSON.parse(rawText(this.#raw)) as Message;
    return this.#original;
  }

  /** As it goes upstream. */
  message(): Message {
    return (this.usesStubs ? this.known.stored?.stripped : undefined) ?? this.original();
  }

  /** Forgets the parsed original of a message that is known again by its hash. */
  release(): void {
    this.#original = undefined;
  }
}

/** A raw message's text. */
export function rawText(raw: RawMessage): string {
  const [only] = raw.pieces;
  const bytes = raw.pieces.length === 1 && only !== undefined ? only : Buffer.concat(raw.pieces);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
