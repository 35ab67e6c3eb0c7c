import { StringDecoder } from 'node:string_decoder';
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
const space = 0x20;
const colon = 0x3a;
const byteOrderMark = 0xfeff;

/**
 * Turns the bytes of an event stream into events, however the bytes are split. More tolerant than
 * the HTML standard: a last event without its blank line counts, and an `error` field makes an
 * event.
 *
 * What comes is decoded once, and its lines are cut out of that: a call for each line, and another
 * one for its text, would take longer than all else that is done with a frame.
 */
export class SseDecoder {
  readonly #maxEventBytes: number;
  readonly #decoder = new StringDecoder('utf8');
  /**
   * The beginning of a line whose end has not come, as it came: joined once, so that a huge event
   * costs no more than its size.
   */
  #pieces: string[] = [];
  #pendingChars = 0;
  #name = '';
  /** The first data line of the event that is being read; absent where there is none. */
  #data: string | undefined;
  /** Its other ones. */
  #lines: string[] = [];
  #linesChars = 0;
  #afterCr = false;
  #atStart = true;

  /**
   * @param maxEventBytes An event that grows to more characters than this is an error. A frame of
   * 28 MiB has been seen (facts on inline images).
   */
  constructor(maxEventBytes: number = 256 * 1024 * 1024) {
    this.#maxEventBytes = maxEventBytes;
  }

  /**
   * All events that these bytes complete. @throws ProxyError `upstream_failed` when an event is too
   * large
   */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    this.#read(this.#decoder.write(bytes), events);
    return events;
  }

  /** The events left when the stream is over. */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    this.#read(this.#decoder.end(), events);
    if (this.#pieces.length > 0) this.#lineAt('', 0, 0, events);
    this.#dispatch(events);
    return events;
  }

  #read(text: string, events: SseEvent[]): void {
    if (text === '') return;
    let start = this.#afterCr && text.charCodeAt(0) === lf ? 1 : 0;
    if (this.#atStart && text.charCodeAt(0) === byteOrderMark) start = 1;
    this.#afterCr = false;
    this.#atStart = false;
    // Almost no stream has a carriage return: look for the next one only when the last one is used
    // up.
    let nextCr = text.indexOf('\r', start);
    for (;;) {
      const nextLf = text.indexOf('\n', start);
      const end = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf) ? nextCr : nextLf;
      if (end === -1) break;
      this.#lineAt(text, start, end, events);
      start = end + 1;
      if (end !== nextCr) continue;
      if (start === text.length) this.#afterCr = true;
      else if (text.charCodeAt(start) === lf) start += 1;
      nextCr = text.indexOf('\r', start);
    }
    if (start < text.length) this.#keep(text.slice(start));
  }

  #keep(piece: string): void {
    this.#pieces.push(piece);
    this.#pendingChars += piece.length;
    this.#checkSize(this.#pendingChars);
  }

  #checkSize(sizeChars: number): void {
    if (this.#linesChars + sizeChars <= this.#maxEventBytes) return;
    throw new ProxyError(
      'upstream_failed',
      `The upstream sent an event of more than ${this.#maxEventBytes} bytes.`,
      { retryable: false, hint: 'RLM_UPSTREAM_MAX_FRAME_BYTES sets the limit.' },
    );
  }

  /** Reads a line that ends inside `text` and may have begun in earlier ones. */
  #lineAt(text: string, start: number, end: number, events: SseEvent[]): void {
    if (this.#pieces.length === 0) {
      this.#line(text, start, end, events);
      return;
    }
    this.#pieces.push(text.slice(start, end));
    const whole = this.#pieces.join('');
    this.#pieces = [];
    this.#pendingChars = 0;
    this.#line(whole, 0, whole.length, events);
  }

  #line(text: string, start: number, end: number, events: SseEvent[]): void {
    if (start === end) {
      this.#dispatch(events);
      return;
    }
    if (text.charCodeAt(start) === colon) return;
    if (text.startsWith('data:', start)) {
      this.#checkSize(end - start);
      const from = start + 5;
      this.#addData(text.slice(text.charCodeAt(from) === space ? from + 1 : from, end));
      this.#linesChars += end - start;
      return;
    }
    this.#otherField(text.slice(start, end));
  }

  #otherField(line: string): void {
    const at = line.indexOf(':');
    const field = at === -1 ? line : line.slice(0, at);
    const rest = at === -1 ? '' : line.slice(at + 1);
    const value = rest.startsWith(' ') ? rest.slice(1) : rest;
    if (field === 'event') this.#name = value;
    if (field === 'data') this.#addData(value);
    if (field === 'error') {
      this.#name = 'error';
      this.#addData(value);
    }
  }

  #addData(value: string): void {
    if (this.#data === undefined) this.#data = value;
    else this.#lines.push(value);
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data !== undefined) {
      let data = this.#data;
      if (this.#lines.length > 0) {
        data = `${data}\n${this.#lines.join('\n')}`;
        this.#lines = [];
      }
      events.push({ name: this.#name, data });
      this.#data = undefined;
      this.#linesChars = 0;
    }
    this.#name = '';
  }
}
