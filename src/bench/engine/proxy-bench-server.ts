/**
 * The two other processes of `bench proxy`, started as `node proxy-bench-server.ts upstream` or
 * `... relay ORIGIN`. Each tells its parent the port it got.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';

/** Asks the upstream for so many chunks, so far apart: its model name. */
export function benchModel(chunks: number, gapMs: number): string {
  return `c${chunks}g${gapMs}`;
}

/**
 * Streams what the model's name says. Each chunk carries the time it was written, nanoseconds of
 * the machine's monotonic clock.
 */
async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = Buffer.concat(await Array.fromAsync<Buffer>(incoming)).toString();
  const [, chunks = '1', gapMs = '0'] = /"model":"c(\d+)g(\d+)"/.exec(body) ?? [];
  response.socket?.setNoDelay(true);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let n = 0; n < Number(chunks) && !response.destroyed; n += 1) {
    const stamp = process.hrtime.bigint();
    const isTaken = response.write(frame(`{"content":"${stamp} word "}`, 'null'));
    if (gapMs !== '0') await pause(Number(gapMs));
    else if (!isTaken) await taken(response);
  }
  response.end(`${frame('{}', '"stop"')}data: [DONE]\n\n`);
}

function frame(delta: string, finishReason: string): string {
  const head = '"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000';
  const choice = `{"index":0,"delta":${delta},"finish_reason":${finishReason}}`;
  return `data: {${head},"model":"bench","choices":[${choice}]}\n\n`;
}

/** Resolves when the reader has read on, or is gone. */
function taken(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle).off('close', settle);
      resolve();
    };
    response.on('drain', settle).on('close', settle);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/**
 * Hands every byte on, both ways, and does nothing else, with the fastest client there is: what no
 * proxy here can be faster than.
 */
function relayTo(origin: string): (incoming: IncomingMessage, response: ServerResponse) => void {
  const pool = new Pool(origin, { connections: 256 });
  return (incoming, response) => {
    const { host: _, connection: __, ...headers } = incoming.headers;
    const method = incoming.method === 'POST' ? 'POST' : 'GET';
    pool
      .stream({ path: incoming.url ?? '/', method, headers, body: incoming }, (reply) => {
        response.socket?.setNoDelay(true);
        const { connection: ___, 'transfer-encoding': ____, ...own } = reply.headers;
        response.writeHead(reply.statusCode, own);
        return response;
      })
      .catch(() => response.destroy());
  };
}

function serve(): void {
  const [role, origin = ''] = process.argv.slice(2);
  const relay = role === 'relay' ? relayTo(origin) : undefined;
  const server = createServer((incoming, response) => {
    if (relay !== undefined) relay(incoming, response);
    else answer(incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1', () => {
    // A server that listens on a host and port has an AddressInfo.
    process.send?.({ port: (server.address() as AddressInfo).port });
  });
}

// Imported by its parent for the model's name, run as a process by it for the rest.
if (process.argv[1] === import.meta.filename) serve();
