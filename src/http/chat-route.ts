import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { streamErrorBody } from '../wire/error-body.ts';
import { limitedBody } from './body-stream.ts';
import { type FaultEars, reportFailure, toldOf } from './error-reply.ts';
import type { ChatHandler, Face, StreamReply } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';
import { abortReason, type OutgoingStream, sendStream } from './reply-stream.ts';

/** What the routes need. */
interface ChatRouteParts extends FaultEars {
  readonly live: LiveRequests;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly bodyLimitBytes: number;
  readonly bodyIdleMs: number;
}

/** A path at which turns are asked for: `POST /v1/chat/completions`, or another protocol's. */
export function addChatRoute(
  server: FastifyInstance,
  { path, chat, errorBody, requestIdHeader }: Face,
  parts: ChatRouteParts,
): void {
  const config = {
    access: 'clients',
    ...(errorBody === undefined ? {} : { errorBody }),
    ...(requestIdHeader === undefined ? {} : { requestIdHeader }),
  } as const;
  server.post(path, { config }, async (request, reply) => {
    await answer({ ...parts, chat }, request, reply);
    return reply;
  });
}

async function answer(
  parts: ChatRouteParts & { readonly chat: ChatHandler },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (request.body === undefined) {
    throw new ProxyError('invalid_request', 'The request has no body.');
  }
  const startedMs = parts.clock.elapsedMs();
  const { signal, onPiece, onArrived } = parts.live.receive(reply.raw);
  try {
    const answered = await parts.chat.handle({
      body: limitedBody(request.raw, {
        limitBytes: parts.bodyLimitBytes,
        idle: { clock: parts.clock, ms: parts.bodyIdleMs, signal },
        onPiece,
        onArrived,
      }),
      headers: request.headers,
      signal,
      requestId: request.id,
      noteWhose: (whose) => {
        request.whose = whose;
      },
    });
    if (answered.kind === 'json') {
      void reply
        .code(answered.status)
        .headers(answered.headers ?? {})
        .header('content-type', 'application/json; charset=utf-8')
        .send(answered.body);
      return;
    }
    const stream = eventStream(answered, request, parts);
    await sendStream(reply, stream, { ...parts, signal });
  } catch (error) {
    throw abortReason(error, signal);
  } finally {
    if (signal.aborted && toProxyError(signal.reason).code === 'cancelled')
      parts.log.info(
        { ...toldOf(request), ms: Math.round(parts.clock.elapsedMs() - startedMs) },
        'turn aborted: the client left',
      );
  }
}

function eventStream(reply: StreamReply, request: FastifyRequest, ears: FaultEars): OutgoingStream {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    headers: reply.headers ?? {},
    frames: reply.frames,
    // No `[DONE]` after it: some clients take that for success.
    errorFrame: (error) => {
      reportFailure(ears, error, toldOf(request));
      if (reply.errorFrame !== undefined) return reply.errorFrame(error);
      return `data: ${JSON.stringify(streamErrorBody(error, request.headers['user-agent']))}\n\n`;
    },
    heartbeat: reply.heartbeat ?? comment,
    failsInStream: reply.failsInStream,
    quietUntilMs: reply.quietUntilMs,
  };
}

function comment(): string {
  return ': waiting\n\n';
}
