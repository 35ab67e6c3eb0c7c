import { createHash, hash } from 'node:crypto';
import type { ContentPart, Message } from '../wire/types.ts';

/**
 * A text of a message, however long it is: one of megabytes is never a string, and whoever looks at
 * texts need not know.
 */
export interface Text {
  /** What the store takes: text, or UTF-8 that is well-formed. */
  readonly content: string | Uint8Array;
  /** UTF-16 code units. */
  readonly length: number;
  /** Hash without white space, empty for a text that is nothing else. */
  readonly bareHash: string;
  /** Its first and last {@link endLength} code units. */
  readonly ends: TextEnds;
}

/** The ends of a text, all that is looked at of a long one. */
export interface TextEnds {
  readonly head: string;
  readonly tail: string;
}

/** What is kept at hand of each end, code units: enough for a client's notes about a text. */
export const endLength = 4_000;

/** A text that stands in its message. */
class PlainText implements Text {
  readonly content: string;

  constructor(content: string) {
    this.content = content;
  }

  get length(): number {
    return this.content.length;
  }

  get bareHash(): string {
    return hashText(this.content);
  }

  get ends(): TextEnds {
    return { head: this.content.slice(0, endLength), tail: this.content.slice(-endLength) };
  }
}

/** Texts by their index in a content list; -1 when the content is the text itself. */
export type TextsByPart = ReadonlyMap<number, Text>;

/** The texts that were left out of messages because they are too long to be strings. */
const leftOut = new WeakMap<Message, TextsByPart>();
const none: TextsByPart = new Map();

/** The message as one from which these texts were left out: there, it has empty ones. */
export function withoutLargeTexts(message: Message, texts: TextsByPart): Message {
  leftOut.set(message, texts);
  return message;
}

/** The texts that were left out of a message. */
export function largeTextsOf(message: Message): TextsByPart {
  return leftOut.get(message) ?? none;
}

/**
 * All texts of a message, in order. `change` is made to those that stand in it: large ones are
 * what they are.
 */
export function textsOf(
  message: Message,
  change: (text: string) => string = (text) => text,
): TextsByPart {
  const { content } = message;
  const large = largeTextsOf(message);
  if (typeof content === 'string')
    return new Map([[-1, large.get(-1) ?? new PlainText(change(content))]]);
  const found = new Map<number, Text>();
  for (const [index, part] of (content ?? []).entries())
    if (part.type === 'text' && typeof part.text === 'string')
      found.set(index, large.get(index) ?? new PlainText(change(part.text)));
  return found;
}

/** Hash of several texts without white space; of large ones among them, each counts for itself. */
export function hashTexts(texts: readonly Text[]): string {
  const [only] = texts;
  if (texts.length === 1 && only !== undefined) return only.bareHash;
  const contents = texts.map(({ content }) => content);
  if (contents.every((each) => typeof each === 'string')) return hashText(contents.join('\n'));
  const hashes = texts.map(({ bareHash }) => bareHash).filter((each) => each !== '');
  return hashes.length === 1
    ? (hashes[0] as string)
    : hash('sha256', hashes.join('\0'), 'base64url');
}

/**
 * A message with some of its texts replaced, those that were left out back in their place, and
 * everything else as it was. Pure.
 */
export function withTexts(message: Message, texts: ReadonlyMap<number, string>): Message {
  const textAt = (index: number): string | undefined => {
    const text = texts.get(index);
    if (text !== undefined) return text;
    const large = largeTextsOf(message).get(index);
    return large === undefined ? undefined : Buffer.from(large.content).toString();
  };
  const whole = textAt(-1);
  if (whole !== undefined) return { ...message, content: whole };
  if (!Array.isArray(message.content)) return message;
  const content = message.content.map((part: ContentPart, index) => {
    const text = textAt(index);
    return text === undefined ? part : { ...part, text };
  });
  return { ...message, content };
}

/**
 * Hash of a text without its white space, taken in pieces. A piece must not end between the halves
 * of a surrogate pair.
 */
export class BareHash {
  readonly #sum = createHash('sha256');
  #isBlank = true;

  add(text: string): void {
    const bare = bareOf(text);
    this.#isBlank &&= bare.length === 0;
    this.#sum.update(bare);
  }

  /** Base64url; empty for a text of white space only. */
  digest(): string {
    return this.#isBlank ? '' : this.#sum.digest('base64url');
  }
}

/**
 * Hash of a text without its white space, so that trimming, joining and splitting do not matter.
 */
export function hashText(text: string): string {
  if (text.length <= hashedAtOnce) {
    const bare = bareOf(text);
    return bare.length === 0 ? '' : hash('sha256', bare, 'base64url');
  }
  const sum = new BareHash();
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = Math.min(start + hashedAtOnce, text.length);
    // A pair that was cut in two would become two replacement characters.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    sum.add(text.slice(start, end));
  }
  return sum.digest();
}

/**
 * Code units that are freed of white space at once: done in one go, 60 million characters take 600
 * MB for a moment.
 */
const hashedAtOnce = 65_536;

/** Where {@link bareOf} writes: what it returned before is gone with the next call. */
const written = Buffer.allocUnsafeSlow(hashedAtOnce);

/**
 * A text without its white space. Of one that is all ASCII and not too long, which most are, its
 * bytes, made without a string for each word.
 */
function bareOf(text: string): string | Uint8Array {
  if (text.length > hashedAtOnce) return text.replace(/\s+/g, '');
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return text.replace(/\s+/g, '');
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) continue;
    written[length] = code;
    length += 1;
  }
  return written.subarray(0, length);
}
