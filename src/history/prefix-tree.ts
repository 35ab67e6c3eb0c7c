import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { type ByteRange, bytesOf } from '../wire/unparsed-message.ts';
import { type Listed, RecencyList } from '../base/recency-list.ts';
import type { RawMessage } from './split-body.ts';
import { type MessageFacts, RequestMessage } from './request-message.ts';

/** Where a message lies in a run, and what it is. */
export interface RunPart {
  /** Its first byte, from the start of the run. */
  readonly from: number;
  readonly sizeBytes: number;
  /** SHA-256 of its bytes, base64url. */
  readonly hash: string;
}

/** The same of a message that has just been cut out of a body. */
export interface NewPart extends RunPart {
  readonly raw: RawMessage;
}

/**
 * A message of a run whose bytes are kept: the same object for every request that begins with the
 * same bytes.
 */
class KeptMessage implements RawMessage, ByteRange {
  readonly within: KeptRun;
  readonly from: number;
  readonly sizeBytes: number;
  readonly hash: string;
  item: RequestMessage | undefined;
  chain: string | undefined;

  /** @param facts What was found out of it when it came; not of one that is not sent as it came */
  constructor({ from, sizeBytes, hash }: RunPart, run: KeptRun, facts?: MessageFacts) {
    this.within = run;
    this.from = from;
    this.sizeBytes = sizeBytes;
    this.hash = hash;
    this.item =
      facts === undefined ? undefined : new RequestMessage({ hash, sizeBytes, json: this }, facts);
    this.chain = undefined;
  }

  get kept(): ByteRange {
    return this;
  }

  get pieces(): readonly Uint8Array[] {
    return [bytesOf(this)];
  }
}

/**
 * Four bytes of a run around the first one in which it differs from another: enough to tell most of
 * the hundreds of chats that begin with one system prompt, without a look at the bytes of each.
 */
export interface RunMark {
  /** The first of them, from the start of the run. */
  readonly at: number;
  /** They themselves, as {@link wordAt} reads them. */
  readonly word: number;
}

/**
 * The bytes of a run behind each other, and its messages in them. They lie in memory that doubles
 * when they have filled it, so a chat's next turn is mostly written where there is room for it.
 */
class KeptRun implements Listed<KeptRun> {
  older: KeptRun | undefined = undefined;
  newer: KeptRun | undefined = undefined;
  /** What is filled is never written again. */
  bytes: Buffer = Buffer.alloc(0);
  /** The beginning of {@link bytes} that is filled. */
  filled: Buffer = this.bytes;
  readonly messages: KeptMessage[] = [];
  readonly run: Run;

  constructor(run: Run) {
    this.run = run;
  }

  /** Puts pieces behind what is there. */
  add(pieces: readonly Uint8Array[]): void {
    let at = this.filled.length;
    const neededBytes = at + lengthOf(pieces);
    if (neededBytes > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, 2 * this.bytes.length));
      this.filled.copy(larger);
      this.bytes = larger;
    }
    for (const piece of pieces) {
      this.bytes.set(piece, at);
      at += piece.length;
    }
    this.filled = this.bytes.subarray(0, at);
  }
}

/**
 * Whole messages behind each other, with what stands between them, at one place of a body's list:
 * everything before them in the list is the same, too. The last one of a list grows with it.
 */
export interface Run extends Listed<Run> {
  readonly before: Run | undefined;
  sizeBytes: number;
  /** Bytes of the list up to its start. */
  readonly startBytes: number;
  /** Names all bytes of the list up to its end; absent until somebody asks while they are kept. */
  tag: string | undefined;
  readonly parts: RunPart[];
  /** For runs that were seen lately near a list's start, and for the last one of a list. */
  kept: KeptRun | undefined;
  /** Runs that came after it, the one that came last at the end. */
  readonly next: Run[];
  /** Tells it from those that may come in its place; absent for the first of them. */
  mark: RunMark | undefined;
  /**
   * Whether another one that may come in its place begins with all of it, as after a client has
   * taken back a turn: only then a longer one is looked for once it has come.
   */
  beginsAnother: boolean;
}

/**
 * A run is closed at the first end of a message behind so many bytes; the last one of a list may be
 * shorter.
 */
export const minRunBytes = 65_536;

/** Up to here the bytes of runs are kept, from the start of the list. */
const keptUpToBytes = 1_048_576;

/** Bytes kept of all runs together: those of some dozen chats of usual length. */
const maxKeptBytes = 16_777_216;

/**
 * Ways on from one run that are remembered: of many chats that share a system prompt, and of few
 * behind that.
 */
const maxNext = 256;

/**
 * What came before at the beginning of clients' lists of messages. A history that is sent again
 * begins with the bytes it began with before: compared run by run, it needs no look at its
 * messages. A run is known by its bytes, which takes a few microseconds; further on in a list by a
 * tag, 16 us and nearly nothing a byte (both measured). Tags are GMACs under a key that never
 * leaves the process, so that no text can be written to be taken for another. Bounded; what is
 * forgotten is walked once more.
 */
export class PrefixTree {
  readonly #key = createSecretKey(randomBytes(16));
  readonly #nonce = Buffer.alloc(12);
  /** All runs, in the order in which they were used; bounded by {@link PrefixTree.#bound}. */
  readonly #runs = new RecencyList<Run>();
  /** Those of them with bytes. */
  readonly #kept = new RecencyList<KeptRun>();
  readonly #maxMessages: number;
  #messages = 0;
  #keptBytes = 0;
  /** The empty beginning. */
  readonly root: Run = {
    before: undefined,
    sizeBytes: 0,
    startBytes: 0,
    tag: '',
    parts: [],
    kept: undefined,
    next: [],
    mark: undefined,
    beginsAnother: false,
    older: undefined,
    newer: undefined,
  };

  /** @param maxMessages Of all runs together */
  constructor(maxMessages: number) {
    this.#maxMessages = maxMessages;
  }

  /**
   * Remembers what comes behind a run: by making it longer where it is short, of which nothing that
   * it had is touched, else as a run of its own.
   * @param parts Their places from the end of the run
   * @returns The run that ends with them; nothing where the run is not known any more
   */
  goOn(run: Run, bytes: readonly Uint8Array[], parts: readonly NewPart[]): Run | undefined {
    if (!isShort(run)) return this.#add(run, bytes, parts);
    if (!this.#runs.has(run) || run.kept === undefined) return undefined;
    this.#grow(run, run.kept, { bytes, parts });
    return run;
  }

  #add(before: Run, bytes: readonly Uint8Array[], parts: readonly NewPart[]): Run {
    const sizeBytes = lengthOf(bytes);
    const same = before.next.find((run) => run.sizeBytes === sizeBytes && this.is(run, bytes));
    if (same !== undefined) return same;
    const run: Run = {
      before,
      sizeBytes: 0,
      startBytes: endOf(before),
      tag: undefined,
      parts: [],
      kept: undefined,
      next: [],
      mark: markOf(bytes, before.next.at(-1)?.kept?.filled),
      beginsAnother: true,
      older: undefined,
      newer: undefined,
    };
    const kept = new KeptRun(run);
    run.kept = kept;
    before.next.push(run);
    if (before.next.length > maxNext) this.forget(before.next[0]!);
    this.#runs.use(run);
    this.#kept.use(kept);
    this.#grow(run, kept, { bytes, parts });
    return run;
  }

  #grow(
    run: Run,
    kept: KeptRun,
    more: { readonly bytes: readonly Uint8Array[]; readonly parts: readonly NewPart[] },
  ): void {
    this.#keptBytes -= kept.bytes.length;
    kept.add(more.bytes);
    this.#keptBytes += kept.bytes.length;
    for (const { from, sizeBytes, hash, raw } of more.parts) {
      const part = { from: run.sizeBytes + from, sizeBytes, hash };
      run.parts.push(part);
      const facts = raw.item?.facts;
      kept.messages.push(new KeptMessage(part, kept, facts?.isMasked === true ? undefined : facts));
    }
    run.sizeBytes = kept.filled.length;
    run.tag = undefined;
    run.beginsAnother &&= this.#beginsAnother(run, kept);
    this.#messages += more.parts.length;
    if (!isShort(run) && endOf(run) > keptUpToBytes) this.#dropBytes(run);
    this.#bound();
  }

  /** As far as bytes tell; what is known by its tag alone would be walked once more. */
  #beginsAnother(run: Run, { filled }: KeptRun): boolean {
    return run.before!.next.some(
      ({ sizeBytes, kept, mark }) =>
        kept !== undefined &&
        sizeBytes > run.sizeBytes &&
        !differs(mark, filled, 0) &&
        beginAlike([kept.filled], 0, filled),
    );
  }

  /** Whether a run is the one with these bytes, which are as many. */
  is(run: Run, bytes: readonly Uint8Array[]): boolean {
    return run.kept === undefined
      ? run.tag === this.#tagAfter(run.before!, bytes)
      : beginAlike(bytes, 0, run.kept.filled);
  }

  /** A run has come again, in these bytes; they are copied where it may yet grow. */
  use(run: Run, bytes: readonly Uint8Array[]): void {
    this.#runs.use(run);
    if (run.kept !== undefined && this.#kept.has(run.kept)) this.#kept.use(run.kept);
    else if (isShort(run)) this.#keep(run, bytes);
    const siblings = run.before!.next;
    siblings.splice(siblings.indexOf(run), 1);
    siblings.push(run);
  }

  /** Forgets a run; what came after it is not found any more. */
  forget(run: Run): void {
    if (!this.#runs.delete(run)) return;
    this.#messages -= run.parts.length;
    const siblings = run.before!.next;
    siblings.splice(siblings.indexOf(run), 1);
    // What nothing followed needs no tag any more.
    if (run.next.length > 0) this.#dropBytes(run);
    else if (run.kept !== undefined && this.#kept.delete(run.kept))
      this.#keptBytes -= run.kept.bytes.length;
  }

  /** Forgets what was used the longest ago where there is too much. */
  #bound(): void {
    while (this.#messages > this.#maxMessages && this.#runs.oldest !== undefined)
      this.forget(this.#runs.oldest);
    while (this.#keptBytes > maxKeptBytes && this.#kept.oldest !== undefined)
      this.#dropBytes(this.#kept.oldest.run);
  }

  #keep(run: Run, bytes: readonly Uint8Array[]): void {
    const kept = new KeptRun(run);
    kept.add(bytes);
    for (const part of run.parts) kept.messages.push(new KeptMessage(part, kept));
    run.kept = kept;
    this.#kept.use(kept);
    this.#keptBytes += kept.bytes.length;
    this.#bound();
  }

  #dropBytes(run: Run): void {
    if (run.kept === undefined || !this.#kept.delete(run.kept)) return;
    this.#keptBytes -= run.kept.bytes.length;
    this.#tagOf(run);
    run.kept = undefined;
  }

  /** Made when it is wanted, which for most runs near a list's start is never. */
  #tagOf(run: Run): string {
    run.tag ??= this.#tagAfter(run.before!, [run.kept!.filled]);
    return run.tag;
  }

  #tagAfter(run: Run, bytes: readonly Uint8Array[]): string {
    const before = this.#tagOf(run);
    // The tag alone is wanted: all of the text is what GCM calls additional data.
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#nonce);
    cipher.setAAD(Buffer.from(before, 'latin1'));
    for (const piece of bytes) cipher.setAAD(piece);
    cipher.final();
    return cipher.getAuthTag().toString('latin1');
  }
}

/** Pure. How many bytes pieces have together. */
function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((total, { length }) => total + length, 0);
}

/** Pure. The bytes from `from` to `to` of what came in pieces. */
export function sliceOf(
  pieces: readonly Uint8Array[],
  from: number,
  to: number,
): readonly Uint8Array[] {
  const slices: Uint8Array[] = [];
  let start = 0;
  for (const piece of pieces) {
    const end = start + piece.length;
    if (start < to && from < end)
      slices.push(piece.subarray(Math.max(0, from - start), Math.min(piece.length, to - start)));
    start = end;
    if (start >= to) break;
  }
  return slices;
}

/**
 * Pure. What tells bytes from others; nothing where that does not lie in the first piece of each.
 */
function markOf(bytes: readonly Uint8Array[], other: Uint8Array | undefined): RunMark | undefined {
  const [own] = bytes;
  if (own === undefined || other === undefined) return undefined;
  const at = Math.max(0, commonBytes(own, other) - 2);
  const word = wordAt(own, at);
  return word === undefined ? undefined : { at, word };
}

/** Pure. How many bytes two pieces begin with in common; halved until they are found. */
function commonBytes(a: Uint8Array, b: Uint8Array): number {
  const own = buffer(a);
  let same = 0;
  let end = Math.min(a.length, b.length);
  while (same < end) {
    const middle = Math.ceil((same + end) / 2);
    if (own.compare(b, same, middle, same, middle) === 0) same = middle;
    else end = middle - 1;
  }
  return same;
}

/** Pure. Whether the run that begins at a byte of a piece is not the marked one. */
export function differs(
  mark: RunMark | undefined,
  piece: Uint8Array | undefined,
  from: number,
): boolean {
  if (mark === undefined || piece === undefined) return false;
  const word = wordAt(piece, from + mark.at);
  return word !== undefined && word !== mark.word;
}

/** Pure. Four bytes as a number; nothing where a piece does not have them all. */
function wordAt(piece: Uint8Array, at: number): number | undefined {
  if (at + 4 > piece.length) return undefined;
  return piece[at]! | (piece[at + 1]! << 8) | (piece[at + 2]! << 16) | (piece[at + 3]! << 24);
}

/**
 * Pure. Whether what stands behind the first `skippedBytes` of pieces begins as `bytes` do, as far
 * as both go.
 */
export function beginAlike(
  pieces: readonly Uint8Array[],
  skippedBytes: number,
  bytes: Uint8Array,
): boolean {
  const own = buffer(bytes);
  let from = skippedBytes;
  let at = 0;
  for (const piece of pieces) {
    const length = Math.min(piece.length - from, own.length - at);
    if (length > 0) {
      if (own.compare(piece, from, from + length, at, at + length) !== 0) return false;
      at += length;
      if (at === own.length) return true;
    }
    from = Math.max(0, from - piece.length);
  }
  return true;
}

/** Pure. Bytes of the list up to a run's end. */
export function endOf({ startBytes, sizeBytes }: Run): number {
  return startBytes + sizeBytes;
}

/** Pure. Whether a run goes on with what comes behind it. */
export function isShort({ before, sizeBytes }: Run): boolean {
  return before !== undefined && sizeBytes < minRunBytes;
}

function buffer(piece: Uint8Array): Buffer {
  return Buffer.isBuffer(piece)
    ? piece
    : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
