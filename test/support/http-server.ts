import { type IncomingMessage, request } from 'node:http';
import { randomIds, systemClock } from '../../src/clock.ts';
import type { ChatCall, ChatHandler, JsonReply, StreamReply } from '../../src/http/handlers.ts';
import { createServer, type ProxyServer, type ServerOptions } from '../../src/http/server.ts';
import { silentLogger } from '../../src/log.ts';

/** A listening server with scripted handlers. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly server: ProxyServer;
}

export const ownerSecret = 'owner-secret';

/** Starts the HTTP side alone, on a free port. */
export async function startServer(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const server = createServer({
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    corsOrigins: [],
    ownerSecret,
    bodyLimitBytes: 1_000_000,
    maxLiveTurns: 100,
    bodyIdleMs: 30_000,
    heartbeatMs: 10_000,
    drainMs: 0,
    log: silentLogger(),
    clock: systemClock,
    ids: randomIds,
    chat: echoBody,
    faces: [],
    pass: {
      handle: async ({ path, body }) => ({ status: 200, headers: { 'x-path': path }, body }),
    },
    models: {
      list: async () => [modelCard('a.b')],
      find: async (id) => (id === 'zai.org/name:tag' ? modelCard(id) : undefined),
    },
    health: { report: () => ({ status: 'ok' }) },
    operations: {
      async *run({ operation, body }) {
        yield `${JSON.stringify({ result: { operation, body: body.toString() } })}\n`;
      },
    },
    ...options,
  });
  const url = await server.listen();
  return { url, server, [Symbol.asyncDispose]: () => server.close() };
}

function modelCard(id: string) {
  return { id, object: 'model', created: 1, owned_by: 'test' } as const;
}

/** Answers with the body that came in. */
const echoBody: ChatHandler = {
  handle: async ({ body }) => {
    const pieces = await Array.fromAsync(body);
    return { kind: 'json', status: 200, body: Buffer.concat(pieces).toString() };
  },
};

/** A handler that streams what the test's generator gives. */
export function streams(make: (call: ChatCall) => AsyncIterable<string | Uint8Array>): ChatHandler {
  return {
    handle: async (call): Promise<JsonReply | StreamReply> => ({
      kind: 'stream',
      frames: make(call),
    }),
  };
}

/** Posts `{}` to the chat route. */
export function postChat(
  url: string,
  init: Omit<RequestInit, 'headers'> & {
    readonly headers?: Record<string, string>;
    readonly duplex?: 'half';
  } = {},
): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: '{}',
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
}

/** A request with headers that `fetch` would not let one set. */
export async function rawRequest(
  url: string,
  options: {
    readonly method?: string;
    readonly path: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  },
): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const { hostname, port } = new URL(url);
  const sent = request(
    {
      hostname,
      port,
      path: options.path,
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
    },
    resolve,
  );
  sent.on('error', reject);
  sent.end(options.body);
  const response = await promise;
  const body = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString();
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}
