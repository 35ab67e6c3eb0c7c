import { setImmediate } from 'node:timers/promises';
import type { ContentPart, Message } from '../wire/types.ts';
import { mayHoldHalves, wellFormed } from '../wire/well-formed.ts';
import { LargeTextWriter } from './large-text.ts';
import { withTexts, type Text, type TextsByPart } from './message-texts.ts';

/**
 * A message of megabytes, read without ever being a string: its large texts as UTF-8 bytes, the
 * rest as usual.
 */
export interface LargeMessage {
  /** The message with empty texts in the place of large ones. */
  readonly frame: Message;
  /** The large texts: UTF-8. */
  readonly texts: TextsByPart;
}

/** Raw strings longer than this are kept out of the frame, bytes. */
const largeStringBytes = 131_072;
/** Bytes worked off before others get their turn: about 4 ms. */
const sliceBytes = 262_144;

const quote = 0x22;
const backslash = 0x5c;

/**
 * Reads a message in slices that hold up nobody. Nothing where it is not that simple: large strings
 * elsewhere than in the content, lone surrogates, bytes that are no JSON; then `JSON.parse` has the
 * last word.
 */
export async function readLargeMessage(
  pieces: readonly Uint8Array[],
  sizeBytes: number,
): Promise<LargeMessage | undefined> {
  const reader = new FrameReader(sizeBytes);
  let sinceBytes = 0;
  for (const piece of pieces) {
    // Pieces that came in one read can be large themselves.
    for (let at = 0; at < piece.length; at += sliceBytes) {
      const part = piece.subarray(at, at + sliceBytes);
      if (!reader.feed(part)) return undefined;
      sinceBytes += part.length;
      if (sinceBytes < sliceBytes) continue;
      sinceBytes = 0;
      await setImmediate();
    }
  }
  return reader.end();
}

/** Takes large strings out of JSON as it passes by. */
class FrameReader {
  readonly #frame: Uint8Array[] = [];
  readonly #texts: Text[] = [];
  /** Bytes of the string that is being read, while it is small. */
  #string: Uint8Array[] | undefined;
  #stringBytes = 0;
  #large: LargeTextWriter | undefined;
  /** The piece before ended in an unfinished escape. */
  #escaped = false;
  readonly #sizeBytes: number;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  /** False when the bytes are not for this reader. */
  feed(piece: Uint8Array): boolean {
    let at = 0;
    while (at < piece.length) {
      if (this.#string === undefined) {
        const found = piece.indexOf(quote, at);
        const end = found < 0 ? piece.length : found + 1;
        this.#frame.push(piece.subarray(at, end));
        if (found >= 0) this.#string = [];
        at = end;
        continue;
      }
      const end = this.#stringEnd(piece, at);
      if (!this.#take(piece.subarray(at, end))) return false;
      if (end === piece.length) break;
      if (!this.#close()) return false;
      at = end + 1;
    }
    return true;
  }

  end(): LargeMessage | undefined {
    if (this.#string !== undefined) return undefined;
    let parsed: Message;
    const json = Buffer.concat(this.#frame).toString('utf8');
    try {
      parsed = JSON.parse(json) as Message;
    } catch {
      // No JSON: whoever parses it whole says what is wrong.
      return undefined;
    }
    if (mayHoldHalves(json) && wellFormed(parsed) !== parsed) return undefined;
    return withLargeTexts(parsed, this.#texts);
  }

  #stringEnd(piece: Uint8Array, from: number): number {
    let index = from;
    if (this.#escaped) {
      this.#escaped = false;
      index += 1;
    }
    for (const first = index; ;) {
      const found = piece.indexOf(quote, index);
      const end = found < 0 ? piece.length : found;
      let run = 0;
      while (end - run > first && piece[end - run - 1] === backslash) run += 1;
      if (found < 0) this.#escaped = run % 2 === 1;
      if (found < 0 || run % 2 === 0) return end;
      index = found + 1;
    }
  }

  #take(bytes: Uint8Array): boolean {
    this.#stringBytes += bytes.length;
    if (this.#large !== undefined) return this.#large.write(bytes);
    this.#string?.push(bytes);
    if (this.#stringBytes <= largeStringBytes) return true;
    const large = new LargeTextWriter(this.#sizeBytes);
    this.#large = large;
    return (this.#string ?? []).every((each) => large.write(each));
  }

  #close(): boolean {
    const large = this.#large;
    if (large === undefined) this.#frame.push(...(this.#string ?? []));
    else {
      const text = large.end();
      if (text === undefined) return false;
      this.#frame.push(Buffer.from(placeholderOf(this.#texts.length)));
      this.#texts.push(text);
    }
    this.#string = undefined;
    this.#stringBytes = 0;
    this.#large = undefined;
    this.#frame.push(closingQuote);
    return true;
  }
}

const closingQuote = Buffer.from('"');

/** Noncharacters, so that no client writes it. */
function placeholderOf(index: number): string {
  return `\uFFFF\uFFFElarge ${index}\uFFFE\uFFFF`;
}

function withLargeTexts(message: Message, found: readonly Text[]): LargeMessage | undefined {
  const texts = new Map<number, Text>();
  const indexOf = (text: unknown): number =>
    found.findIndex((_, index) => text === placeholderOf(index));
  const { content } = message;
  const whole = indexOf(content);
  if (whole >= 0) {
    texts.set(-1, found[whole] as Text);
    return texts.size === found.length ? { frame: { ...message, content: '' }, texts } : undefined;
  }
  if (!Array.isArray(content)) return undefined;
  for (const [at, part] of (content as readonly ContentPart[]).entries()) {
    const index = part.type === 'text' ? indexOf(part.text) : -1;
    if (index >= 0) texts.set(at, found[index] as Text);
  }
  const empty = new Map(Array.from(texts.keys(), (at) => [at, ''] as const));
  return texts.size === found.length ? { frame: withTexts(message, empty), texts } : undefined;
}
