import type { IncomingMessage } from 'node:http';
import { pipeline, Readable, type Transform } from 'node:stream';
import zlib from 'node:zlib';
import { type Clock, Watchdog } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { silentBody } from './live-requests.ts';

/** How a body is read. */
export interface BodyRules {
  /** Largest body, bytes; of a compressed one, after unpacking. */
  readonly limitBytes: number;
  /** How long the next piece is waited for, and what ends that before; absent: for as long as the connection lasts. */
  readonly idle?: { readonly clock: Clock; readonly ms: number; readonly signal: AbortSignal };
  /** Called for each piece as it came. */
  readonly onPiece?: () => void;
  /** Called after the last one; what it throws ends the reading. */
  readonly onArrived?: () => void;
}

/**
 * The pieces of a request's body as they arrive, pulled, unpacked and without a byte order mark. The rest of a body that is too large is
 * left to Node, which throws it away.
 * @throws ProxyError `body_too_large` before the first piece where the length is declared, else at the limit; `body_timeout`;
 *   `unsupported_media_type` for a compression that is not known; `invalid_request` for one that is broken
 */
export async function* limitedBody(
  request: IncomingMessage,
  rules: BodyRules,
): AsyncGenerator<Buffer, void> {
  const { limitBytes, onArrived } = rules;
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const makeDecoder = decoders[encoding];
  if (encoding !== 'identity' && makeDecoder === undefined) {
    throw new ProxyError('unsupported_media_type', 'The body is compressed in an unknown way.', {
      hint: `Known: ${Object.keys(decoders).join(', ')}.`,
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
  const sent = sentPieces(request, rules);
  let sizeBytes = 0;
  let isStart = true;
  for await (const piece of makeDecoder === undefined ? sent : unpacked(sent, makeDecoder())) {
    sizeBytes += piece.byteLength;
    if (sizeBytes > limitBytes) throw tooLarge(limitBytes);
    const hasMark = isStart && byteOrderMark.equals(piece.subarray(0, byteOrderMark.length));
    isStart = false;
    yield hasMark ? piece.subarray(byteOrderMark.length) : piece;
  }
  onArrived?.();
}

/** Some editors and shells write it in front of a file. It comes in one piece with what follows. */
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** What unpacks a body, by its `content-encoding`. */
const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: zlib.createUnzip,
  'x-gzip': zlib.createUnzip,
  deflate: zlib.createUnzip,
  br: zlib.createBrotliDecompress,
  zstd: zlib.createZstdDecompress,
};

async function* unpacked(
  packed: AsyncIterable<Buffer>,
  decoder: Transform,
): AsyncGenerator<Buffer, void> {
  let fault: ProxyError | undefined;
  // What is wrong with the request is told before what the decoder makes of it.
  const source = Readable.from(watched(packed, (error) => (fault = toProxyError(error))));
  const plain = pipeline(source, decoder, () => undefined) as AsyncIterable<Buffer>;
  try {
    // In memory of its own: zlib's pieces share theirs, and a reader may give it back.
    for await (const piece of plain) yield Buffer.from(Uint8Array.from(piece).buffer);
  } catch (cause) {
    throw fault ?? new ProxyError('invalid_request', 'The body cannot be unpacked.', { cause });
  }
}

async function* watched(
  pieces: AsyncIterable<Buffer>,
  onFault: (error: unknown) => void,
): AsyncGenerator<Buffer, void> {
  try {
    yield* pieces;
  } catch (error) {
    onFault(error);
    throw error;
  }
}

async function* sentPieces(
  request: IncomingMessage,
  { idle, onPiece }: BodyRules,
): AsyncGenerator<Buffer, void> {
  const pieces = new Pieces(request);
  const onAbort = (): void => pieces.fail(toProxyError(idle?.signal.reason));
  idle?.signal.addEventListener('abort', onAbort);
  const dog =
    idle === undefined
      ? undefined
      : new Watchdog(idle.clock, () => pieces.fail(silentBody(idle.ms)));
  try {
    for (;;) {
      let piece = pieces.take();
      if (piece === undefined) {
        dog?.start(idle?.ms ?? 0);
        piece = await pieces.next();
        dog?.stop();
      }
      if (piece === undefined) return;
      onPiece?.();
      yield piece;
    }
  } finally {
    dog?.close();
    idle?.signal.removeEventListener('abort', onAbort);
    pieces.release();
  }
}

/** Pieces that may wait before the sender is held up. */
const maxWaitingPieces = 4;

/** A request's pieces, pulled. Does what the stream's own iterator does, for a fourth of its time, which a short request feels. */
class Pieces {
  readonly #request: IncomingMessage;
  readonly #waiting: Buffer[] = [];
  #isOver = false;
  #fault: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(request: IncomingMessage) {
    this.#request = request;
    request.on('data', this.#onData).on('end', this.#onEnd);
    request.on('error', this.#onError).on('close', this.#onClose);
  }

  /** A piece that is here already. */
  take(): Buffer | undefined {
    const piece = this.#waiting.shift();
    if (piece !== undefined && this.#request.isPaused()) this.#request.resume();
    return piece;
  }

  /** The next piece; undefined after the last. @throws Error what broke the connection */
  async next(): Promise<Buffer | undefined> {
    while (this.#waiting.length === 0 && !this.#isOver && this.#fault === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const piece = this.take();
    if (piece === undefined && this.#fault !== undefined) throw this.#fault;
    return piece;
  }

  /** Ends the waiting. */
  fail(fault: Error): void {
    this.#fault ??= fault;
    this.#wake?.();
  }

  /** Leaves the request alone: a refusal goes out on its socket, and Node throws the rest away. */
  release(): void {
    const request = this.#request;
    request.off('data', this.#onData).off('end', this.#onEnd);
    request.off('error', this.#onError).off('close', this.#onClose);
    if (!this.#isOver) request.resume();
  }

  readonly #onData = (piece: Buffer): void => {
    this.#waiting.push(piece);
    if (this.#waiting.length >= maxWaitingPieces) this.#request.pause();
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.#isOver = true;
    this.#wake?.();
  };

  readonly #onError = (error: Error): void => {
    this.#fault = error;
    this.#wake?.();
  };

  readonly #onClose = (): void => {
    if (!this.#isOver) this.#fault ??= new Error('The connection closed before the body ended.');
    this.#wake?.();
  };
}

/** A whole small body. @throws ProxyError as {@link limitedBody} */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(limitedBody(request, { limitBytes })));
}

function tooLarge(limitBytes: number): ProxyError {
  return new ProxyError('body_too_large', `The body is larger than ${limitBytes} bytes.`, {
    hint: 'RLM_BODY_LIMIT_BYTES sets the limit.',
  });
}
