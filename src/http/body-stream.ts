import type { IncomingMessage } from 'node:http';
import { pipeline, Readable, type Transform } from 'node:stream';
import zlib from 'node:zlib';
import { ByteQueue } from '../base/byte-queue.ts';
import { type Clock, Watchdog } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { silentBody } from './live-requests.ts';

/** How a body is read. */
interface BodyRules {
  /** Largest body, bytes; of a compressed one, after unpacking. */
  readonly limitBytes: number;
  /**
   * How long the next piece is waited for, and what ends that before; absent: for as long as the
   * connection lasts.
   */
  readonly idle?: { readonly clock: Clock; readonly ms: number; readonly signal: AbortSignal };
  /** Called for each piece as it came. */
  readonly onPiece?: () => void;
  /** Called after the last one; what it throws ends the reading. */
  readonly onArrived?: () => void;
}

/**
 * The pieces of a request's body as they arrive, pulled, unpacked and without a byte order mark.
 * The rest of a body that is too large is left to Node, which throws it away.
 * @throws ProxyError `body_too_large` before the first piece where the length is declared, else at
 * the limit; `body_timeout`;
 *   `unsupported_media_type` for a compression that is not known; `invalid_request` for one that is
 *   broken
 */
export function limitedBody(
  request: IncomingMessage,
  rules: BodyRules,
): AsyncGenerator<Buffer, void> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const makeDecoder = decoders[encoding];
  if (encoding !== 'identity' && makeDecoder === undefined) {
    throw new ProxyError('unsupported_media_type', 'The body is compressed in an unknown way.', {
      hint: `Known: ${Object.keys(decoders).join(', ')}.`,
    });
  }
  if (Number(request.headers['content-length'] ?? 0) > rules.limitBytes)
    throw tooLarge(rules.limitBytes);
  const plain = new PlainPieces(rules);
  return makeDecoder === undefined
    ? sentPieces(request, rules, plain)
    : unpacked(sentPieces(request, rules), makeDecoder(), plain);
}

/** Looks at the pieces of a body as they are once they are unpacked. */
class PlainPieces {
  readonly #rules: BodyRules;
  #sizeBytes = 0;

  constructor(rules: BodyRules) {
    this.#rules = rules;
  }

  /** @throws ProxyError `body_too_large` */
  take(piece: Buffer): Buffer {
    const isStart = this.#sizeBytes === 0;
    this.#sizeBytes += piece.byteLength;
    if (this.#sizeBytes > this.#rules.limitBytes) throw tooLarge(this.#rules.limitBytes);
    const hasMark = isStart && byteOrderMark.equals(piece.subarray(0, byteOrderMark.length));
    return hasMark ? piece.subarray(byteOrderMark.length) : piece;
  }

  /** @throws what {@link BodyRules.onArrived} does */
  end(): void {
    this.#rules.onArrived?.();
  }
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
  pieces: PlainPieces,
): AsyncGenerator<Buffer, void> {
  let fault: ProxyError | undefined;
  // What is wrong with the request is told before what the decoder makes of it.
  const source = Readable.from(watched(packed, (error) => (fault = toProxyError(error))));
  const plain = pipeline(source, decoder, () => undefined) as AsyncIterable<Buffer>;
  try {
    // In memory of its own: zlib's pieces share theirs, and a reader may give it back.
    for await (const piece of plain) yield pieces.take(Buffer.from(Uint8Array.from(piece).buffer));
    pieces.end();
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause;
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
  rules: BodyRules,
  plain?: PlainPieces,
): AsyncGenerator<Buffer, void> {
  // What came together with the head is taken as it lies there: of most requests that is all, and
  // to wait for more, were it only for the end, costs them more than the rest of their reading.
  // Node tells of a head before it reads on in the same packet, and reads on before a promise.
  await Promise.resolve();
  const piece = request.read() as Buffer | null;
  try {
    if (piece !== null) {
      rules.onPiece?.();
      yield plain === undefined ? piece : plain.take(piece);
    }
    const isAll = request.complete || piece?.length === Number(request.headers['content-length']);
    if (!isAll || request.readableLength > 0) yield* comingPieces(request, rules, plain);
    else if (rules.idle?.signal.aborted === true) throw toProxyError(rules.idle.signal.reason);
    plain?.end();
  } finally {
    // A refusal goes out on its socket, and Node throws the rest away.
    if (!request.readableEnded) request.resume();
  }
}

async function* comingPieces(
  request: IncomingMessage,
  { idle, onPiece }: BodyRules,
  plain: PlainPieces | undefined,
): AsyncGenerator<Buffer, void> {
  // Does what the stream's own iterator does, for a fourth of its time.
  const pieces = new ByteQueue(maxWaitingBytes, request);
  const onData = (piece: Buffer): void => pieces.push(piece);
  const onEnd = (): void => pieces.end();
  const onError = (error: Error): void => pieces.end(error);
  const onClose = (): void => {
    if (!pieces.isOver) pieces.end(new Error('The connection closed before the body ended.'));
  };
  const onAbort = (): void => pieces.end(toProxyError(idle?.signal.reason));
  request.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
  idle?.signal.addEventListener('abort', onAbort);
  const dog = idle === undefined ? undefined : new Watchdog(idle.clock);
  const onSilence = (): void => pieces.end(silentBody(idle?.ms ?? 0));
  // What happened while nobody listened: the first piece was being read.
  if (idle?.signal.aborted === true) onAbort();
  else if (request.destroyed) onClose();
  try {
    for (;;) {
      let piece = pieces.take();
      if (piece === undefined) {
        dog?.start(idle?.ms ?? 0, onSilence);
        const isMore = await pieces.arrived();
        dog?.stop();
        if (!isMore) return;
        piece = pieces.take()!;
      }
      onPiece?.();
      yield plain === undefined ? piece : plain.take(piece);
    }
  } finally {
    dog?.close();
    idle?.signal.removeEventListener('abort', onAbort);
    request.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
  }
}

/** Bytes that may wait before the sender is held up. */
const maxWaitingBytes = 262_144;

/** A whole small body. @throws ProxyError as {@link limitedBody} */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(limitedBody(request, { limitBytes })));
}

function tooLarge(limitBytes: number): ProxyError {
  return new ProxyError('body_too_large', `The body is larger than ${limitBytes} bytes.`, {
    hint: 'RLM_BODY_LIMIT_BYTES sets the limit.',
  });
}
