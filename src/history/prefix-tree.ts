import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { ownCopy } from '../wire/unparsed-message.ts';
import type { RawMessage } from './split-body.ts';
import type { RequestMessage } from './request-message.ts';

/** Where a message lies in a run, and what it is. */
export interface RunPart {
  /** Its first byte, from the start of the run. */
  readonly from: number;
  readonly sizeBytes: number;
  /** SHA-256 of its bytes, base64url. */
  readonly hash: string;
}

/**
 * A message of a run whose bytes are kept: the same object for every request that begins with the
 * same bytes.
 */
class KeptMessage implements RawMessage {
  readonly sizeBytes: number;
  readonly hash: string;
  readonly pieces: readonly Uint8Array[];
  readonly isKept = true;
  item?: RequestMessage;

  constructor({ from, sizeBytes, hash }: RunPart, run: Uint8Array) {
    this.sizeBytes = sizeBytes;
    this.hash = hash;
    this.pieces = [run.subarray(from, from + sizeBytes)];
  }
}

/** The bytes of a run, and its messages in them. */
interface KeptRun {
  readonly bytes: Uint8Array;
  readonly messages: readonly RawMessage[];
}

/**
 * Whole messages behind each other, with what stands between them, at one place of a body's list:
 * everything before them in the list is the same, too.
 */
export interface Run {
  readonly before: Run | undefined;
  readonly sizeBytes: number;
  /** Bytes of the list up to its end. */
  readonly endBytes: number;
  /** Names all bytes of the list up to its end; absent until somebody asks while they are kept. */
  tag: string | undefined;
  readonly parts: readonly RunPart[];
  /** For runs that were seen lately near a list's start. */
  kept: KeptRun | undefined;
  /** Runs that came after it, the one that came last at the end. */
  readonly next: Run[];
}

/** Up to here the bytes of runs are kept, from the start of the list. */
const keptUpToBytes = 1_048_576;

/** Bytes kept of all runs together: those of some dozen chats of usual length. */
const maxKeptBytes = 16_777_216;

/**
 * Ways on from one run that are remembered: of many chats that share a system prompt, and of few
 * behind that.
 */
const maxNext = 64;

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
  /** All runs, those that were used last at the end. */
  readonly #runs = new Set<Run>();
  /** Those of them with bytes. */
  readonly #kept = new Set<Run>();
  readonly #maxMessages: number;
  #messages = 0;
  #keptBytes = 0;
  /** The empty beginning. */
  readonly root: Run = {
    before: undefined,
    sizeBytes: 0,
    endBytes: 0,
    tag: '',
    parts: [],
    kept: undefined,
    next: [],
  };

  /** @param maxMessages Of all runs together */
  constructor(maxMessages: number) {
    this.#maxMessages = maxMessages;
  }

  /** Remembers a run. */
  add(before: Run, bytes: readonly Uint8Array[], parts: readonly RunPart[]): Run {
    const sizeBytes = lengthOf(bytes);
    const same = before.next.find((run) => run.sizeBytes === sizeBytes && this.is(run, bytes));
    if (same !== undefined) return same;
    const endBytes = before.endBytes + sizeBytes;
    const run: Run = {
      before,
      sizeBytes,
      endBytes,
      tag: undefined,
      parts,
      kept: undefined,
      next: [],
    };
    before.next.push(run);
    if (before.next.length > maxNext) this.forget(before.next[0]!);
    this.#runs.add(run);
    this.#messages += parts.length;
    if (endBytes <= keptUpToBytes) {
      const own = ownCopy(bytes);
      run.kept = { bytes: own, messages: parts.map((part) => new KeptMessage(part, own)) };
      this.#kept.add(run);
      this.#keptBytes += sizeBytes;
    } else run.tag = this.#tagAfter(before, bytes);
    for (const oldest of this.#runs) {
      if (this.#messages <= this.#maxMessages) break;
      this.forget(oldest);
    }
    for (const oldest of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) break;
      this.#dropBytes(oldest);
    }
    return run;
  }

  /** Whether a run is the one with these bytes, which are as many. */
  is(run: Run, bytes: readonly Uint8Array[]): boolean {
    return run.kept === undefined
      ? run.tag === this.#tagAfter(run.before!, bytes)
      : beginAlike(bytes, 0, run.kept.bytes);
  }

  /** A run has come again. */
  use(run: Run): void {
    this.#runs.delete(run);
    this.#runs.add(run);
    if (this.#kept.delete(run)) this.#kept.add(run);
    const siblings = run.before!.next;
    siblings.push(...siblings.splice(siblings.indexOf(run), 1));
  }

  /** Forgets a run; what came after it is not found any more. */
  forget(run: Run): void {
    if (!this.#runs.delete(run)) return;
    this.#messages -= run.parts.length;
    const siblings = run.before!.next;
    siblings.splice(siblings.indexOf(run), 1);
    // One that nothing followed goes as it is: a list that grows has a longer one in its place in
    // every turn, and a tag for each would cost more than all else about it.
    if (run.next.length > 0) this.#dropBytes(run);
    else if (this.#kept.delete(run)) this.#keptBytes -= run.sizeBytes;
  }

  #dropBytes(run: Run): void {
    if (!this.#kept.delete(run)) return;
    this.#keptBytes -= run.sizeBytes;
    this.#tagOf(run);
    run.kept = undefined;
  }

  /** Made when it is wanted, which for most runs near a list's start is never. */
  #tagOf(run: Run): string {
    run.tag ??= this.#tagAfter(run.before!, [run.kept!.bytes]);
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
 * Pure. Whether what stands behind the first `skippedBytes` of pieces begins as `bytes` do, as far
 * as both go.
 */
export function beginAlike(
  pieces: readonly Uint8Array[],
  skippedBytes: number,
  bytes: Uint8Array,
): boolean {
  let skipped = skippedBytes;
  let at = 0;
  for (const piece of pieces) {
    if (at === bytes.length) return true;
    const from = Math.min(skipped, piece.length);
    skipped -= from;
    const end = Math.min(piece.length, from + bytes.length - at);
    // One byte tells most of those that are not alike, for a tenth of what the call below takes.
    if (end > from && piece[end - 1] !== bytes[at + end - from - 1]) return false;
    if (end > from && buffer(piece).compare(bytes, at, at + end - from, from, end) !== 0)
      return false;
    at += end - from;
  }
  return true;
}

function buffer(piece: Uint8Array): Buffer {
  return Buffer.isBuffer(piece)
    ? piece
    : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
