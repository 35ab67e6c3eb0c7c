import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import { type Dispatcher, Pool, ProxyAgent } from 'undici';
import { ByteQueue } from '../base/byte-queue.ts';
import type { Route } from './route.ts';

/** The bytes of an answer, pulled as fast as they are wanted and no faster. */
export interface PieceSource {
  /**
   * All that has come since the last time; undefined at the end. @throws Error what broke the
   * connection
   */
  next(): Promise<Buffer | undefined>;
  /** Whether the sender has said all, taken or not; absent where that is not known. */
  readonly isOver?: boolean;
  /**
   * Ends the connection, unless the answer is over. Whoever waits for a piece fails with `reason`.
   */
  destroy(reason?: Error): void;
}

/** An answer whose head is in. */
export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  /** Without its transfer compression. */
  readonly body: PieceSource;
}

/** Opens connections to an origin, by its route. Whoever opens it destroys it. */
export function openDispatcher(origin: string, route: Route, connectTimeoutMs: number): Dispatcher {
  return route.proxy === undefined
    ? new Pool(origin, { connect: { timeout: connectTimeoutMs } })
    : new ProxyAgent({ uri: route.proxy.uri, connectTimeout: connectTimeoutMs });
}

/** What the system or undici calls a way that leads nowhere for now: offline, or no route. */
export const unreachedCodes: ReadonlySet<unknown> = new Set([
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const unknownAuthority =
  'Is it signed by an authority of your own, or by a proxy of your company? Name that one in NODE_EXTRA_CA_CERTS.';
const wrongTime = 'Is the clock of this machine right? Then its owner has to renew it.';

/** OpenSSL's words, as Node gives them for codes, and what can be done about each. */
const certificateHints: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  CERT_HAS_EXPIRED: wrongTime,
  CERT_NOT_YET_VALID: wrongTime,
  ERR_TLS_CERT_ALTNAME_INVALID: 'It is for other names: is the base URL right?',
};

/** What to do about a certificate that was not accepted; undefined for any other failure. */
export function certificateHint(code: unknown): string | undefined {
  return typeof code === 'string' ? certificateHints[code] : undefined;
}

/** An answer that was asked for. */
export interface PendingAnswer {
  /** The head of the answer, whatever its status. Rejects with what undici gives for a reason. */
  readonly head: Promise<HttpAnswer>;
  /**
   * Ends the connection, unless the answer is over. Whoever waits for the head, or for a piece,
   * fails with `reason`.
   */
  destroy(reason?: Error): void;
}

/**
 * Sends a request. undici's own `request` does the same by way of a stream and its iterator, which
 * for a chunk of a few bytes take longer than everything else.
 */
export function sendRequest(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
): PendingAnswer {
  const reader = new ResponseReader();
  try {
    dispatcher.dispatch(request, reader);
  } catch (error) {
    reader.onResponseError(undefined, error as Error);
  }
  return reader;
}

/** Bytes that may wait before the sender is held up. */
const maxWaitingBytes = 65_536;

/** Takes what undici hands out, and holds it up while nobody wants it. */
class ResponseReader implements Dispatcher.DispatchHandler, PieceSource, PendingAnswer {
  readonly #head = Promise.withResolvers<HttpAnswer>();
  #controller: Dispatcher.DispatchController | undefined;
  readonly #pieces = new ByteQueue(maxWaitingBytes, {
    pause: () => this.#controller?.pause(),
    resume: () => this.#controller?.resume(),
  });

  get head(): Promise<HttpAnswer> {
    return this.#head.promise;
  }

  async next(): Promise<Buffer | undefined> {
    // A fast sender's chunks are many and small; one by one they would take twice as long.
    const piece = this.#pieces.takeAll();
    if (piece !== undefined) return piece;
    return (await this.#pieces.arrived()) ? this.#pieces.takeAll() : undefined;
  }

  get isOver(): boolean {
    return this.#pieces.isOver;
  }

  destroy(reason: Error = new Error('The answer is not wanted any more.')): void {
    if (this.isOver) return;
    this.#end(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    const { fault } = this.#pieces;
    if (fault !== undefined) controller.abort(fault);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: IncomingHttpHeaders,
  ): void {
    // `100 Continue` and its like announce the answer and are not it.
    if (statusCode < 200) return;
    this.#head.resolve({ statusCode, headers, body: decoded(this, headers) });
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#pieces.push(piece);
  }

  onResponseEnd(): void {
    this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#end(error);
  }

  #end(fault?: Error): void {
    this.#pieces.end(fault);
    if (fault !== undefined) this.#head.reject(fault);
  }
}

/** Pieces must come out as they come in, and a stream that is cut must give what it had. */
const flush = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH };

/** The body without its transfer compression. */
function decoded(body: PieceSource, headers: IncomingHttpHeaders): PieceSource {
  const encoding = (headers['content-encoding'] ?? '').toLowerCase();
  if (encoding === 'gzip' || encoding === 'x-gzip' || encoding === 'deflate')
    return through(body, zlib.createUnzip(flush));
  return encoding === 'br' ? through(body, zlib.createBrotliDecompress(flush)) : body;
}

function through(body: PieceSource, decoder: zlib.Unzip | zlib.BrotliDecompress): PieceSource {
  const compressed = new Readable({
    read() {
      body.next().then(
        (piece) => this.push(piece ?? null),
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, done) {
      body.destroy(error ?? undefined);
      done(error);
    },
  });
  // Whoever reads sees the failure; an answer that nobody reads any more may fail in peace.
  const plain = pipeline(compressed, decoder, () => undefined);
  const pieces = plain[Symbol.asyncIterator]() as AsyncIterator<Buffer, unknown>;
  return {
    next: async () => {
      const { done, value } = await pieces.next();
      return done === true ? undefined : value;
    },
    destroy: (reason) => void plain.destroy(reason),
  };
}

/**
 * As much of the body as comes, up to the limits: what a broken connection left out of an error is
 * not worth another error.
 */
export async function readText(
  body: PieceSource,
  limits: { readonly maxBytes: number; readonly stop: AbortSignal },
): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  const onStop = (): void => body.destroy();
  limits.stop.addEventListener('abort', onStop);
  try {
    for (let piece = await body.next(); piece !== undefined; piece = await body.next()) {
      pieces.push(piece);
      sizeBytes += piece.length;
      if (sizeBytes >= limits.maxBytes) break;
    }
  } catch {
    // Then what came before it has to do.
  } finally {
    limits.stop.removeEventListener('abort', onStop);
    body.destroy();
  }
  return Buffer.concat(pieces).toString();
}
