import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, ProxyError, toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { errorBody, errorHeaders } from '../wire/error-body.ts';
import type { Whose } from './handlers.ts';

/** Who hears of requests that failed. */
export interface FaultEars {
  readonly log: Logger;
  /** Hears the code of each that somebody waited for. */
  readonly onFault?: ((code: ErrorCode) => void) | undefined;
}

/**
 * Answers a request with an error, in the protocol's shape and this client's words, and logs what
 * only the operator can mend.
 */
export function sendError(
  from: FaultEars & { readonly caught: unknown },
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = fromFastify(from.caught);
  reportFailure(from, error, toldOf(request));
  // A refused body is still arriving; reading it only to throw it away would cost what the refusal
  // saves.
  if (!request.raw.complete) void reply.header('connection', 'close');
  return reply
    .code(error.status)
    .headers(errorHeaders(error))
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(bodyFor(error, request)));
}

/** In the words of the protocol that is spoken at the request's path. */
function bodyFor(
  error: ProxyError,
  { id: requestId, headers, routeOptions }: FastifyRequest,
): object {
  const userAgent = headers['user-agent'];
  const own = routeOptions.config.errorBody;
  return own === undefined ? errorBody(error, userAgent) : own(error, { userAgent, requestId });
}

/**
 * Logs a request that failed, a refused one at `info`: who looks for the reason of an error finds a
 * line. The message stays out of it, since an upstream's may quote the prompt; the hint is our own.
 * A client that left has its line from the chat route.
 */
export function reportFailure(
  { log, onFault }: FaultEars,
  error: ProxyError,
  { requestId, ...whose }: Whose & { readonly requestId: string },
): void {
  const { code, status, parts } = error;
  if (code !== 'cancelled') onFault?.(code);
  const told = { code, status, requestId, ...whose, hint: parts.hint };
  if (code === 'internal')
    log.error({ err: error.cause ?? error, requestId, ...whose }, 'request failed');
  else if (status >= 500) log.warn(told, 'request failed');
  else if (code !== 'cancelled') log.info(told, 'request refused');
}

/** A request's id, and whose it is as far as that is known. */
export function toldOf(request: FastifyRequest): Whose & { readonly requestId: string } {
  return { requestId: request.id, ...request.whose };
}

/** Gives Fastify's own refusals our codes. */
function fromFastify(caught: unknown): ProxyError {
  switch ((caught as { readonly code?: unknown } | null)?.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ProxyError('unsupported_media_type', 'The body must be application/json.');
    case 'FST_ERR_BAD_URL':
      return new ProxyError('invalid_request', 'The path is not a valid URL path.');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ProxyError('body_too_large', 'The body is too large.');
    default:
      return toProxyError(caught);
  }
}
