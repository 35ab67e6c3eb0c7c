import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { errorBody } from '../wire/error-body.ts';
import { parseJson } from '../wire/json.ts';
import { limitedBody } from './body-stream.ts';
import type { ErrorWriter, McpHandler } from './handlers.ts';
import { LiveRequests } from './live-requests.ts';
import { sendStream } from './reply-stream.ts';

/** Where the Model Context Protocol is spoken. */
export const mcpPath = '/mcp';

/** What may be done there. */
export const mcpMethods = ['GET', 'POST', 'DELETE'] as const;

/** Largest message, bytes: patterns and names, no texts. */
const bodyLimitBytes = 1_048_576;

/** Refusals are read by clients of JSON-RPC. The number is its first one for a server's own. */
const jsonRpcError: ErrorWriter = (error, { userAgent }) => ({
  jsonrpc: '2.0',
  error: { code: -32_000, message: errorBody(error, userAgent).error.message },
  id: null,
});

/** A comment, which is all that a stream without a message says. */
const silence = ': waiting\n\n';

/** What the route is made of. */
export interface McpRouteParts {
  readonly mcp: McpHandler;
  readonly live: LiveRequests;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly bodyIdleMs: number;
}

/**
 * `/mcp`, for assistants with a model of their own: behind a token, always, as every text of every
 * store can be read there. A message takes one of the places of live requests until it is answered;
 * the stream on which a client listens between its messages takes none and ends when the server
 * begins to stop. There are as many of those as the protocol's side has sessions.
 */
export function addMcpRoute(server: FastifyInstance, parts: McpRouteParts): void {
  const listening = new LiveRequests(Infinity, parts.clock);
  server.addHook('preClose', (done) => {
    listening.abortAll(new ProxyError('shutting_down', 'The server is stopping.'));
    done();
  });
  server.route({
    method: [...mcpMethods],
    url: mcpPath,
    exposeHeadRoute: false,
    config: { access: 'token', errorBody: jsonRpcError },
    handler: async (request, reply) => {
      const isListening = request.method === 'GET';
      const signal = (isListening ? listening : parts.live).begin(reply.raw);
      const body = request.method === 'POST' ? await bodyOf(request, signal, parts) : undefined;
      const response = await parts.mcp.handle({
        method: request.method,
        headers: request.raw.headers,
        body,
        signal,
        answered: endOf(reply),
      });
      await send(response, reply, { ...parts, signal, isListening });
      return reply;
    },
  });
}

/** The message; undefined where it is no JSON, which the protocol has its own words for. */
async function bodyOf(
  request: FastifyRequest,
  signal: AbortSignal,
  { clock, bodyIdleMs }: McpRouteParts,
): Promise<unknown> {
  const idle = { clock, ms: bodyIdleMs, signal };
  const pieces = await Array.fromAsync(
    limitedBody(request.raw, { limitBytes: bodyLimitBytes, idle }),
  );
  return parseJson(Buffer.concat(pieces).toString());
}

function endOf(reply: FastifyReply): AbortSignal {
  const over = new AbortController();
  reply.raw.once('close', () => over.abort());
  return over.signal;
}

async function send(
  response: Response,
  reply: FastifyReply,
  how: {
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly heartbeatMs: number;
    readonly isListening: boolean;
  },
): Promise<void> {
  const headers = Object.fromEntries(response.headers);
  const contentType = headers['content-type'] ?? '';
  if (response.body === null || !contentType.startsWith('text/event-stream')) {
    void reply.code(response.status).headers(headers);
    await reply.send(response.body === null ? '' : await response.text());
    return;
  }
  // What is answered ends by itself when the work does; listening ends when it is told to.
  const ends = how.isListening ? { signal: how.signal } : {};
  const events = Readable.fromWeb(response.body as ReadableStream<Uint8Array>, ends);
  const frames = how.isListening ? opened(events) : events;
  await sendStream(
    reply,
    { contentType, headers, frames, heartbeat: () => silence, errorFrame: () => silence },
    how,
  );
}

/** A listener learns at once that it is heard, and not with the first message. */
async function* opened(events: AsyncIterable<Uint8Array>): AsyncGenerator<string | Uint8Array> {
  yield silence;
  yield* events;
}
