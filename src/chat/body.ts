import { createHash, hash, type Hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import { findStringEnd, jsonPieceBytes, loadJsonPiece } from '../kernels/json-strings.ts';

/**
 * Cuts the body of a chat request into its messages while it arrives.
 *
 * A client resends its whole history with every turn, 100 MB and more of it. Parsing that as one JSON text stops the event
 * loop for most of a second (measured: 700 ms at 100 MB), and nearly all of it is known from the turn before. So the bytes are only
 * walked structurally (strings, nesting); each element of the top-level `messages` list is handed on as raw bytes with its
 * SHA-256, and everything else is collected as the *envelope*: the request with an empty `messages`. What is known by its hash
 * is never parsed again.
 *
 * Every valid JSON object is accepted. The inside of messages and of other members is not checked; parsing those does that.
 */
export interface RawMessage {
  /** The element's bytes, in pieces as they arrived. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** SHA-256 of the bytes, hexadecimal. */
  readonly hash: string;
}

const quote = 0x22;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const space = 0x20;

/** Longest member name that is looked at, bytes; `messages` spelled in escapes takes 48. */
const maxKeyBytes = 64;

/** A push machine: `feed` pieces, then `end`. Holds only the envelope and the message that is not finished yet. */
export class BodySplitter {
  /** What the walked bytes belong to: the envelope, an element of `messages`, or nothing (between two elements). */
  #place: 'envelope' | 'between' | 'element' = 'envelope';
  /** Open brackets and braces around the next byte. The elements of `messages` stand at 2. */
  #depth = 0;
  #inString = false;
  /** The piece before ended in an unfinished escape. */
  #escaped = false;
  /** The bytes of the top-level member name that is being read. */
  #key: number[] | undefined;
  #keyExpected = false;
  #atMessages = false;
  #sawMessages = false;
  #elementIsScalar = false;
  #afterElement = false;
  #afterComma = false;
  #complete = false;
  readonly #envelope: Uint8Array[] = [];
  #pieces: Uint8Array[] = [];
  #sizeBytes = 0;
  #hash: Hash | undefined;
  #ready: RawMessage[] = [];

  /**
   * Takes the next piece, which must not change afterwards, and returns the messages that it completed.
   * @throws ProxyError `invalid_request`
   */
  feed(piece: Uint8Array): readonly RawMessage[] {
    for (let from = 0; from < piece.length; from += jsonPieceBytes)
      this.#feedPart(piece.subarray(from, from + jsonPieceBytes));
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #feedPart(piece: Uint8Array): void {
    loadJsonPiece(piece);
    let start = 0;
    let index = 0;
    while (index < piece.length) {
      const before = this.#place;
      const next = this.#inString
        ? this.#walkString(piece, index)
        : this.#walkByte(piece[index] as number, index);
      if (before !== this.#place) {
        if (before !== 'between') this.#take(before, piece.subarray(start, next));
        if (before === 'element') this.#finishElement();
        start = next;
      }
      index = next;
    }
    if (this.#place !== 'between') this.#take(this.#place, piece.subarray(start));
  }

  /**
   * After the last piece: the request without its messages.
   * @throws ProxyError `invalid_request` if the body is not one JSON object with a list `messages`
   */
  end(): Record<string, unknown> {
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.concat(this.#envelope).toString('utf8'));
    } catch (cause) {
      throw new ProxyError('invalid_request', 'The request body is not valid JSON.', { cause });
    }
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
      throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
    }
    if (!this.#sawMessages) {
      throw new ProxyError('invalid_request', 'The request needs `messages`, a list of messages.', {
        param: 'messages',
      });
    }
    return parsed as Record<string, unknown>;
  }

  /** One byte outside strings. Returns the index of the next byte to look at. */
  #walkByte(byte: number, index: number): number {
    if (this.#place === 'between') return this.#walkBetween(byte, index);
    if (byte <= space && !this.#elementIsScalar) return index + 1;
    if (this.#elementIsScalar && (byte <= space || byte === comma || byte === closeBracket)) {
      this.#place = 'between';
      return index;
    }
    if (this.#complete)
      throw new ProxyError('invalid_request', 'The request body goes on after its end.');
    if (this.#depth === 0 && byte !== openBrace)
      throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
    switch (byte) {
      case quote:
        this.#inString = true;
        if (this.#keyExpected && this.#depth === 1) this.#key = [];
        this.#keyExpected = false;
        break;
      case openBrace:
      case openBracket:
        this.#open(byte);
        break;
      case closeBrace:
      case closeBracket:
        this.#depth -= 1;
        if (this.#depth === 0) this.#complete = true;
        if (this.#place === 'element' && this.#depth === 2) this.#place = 'between';
        break;
      case comma:
        if (this.#depth === 1) {
          this.#keyExpected = true;
          this.#atMessages = false;
        }
        break;
      default:
    }
    return index + 1;
  }

  #open(byte: number): void {
    this.#depth += 1;
    if (this.#depth === 1) this.#keyExpected = true;
    if (
      this.#place !== 'envelope' ||
      this.#depth !== 2 ||
      byte !== openBracket ||
      !this.#atMessages
    )
      return;
    if (this.#sawMessages)
      throw new ProxyError('invalid_request', '`messages` stands twice in the request.', {
        param: 'messages',
      });
    this.#sawMessages = true;
    this.#place = 'between';
    this.#afterElement = false;
    this.#afterComma = false;
  }

  /** One byte between two elements. Commas are dropped, so that the envelope keeps an empty list. */
  #walkBetween(byte: number, index: number): number {
    if (byte <= space) return index + 1;
    if (byte === closeBracket) {
      if (this.#afterComma) throw misplacedComma();
      this.#place = 'envelope';
      return index;
    }
    if (byte === comma) {
      if (!this.#afterElement) throw misplacedComma();
      this.#afterElement = false;
      this.#afterComma = true;
      return index + 1;
    }
    if (this.#afterElement) throw misplacedComma();
    this.#place = 'element';
    this.#elementIsScalar = byte !== openBrace && byte !== openBracket && byte !== quote;
    return index;
  }

  /** Walks on inside a string. Returns the index after the piece or after the closing quote. */
  #walkString(piece: Uint8Array, from: number): number {
    let index = from;
    if (this.#escaped) {
      this.#escaped = false;
      this.#key?.push(piece[index] as number);
      index += 1;
    }
    const { index: end, isCut } = findStringEnd(index, piece.length);
    this.#escaped = isCut;
    if (this.#key !== undefined) {
      for (let at = index; at < end && this.#key.length < maxKeyBytes; at += 1)
        this.#key.push(piece[at] as number);
    }
    if (end === piece.length) return end;
    this.#inString = false;
    if (this.#key !== undefined) {
      this.#atMessages = isMessages(this.#key);
      this.#key = undefined;
    }
    // A string that is itself an element of `messages`: nonsense, but well-formed; the message check names it.
    if (this.#place === 'element' && this.#depth === 2) this.#place = 'between';
    return end + 1;
  }

  #take(place: 'envelope' | 'element', bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (place === 'envelope') {
      this.#envelope.push(bytes);
      return;
    }
    if (this.#pieces.length === 1)
      this.#hash = createHash('sha256').update(this.#pieces[0] as Uint8Array);
    this.#hash?.update(bytes);
    this.#pieces.push(bytes);
    this.#sizeBytes += bytes.length;
  }

  #finishElement(): void {
    const digest = this.#hash?.digest('hex') ?? hash('sha256', this.#pieces[0] as Uint8Array);
    this.#ready.push({ pieces: this.#pieces, sizeBytes: this.#sizeBytes, hash: digest });
    this.#pieces = [];
    this.#sizeBytes = 0;
    this.#hash = undefined;
    this.#elementIsScalar = false;
    this.#afterElement = true;
    this.#afterComma = false;
  }
}

function isMessages(key: readonly number[]): boolean {
  const text = Buffer.from(key).toString('utf8');
  if (!text.includes('\\')) return text === 'messages';
  try {
    return JSON.parse(`"${text}"`) === 'messages';
  } catch {
    // A broken escape in a member name: the envelope's parser will say so.
    return false;
  }
}

function misplacedComma(): ProxyError {
  return new ProxyError(
    'invalid_request',
    'The request body is not valid JSON: a comma is missing or too many in `messages`.',
    { param: 'messages' },
  );
}
