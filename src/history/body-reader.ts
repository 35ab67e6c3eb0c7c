import {
  type NewPart,
  type RunMark,
  type PrefixTree,
  type Run,
  type RunPart,
  beginAlike,
  differs,
  endOf,
  isShort,
  minRunBytes,
  sliceOf,
} from './prefix-tree.ts';
import { BodySplitter, type RawMessage, type WalkedMessage } from './split-body.ts';

/**
 * A list that is shorter is walked again: that costs less than to look for it among others, bytes.
 */
const minTailBytes = 2_048;

const closeBrace = 0x7d;

/**
 * Cuts a body into its messages while it arrives, without a look at those with which an earlier
 * body began. The pieces of a body are its own.
 */
export class BodyReader {
  readonly #splitter = new BodySplitter();
  readonly #tree: PrefixTree;
  /** Whether the list of messages has begun. */
  #hasList = false;
  /** The last run of those that have come. */
  #run: Run;
  /** Runs that may come next. */
  #candidates: Run[] = [];
  /** What has come behind the last run. */
  readonly #pending = new PendingBytes();
  /** Once something new has come: from then on the list is read message by message. */
  #open: OpenRun | undefined;
  /** Whole pieces whose messages have been handed out. */
  #done: Uint8Array[] = [];
  /** Of all that has come. */
  sizeBytes = 0;

  constructor(tree: PrefixTree) {
    this.#tree = tree;
    this.#run = tree.root;
  }

  /**
   * Takes the next piece; the messages that are whole now, some a piece later. @throws ProxyError
   * `invalid_request`
   */
  feed(piece: Uint8Array): readonly RawMessage[] {
    this.sizeBytes += piece.length;
    let from = 0;
    if (!this.#hasList) {
      const listAt = this.#splitter.feedHead(piece);
      if (listAt === undefined) return [];
      from = listAt;
      this.#hasList = true;
      this.#candidates = this.#run.next;
    }
    this.#pending.push(piece, from);
    return this.#open === undefined
      ? this.#recognise(false)
      : this.#walk([from === 0 ? piece : piece.subarray(from)], this.#open);
  }

  /**
   * Gives back the memory of pieces whose messages have been taken. A history of 100 MB arrives in
   * pieces of 64 KB.
   */
  free(): void {
    for (const piece of this.#done) freeBytes(piece);
    this.#done = [];
  }

  /** After the last piece: what was still missing. */
  end(): readonly RawMessage[] {
    const isKnown = this.#hasList && this.#open === undefined;
    const found = isKnown ? this.#recognise(true) : [];
    this.#open?.end();
    return found;
  }

  /**
   * After {@link end}: the request without its messages, JSON. @throws ProxyError as {@link
   * BodySplitter.end}
   */
  envelope(): Buffer {
    return this.#splitter.end();
  }

  /** Goes on as long as runs come that are known; what is none is walked. */
  #recognise(isEnd: boolean): readonly RawMessage[] {
    const found: RawMessage[] = [];
    for (;;) {
      const run = this.#match(isEnd);
      if (run === 'open') return found;
      if (run === undefined) break;
      for (const message of this.#take(run)) found.push(message);
    }
    this.#splitter.resume(this.#run !== this.#tree.root);
    const rest = this.#pending.first(Infinity);
    this.#open = new OpenRun(this.#tree, this.#run, this.#pending);
    for (const message of this.#walk(rest, this.#open)) found.push(message);
    return found;
  }

  /**
   * The candidate that has come, of those that begin each other the longest; `open` while one may
   * still come. Those that were used last are looked at first, and mostly no others: each costs a
   * look at memory that nothing else has touched for long.
   */
  #match(isEnd: boolean): Run | 'open' | undefined {
    const candidates = this.#candidates;
    let longest: Run | undefined;
    for (let at = candidates.length - 1; at >= 0; at -= 1) {
      const run = candidates[at]!;
      if (longest !== undefined && run.sizeBytes <= longest.sizeBytes) continue;
      const isWhole = run.sizeBytes <= this.#pending.sizeBytes;
      if ((isEnd && !isWhole) || !this.#mayBe(run)) continue;
      if (!isWhole) {
        this.#candidates = candidates.slice(0, at + 1);
        if (longest !== undefined) this.#candidates.push(longest);
        return 'open';
      }
      longest = run;
      if (!run.beginsAnother) break;
    }
    return longest;
  }

  #mayBe(run: Run): boolean {
    const { kept, mark, sizeBytes } = run;
    if (this.#pending.differs(mark)) return false;
    if (kept !== undefined) return this.#pending.beginLike(kept.filled);
    return (
      sizeBytes > this.#pending.sizeBytes || this.#tree.is(run, this.#pending.first(sizeBytes))
    );
  }

  /** A run has come again: its messages. */
  #take(run: Run): readonly RawMessage[] {
    const { sizeBytes, parts } = run;
    const came = this.#pending.first(sizeBytes);
    this.#tree.use(run, came);
    this.#done.push(...this.#pending.drop(sizeBytes));
    this.#run = run;
    this.#candidates = run.next;
    return run.kept?.messages ?? parts.map((part) => new PassingMessage(part, came));
  }

  #walk(pieces: readonly Uint8Array[], open: OpenRun): readonly RawMessage[] {
    const found: RawMessage[] = [];
    for (const piece of pieces) {
      for (const message of this.#splitter.feed(piece)) {
        found.push(message);
        open.add(message);
      }
    }
    return found;
  }
}

/** Bytes that have come and are in no run yet, in the pieces in which they came. */
class PendingBytes {
  readonly #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that belong to what came before. */
  #skippedBytes = 0;
  sizeBytes = 0;

  /** @param from The first byte of the piece that counts; other than 0 only of the first piece */
  push(piece: Uint8Array, from = 0): void {
    this.#pieces.push(piece);
    this.#skippedBytes += from;
    this.sizeBytes += piece.length - from;
  }

  /** The first bytes, or all where there are fewer. */
  first(sizeBytes: number): readonly Uint8Array[] {
    return sliceOf(this.#pieces, this.#skippedBytes, this.#skippedBytes + sizeBytes);
  }

  /** Whether they are not the run with this mark, as far as the first piece tells. */
  differs(mark: RunMark | undefined): boolean {
    return differs(mark, this.#pieces[0], this.#skippedBytes);
  }

  /** Whether they begin as `bytes` do, as far as both go. */
  beginLike(bytes: Uint8Array): boolean {
    return beginAlike(this.#pieces, this.#skippedBytes, bytes);
  }

  /** Leaves the first bytes behind. @returns The pieces that have gone whole */
  drop(sizeBytes: number): readonly Uint8Array[] {
    this.sizeBytes -= sizeBytes;
    this.#skippedBytes += sizeBytes;
    let count = 0;
    for (const { length } of this.#pieces) {
      if (length > this.#skippedBytes) break;
      this.#skippedBytes -= length;
      count += 1;
    }
    return this.#pieces.splice(0, count);
  }
}

/** What is new in a list, behind what is known: it makes the last run longer, or new ones. */
class OpenRun {
  readonly #tree: PrefixTree;
  readonly #bytes: PendingBytes;
  /** What was recognised, or closed, last; nothing once it is not as it was then. */
  #before: Run | undefined;
  #beforeBytes: number;
  #parts: NewPart[] = [];
  /** Up to where the bytes belong to them. */
  #endBytes = 0;
  /** The byte at which walking began, which lies before these once others have been closed. */
  #walkedFrom = 0;

  /** @param bytes What has come behind the last run; is taken over */
  constructor(tree: PrefixTree, last: Run, bytes: PendingBytes) {
    this.#tree = tree;
    this.#bytes = bytes;
    this.#before = last;
    this.#beforeBytes = last.sizeBytes;
  }

  /**
   * Takes the next message. One that does not end in its own last byte, such as a number, cannot be
   * the last of a run.
   */
  add(raw: WalkedMessage): void {
    const { at, pieces, sizeBytes, hash } = raw;
    const from = this.#walkedFrom + at;
    this.#parts.push({ from, sizeBytes, hash, raw });
    if (pieces.at(-1)?.at(-1) !== closeBrace) return;
    this.#endBytes = from + sizeBytes;
    const isLonger = this.#before !== undefined && isShort(this.#before);
    if (this.#endBytes + (isLonger ? this.#beforeBytes : 0) >= minRunBytes) this.#close();
  }

  /** After the last message. */
  end(): void {
    if (this.#before === undefined || this.#endBytes === 0) return;
    if (endOf(this.#before) + this.#endBytes >= minTailBytes) this.#close();
  }

  /** Remembers what has come, and goes on behind it. */
  #close(): void {
    const endBytes = this.#endBytes;
    const count = this.#parts.findLastIndex(({ from, sizeBytes }) => from + sizeBytes <= endBytes);
    const parts = this.#parts.slice(0, count + 1);
    // Another request may have made the run longer meanwhile: then this list is none of its own.
    const isAsItWas = this.#before?.sizeBytes === this.#beforeBytes;
    this.#before = isAsItWas
      ? this.#tree.goOn(this.#before!, this.#bytes.first(endBytes), parts)
      : undefined;
    this.#beforeBytes = this.#before?.sizeBytes ?? 0;
    this.#parts = this.#parts
      .slice(count + 1)
      .map(({ from, sizeBytes, hash, raw }) => ({ from: from - endBytes, sizeBytes, hash, raw }));
    this.#endBytes = 0;
    this.#walkedFrom -= endBytes;
    this.#bytes.drop(endBytes);
  }
}

/**
 * A message of a run that came again, in the pieces in which it came: they are freed when it has
 * been looked at.
 */
class PassingMessage implements RawMessage {
  readonly sizeBytes: number;
  readonly hash: string;
  readonly isPassing = true;
  readonly #from: number;
  readonly #run: readonly Uint8Array[];

  constructor({ from, sizeBytes, hash }: RunPart, run: readonly Uint8Array[]) {
    this.#from = from;
    this.sizeBytes = sizeBytes;
    this.hash = hash;
    this.#run = run;
  }

  get pieces(): readonly Uint8Array[] {
    return sliceOf(this.#run, this.#from, this.#from + this.sizeBytes);
  }
}

/**
 * Gives back the memory of bytes that lie in a buffer of their own, at once; whatever points into
 * it is empty afterwards. Bytes that share their buffer with others stay.
 */
function freeBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
