import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { streamErrorBody } from '../wire/error-body.ts';
import { limitedBody } from './body-stream.ts';
import { type FaultEars, reportFailure, toldOf } from './error-reply.ts';
import type { PassHandler, PassReply } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';
import { passedPaths } from './paths.ts';
import { abortReason, type OutgoingStream, sendStream } from './reply-stream.ts';

/** What these routes need. */
interface PassRouteParts extends FaultEars {
  readonly pass: PassHandler;
  readonly live: LiveRequests;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly bodyLimitBytes: number;
  readonly bodyIdleMs: number;
}

/** The paths that are passed through, for JSON and for forms. */
export function addPassRoutes(server: FastifyInstance, parts: PassRouteParts): void {
  void server.register((routes) => {
    routes.addContentTypeParser('multipart/form-data', (_request, body, done) => done(null, body));
    for (const path of passedPaths) {
      routes.post(`/v1${path}`, { config: { access: 'clients' } }, async (request, reply) => {
        await pass(path, parts, request, reply);
        return reply;
      });
    }
  });
}

async function pass(
  path: string,
  parts: PassRouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { headers, raw } = request;
  const contentType = headers['content-type'];
  if (contentType === undefined) {
    throw new ProxyError('invalid_request', 'The request has no body.');
  }
  const { signal, onPiece, onArrived } = parts.live.receive(reply.raw);
  try {
    const length =
      headers['content-encoding'] === undefined ? headers['content-length'] : undefined;
    const answered = await parts.pass.handle({
      path,
      contentType,
      accept: headers.accept,
      ...(length === undefined ? {} : { sizeBytes: Number(length) }),
      body: limitedBody(raw, {
        limitBytes: parts.bodyLimitBytes,
        idle: { clock: parts.clock, ms: parts.bodyIdleMs, signal },
        onPiece,
        onArrived,
      }),
      signal,
      requestId: request.id,
    });
    if (/^text\/event-stream\b/i.test(answered.headers['content-type'] ?? '')) {
      await sendStream(reply, eventStream(answered, request, parts), { ...parts, signal });
      return;
    }
    void reply
      .code(answered.status)
      .headers(answered.headers)
      .send(Readable.from(answered.body, { objectMode: false }));
  } catch (error) {
    throw abortReason(error, signal);
  }
}

/** A stream of events keeps its heartbeat and its last words. */
function eventStream(
  { headers, body }: PassReply,
  request: FastifyRequest,
  ears: FaultEars,
): OutgoingStream {
  let isBetween = true;
  return {
    contentType: headers['content-type'] ?? '',
    headers,
    frames: noting(body, (piece) => {
      isBetween = /\n\r?\n$/.test(piece.toString('latin1', Math.max(0, piece.length - 3)));
    }),
    errorFrame: (error) => {
      reportFailure(ears, error, toldOf(request));
      const data = JSON.stringify(streamErrorBody(error, request.headers['user-agent']));
      return `${isBetween ? '' : '\n\n'}data: ${data}\n\n`;
    },
    // Within an event it would be a part of it.
    heartbeat: () => (isBetween ? ': waiting\n\n' : ''),
  };
}

async function* noting(
  body: AsyncIterable<Buffer>,
  note: (piece: Buffer) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of body) {
    note(piece);
    yield piece;
  }
}
