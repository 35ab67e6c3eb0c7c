import { ProxyError } from '../errors.ts';

/** One server-sent event. */
export interface SseEvent {
  /**
   * The `event:` field; empty where there is none. An `error:` field (old llama.cpp) gives `error`.
   */
  readonly name: string;
  /** The `data:` lines joined with `\n`. */
  readonly data: string;
}

const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const colon = 0x3a;
const dataField = Buffer.from('data');
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Turns the bytes of an event stream into events, however the bytes are split. More tolerant than
 * the HTML standard: a last event without its blank line counts, and an `error` field makes an
 * event.
 *
 * Lines are found in the bytes, so that a text is decoded once and never cut inside a character.
 */
export class SseDecoder {
  readonly #maxEventBytes: number;
  /**
   * The beginning of a line whose end has not come, as it came: joined once, so that a huge event
   * costs no more than its size.
   */
  #pieces: Buffer[] = [];
  #pendingBytes = 0;
  #name = '';
  /** The data lines of the event that is being read. */
  #lines: string[] = [];
  #linesBytes = 0;
  #afterCr = false;
  #atStart = true;

  /**
   * @param maxEventBytes An event that grows beyond this is an error. A frame of 28 MiB has been
   * seen (facts on inline images).
   */
  constructor(maxEventBytes: number = 256 * 1024 * 1024) {
    this.#maxEventBytes = maxEventBytes;
  }

  /**
   * All events that these bytes complete. @throws ProxyError `upstream_failed` when an event is too
   * large
   */
  push(bytes: Uint8Array): SseEvent[] {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const events: SseEvent[] = [];
    let start = this.#afterCr && chunk[0] === lf ? 1 : 0;
    if (chunk.length > 0) this.#afterCr = false;
    // Almost no stream has a carriage return: look for the next one only when the last one is used
    // up.
    let nextCr = chunk.indexOf(cr, start);
    for (;;) {
      const nextLf = chunk.indexOf(lf, start);
      const end = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf) ? nextCr : nextLf;
      if (end === -1) break;
      this.#lineAt(chunk, start, end, events);
      start = end + 1;
      if (end !== nextCr) continue;
      if (start === chunk.length) this.#afterCr = true;
      else if (chunk[start] === lf) start += 1;
      nextCr = chunk.indexOf(cr, start);
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return events;
  }

  /** The events left when the stream is over. */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    if (this.#pieces.length > 0) this.#lineAt(Buffer.alloc(0), 0, 0, events);
    this.#dispatch(events);
    return events;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#pendingBytes += piece.length;
    this.#checkSize(this.#pendingBytes);
  }

  #checkSize(sizeBytes: number): void {
    if (this.#linesBytes + sizeBytes <= this.#maxEventBytes) return;
    throw new ProxyError(
      'upstream_failed',
      `The upstream sent an event of more than ${this.#maxEventBytes} bytes.`,
      { retryable: false, hint: 'RLM_UPSTREAM_MAX_FRAME_BYTES sets the limit.' },
    );
  }

  /** Reads a line that ends inside `chunk` and may have begun in earlier ones. */
  #lineAt(chunk: Buffer, start: number, end: number, events: SseEvent[]): void {
    if (this.#pieces.length === 0) {
      this.#line(chunk, start, end, events);
      return;
    }
    const whole = Buffer.concat([...this.#pieces, chunk.subarray(start, end)]);
    this.#pieces = [];
    this.#pendingBytes = 0;
    this.#line(whole, 0, whole.length, events);
  }

  #line(bytes: Buffer, lineStart: number, end: number, events: SseEvent[]): void {
    let start = lineStart;
    if (this.#atStart) {
      this.#atStart = false;
      if (byteOrderMark.compare(bytes, start, Math.min(start + 3, end)) === 0) start += 3;
    }
    if (start === end) {
      this.#dispatch(events);
      return;
    }
    if (bytes[start] === colon) return;
    if (bytes[start + 4] === colon && dataField.compare(bytes, start, start + 4) === 0) {
      this.#checkSize(end - start);
      const from = bytes[start + 5] === space ? start + 6 : start + 5;
      this.#lines.push(from < end ? bytes.toString('utf8', from, end) : '');
      this.#linesBytes += end - start;
      return;
    }
    this.#otherField(bytes.toString('utf8', start, end));
  }

  #otherField(line: string): void {
    const at = line.indexOf(':');
    const field = at === -1 ? line : line.slice(0, at);
    const rest = at === -1 ? '' : line.slice(at + 1);
    const value = rest.startsWith(' ') ? rest.slice(1) : rest;
    if (field === 'event') this.#name = value;
    if (field === 'data') this.#lines.push(value);
    if (field === 'error') {
      this.#name = 'error';
      this.#lines.push(value);
    }
  }

  #dispatch(events: SseEvent[]): void {
    const [first] = this.#lines;
    if (first !== undefined) {
      const data = this.#lines.length === 1 ? first : this.#lines.join('\n');
      events.push({ name: this.#name, data });
      this.#lines = [];
      this.#linesBytes = 0;
    }
    this.#name = '';
  }
}
