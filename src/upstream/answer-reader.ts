import type { Clock, Watchdog } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import type { ChunkReader } from '../wire/chunk.ts';
import { checkDepth } from '../wire/json-depth.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { SseDecoder } from '../wire/sse.ts';
import type { Chunk } from '../wire/types.ts';
import type { PieceSource } from './http-answer.ts';
import { notAnApi, pageTitle } from './not-an-api.ts';
import { cancelled } from './retry.ts';

/** What to do about an answer that falls silent. */
export const idleHint = 'RLM_UPSTREAM_IDLE_TIMEOUT_MS sets the limit.';

/** What to do about an answer that does not begin. */
export const firstByteHint = 'RLM_UPSTREAM_FIRST_BYTE_TIMEOUT_MS sets the limit.';

/** Limits of reading one answer, milliseconds. */
export interface ReadingLimits {
  readonly firstByteTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Largest frame, and largest answer that comes as one JSON value, bytes. */
  readonly maxFrameBytes: number;
}

/** What an {@link AnswerReader} reads, and with what. */
interface AnswerParts {
  readonly body: PieceSource;
  readonly reader: ChunkReader;
  readonly limits: ReadingLimits;
  readonly clock: Clock;
  /** Watches the waits for pieces; whoever has it closes it. */
  readonly watchdog: Watchdog;
  readonly signal: AbortSignal;
  /** For errors. */
  readonly origin: string;
  readonly contentType: string;
}

/**
 * After the finish reason only the usage can come; a server that then neither speaks nor hangs up
 * is not waited for.
 */
const trailingTimeoutMs = 5000;

/** How long a finished answer's connection may take to end before it is closed instead of kept. */
const drainMs = 1000;

/** So much of a web page is read for its title, bytes. */
const maxPageBytes = 65_536;

/** Reads one accepted answer, batch by batch, as fast as it is asked to and no faster. */
export class AnswerReader {
  readonly #parts: AnswerParts;
  readonly #onSilence = (): void => this.#giveUp();
  readonly #decoder: SseDecoder;
  #form: 'events' | 'json' | 'page' | undefined;
  /** All of an answer that is not a stream. */
  readonly #whole: Buffer[] = [];
  #wholeBytes = 0;
  #hasEvents = false;
  #hasBytes = false;
  #isOver = false;
  #isClosed = false;
  #timedOut: ProxyError | undefined;
  /** To be thrown when the chunks before it have been taken. */
  #failure: ProxyError | undefined;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
    this.#decoder = new SseDecoder(parts.limits.maxFrameBytes);
  }

  /** The next chunks, never none; undefined after the last. @throws ProxyError */
  async next(): Promise<readonly Chunk[] | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    const chunks: Chunk[] = [];
    try {
      while (!this.#isOver && chunks.length === 0) this.#read(await this.#nextBytes(), chunks);
    } catch (error) {
      // What came before the failure in the same read is not lost by it.
      if (chunks.length === 0) throw error;
      this.#failure = toProxyError(error);
    }
    return chunks.length === 0 ? undefined : chunks;
  }

  /** Stops reading. Ends the connection unless the answer is over. May be called again. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { body, clock } = this.#parts;
    if (!this.#isOver) {
      body.destroy();
      return;
    }
    if (body.isOver === true) return;
    // What the server still sends is nobody's; reading it to its end lets the connection serve the
    // next call.
    const cancelTimer = clock.after(drainMs, () => body.destroy());
    this.#drain().then(cancelTimer, cancelTimer);
  }

  async #drain(): Promise<void> {
    const { body } = this.#parts;
    for (let piece = await body.next(); piece !== undefined;) piece = await body.next();
  }

  #read(bytes: Buffer | undefined, chunks: Chunk[]): void {
    if (bytes === undefined) {
      this.#readRest(chunks);
      this.#finish(chunks);
      return;
    }
    this.#hasBytes = true;
    this.#decode(bytes, chunks);
    if (this.#parts.reader.isDone) this.#finish(chunks);
  }

  /**
   * Undefined at the end, also at an abrupt one: what is missing then is found by what was read.
   */
  async #nextBytes(): Promise<Buffer | undefined> {
    const { reader, limits, signal, body, watchdog } = this.#parts;
    const idleMs = this.#hasBytes ? limits.idleTimeoutMs : limits.firstByteTimeoutMs;
    watchdog.start(reader.isFinished ? trailingTimeoutMs : idleMs, this.#onSilence);
    try {
      return await body.next();
    } catch (cause) {
      if (signal.aborted) throw cancelled(signal);
      if (reader.isFinished) return undefined;
      if (this.#timedOut !== undefined) throw this.#timedOut;
      const { origin } = this.#parts;
      throw new ProxyError('upstream_cut', `The connection to ${origin} broke in the answer.`, {
        cause,
      });
    } finally {
      watchdog.stop();
    }
  }

  #giveUp(): void {
    const { limits, body } = this.#parts;
    this.#timedOut = this.#hasBytes
      ? new ProxyError(
          'upstream_timeout',
          `The upstream fell silent for ${limits.idleTimeoutMs} ms.`,
          { hint: idleHint },
        )
      : new ProxyError(
          'upstream_timeout',
          `The upstream sent nothing for ${limits.firstByteTimeoutMs} ms.`,
          { hint: firstByteHint },
        );
    body.destroy(this.#timedOut);
  }

  #decode(bytes: Buffer, chunks: Chunk[]): void {
    if (this.#form === 'events') {
      this.#readEvents(this.#decoder.push(bytes), chunks);
      return;
    }
    this.#form ??= formOf(bytes);
    // White space before the first sign of either is of no use to either.
    if (this.#form === 'events') this.#readEvents(this.#decoder.push(bytes), chunks);
    if (this.#form !== 'json' && this.#form !== 'page') return;
    this.#whole.push(bytes);
    this.#wholeBytes += bytes.length;
    if (this.#form === 'page' && this.#wholeBytes > maxPageBytes) throw this.#page();
    const { maxFrameBytes } = this.#parts.limits;
    if (this.#wholeBytes > maxFrameBytes) {
      throw new ProxyError(
        'upstream_failed',
        `The upstream sent a JSON answer of more than ${maxFrameBytes} bytes.`,
        { retryable: false, hint: 'RLM_UPSTREAM_MAX_FRAME_BYTES sets the limit.' },
      );
    }
  }

  #readRest(chunks: Chunk[]): void {
    if (this.#form === 'page') throw this.#page();
    this.#readEvents(this.#decoder.end(), chunks);
    const { origin, contentType, reader } = this.#parts;
    if (this.#form === 'json') this.#readWhole(Buffer.concat(this.#whole).toString(), chunks);
    else if (this.#form === 'events' && !this.#hasEvents && !reader.isFinished) {
      // An event stream without an event was cut; anything else never was one.
      const isStream = contentType === '' || contentType.includes('event-stream');
      if (!isStream) throw notAnApi(origin, { kind: 'other', contentType });
    }
  }

  #readWhole(json: string, chunks: Chunk[]): void {
    const { origin, reader } = this.#parts;
    const value = parseJson(json);
    if (value === undefined) {
      if (isJsonLines(json)) throw notAnApi(origin, { kind: 'lines' });
      return;
    }
    checkDepth(value, json.length);
    const found: Chunk[] = [];
    // What it reports as a failure is thrown here.
    reader.readValue(value, found);
    if (!isObject(value) || !Array.isArray(value['choices'])) {
      throw notAnApi(origin, { kind: 'json' });
    }
    for (const chunk of found) chunks.push(chunk);
  }

  #page(): ProxyError {
    const title = pageTitle(Buffer.concat(this.#whole).toString());
    return notAnApi(this.#parts.origin, { kind: 'page', title });
  }

  #readEvents(events: readonly { name: string; data: string }[], chunks: Chunk[]): void {
    this.#hasEvents ||= events.length > 0;
    for (const event of events) this.#parts.reader.read(event, chunks);
  }

  #finish(chunks: Chunk[]): void {
    this.#isOver = true;
    this.#parts.reader.finish(chunks);
  }
}

/**
 * Some servers send a whole JSON answer, or an error, where a stream was asked for, under any
 * content type. Undefined for mere white space.
 */
function formOf(bytes: Buffer): 'events' | 'json' | 'page' | undefined {
  const first = bytes.find((byte) => byte > 0x20);
  if (first === undefined) return undefined;
  if (first === 0x3c) return 'page';
  return first === 0x7b || first === 0x5b ? 'json' : 'events';
}

/**
 * Whether a text that is not JSON is several JSON values, one a line. The last line may have been
 * cut.
 */
function isJsonLines(text: string): boolean {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.length > 1 && lines.slice(0, -1).every((line) => parseJson(line) !== undefined);
}

/** The answer's batches. Ending the iteration in any way calls `close`. */
export async function* batchesOf(
  answer: AnswerReader,
  first: readonly Chunk[] | undefined,
  close: () => void,
): AsyncGenerator<readonly Chunk[], void, void> {
  try {
    for (let batch = first; batch !== undefined; batch = await answer.next()) yield batch;
  } finally {
    close();
  }
}
