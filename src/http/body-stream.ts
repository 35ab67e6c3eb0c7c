import type { IncomingMessage } from 'node:http';
import { ProxyError } from '../errors.ts';

/**
 * The pieces of a request's body as they arrive, pulled. The rest of a body that is too large is left to Node, which throws it away.
 * @throws ProxyError `body_too_large` before the first piece where the length is declared, else at the limit;
 *   `unsupported_media_type` for a compressed body
 */
export async function* limitedBody(
  request: IncomingMessage,
  limitBytes: number,
): AsyncGenerator<Buffer, void> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new ProxyError('unsupported_media_type', 'The body must not be compressed.');
  }
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes);
  let sizeBytes = 0;
  // Ending early must leave the request alone: the refusal goes out on its socket.
  const pieces = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const piece of pieces) {
    sizeBytes += piece.byteLength;
    if (sizeBytes > limitBytes) throw tooLarge(limitBytes);
    yield piece;
  }
}

/** A whole small body. @throws ProxyError as {@link limitedBody} */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(limitedBody(request, limitBytes)));
}

function tooLarge(limitBytes: number): ProxyError {
  return new ProxyError('body_too_large', `The body is larger than ${limitBytes} bytes.`, {
    hint: 'RLM_BODY_LIMIT_BYTES sets the limit.',
  });
}
