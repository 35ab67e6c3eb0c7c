import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server as TcpServer,
  type Socket,
} from 'node:net';
import { join } from 'node:path';
import {
  answer,
  cut,
  done,
  finish,
  flood,
  frame,
  raw,
  reply,
  type Reply,
  role,
  stall,
  status,
  text,
  withHead,
} from '../scripted-upstream.ts';

/** A way in which a provider fails. */
export interface ProviderFault {
  /** As the table names it. */
  readonly what: string;
  /** What it answers with, each time. */
  readonly reply?: Reply;
  /** Settings that this failure takes. */
  readonly env?: Readonly<Record<string, string>>;
  /** Instead of an answer: where the provider is said to be, until it is closed. */
  readonly open?: () => Promise<{ readonly baseURL: string } & AsyncDisposable>;
}

/** So that a silence is over soon; heartbeats come before that, as they do with the usual numbers. */
const soon = {
  RLM_UPSTREAM_FIRST_BYTE_TIMEOUT_MS: '5000',
  RLM_UPSTREAM_IDLE_TIMEOUT_MS: '5000',
  RLM_HEARTBEAT_MS: '100',
};

const said = (message: string, more: object = {}): object => ({ error: { message, ...more } });

/** Where nobody is reached at all. */
export const unreachable: readonly ProviderFault[] = [
  { what: 'nobody listens there', open: at('http://127.0.0.1:9/v1') },
  { what: 'no such name', open: at(`http://${'no-such-name'.repeat(6)}.example/v1`) },
  { what: 'its certificate is signed by nobody known', open: openUntrusted },
  {
    what: 'the connection is never made',
    open: openMute,
    env: { RLM_UPSTREAM_CONNECT_TIMEOUT_MS: '300' },
  },
];

/** What a provider may answer, or not. */
export const answered: readonly ProviderFault[] = [
  {
    what: '401: wrong key',
    reply: status(401, said('Incorrect API key provided.', { code: 'invalid_api_key' })),
  },
  {
    what: '402: no money left',
    reply: status(402, said('Insufficient Balance', { code: 'insufficient_balance' })),
  },
  {
    what: '404: no such model',
    reply: status(404, said('The model does not exist.', { code: 'model_not_found' })),
  },
  {
    what: '400: a member is wrong',
    reply: status(400, said('temperature must be at most 2', { param: 'temperature' })),
  },
  {
    what: '400: prompt too long, again and again',
    reply: status(400, said('Too long.', { code: 'context_length_exceeded' })),
  },
  { what: '429: again and again', reply: status(429, said('Rate limit reached.')) },
  {
    what: '429: wait ten minutes',
    reply: status(429, said('Rate limit reached.'), { 'retry-after': '600' }),
  },
  { what: '500: again and again', reply: status(500, said('The engine is tired.')) },
  {
    what: '502: a page of HTML',
    reply: status(502, '<html><head><title>502 Bad Gateway</title></head></html>'),
  },
  {
    what: 'the connection breaks before an answer',
    reply: withHead(answer(''), { before: [cut()] }),
  },
  { what: 'it breaks before the first word', reply: reply(role(), cut()) },
  { what: 'it breaks after some words', reply: reply(role(), text('Half a'), cut()) },
  { what: 'the answer just ends after some words', reply: reply(role(), text('Half a')) },
  {
    what: 'an error comes after some words',
    reply: reply(role(), text('Half a'), frame(said('GPU lost.'))),
  },
  {
    what: 'silence instead of an answer',
    reply: withHead(answer(''), { before: [stall()] }),
    env: soon,
  },
  { what: 'silence after some words', reply: reply(role(), text('Half a'), stall()), env: soon },
  {
    what: 'a page of HTML with 200',
    reply: status(200, '<!doctype html><title>Sign in</title>', { 'content-type': 'text/html' }),
  },
  {
    what: 'bytes without sense',
    reply: reply(raw(Uint8Array.from({ length: 4_000 }, (_, at) => (at * 7919) % 256))),
  },
  { what: 'a stream without an answer in it', reply: reply(done()) },
  {
    what: 'a frame larger than allowed',
    reply: reply(role(), text('x'.repeat(70_000)), finish(), done()),
    env: { RLM_UPSTREAM_MAX_FRAME_BYTES: '65536' },
  },
  {
    what: 'an answer without end',
    reply: reply(role(), flood('on and on ', 1_000_000)),
    env: { RLM_MAX_ANSWER_CHARS: '1000' },
  },
];

function at(baseURL: string): () => Promise<{ readonly baseURL: string } & AsyncDisposable> {
  return async () => ({ baseURL, [Symbol.asyncDispose]: async () => undefined });
}

/** A server that speaks TLS, or ought to; `end` ends its connections. */
async function listening(
  server: TcpServer,
  end: () => void,
): Promise<{ readonly baseURL: string } & AsyncDisposable> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseURL: `https://127.0.0.1:${port}/v1`,
    [Symbol.asyncDispose]: async () => {
      end();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** Takes connections and does not say a word of TLS. */
async function openMute(): Promise<{ readonly baseURL: string } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  return listening(server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

async function openUntrusted(): Promise<{ readonly baseURL: string } & AsyncDisposable> {
  const read = (name: string): string =>
    readFileSync(join(import.meta.dirname, '../../fixtures/certificate', name), 'utf8');
  const server = createServer({ key: read('key.pem'), cert: read('certificate.pem') });
  return listening(server, () => server.closeAllConnections());
}
