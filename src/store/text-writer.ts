import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { ProxyError } from '../errors.ts';
import { countText, type TextCounts } from '../kernels/text-counts.ts';
import type { CommitJob } from './committer.ts';
import type { ContextFile } from './context-file.ts';
import type { Draft, WrittenText } from './draft.ts';
import { needsSeparator } from './format.ts';
import type { Originals } from './originals.ts';
import { contentKey, type PreparedText } from './text-pieces.ts';
import { incompleteTailBytes } from './text-scan.ts';
import type { Entry, NewStream } from './types.ts';

const newline = Buffer.from('\n');
const newlineCounts = { newlines: 1, chars: 1 };

/** Writes texts behind what a session holds and drafts their entries. */
export class TextWriter {
  readonly #text: ContextFile;
  readonly #originals: Originals;
  readonly #maxBytes: number;

  /** `maxBytes`: how large the session's text may become. */
  constructor(text: ContextFile, originals: Originals, maxBytes: number) {
    this.#text = text;
    this.#originals = originals;
    this.#maxBytes = maxBytes;
  }

  /** The job of storing texts whose hashes are known. */
  textsJob(texts: readonly PreparedText[]): CommitJob {
    return {
      sizeBytes: texts.reduce((sum, text) => sum + text.lengthBytes, 0),
      alone: false,
      write: async (draft) => {
        const entries: Entry[] = [];
        for (const text of texts) {
          entries.push(draft.known(text.key, text.facts) ?? (await this.#writeText(draft, text)));
        }
        return entries;
      },
    };
  }

  /** The job of storing a text that arrives in pieces. `sourceFailed` is told what the pieces' own iteration threw. */
  streamJob(stream: NewStream, sourceFailed: (error: unknown) => void): CommitJob {
    return {
      sizeBytes: 0,
      alone: true,
      write: async (draft) => [await this.#writeStream(draft, stream, sourceFailed)],
    };
  }

  async #writeText(draft: Draft, text: PreparedText): Promise<Entry> {
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

  async #writeStream(
    draft: Draft,
    stream: NewStream,
    sourceFailed: (error: unknown) => void,
  ): Promise<Entry> {
    const { chunks, original: bytes, originalEncoding: encoding = 'bytes', ...facts } = stream;
    const original =
      bytes === undefined
        ? undefined
        : await this.#originals.keep(told(bytes, sourceFailed), encoding);
    const tally = new Tally();
    const digest = createHash('sha256');
    for await (const piece of wholeCodePoints(told(chunks, sourceFailed))) {
      digest.update(piece);
      await this.#writePiece(piece, tally);
    }
    const sha256 = digest.digest('hex');
    const known = draft.known(contentKey(sha256, original), facts);
    if (known !== undefined) {
      await this.#text.rollBack();
      return known;
    }
    return this.#finish(draft, tally, { facts, sha256, original });
  }

  async #finish(
    draft: Draft,
    tally: Tally,
    text: Pick<WrittenText, 'facts' | 'sha256' | 'original'>,
  ): Promise<Entry> {
    if (needsSeparator(tally.lastByte)) await this.#text.write(newline, newlineCounts);
    return draft.addText({
      ...text,
      lengthBytes: tally.lengthBytes,
      lengthChars: tally.lengthChars,
      newlines: tally.newlines,
      lastByte: tally.lastByte,
    });
  }

  async #writePiece(piece: Uint8Array, tally: Tally): Promise<void> {
    if (this.#text.endBytes + piece.length >= this.#maxBytes) {
      throw new ProxyError(
        'store_full',
        `The session would hold more than ${this.#maxBytes} bytes.`,
        {
          hint: 'Raise the limit, or delete what is not needed with `rlm-opencode sessions rm`.',
        },
      );
    }
    await this.#text.write(piece, tally.add(piece));
  }
}

/** What has been written of one text. */
class Tally {
  lengthBytes = 0;
  lengthChars = 0;
  newlines = 0;
  lastByte: number | undefined;

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

/** The same bytes in pieces that end at code points. @throws ProxyError `invalid_request` where they are no UTF-8 */
async function* wholeCodePoints(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
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

function notUtf8(): ProxyError {
  return new ProxyError('invalid_request', 'The text is not valid UTF-8.');
}
