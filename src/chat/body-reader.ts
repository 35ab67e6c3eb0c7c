import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import type { WalkedBlock } from './body-block.ts';
import { BodySplitter, type RawMessage } from './body.ts';

/**
 * Bodies are recognised in blocks of this size, counted from their first byte, bytes. A tag costs 16 us and then nearly nothing a byte
 * (20 GB/s measured), so small blocks do not pay; what lies behind the last whole block is walked in every turn, so large ones do not either.
 */
const blockBytes = 65_536;

/**
 * What has been found in blocks of bodies, by everything up to their end: a history that is sent again begins with the bytes it began
 * with before. Tags are GMACs under a key that never leaves the process, so that no text can be written to be taken for another.
 * Bounded; forgetting costs a walk.
 */
export class KnownBlocks {
  readonly #key = createSecretKey(randomBytes(16));
  readonly #nonce = Buffer.alloc(12);
  readonly #byTag = new Map<string, WalkedBlock>();
  readonly #maxParts: number;
  #parts = 0;

  /** @param maxParts Messages, and pieces of messages, in all blocks together */
  constructor(maxParts: number) {
    this.#maxParts = maxParts;
  }

  /** The tag of a block that follows the one tagged `before`; empty for the first one. */
  tag(before: string, block: readonly Uint8Array[]): string {
    // The tag alone is wanted: all of the text is what GCM calls additional data.
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#nonce);
    cipher.setAAD(Buffer.from(before, 'latin1'));
    for (const piece of block) cipher.setAAD(piece);
    cipher.final();
    return cipher.getAuthTag().toString('latin1');
  }

  get(tag: string): WalkedBlock | undefined {
    const block = this.#byTag.get(tag);
    if (block === undefined || this.#parts * 2 < this.#maxParts) return block;
    this.#byTag.delete(tag);
    this.#byTag.set(tag, block);
    return block;
  }

  set(tag: string, block: WalkedBlock): void {
    this.#byTag.set(tag, block);
    this.#parts += block.parts.length;
    for (const [oldest, { parts }] of this.#byTag) {
      if (this.#parts <= this.#maxParts) break;
      this.#byTag.delete(oldest);
      this.#parts -= parts.length;
    }
  }
}

/** Cuts a body into its messages while it arrives, and does not look at blocks that have come before. */
export class BodyReader {
  readonly #splitter = new BodySplitter();
  readonly #known: KnownBlocks;
  #tag = '';
  #block: Uint8Array[] = [];
  #sizeBytes = 0;

  constructor(known: KnownBlocks) {
    this.#known = known;
  }

  /** As {@link BodySplitter.feed}, up to a block later. @throws ProxyError `invalid_request` */
  feed(piece: Uint8Array): readonly RawMessage[] {
    let found: readonly RawMessage[] = [];
    let from = 0;
    while (piece.length - from >= blockBytes - this.#sizeBytes) {
      const to = from + blockBytes - this.#sizeBytes;
      this.#block.push(piece.subarray(from, to));
      const messages = this.#closeBlock();
      found = found.length === 0 ? messages : [...found, ...messages];
      from = to;
    }
    if (from < piece.length) this.#block.push(piece.subarray(from));
    this.#sizeBytes += piece.length - from;
    return found;
  }

  /** After the last piece: what was still missing. */
  end(): readonly RawMessage[] {
    return this.#block.flatMap((piece) => this.#splitter.feed(piece));
  }

  /** After {@link end}: the request without its messages, JSON. @throws ProxyError as {@link BodySplitter.end} */
  envelope(): Buffer {
    return this.#splitter.end();
  }

  #closeBlock(): readonly RawMessage[] {
    const block = this.#block;
    this.#block = [];
    this.#sizeBytes = 0;
    this.#tag = this.#known.tag(this.#tag, block);
    const known = this.#known.get(this.#tag);
    if (known !== undefined) return this.#splitter.skip(block, known);
    const { messages, walked } = this.#splitter.walk(block);
    if (walked !== undefined) this.#known.set(this.#tag, walked);
    return messages;
  }
}
