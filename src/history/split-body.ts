import { createHash, hash, type Hash } from 'node:crypto';
import { ProxyError } from '../errors.ts';
import type { RequestMessage } from './request-message.ts';
import { type ByteRange, joinPieces } from '../wire/unparsed-message.ts';
import { findStringEnd, jsonPieceBytes, loadJsonPiece } from '../kernels/json-strings.ts';

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const space = 0x20;

/** A message of a body. */
export interface RawMessage {
  /** The element's bytes, in pieces as they arrived. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** SHA-256 of the bytes, base64url. */
  readonly hash: string;
  /** Where its bytes are kept for later requests; who wants others after the body copies them. */
  readonly kept?: ByteRange;
  /** The bytes are freed as soon as the message has been looked at. */
  readonly isPassing?: true;
  /**
   * What was made of one that has been cut out, or of a kept one, for the case that this very
   * message comes again.
   */
  item?: RequestMessage | undefined;
  /** Of a kept one, the chain hash up to it, once somebody has asked. */
  chain?: string | undefined;
}

/** A message that has been cut out of a body. */
export interface WalkedMessage extends RawMessage {
  /** Its first byte, from where {@link BodySplitter.feed} began. */
  readonly at: number;
}

/** Where a splitter stands between two bytes. */
interface Position {
  /**
   * What the walked bytes belong to: the envelope, an element of `messages`, or nothing (between
   * two elements).
   */
  place: 'envelope' | 'between' | 'element';
  /** Open brackets and braces around the next byte. The elements of `messages` stand at 2. */
  depth: number;
  inString: boolean;
  /** The piece before ended in an unfinished escape. */
  escaped: boolean;
  keyExpected: boolean;
  atMessages: boolean;
  sawMessages: boolean;
  elementIsScalar: boolean;
  afterElement: boolean;
  afterComma: boolean;
  complete: boolean;
}

/** Longest member name that is looked at, bytes; `messages` spelled in escapes takes 48. */
const maxKeyBytes = 64;

/**
 * Deepest nesting. `JSON.stringify` and everything else that walks values by calling itself ends at
 * some 5,000 levels.
 */
const maxDepth = 1_000;

/**
 * A message is hashed when it has ended, a longer one while it comes: 1 ms at most in one go.
 * Bytes.
 */
const maxUnhashedBytes = 1_048_576;

/**
 * Cuts the body of a chat request into its messages while it arrives.
 *
 * A client resends its whole history with every turn, 100 MB and more of it. Parsing that as one
 * JSON text stops the event loop for most of a second (measured: 700 ms at 100 MB), and nearly all
 * of it is known from the turn before. So the bytes are only walked structurally (strings,
 * nesting); each element of the top-level `messages` list is handed on as raw bytes with its
 * SHA-256, and everything else is collected as the *envelope*: the request with an empty
 * `messages`. What is known by its hash is never parsed again.
 *
 * Every valid JSON object is accepted. The inside of messages and of other members is not checked;
 * parsing those does that.
 *
 * A push machine: `feed` pieces, then `end`. Holds only the envelope and the message that is not
 * finished yet.
 */
export class BodySplitter {
  #at: Position = {
    place: 'envelope',
    depth: 0,
    inString: false,
    escaped: false,
    keyExpected: false,
    atMessages: false,
    sawMessages: false,
    elementIsScalar: false,
    afterElement: false,
    afterComma: false,
    complete: false,
  };
  /** The bytes of the top-level member name that is being read. */
  #key: number[] | undefined;
  readonly #envelope: Uint8Array[] = [];
  #pieces: Uint8Array[] = [];
  #sizeBytes = 0;
  #hash: Hash | undefined;
  /** How many of the pieces are in the hash. */
  #hashedPieces = 0;
  #ready: WalkedMessage[] = [];
  /** Bytes before the part that is walked, since the list began or was gone on with. */
  #baseBytes = 0;
  /** The first byte of the message that is not finished yet. */
  #elementAt = 0;
  readonly #listName: string;

  /** @param listName The member whose elements are cut out */
  constructor(listName = 'messages') {
    this.#listName = listName;
  }

  /**
   * Takes the next piece up to the list of messages. @returns The index behind the bracket that
   * opens it; undefined where it is not in this piece. @throws ProxyError `invalid_request`
   */
  feedHead(piece: Uint8Array): number | undefined {
    for (let from = 0; from < piece.length; from += jsonPieceBytes) {
      const part = piece.subarray(from, from + jsonPieceBytes);
      const end = this.#feedPart(part, true);
      if (this.#at.place === 'between') return from + end;
    }
    return undefined;
  }

  /**
   * Goes on inside the list, behind messages that were not fed or, if there are none, at its start.
   */
  resume(isBehindMessages: boolean): void {
    this.#at.afterElement = isBehindMessages;
    this.#baseBytes = 0;
  }

  /**
   * Takes the next piece, which must not change afterwards, and returns the messages that it
   * completed.
   * @throws ProxyError `invalid_request`
   */
  feed(piece: Uint8Array): readonly WalkedMessage[] {
    for (let from = 0; from < piece.length; from += jsonPieceBytes)
      this.#feedPart(piece.subarray(from, from + jsonPieceBytes));
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /**
   * @returns Where it stopped: at the end, or with `toList` behind the bracket that opens the list.
   */
  #feedPart(piece: Uint8Array, toList = false): number {
    loadJsonPiece(piece);
    let start = 0;
    let index = 0;
    while (index < piece.length) {
      const before = this.#at.place;
      const next = this.#at.inString
        ? this.#walkString(piece, index)
        : this.#walkByte(piece[index] as number, index);
      if (before !== this.#at.place) {
        if (before !== 'between') this.#take(before, piece, start, next);
        if (before === 'element') this.#hand();
        if (before === 'between') this.#elementAt = this.#baseBytes + next;
        start = next;
        if (toList && this.#at.place === 'between') return next;
      }
      index = next;
    }
    if (this.#at.place !== 'between') this.#take(this.#at.place, piece, start, piece.length);
    this.#baseBytes += piece.length;
    return piece.length;
  }

  /**
   * After the last piece: the JSON of the request without its messages, not looked at.
   * @param needsList Whether a JSON object without the list is refused
   * @throws ProxyError `invalid_request`
   */
  end(needsList = true): Buffer {
    const envelope = Buffer.concat(this.#envelope);
    // What is no JSON is told by whoever parses it; an object that is whole and has none is told
    // here.
    if (needsList && this.#at.complete && !this.#at.sawMessages) {
      throw new ProxyError('invalid_request', 'The request needs `messages`, a list of messages.', {
        param: 'messages',
      });
    }
    return envelope;
  }

  /** One byte outside strings. Returns the index of the next byte to look at. */
  #walkByte(byte: number, index: number): number {
    if (this.#at.place === 'between') return this.#walkBetween(byte, index);
    if (byte <= space && !this.#at.elementIsScalar) return index + 1;
    if (this.#at.elementIsScalar && (byte <= space || byte === comma || byte === closeBracket)) {
      this.#at.place = 'between';
      return index;
    }
    if (this.#at.complete)
      throw new ProxyError('invalid_request', 'The request body goes on after its end.');
    if (this.#at.depth === 0 && byte !== openBrace)
      throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
    switch (byte) {
      case quote:
        this.#at.inString = true;
        if (this.#at.keyExpected && this.#at.depth === 1) this.#key = [];
        this.#at.keyExpected = false;
        break;
      case openBrace:
      case openBracket:
        this.#open(byte);
        break;
      case closeBrace:
      case closeBracket:
        this.#at.depth -= 1;
        if (this.#at.depth === 0) this.#at.complete = true;
        if (this.#at.place === 'element' && this.#at.depth === 2) this.#at.place = 'between';
        break;
      case comma:
        if (this.#at.depth === 1) {
          this.#at.keyExpected = true;
          this.#at.atMessages = false;
        }
        break;
      default:
    }
    return index + 1;
  }

  #open(byte: number): void {
    this.#at.depth += 1;
    if (this.#at.depth > maxDepth) {
      throw new ProxyError(
        'invalid_request',
        `The request is nested more than ${maxDepth} levels deep.`,
        { hint: 'Send deep structures as text.' },
      );
    }
    if (this.#at.depth === 1) this.#at.keyExpected = true;
    if (
      this.#at.place !== 'envelope' ||
      this.#at.depth !== 2 ||
      byte !== openBracket ||
      !this.#at.atMessages
    )
      return;
    if (this.#at.sawMessages)
      throw new ProxyError(
        'invalid_request',
        `\`${this.#listName}\` stands twice in the request.`,
        {
          param: this.#listName,
        },
      );
    this.#at.sawMessages = true;
    this.#at.place = 'between';
    this.#at.afterElement = false;
    this.#at.afterComma = false;
  }

  /**
   * One byte between two elements. Commas are dropped, so that the envelope keeps an empty list.
   */
  #walkBetween(byte: number, index: number): number {
    if (byte <= space) return index + 1;
    if (byte === closeBracket) {
      if (this.#at.afterComma) throw this.#misplacedComma();
      this.#at.place = 'envelope';
      return index;
    }
    if (byte === comma) {
      if (!this.#at.afterElement) throw this.#misplacedComma();
      this.#at.afterElement = false;
      this.#at.afterComma = true;
      return index + 1;
    }
    if (this.#at.afterElement) throw this.#misplacedComma();
    this.#at.place = 'element';
    this.#at.elementIsScalar = byte !== openBrace && byte !== openBracket && byte !== quote;
    return index;
  }

  /** Walks on inside a string. Returns the index after the piece or after the closing quote. */
  #walkString(piece: Uint8Array, from: number): number {
    let index = from;
    if (this.#at.escaped) {
      this.#at.escaped = false;
      this.#key?.push(piece[index] as number);
      index += 1;
    }
    const { index: end, isCut } = findStringEnd(index, piece.length);
    this.#at.escaped = isCut;
    if (this.#key !== undefined) {
      for (let at = index; at < end && this.#key.length < maxKeyBytes; at += 1)
        this.#key.push(piece[at] as number);
    }
    if (end === piece.length) return end;
    this.#at.inString = false;
    if (this.#key !== undefined) {
      this.#at.atMessages = isNamed(this.#key, this.#listName);
      this.#key = undefined;
    }
    // A string that is itself an element of `messages`: nonsense, but well-formed; the message
    // check names it.
    if (this.#at.place === 'element' && this.#at.depth === 2) this.#at.place = 'between';
    return end + 1;
  }

  #take(place: 'envelope' | 'element', piece: Uint8Array, from: number, to: number): void {
    if (from === to) return;
    const bytes = piece.subarray(from, to);
    if (place === 'envelope') {
      // A copy: it is small, and what it lies in is freed.
      this.#envelope.push(Buffer.from(bytes));
      return;
    }
    this.#pieces.push(bytes);
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > maxUnhashedBytes) this.#hashPieces();
  }

  #digest(): string {
    if (this.#hash !== undefined) {
      this.#hashPieces();
      return this.#hash.digest('base64url');
    }
    // In one call, which takes a fourth of the time of a hash that is fed.
    return hash('sha256', joinPieces(this.#pieces), 'base64url');
  }

  /** Brings the hash of the unfinished message up to its last piece. */
  #hashPieces(): void {
    this.#hash ??= createHash('sha256');
    for (; this.#hashedPieces < this.#pieces.length; this.#hashedPieces += 1)
      this.#hash.update(this.#pieces[this.#hashedPieces] as Uint8Array);
  }

  #misplacedComma(): ProxyError {
    return new ProxyError(
      'invalid_request',
      `The request body is not valid JSON: a comma is missing or too many in \`${this.#listName}\`.`,
      { param: this.#listName },
    );
  }

  /** Hands on the message that has just ended. */
  #hand(): void {
    this.#ready.push({
      pieces: this.#pieces,
      sizeBytes: this.#sizeBytes,
      hash: this.#digest(),
      at: this.#elementAt,
      item: undefined,
    });
    this.#pieces = [];
    this.#sizeBytes = 0;
    this.#hash = undefined;
    this.#hashedPieces = 0;
    this.#at.elementIsScalar = false;
    this.#at.afterElement = true;
    this.#at.afterComma = false;
  }
}

/** @param name ASCII */
function isNamed(key: readonly number[], name: string): boolean {
  if (!key.includes(backslash))
    return key.length === name.length && key.every((byte, at) => byte === name.charCodeAt(at));
  const text = Buffer.from(key).toString('utf8');
  try {
    return JSON.parse(`"${text}"`) === name;
  } catch {
    // A broken escape in a member name: the envelope's parser will say so.
    return false;
  }
}
