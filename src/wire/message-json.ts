import { memberJson } from './envelope-json.ts';
import type { ChatRequest, UpstreamMessage } from './types.ts';
import { type ByteRange, isRange, UnparsedMessage } from './unparsed-message.ts';

/**
 * JSON of messages and tool lists, for as long as somebody holds them: the same stubs, hidden turns
 * and tools go up again and again.
 */
const written = new WeakMap<object, Buffer>();

/** An object's JSON, UTF-8, written once. The object must not change afterwards. */
export function jsonBytes(value: object): Buffer {
  let bytes = written.get(value);
  if (bytes === undefined) {
    const json = JSON.stringify(value);
    // In memory of its own: these live long, and each would keep a pool of 64 KiB alive.
    bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(json));
    bytes.write(json);
    written.set(value, bytes);
  }
  return bytes;
}

/** Size of a message's JSON, bytes. */
export function messageBytes(message: UpstreamMessage): number {
  return message instanceof UnparsedMessage ? message.sizeBytes : jsonBytes(message).length;
}

/** Sizes of requests, which are asked for by the budget, the window and the statistics. */
const sizes = new WeakMap<ChatRequest, number>();

/** Size of a request's JSON, bytes. The request must not change afterwards. */
export function requestBytes(request: ChatRequest): number {
  let sizeBytes = sizes.get(request);
  if (sizeBytes === undefined) {
    sizeBytes = sizeOf(headOf(request)) + listBytes(request.messages);
    sizes.set(request, sizeBytes);
  }
  return sizeBytes;
}

/**
 * A request's JSON, UTF-8. The messages last, whatever the order of members: what grows from turn
 * to turn stands at the end, so that everything before it is the same bytes. A message that was
 * never parsed goes as it came, to the byte.
 */
export function requestBody(
  request: Readonly<Record<string, unknown>> & Pick<ChatRequest, 'messages'>,
): Buffer {
  const { messages } = request;
  const head = headOf(request);
  const body = Buffer.allocUnsafe(sizeOf(head) + listBytes(messages));
  let at = 0;
  for (const part of head)
    at += typeof part === 'string' ? body.write(part, at) : part.copy(body, at);
  const runs = new Runs(body, at);
  let isFirst = true;
  for (const message of messages) {
    if (!isFirst) runs.addComma();
    isFirst = false;
    if (!(message instanceof UnparsedMessage)) runs.add(jsonBytes(message));
    else if (typeof message.json === 'string') runs.addText(message.json);
    else if (isRange(message.json)) runs.addRange(message.json);
    else for (const piece of message.json) runs.add(piece);
  }
  at = runs.end();
  if (at < body.length - 3) throw new Error('The bytes of a message are gone.');
  at += body.write(']}', at, 'latin1');
  return body.subarray(0, at);
}

const comma = 0x2c;

/**
 * Copies pieces behind each other. What already lies behind each other, as a client's messages and
 * their commas do, is copied in one go: when the run ends, so only what lies between two pieces
 * that were given is sure to be the same by then.
 */
class Runs {
  readonly #body: Buffer;
  #at: number;
  /** What the run lies in; nothing between two runs. */
  #source: Uint8Array | undefined;
  /** Where the run begins and ends in the memory of that. */
  #from = 0;
  #to = 0;
  /** A comma comes before the next piece. */
  #needsComma = false;

  constructor(body: Buffer, at: number) {
    this.#body = body;
    this.#at = at;
  }

  add(piece: Uint8Array): void {
    this.#add(piece, piece.byteOffset, piece.length);
  }

  addRange({ within: { bytes }, from, sizeBytes }: ByteRange): void {
    this.#add(bytes, bytes.byteOffset + from, sizeBytes);
  }

  addText(text: string): void {
    this.#flush();
    this.#at += this.#body.write(text, this.#at);
  }

  addComma(): void {
    this.#needsComma = true;
  }

  #add(source: Uint8Array, from: number, length: number): void {
    if (!this.#isNext(source, from)) {
      this.#flush();
      this.#source = source;
      this.#from = from;
    }
    this.#needsComma = false;
    this.#to = from + length;
  }

  /** Whether bytes lie behind the run's; then its source is what holds both. */
  #isNext(source: Uint8Array, from: number): boolean {
    const own = this.#source;
    if (own?.buffer !== source.buffer || from !== this.#to + Number(this.#needsComma)) return false;
    const isAll = own === source || own.length === own.buffer.byteLength;
    const all = isAll ? own : new Uint8Array(own.buffer);
    if (this.#needsComma && all[this.#to - all.byteOffset] !== comma) return false;
    this.#source = all;
    return true;
  }

  /** @returns Index behind the last byte. */
  end(): number {
    this.#flush();
    return this.#at;
  }

  /** Copies the run, and puts the comma that comes behind it. */
  #flush(): void {
    const source = this.#source;
    if (source !== undefined) {
      const { byteOffset } = source;
      const run = source.subarray(this.#from - byteOffset, this.#to - byteOffset);
      this.#body.set(run, this.#at);
      this.#at += run.length;
      this.#source = undefined;
    }
    if (!this.#needsComma) return;
    this.#body[this.#at] = comma;
    this.#at += 1;
    this.#needsComma = false;
  }
}

/** All members but the messages, and the beginning of their list: text, and bytes as they are. */
function headOf(request: Readonly<Record<string, unknown>>): readonly (string | Buffer)[] {
  const parts: (string | Buffer)[] = [];
  let text = '{';
  for (const name of Object.keys(request)) {
    const value = request[name];
    if (value === undefined || name === 'messages') continue;
    text += `${JSON.stringify(name)}:`;
    if (name === 'tools' && value !== null) {
      parts.push(text, jsonBytes(value));
      text = '';
    } else text += memberJson(request, name, value);
    text += ',';
  }
  parts.push(`${text}"messages":[`);
  return parts;
}

function sizeOf(parts: readonly (string | Buffer)[]): number {
  return parts.reduce(
    (total, part) => total + (typeof part === 'string' ? Buffer.byteLength(part) : part.length),
    0,
  );
}

/** The list's elements, a comma each, and the end. */
function listBytes(messages: readonly UpstreamMessage[]): number {
  let sizeBytes = 2;
  for (const message of messages) sizeBytes += messageBytes(message) + 1;
  return sizeBytes;
}
