import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import { countText, type TextCounts } from '../../kernels/text-counts.ts';
import type { CommitJob } from '../text/committer.ts';
import type { ContextFile } from '../text/context-file.ts';
import type { Draft, WrittenText } from '../text/draft.ts';
import { needsSeparator, type AliasRecord } from '../format.ts';
import type { Originals } from '../text/originals.ts';
import { TextDigest } from '../text/text-digest.ts';
import { contentKey, digestPieces, type PreparedText } from '../text/text-pieces.ts';
import { incompleteTailBytes } from '../text/text-scan.ts';
import type { StagedPart, StagedText, StagedTexts } from '../text/staged-texts.ts';
import type { Entry, NewEntryFacts, NewStream, OriginalBytes } from '../types.ts';

const newline = Buffer.from('\n');
const newlineCounts = { newlines: 1, chars: 1 };

/** What a disk must have room for beside a large text that is about to be written a second time. */
const spareBytes = 16 * 1024 * 1024;

/** A text that came in pieces and is all there, but not stored yet. */
export interface ReceivedText {
  readonly facts: NewEntryFacts;
  readonly sha256: string;
  readonly key: string;
  readonly original: OriginalBytes | undefined;
  readonly tally: Tally;
  /** Its pieces, where it is small. */
  readonly pieces: readonly Uint8Array[];
  /** Its file, where it is large. */
  readonly part?: StagedPart | undefined;
}

/** A text that a session has already, and what is known of its coming again. */
export interface TextAgain {
  /** The entry's number, from 1. */
  readonly seq: number;
  readonly facts: NewEntryFacts;
}

/** Writes texts behind what a session holds and drafts their entries. */
export class TextWriter {
  readonly #text: ContextFile;
  readonly #originals: Originals;
  readonly #staged: StagedTexts;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #heldBytes: number;
  readonly #take: (endBytes: number, lengthBytes: number) => Promise<void>;

  constructor(parts: {
    readonly clock: Clock;
    readonly text: ContextFile;
    readonly originals: Originals;
    readonly staged: StagedTexts;
    /** How large the session's text may become. */
    readonly maxBytes: number;
    /** How much of a text that comes in pieces is held in memory. */
    readonly heldBytes: number;
    /** Rejects where so much is not to be added to a text that ends there. */
    readonly take: (endBytes: number, lengthBytes: number) => Promise<void>;
  }) {
    this.#text = parts.text;
    this.#originals = parts.originals;
    this.#staged = parts.staged;
    this.#clock = parts.clock;
    this.#maxBytes = parts.maxBytes;
    this.#heldBytes = parts.heldBytes;
    this.#take = parts.take;
  }

  /** The job of storing texts whose hashes are known; `timeMs`: when they came, where not now. */
  textsJob(texts: readonly (PreparedText | TextAgain)[], timeMs?: number): CommitJob {
    return {
      timeMs,
      sizeBytes: texts.reduce((sum, text) => sum + ('seq' in text ? 0 : text.lengthBytes), 0),
      alone: false,
      write: async (draft) => {
        const entries: Entry[] = [];
        for (const text of texts) {
          entries.push(
            'seq' in text
              ? draft.again(text.seq, text.facts)
              : (draft.known(text.key, text.facts) ?? (await this.#writeText(draft, text))),
          );
        }
        return entries;
      },
    };
  }

  /**
   * Takes in a text that comes in pieces, beside whatever is being committed; nothing of it is
   * visible yet. `sourceFailed` is told what the pieces' own iteration threw. @throws ProxyError
   * `invalid_request` where they are not UTF-8, `store_full`; the file system's errors
   */
  async receive(stream: NewStream, sourceFailed: (error: unknown) => void): Promise<ReceivedText> {
    const { chunks, original: bytes, originalEncoding: encoding = 'bytes', ...facts } = stream;
    const original =
      bytes === undefined
        ? undefined
        : await this.#originals.keep(told(bytes, sourceFailed), encoding);
    const tally = new Tally();
    let pieces: Uint8Array[] = [];
    let long: LongText | undefined;
    let sha256: string;
    try {
      for await (const piece of wholeCodePoints(told(chunks, sourceFailed))) {
        tally.add(piece);
        await this.#checkRoom(tally.lengthBytes);
        if (long === undefined && tally.lengthBytes > this.#heldBytes) {
          long = { part: await this.#staged.create(), digest: new TextDigest(this.#clock) };
          for (const held of pieces) await addPiece(long, held);
          pieces = [];
        }
        if (long !== undefined) await addPiece(long, piece);
        // A copy: whose memory a piece is in is the business of who made it.
        else pieces.push(Buffer.from(piece));
      }
      sha256 =
        long === undefined ? (await digestPieces(pieces)).sha256 : await long.digest.sha256();
      await long?.part.finish();
    } catch (error) {
      long?.digest.abandon();
      await long?.part.abandon();
      throw error;
    }
    const part = long?.part;
    return { facts, sha256, key: contentKey(sha256, original), original, tally, pieces, part };
  }

  /** The job of storing a text that was received and is small. */
  receivedJob({ key, tally, pieces, ...text }: ReceivedText, timeMs?: number): CommitJob {
    return {
      timeMs,
      sizeBytes: tally.lengthBytes,
      alone: false,
      write: async (draft) => {
        const known = draft.known(key, text.facts);
        if (known !== undefined) return [known];
        await this.#checkRoom(tally.lengthBytes);
        const written = new Tally();
        for (const piece of pieces) await this.#writePiece(piece, written);
        return [await this.#finish(draft, written, text)];
      },
    };
  }

  /**
   * The job of storing a text that has a file of its own: short, whatever its length. Only room is
   * left for it; `moveLater` is told when the entry is committed, and whether the block table was
   * whole until then.
   */
  stagedJob(
    { key, tally, facts, sha256, original }: ReceivedText,
    staged: StagedText,
    moveLater: (entry: Entry, wasTableWhole: boolean) => void,
    timeMs?: number,
  ): CommitJob {
    return {
      timeMs,
      sizeBytes: 0,
      alone: true,
      write: async (draft) => {
        const known = draft.known(key, facts);
        if (known !== undefined) return [known];
        await this.#checkRoom(tally.lengthBytes);
        if (!(await this.#staged.hasRoom(staged, spareBytes))) throw noRoomTwice(staged);
        const wasTableWhole = this.#text.isTableWhole;
        const entry = draft.addText({ ...tally.counts, facts, sha256, original });
        this.#text.reserve(draft.totals.bytes - entry.offsetBytes);
        draft.whenApplied(() => {
          this.#staged.add(entry, staged);
          moveLater(entry, wasTableWhole);
        });
        return [entry];
      },
    };
  }

  /**
   * The job of noting under which further calls, and from which files, entries of this session came
   * again.
   */
  aliasesJob(
    aliases: readonly { readonly entry: Entry; readonly alias: AliasRecord }[],
  ): CommitJob {
    return {
      sizeBytes: 0,
      alone: false,
      write: async (draft) =>
        aliases.map(
          ({ entry, alias: { toolCallId, chatId, call, again, path, source, timeMs } }) => {
            const facts = {
              kind: entry.kind,
              timeMs,
              ...(toolCallId !== undefined && { toolCallId }),
              ...(chatId !== undefined && { chatId }),
              ...(call !== undefined && { call }),
              ...(path !== undefined && { path }),
              ...(source && { source }),
            };
            const key = contentKey(entry.sha256, entry.original);
            return draft.known(key, facts, again === true) ?? entry;
          },
        ),
    };
  }

  async #writeText(draft: Draft, text: PreparedText): Promise<Entry> {
    await this.#checkRoom(text.lengthBytes);
    const tally = new Tally();
    for (const piece of text.pieces()) await this.#writePiece(piece, tally);
    const { original } = text;
    if (original !== undefined) {
      await this.#originals.keep([original.bytes], original.facts.encoding);
    }
    return this.#finish(draft, tally, {
      facts: text.facts,
      sha256: text.sha256,
      original: original?.facts,
    });
  }

  async #finish(
    draft: Draft,
    tally: Tally,
    text: Pick<WrittenText, 'facts' | 'sha256' | 'original'>,
  ): Promise<Entry> {
    if (needsSeparator(tally.lastByte)) await this.#text.write(newline, newlineCounts);
    return draft.addText({ ...text, ...tally.counts });
  }

  async #writePiece(piece: Uint8Array, tally: Tally): Promise<void> {
    await this.#text.write(piece, tally.add(piece));
  }

  async #checkRoom(lengthBytes: number): Promise<void> {
    const { endBytes } = this.#text;
    if (endBytes + lengthBytes < this.#maxBytes) {
      await this.#take(endBytes, lengthBytes);
      return;
    }
    throw new ProxyError(
      'store_full',
      `The session would hold more than ${this.#maxBytes} bytes.`,
      { hint: 'Raise the limit, or delete what is not needed with `rlm-opencode sessions rm`.' },
    );
  }
}

/** A text that is too long to be held: it goes to a file of its own, and is hashed beside. */
interface LongText {
  readonly part: StagedPart;
  readonly digest: TextDigest;
}

async function addPiece({ part, digest }: LongText, piece: Uint8Array): Promise<void> {
  await Promise.all([part.write(piece), digest.update(piece)]);
}

/** What has been written of one text. */
class Tally {
  lengthBytes = 0;
  lengthChars = 0;
  newlines = 0;
  lastByte: number | undefined;

  get counts(): Pick<WrittenText, 'lengthBytes' | 'lengthChars' | 'newlines' | 'lastByte'> {
    const { lengthBytes, lengthChars, newlines, lastByte } = this;
    return { lengthBytes, lengthChars, newlines, lastByte };
  }

  add(piece: Uint8Array): TextCounts {
    const counts = countText(piece);
    this.lengthBytes += piece.length;
    this.lengthChars += counts.chars;
    this.newlines += counts.newlines;
    this.lastByte = piece.at(-1) ?? this.lastByte;
    return counts;
  }
}

async function* told(
  chunks: AsyncIterable<Uint8Array>,
  sourceFailed: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of chunks) yield chunk;
  } catch (error) {
    sourceFailed(error);
    throw error;
  }
}

/**
 * The same bytes in pieces that end at code points. @throws ProxyError `invalid_request` where they
 * are not UTF-8
 */
export async function* wholeCodePoints(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let carried: Uint8Array = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const bytes = carried.length === 0 ? chunk : Buffer.concat([carried, chunk]);
    const whole = bytes.subarray(0, bytes.length - incompleteTailBytes(bytes));
    if (!isUtf8(whole)) throw notUtf8();
    carried = bytes.subarray(whole.length);
    if (whole.length > 0) yield whole;
  }
  if (carried.length > 0) throw notUtf8();
}

function noRoomTwice({ path, lengthBytes }: StagedText): ProxyError {
  return new ProxyError('store_full', `There is no room to move ${path} into the session.`, {
    hint: `A large text needs its ${lengthBytes} bytes a second time while it moves to its place: free some disk space.`,
  });
}

function notUtf8(): ProxyError {
  return new ProxyError('invalid_request', 'The text is not valid UTF-8.');
}
