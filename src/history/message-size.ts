import { isObject } from '../wire/json.ts';
import type { ContentPart, Message } from '../wire/types.ts';
import { largeTextsOf } from './message-texts.ts';

/**
 * What a part of a message is that is no text. `dense`: text that is no language, of which a token
 * holds about one character.
 */
type PartKind = 'image' | 'file' | 'audio' | 'video' | 'dense';

/** A part that does not cost what its bytes in the request would, had they been text. */
export interface SizedPart {
  readonly kind: PartKind;
  /** Of the data itself, decoded; 0 where only its address is sent. Of `dense`, characters. */
  readonly dataBytes: number;
  /** An image that the client wants looked at coarsely. */
  readonly isLow: boolean;
}

/** What a message is made of, as far as it decides about its tokens. */
export interface MessageSize {
  /**
   * JSON of all but the parts, UTF-8 without escapes: what counts is the text and not its spelling.
   */
  readonly textBytes: number;
  readonly parts: readonly SizedPart[];
}

/** Of a message that is all text, as most are, and their sizes are kept by the ten thousand. */
export const noParts: readonly SizedPart[] = [];

/** Words in the names of parts, as OpenAI, Anthropic and Gemini's gateways spell them. */
const kinds: readonly (readonly [RegExp, PartKind])[] = [
  [/image/i, 'image'],
  [/audio/i, 'audio'],
  [/video/i, 'video'],
  [/file|document|pdf/i, 'file'],
];

/** A part of another kind may be so long and is counted as text, characters of its JSON. */
const maxPlainLength = 20_000;

/** What a message is made of. Pure. */
export function sizeOfMessage(message: Message): MessageSize {
  const { content } = message;
  const parts: SizedPart[] = [];
  let rest: Message = message;
  if (Array.isArray(content)) {
    const texts = (content as readonly ContentPart[]).filter((part) => {
      const sized = sizedPart(part);
      if (sized !== undefined) parts.push(sized);
      return sized === undefined;
    });
    if (parts.length > 0) rest = { ...message, content: texts };
  }
  let textBytes = Buffer.byteLength(JSON.stringify(rest));
  for (const text of stringsOf(rest)) textBytes -= takeDense(text, text.length, parts);
  for (const { content: text, length, ends: its } of largeTextsOf(message).values()) {
    textBytes += text.length;
    // Of a text of megabytes its two ends tell what all of it is.
    const ends = its.head + its.tail;
    if (denseLength(ends) * 2 > ends.length) textBytes -= takeDense(ends, length, parts);
  }
  return { textBytes, parts: parts.length === 0 ? noParts : parts };
}

function sizedPart(part: ContentPart): SizedPart | undefined {
  const { type } = part;
  if (type === 'text' || typeof type !== 'string') return undefined;
  const kind = kinds.find(([word]) => word.test(type))?.[1];
  if (kind === undefined) {
    const { length } = JSON.stringify(part);
    return length > maxPlainLength
      ? { kind: 'file', dataBytes: (length * 3) / 4, isLow: false }
      : undefined;
  }
  const inner = part[type];
  const isLow = isObject(inner) ? inner['detail'] === 'low' : part['detail'] === 'low';
  return { kind, dataBytes: Math.floor((longestText(part) * 3) / 4), isLow };
}

/**
 * Length of the longest text in a part, two levels deep: its data, where it has them. An address is
 * none.
 */
function longestText(value: object, depth = 0): number {
  let longest = 0;
  for (const member of Object.values(value) as readonly unknown[]) {
    if (typeof member === 'string') {
      if (!/^https?:/i.test(member.slice(0, 8))) longest = Math.max(longest, member.length);
    } else if (isObject(member) && depth < 2)
      longest = Math.max(longest, longestText(member, depth + 1));
  }
  return longest;
}

function* stringsOf({ content }: Message): Generator<string, void, void> {
  if (typeof content === 'string') yield content;
  else for (const part of content ?? []) if (typeof part.text === 'string') yield part.text;
}

/** Takes note of dense text; returns the bytes that are none of the plain text's. */
function takeDense(text: string, length: number, parts: SizedPart[]): number {
  const dense = length === text.length ? denseLength(text) : length;
  if (dense > 0) parts.push({ kind: 'dense', dataBytes: dense, isLow: false });
  return dense;
}

/** Runs of letters and digits that are shorter are words and paths, characters. */
const minRunLength = 60;
/** Which of the first 128 code units such a run is made of. */
const isInRun = Uint8Array.from({ length: 128 }, (_, code) =>
  Number(/[A-Za-z0-9+/_=-]/.test(String.fromCharCode(code))),
);

/**
 * The runs of at least {@link minRunLength} characters, each as long as it gets. Such a run holds
 * one of any so many characters in a row, so that of most texts only every sixtieth character and
 * the word around it are looked at.
 */
function longRuns(text: string): readonly string[] {
  const found: string[] = [];
  let from = 0;
  for (let at = minRunLength - 1; at < text.length; at = from + minRunLength - 1) {
    let start = at + 1;
    while (start > from && isInRun[text.charCodeAt(start - 1)] === 1) start -= 1;
    let end = at + 1;
    if (start <= at) while (end < text.length && isInRun[text.charCodeAt(end)] === 1) end += 1;
    if (end - start >= minRunLength) found.push(text.slice(start, end));
    from = end;
  }
  return found;
}

/**
 * Characters of a text that are base64: long runs in which capitals, small letters and digits are
 * mixed as chance mixes them.
 */
function denseLength(text: string): number {
  let total = 0;
  for (const run of longRuns(text)) {
    const sample = run.slice(0, 2_000);
    const capitals = sample.replace(/[^A-Z]/g, '').length / sample.length;
    const small = sample.replace(/[^a-z]/g, '').length / sample.length;
    const digits = sample.replace(/[^0-9]/g, '').length / sample.length;
    if (capitals > 0.2 && small > 0.2 && digits > 0.04) total += run.length;
  }
  return total;
}
