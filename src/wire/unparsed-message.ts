import { dropNullCalls } from './request.ts';
import type { Message, UpstreamMessage } from './types.ts';
import { mayHoldHalves, wellFormed } from './well-formed.ts';

/**
 * What a message is made of, without its texts: enough to know whether a provider's rules touch it.
 */
export interface MessageShape {
  readonly role: Message['role'];
  /** Names of its members. */
  readonly members: ReadonlySet<string>;
  readonly hasCalls: boolean;
  /** Whether `reasoning_content` is a text. */
  readonly hasReasoningText: boolean;
}

/** The shapes there are: a few, shared by all the messages of a program's life. */
const shapes = new Map<string, MessageShape>();

/** Clients choose the names of members; more shapes than this are forgotten and made anew. */
const maxShapes = 1_000;

/** The shape of a message. Equal shapes are the same object. */
export function shapeOf(message: Message): MessageShape {
  const members = Object.keys(message);
  const hasCalls = (message.tool_calls?.length ?? 0) > 0;
  const hasReasoningText = typeof message['reasoning_content'] === 'string';
  const key = JSON.stringify([message.role, hasCalls, hasReasoningText, members]);
  let shape = shapes.get(key);
  if (shape === undefined) {
    if (shapes.size >= maxShapes) shapes.clear();
    shape = { role: message.role, members: new Set(members), hasCalls, hasReasoningText };
    shapes.set(key, shape);
  }
  return shape;
}

/** Bytes among others. */
export interface ByteRange {
  /** What they lie in: another memory when it has grown, with the same bytes at the same place. */
  readonly within: { readonly bytes: Uint8Array };
  /** The first of them. */
  readonly from: number;
  readonly sizeBytes: number;
}

/** Pure. The bytes of a range, not copied. */
export function bytesOf({ within, from, sizeBytes }: ByteRange): Uint8Array {
  return within.bytes.subarray(from, from + sizeBytes);
}

/**
 * A message's JSON: UTF-8 in pieces, or among that of others, or text. A small message that lasts
 * is kept as text, because a buffer of its own takes half a KB besides what is in it; text holds no
 * bytes that are not UTF-8.
 */
export type MessageJson = readonly Uint8Array[] | ByteRange | string;

/**
 * A message as it came: bytes that have been checked once, in this request or an earlier one. It
 * goes upstream without ever being parsed again; that is what makes a resent history cost next to
 * nothing. Never changes, but for an object that it keeps once it was parsed.
 */
export class UnparsedMessage {
  readonly shape: MessageShape;
  readonly sizeBytes: number;
  /** Empty for one that is not there, and never goes upstream itself. */
  readonly json: MessageJson;
  #parsed: Message | undefined;

  /** @param json Of a message that has passed the check */
  constructor(
    shape: MessageShape,
    { json, sizeBytes }: { readonly json: MessageJson; readonly sizeBytes: number },
    parsed?: Message,
  ) {
    this.shape = shape;
    this.json = json;
    this.sizeBytes = sizeBytes;
    this.#parsed = parsed;
  }

  get role(): Message['role'] {
    return this.shape.role;
  }

  /** Its JSON, UTF-8, in pieces; none of a message that is not there. */
  get pieces(): readonly Uint8Array[] {
    const { json } = this;
    if (typeof json === 'string') return [Buffer.from(json)];
    return isRange(json) ? [bytesOf(json)] : json;
  }

  /** Whether its JSON is there. */
  get hasBytes(): boolean {
    const { json } = this;
    return typeof json !== 'string' && isRange(json) ? true : json.length > 0;
  }

  /** The message as an object, which is kept. */
  parse(): Message {
    this.#parsed ??= this.read();
    return this.#parsed;
  }

  /** The same, for one look: nothing is kept. */
  read(): Message {
    if (this.#parsed !== undefined) return this.#parsed;
    const { json } = this;
    return parseMessageJson(typeof json === 'string' ? json : textOfPieces(this.pieces));
  }
}

/**
 * A message's JSON as an object: whole characters only, and no null where calls would be. @throws
 * SyntaxError
 */
function parseMessageJson(json: string): Message {
  const message = JSON.parse(json) as Message;
  return dropNullCalls(mayHoldHalves(json) ? wellFormed(message) : message);
}

/** A message as an object, whatever it was. */
export function parsed(message: UpstreamMessage): Message {
  return message instanceof UnparsedMessage ? message.parse() : message;
}

/** Pure. Whether JSON lies among that of other messages. */
export function isRange(json: readonly Uint8Array[] | ByteRange): json is ByteRange {
  return 'within' in json;
}

/** Pieces as one; copied only where there are several. */
export function joinPieces(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
}

/** The text of UTF-8 that came in pieces. */
export function textOfPieces(pieces: readonly Uint8Array[]): string {
  const bytes = joinPieces(pieces);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
