import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { errorBody } from '../wire/error-body.ts';
import { limitedBody, readBody } from './body-stream.ts';
import type { OperationsHandler } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';
import { sendStream } from './reply-stream.ts';

/** Largest arguments of a command: names and patterns, no texts. */
const bodyLimitBytes = 1_048_576;

/** What comes behind arguments is no text of a chat: it may be as long as a disk is large. */
const inputType = 'application/octet-stream';

/**
 * `POST /v1/rlm/{operation}`, for the commands of the same user: behind the secret of the owner
 * file, always. The body is the arguments as JSON; or, as `application/octet-stream`, a line with
 * them and then what the operation takes in.
 */
export function addOperationsRoute(
  server: FastifyInstance,
  parts: {
    readonly operations: OperationsHandler;
    readonly live: LiveRequests;
    readonly clock: Clock;
    readonly heartbeatMs: number;
  },
): void {
  void server.register((routes) => {
    routes.addContentTypeParser(inputType, (_request, body, done) => done(null, body));
    routes.post<{ Params: { operation: string } }>(
      '/v1/rlm/:operation',
      { config: { access: 'owner' } },
      async (request, reply) => {
        const signal = parts.live.begin(reply.raw);
        const asked = request.headers['content-type']?.startsWith(inputType)
          ? await readFramed(request.raw)
          : { body: await readBody(request.raw, bodyLimitBytes) };
        const { operation } = request.params;
        const stream = {
          contentType: 'application/x-ndjson; charset=utf-8',
          headers: {},
          frames: parts.operations.run({ operation, ...asked, signal }),
          errorFrame: (error: Parameters<typeof errorBody>[0]) =>
            `${JSON.stringify(errorBody(error))}\n`,
          // With a status the connection would be closed under what is still being sent, and the
          // answer lost.
          failsInStream: () => 'input' in asked,
          heartbeat: () => '\n',
        };
        await sendStream(reply, stream, { ...parts, signal });
        return reply;
      },
    );
  });
}

/**
 * The first line of a body, and the rest of it as it arrives. @throws ProxyError `body_too_large`
 */
async function readFramed(
  request: IncomingMessage,
): Promise<{ readonly body: Buffer; readonly input: AsyncIterable<Uint8Array> }> {
  const pieces = limitedBody(request, { limitBytes: Infinity });
  let held: Buffer = Buffer.alloc(0);
  for (;;) {
    const end = held.indexOf(0x0a);
    if (end >= 0) {
      const rest = held.subarray(end + 1);
      return { body: held.subarray(0, end), input: behind(rest, pieces) };
    }
    if (held.length > bodyLimitBytes) {
      await pieces.return();
      throw new ProxyError(
        'body_too_large',
        `The arguments are larger than ${bodyLimitBytes} bytes.`,
      );
    }
    const { value, done } = await pieces.next();
    if (done === true) return { body: held, input: behind(Buffer.alloc(0), pieces) };
    held = Buffer.concat([held, value]);
  }
}

async function* behind(
  first: Buffer,
  pieces: AsyncGenerator<Buffer, void>,
): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first;
    yield* pieces;
  } finally {
    await pieces.return();
  }
}
