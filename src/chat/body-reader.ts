import type { RawMessage } from './body-block.ts';
import { BodySplitter } from './body.ts';
import type { KnownBlock, KnownBlocks } from './known-blocks.ts';
import { freeBytes } from './free-bytes.ts';

/**
 * Bodies are recognised in blocks of these sizes, counted from their first byte, bytes. What lies behind the last whole block is walked
 * in every turn, so blocks are small where a body may end soon, and their bytes are kept to compare with. Further on they are
 * large and known by their tags, which cost as much for a large one.
 */
const smallBlockBytes = 16_384;
const largeBlockBytes = 65_536;

/** Up to here blocks are small, bytes. */
const smallUpToBytes = 1_048_576;

/** Less than this is left to the garbage collector, bytes. */
const freedFromBytes = 65_536;

/** Cuts a body into its messages while it arrives, and does not look at blocks that have come before. The pieces of a body are its own. */
export class BodyReader {
  readonly #splitter = new BodySplitter();
  readonly #known: KnownBlocks;
  /** The last whole block. */
  #last: KnownBlock;
  #block: Uint8Array[] = [];
  /** Bytes still missing from the block. */
  #missingBytes = smallBlockBytes;
  /** Bytes in whole blocks. */
  #sizeBytes = 0;
  /** What came and was not freed. */
  #arrived: Uint8Array[] = [];
  /** What the known blocks keep of it. */
  readonly #kept = new Set<ArrayBufferLike>();
  /** Whether the bytes of all blocks so far are kept: then those of messages that go over a block's end are, too. */
  #areKept = true;

  constructor(known: KnownBlocks) {
    this.#known = known;
    this.#last = known.root;
  }

  /** As {@link BodySplitter.feed}, up to a block later. @throws ProxyError `invalid_request` */
  feed(piece: Uint8Array): readonly RawMessage[] {
    const found: RawMessage[] = [];
    this.#arrived.push(piece);
    let from = 0;
    while (piece.length - from >= this.#missingBytes) {
      const to = from + this.#missingBytes;
      this.#block.push(piece.subarray(from, to));
      for (const message of this.#closeBlock()) found.push(message);
      from = to;
    }
    if (from < piece.length) this.#block.push(piece.subarray(from));
    this.#missingBytes -= piece.length - from;
    return found;
  }

  /**
   * Gives back the memory of all pieces that nobody needs any more, of a body that has several. A history of 100 MB arrives in pieces
   * of 64 KB, and V8 would let as much as 100 MB of them wait (measured: 50 to 130 MB, by `test/long/soak.ts`).
   * @param held Buffers that messages handed out by {@link feed} lie in
   */
  free(held: ReadonlySet<ArrayBufferLike>): void {
    if (this.#sizeBytes < freedFromBytes) return;
    const inUse = new Set([...this.#splitter.inUse(), ...this.#block].map(({ buffer }) => buffer));
    const left: Uint8Array[] = [];
    for (const piece of this.#arrived) {
      if (inUse.has(piece.buffer)) left.push(piece);
      else if (!held.has(piece.buffer) && !this.#kept.has(piece.buffer)) freeBytes(piece);
    }
    this.#arrived = left;
  }

  /** After the last piece: what was still missing. */
  end(): readonly RawMessage[] {
    return this.#block.flatMap((piece) => this.#splitter.feed(piece));
  }

  /** Bytes in whole blocks so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** After {@link end}: the request without its messages, JSON. @throws ProxyError as {@link BodySplitter.end} */
  envelope(): Buffer {
    return this.#splitter.end();
  }

  #closeBlock(): readonly RawMessage[] {
    const bytes = this.#block;
    const isSmall = this.#sizeBytes < smallUpToBytes;
    this.#sizeBytes += isSmall ? smallBlockBytes : largeBlockBytes;
    this.#missingBytes = this.#sizeBytes < smallUpToBytes ? smallBlockBytes : largeBlockBytes;
    this.#block = [];
    const before = this.#last;
    const block = this.#known.find(before, bytes);
    this.#last = block;
    // What is kept takes the place of what came, which is free then.
    const messages = this.#messagesOf(block, block.bytes ?? bytes);
    if (!isSmall) return messages;
    if (this.#known.keep(before, block, { bytes, messages: this.#areKept ? messages : undefined }))
      for (const { buffer } of bytes) this.#kept.add(buffer);
    this.#areKept &&= block.bytes !== undefined;
    return messages;
  }

  #messagesOf(block: KnownBlock, bytes: readonly Uint8Array[]): readonly RawMessage[] {
    if (block.walked !== undefined) return this.#splitter.skip(bytes, block.walked, block.messages);
    const { messages, walked } = this.#splitter.walk(bytes);
    if (walked !== undefined) this.#known.learn(block, walked);
    return messages;
  }
}
