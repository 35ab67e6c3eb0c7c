import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import type { RawMessage, WalkedBlock } from './body-block.ts';

/** A block of a body at its place: everything before it is the same, too. */
export interface KnownBlock {
  /** Names all bytes up to its end. */
  readonly tag: string;
  /** What walking it came to; undefined while it was not walked, or is forgotten. */
  walked: WalkedBlock | undefined;
  /** The bytes themselves, for blocks seen lately. */
  bytes: readonly Uint8Array[] | undefined;
  /** The messages that end in it, with the bytes that are kept. */
  messages: readonly RawMessage[] | undefined;
  /** Blocks that came after it, the newest last. */
  readonly next: KnownBlock[];
}

/** Ways on from a block that are compared by their bytes: a chat has one, a taken-back turn makes another. */
const maxNext = 4;

/** Bytes kept to compare with, of all blocks together: those of some dozen chats of usual length. */
const maxKeptBytes = 16_777_216;

/**
 * What has been found in blocks of bodies: a history that is sent again begins with the bytes it began with before. Blocks seen lately
 * are compared byte by byte, which takes a few microseconds; all others are known by a tag, 16 us and nearly nothing a byte (both
 * measured). Tags are GMACs under a key that never leaves the process, so that no text can be written to be taken for another.
 * Bounded; forgetting costs a walk.
 */
export class KnownBlocks {
  readonly #key = createSecretKey(randomBytes(16));
  readonly #nonce = Buffer.alloc(12);
  readonly #byTag = new Map<string, KnownBlock>();
  /** Those with bytes, the oldest first. */
  readonly #kept = new Map<KnownBlock, number>();
  readonly #maxParts: number;
  #parts = 0;
  #keptBytes = 0;
  /** Before the first block. */
  readonly root = newBlock('');

  /** @param maxParts Messages, and pieces of messages, in all blocks together */
  constructor(maxParts: number) {
    this.#maxParts = maxParts;
  }

  /** The block with these bytes after `before`; a new one, not walked, where there was none. */
  find(before: KnownBlock, bytes: readonly Uint8Array[]): KnownBlock {
    const same = before.next.findLast(
      (block) => block.bytes !== undefined && areEqual(block.bytes, bytes),
    );
    if (same !== undefined) return same;
    const tag = this.#tag(before.tag, bytes);
    const known = this.#byTag.get(tag);
    if (known === undefined) return newBlock(tag);
    if (this.#parts * 2 >= this.#maxParts) {
      this.#byTag.delete(tag);
      this.#byTag.set(tag, known);
    }
    return known;
  }

  /** Remembers what walking a block came to. */
  learn(block: KnownBlock, walked: WalkedBlock): void {
    block.walked = walked;
    this.#byTag.set(block.tag, block);
    this.#parts += walked.parts.length;
    for (const [tag, oldest] of this.#byTag) {
      if (this.#parts <= this.#maxParts) break;
      this.#byTag.delete(tag);
      this.#parts -= oldest.walked?.parts.length ?? 0;
      oldest.walked = undefined;
      this.#dropBytes(oldest);
    }
  }

  /** Keeps the bytes of a block, to compare with next time, and its messages; false where there are some already, or no need. The bytes must not change. */
  keep(
    before: KnownBlock,
    block: KnownBlock,
    { bytes, messages }: Pick<KnownBlock, 'messages'> & { readonly bytes: readonly Uint8Array[] },
  ): boolean {
    if (block.walked === undefined || block.bytes !== undefined) return false;
    block.bytes = bytes;
    block.messages = messages;
    if (!before.next.includes(block)) before.next.push(block);
    if (before.next.length > maxNext) before.next.shift();
    const sizeBytes = bytes.reduce((total, { length }) => total + length, 0);
    this.#kept.set(block, sizeBytes);
    this.#keptBytes += sizeBytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= maxKeptBytes) break;
      this.#dropBytes(oldest);
    }
    return true;
  }

  #dropBytes(block: KnownBlock): void {
    this.#keptBytes -= this.#kept.get(block) ?? 0;
    this.#kept.delete(block);
    block.bytes = undefined;
    block.messages = undefined;
  }

  #tag(before: string, bytes: readonly Uint8Array[]): string {
    // The tag alone is wanted: all of the text is what GCM calls additional data.
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#nonce);
    cipher.setAAD(Buffer.from(before, 'latin1'));
    for (const piece of bytes) cipher.setAAD(piece);
    cipher.final();
    return cipher.getAuthTag().toString('latin1');
  }
}

function newBlock(tag: string): KnownBlock {
  return { tag, walked: undefined, bytes: undefined, messages: undefined, next: [] };
}

/** Whether pieces hold the same bytes, however they are cut. */
function areEqual(one: readonly Uint8Array[], other: readonly Uint8Array[]): boolean {
  let at = 0;
  let from = 0;
  for (const piece of one) {
    for (let start = 0; start < piece.length;) {
      const opposite = other[at];
      if (opposite === undefined) return false;
      const length = Math.min(piece.length - start, opposite.length - from);
      const left = piece.subarray(start, start + length);
      if (Buffer.compare(left, opposite.subarray(from, from + length)) !== 0) return false;
      start += length;
      from += length;
      if (from === opposite.length) {
        at += 1;
        from = 0;
      }
    }
  }
  return at === other.length;
}
