import { BodySplitter, type RawMessage, type WalkedMessage } from './split-body.ts';
import { ownCopy } from '../wire/unparsed-message.ts';
import { freeBytes } from './free-bytes.ts';
import { beginAlike, type PrefixTree, type Run, type RunPart, sliceOf } from './prefix-tree.ts';

/**
 * A run of messages is closed at the first end of a message behind so many bytes; the last run of a
 * list may be shorter.
 */
const minRunBytes = 65_536;

/**
 * A list that is shorter is walked again: that costs less than to look for it among others, bytes.
 */
const minTailBytes = 8_192;

const closeBrace = 0x7d;

/**
 * Cuts a body into its messages while it arrives, without a look at those with which an earlier
 * body began. The pieces of a body are its own.
 */
export class BodyReader {
  readonly #splitter = new BodySplitter();
  readonly #tree: PrefixTree;
  /** Up to the list; then while it goes on as one did before; then message by message. */
  #stage: 'head' | 'known' | 'new' = 'head';
  /** The last run of those that have come. */
  #run: Run;
  /** Runs that may come next. */
  #candidates: readonly Run[] = [];
  /** What has come behind the last run, in the pieces in which it came. */
  #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that belong to what came before. */
  #skippedBytes = 0;
  #pendingBytes = 0;
  /** The bytes of the last run, if it is short and may be made longer. */
  #tail: Uint8Array | undefined;
  /** Messages behind the last run that are in no run yet. */
  #messages: RunPart[] = [];
  /** Up to where bytes belong to them. */
  #messagesBytes = 0;
  /** Bytes between the last run and the one that is walked first. */
  #baseBytes = 0;
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
    if (this.#stage === 'head') {
      const listAt = this.#splitter.feedHead(piece);
      if (listAt === undefined) return [];
      from = listAt;
      this.#skippedBytes = listAt;
      this.#stage = 'known';
      this.#candidates = this.#run.next;
    }
    this.#pieces.push(piece);
    this.#pendingBytes += piece.length - from;
    return this.#stage === 'known'
      ? this.#recognise(false)
      : this.#walk([from === 0 ? piece : piece.subarray(from)]);
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
    const found = this.#stage === 'known' ? this.#recognise(true) : [];
    if (this.#run.endBytes + this.#messagesBytes >= minTailBytes) this.#closeRun();
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
      this.#candidates = this.#candidates.filter((run) => this.#mayBe(run));
      let longest: Run | undefined;
      for (const run of this.#candidates) {
        // It may still come.
        if (run.sizeBytes > this.#pendingBytes && !isEnd) return found;
        const isWhole = run.sizeBytes <= this.#pendingBytes;
        if (isWhole && run.sizeBytes > (longest?.sizeBytes ?? 0)) longest = run;
      }
      if (longest === undefined) break;
      for (const message of this.#take(longest)) found.push(message);
    }
    this.#stage = 'new';
    this.#splitter.resume(this.#run !== this.#tree.root);
    const rest = sliceOf(this.#pieces, this.#skippedBytes, Infinity);
    this.#reopen();
    for (const message of this.#walk(rest)) found.push(message);
    return found;
  }

  #mayBe(run: Run): boolean {
    const { kept, sizeBytes } = run;
    if (kept !== undefined) return beginAlike(this.#pieces, this.#skippedBytes, kept.bytes);
    return sizeBytes > this.#pendingBytes || this.#tree.is(run, this.#pending(sizeBytes));
  }

  /** The first bytes behind the last run, as far as they have come. */
  #pending(sizeBytes: number): readonly Uint8Array[] {
    return sliceOf(this.#pieces, this.#skippedBytes, this.#skippedBytes + sizeBytes);
  }

  /** A run has come again: its messages. */
  #take(run: Run): readonly RawMessage[] {
    const { kept, sizeBytes, parts } = run;
    this.#tree.use(run);
    const came = this.#pending(sizeBytes);
    const isShort = sizeBytes < minRunBytes;
    this.#tail = isShort ? (kept?.bytes ?? ownCopy(came)) : undefined;
    this.#drop(sizeBytes);
    this.#run = run;
    this.#candidates = run.next;
    return kept?.messages ?? parts.map((part) => new PassingMessage(part, came));
  }

  /** Leaves bytes behind; pieces that have gone whole can be freed. */
  #drop(sizeBytes: number): void {
    this.#pendingBytes -= sizeBytes;
    this.#skippedBytes += sizeBytes;
    for (
      let piece = this.#pieces[0];
      piece !== undefined && piece.length <= this.#skippedBytes;
      piece = this.#pieces[0]
    ) {
      this.#pieces.shift();
      this.#skippedBytes -= piece.length;
      if (this.#stage === 'known') this.#done.push(piece);
    }
  }

  /**
   * A short run at the end of what is known becomes part of the one that is made of what follows.
   */
  #reopen(): void {
    const { before, parts } = this.#run;
    if (before === undefined || this.#tail === undefined) return;
    this.#pieces = [this.#tail, ...sliceOf(this.#pieces, this.#skippedBytes, Infinity)];
    this.#skippedBytes = 0;
    this.#baseBytes = this.#tail.length;
    this.#pendingBytes += this.#tail.length;
    this.#messages = [...parts];
    this.#messagesBytes = this.#tail.length;
    this.#reopened = this.#run;
    this.#run = before;
  }

  /** The run that is to be made longer. */
  #reopened: Run | undefined;

  #walk(pieces: readonly Uint8Array[]): readonly RawMessage[] {
    const found: RawMessage[] = [];
    for (const piece of pieces) {
      for (const message of this.#splitter.feed(piece)) {
        found.push(message);
        this.#note(message);
      }
    }
    return found;
  }

  /**
   * A message for the next run. One that does not end in its own last byte, such as a number,
   * cannot be the last of a run.
   */
  #note({ at, pieces, sizeBytes, hash }: WalkedMessage): void {
    const from = this.#baseBytes + at;
    this.#messages.push({ from, sizeBytes, hash });
    if (pieces.at(-1)?.at(-1) !== closeBrace) return;
    this.#messagesBytes = from + sizeBytes;
    if (this.#messagesBytes >= minRunBytes) this.#closeRun();
  }

  #closeRun(): void {
    const endBytes = this.#messagesBytes;
    const count = this.#messages.findLastIndex(
      ({ from, sizeBytes }) => from + sizeBytes <= endBytes,
    );
    const parts = this.#messages.slice(0, count + 1);
    if (parts.length <= (this.#reopened?.parts.length ?? 0)) return;
    if (this.#reopened !== undefined) this.#tree.forget(this.#reopened);
    this.#reopened = undefined;
    this.#run = this.#tree.add(this.#run, this.#pending(endBytes), parts);
    this.#messages = this.#messages
      .slice(count + 1)
      .map(({ from, sizeBytes, hash }) => ({ from: from - endBytes, sizeBytes, hash }));
    this.#messagesBytes = 0;
    this.#baseBytes -= endBytes;
    this.#drop(endBytes);
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
