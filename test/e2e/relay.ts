import {
  createServer,
  request as openRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PlainRequest } from '../../src/wire/types.ts';
import { patienceMs } from './patience.ts';

/** One request of OpenCode's and what it was answered, byte for byte as they went by. */
export interface Exchange {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly requestBody: Buffer;
  status: number;
  responseBody: string;
  /** True when OpenCode went away before the answer was over. */
  cut: boolean;
}

/** Stands between OpenCode and the proxy: passes everything on, keeps a copy. */
export interface Relay {
  readonly port: number;
  readonly exchanges: readonly Exchange[];
  /** The proxy's `http://127.0.0.1:PORT`; changes when it is started again. */
  target: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a relay on a free port. */
export async function startRelay(): Promise<Relay> {
  const exchanges: Exchange[] = [];
  const relay = { target: '' };
  const server = createServer((incoming, response) => {
    pass(incoming, response, { target: relay.target, exchanges }).catch(() => response.destroy());
  });
  // OpenCode keeps its connections; none may be closed under a request.
  server.keepAliveTimeout = patienceMs;
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return Object.assign(relay, {
    port: (server.address() as AddressInfo).port,
    exchanges,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  });
}

async function pass(
  incoming: IncomingMessage,
  response: ServerResponse,
  { target, exchanges }: { readonly target: string; readonly exchanges: Exchange[] },
): Promise<void> {
  const requestBody = Buffer.concat(await Array.fromAsync<Buffer>(incoming));
  const path = incoming.url ?? '/';
  const exchange: Exchange = {
    path,
    headers: incoming.headers,
    requestBody,
    status: 0,
    responseBody: '',
    cut: false,
  };
  exchanges.push(exchange);
  const { host: _, connection: __, ...headers } = incoming.headers;
  const onward = openRequest(`${target}${path}`, { method: incoming.method ?? 'GET', headers });
  response.once('close', () => {
    exchange.cut = !response.writableFinished;
    if (exchange.cut) onward.destroy();
  });
  onward.once('error', () => response.destroy());
  onward.once('response', (answer) => {
    exchange.status = answer.statusCode ?? 0;
    response.writeHead(exchange.status, answer.headers);
    response.flushHeaders();
    const decoder = new TextDecoder();
    answer.on('data', (bytes: Buffer) => {
      exchange.responseBody += decoder.decode(bytes, { stream: true });
      response.write(bytes);
    });
    answer.once('end', () => response.end());
    answer.once('error', () => response.destroy());
  });
  onward.end(requestBody);
}

/** The chat request in an exchange. */
export function requestOf(exchange: Exchange): PlainRequest {
  return JSON.parse(exchange.requestBody.toString()) as PlainRequest;
}
