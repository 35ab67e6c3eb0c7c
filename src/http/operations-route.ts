import type { FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import { errorBody } from '../wire/error-body.ts';
import { readBody } from './body-stream.ts';
import type { OperationsHandler } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';
import { sendStream } from './reply-stream.ts';

/** Largest request of a command: names and patterns, no texts. */
const bodyLimitBytes = 1_048_576;

/**
 * `POST /v1/rlm/{operation}`, for the commands of the same user: behind the secret of the owner
 * file, always.
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
  server.post<{ Params: { operation: string } }>(
    '/v1/rlm/:operation',
    { config: { access: 'owner' } },
    async (request, reply) => {
      const signal = parts.live.begin(reply.raw);
      const frames = parts.operations.run({
        operation: request.params.operation,
        body: await readBody(request.raw, bodyLimitBytes),
        signal,
      });
      const stream = {
        contentType: 'application/x-ndjson; charset=utf-8',
        headers: {},
        frames,
        errorFrame: (error: Parameters<typeof errorBody>[0]) =>
          `${JSON.stringify(errorBody(error))}\n`,
        heartbeat: () => '\n',
      };
      await sendStream(reply, stream, { ...parts, signal });
      return reply;
    },
  );
}
