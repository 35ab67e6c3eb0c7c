import { setImmediate } from 'node:timers/promises';
import { BareHash, type Text, type TextsByPart, endLength, withTexts } from './message-texts.ts';
import type { ContentPart, Message } from '../wire/types.ts';
import { mayHoldHalves, wellFormed } from '../wire/well-formed.ts';

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

/** The longest escape: two halves of a surrogate pair. */
const maxEscapeBytes = 12;

/** By the byte after the backslash. */
const shortEscapes: ReadonlyMap<number, number> = new Map(
  (
    [
      ['"', '"'],
      ['\\', '\\'],
      ['/', '/'],
      ['b', '\b'],
      ['f', '\f'],
      ['n', '\n'],
      ['r', '\r'],
      ['t', '\t'],
    ] as const
  ).map(([name, value]) => [name.charCodeAt(0), value.charCodeAt(0)]),
);

/** Turns the inside of a JSON string, in pieces, into the UTF-8 of what it says. */
class LargeTextWriter {
  readonly #bytes: Buffer;
  #size = 0;
  /** An escape that the last piece ended in the middle of. */
  #rest: Uint8Array = Buffer.alloc(0);
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #hash = new BareHash();
  #length = 0;
  #head = '';
  #tail = '';

  /** `maxBytes`: all bytes that will come. What they say is never longer than they are. */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(maxBytes);
  }

  /** Takes the next bytes. False where they are no JSON or stand for what UTF-8 cannot hold. */
  write(piece: Uint8Array): boolean {
    return this.#write(piece, false);
  }

  /** The whole text; nothing where the bytes were cut. */
  end(): Text | undefined {
    if (!this.#write(Buffer.alloc(0), true) || this.#rest.length > 0) return undefined;
    try {
      this.#see(this.#decoder.decode());
    } catch {
      return undefined;
    }
    return {
      content: this.#bytes.subarray(0, this.#size),
      length: this.#length,
      bareHash: this.#hash.digest(),
      ends: { head: this.#head, tail: this.#tail },
    };
  }

  #write(piece: Uint8Array, isLast: boolean): boolean {
    const input = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    this.#rest = input.subarray(input.length);
    const from = this.#size;
    for (let at = 0; at < input.length;) {
      const found = input.indexOf(backslash, at);
      const end = found < 0 ? input.length : found;
      this.#bytes.set(input.subarray(at, end), this.#size);
      this.#size += end - at;
      if (found < 0) break;
      if (!isLast && input.length - found < maxEscapeBytes) {
        this.#rest = Uint8Array.from(input.subarray(found));
        break;
      }
      const taken = this.#unescape(input, found);
      if (taken === 0) return false;
      at = found + taken;
    }
    return this.#check(this.#bytes.subarray(from, this.#size));
  }

  /**
   * Writes what the escape at `at` stands for. Returns its length; 0 where it stands for nothing.
   */
  #unescape(input: Uint8Array, at: number): number {
    const short = shortEscapes.get(input[at + 1] as number);
    if (short !== undefined) {
      this.#bytes[this.#size] = short;
      this.#size += 1;
      return 2;
    }
    const first = codeUnitAt(input, at);
    if (first === undefined) return 0;
    const isHigh = first >= 0xd800 && first < 0xdc00;
    const second = isHigh ? codeUnitAt(input, at + 6) : undefined;
    const text = String.fromCharCode(first, ...(second === undefined ? [] : [second]));
    if (!text.isWellFormed()) return 0;
    this.#size += this.#bytes.write(text, this.#size, 'utf8');
    return second === undefined ? 6 : 12;
  }

  #check(written: Uint8Array): boolean {
    try {
      this.#see(this.#decoder.decode(written, { stream: true }));
      return true;
    } catch {
      // Invalid UTF-8: the plain way knows what to do with it.
      return false;
    }
  }

  #see(text: string): void {
    this.#length += text.length;
    this.#hash.add(text);
    if (this.#head.length < endLength) this.#head = (this.#head + text).slice(0, endLength);
    this.#tail =
      text.length >= endLength ? text.slice(-endLength) : (this.#tail + text).slice(-endLength);
  }
}

/** The code unit of a `\\uXXXX` at `at`, if it is one. */
function codeUnitAt(input: Uint8Array, at: number): number | undefined {
  if (input[at] !== backslash || input[at + 1] !== 0x75) return undefined;
  const digits = Buffer.from(input.subarray(at + 2, at + 6)).toString('latin1');
  return /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
