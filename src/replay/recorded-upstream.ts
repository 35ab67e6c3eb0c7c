import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Difference, firstDifference } from './first-difference.ts';
import { shapeDifference, shapeOf } from './request-shape.ts';
import type { RecordedExchange, RecordedTurn } from './recorded-turn.ts';

/** What became of one request of a turn. */
export interface ComparedRequest {
  /** Of the recorded one; absent where the present code has sent one more. */
  readonly number?: number;
  /** Absent where it is the same to the byte. */
  readonly difference?: Difference;
  /** Whether the recorded one was not sent. */
  readonly isMissing?: true;
}

/**
 * Plays the providers of a recorded turn on the loopback interface: gives the recorded answers, and
 * compares what is asked. A request that was recorded to the byte gets its own answer, in whatever
 * order sub-models are asked; another one gets that of a request of its shape, or the next one that
 * is left, so that the turn goes on.
 */
export class RecordedUpstream implements AsyncDisposable {
  readonly #server: Server;
  readonly #compares: 'bytes' | 'shape';
  #models: RecordedTurn['models'] = [];
  #left: { readonly exchange: RecordedExchange; readonly sent: Buffer }[] = [];
  #compared: ComparedRequest[] = [];

  /** @param compares `shape`: roles, calls and lengths, where the words are others */
  constructor(compares: 'bytes' | 'shape' = 'bytes') {
    this.#compares = compares;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Starts. @returns Its origin */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    // A server that listens on a host and port has an AddressInfo.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on the answers are those of this turn. */
  async play({ exchanges, models }: RecordedTurn): Promise<void> {
    this.#models = models;
    this.#compared = [];
    this.#left = await Promise.all(
      exchanges.map(async (exchange) => ({ exchange, sent: await exchange.sent() })),
    );
  }

  /** What has been asked since, in the recorded order, and what has not. */
  compared(): readonly ComparedRequest[] {
    const missing = this.#left.map(({ exchange }) => ({
      number: exchange.number,
      isMissing: true as const,
    }));
    return [...this.#compared, ...missing].toSorted(
      (one, other) => (one.number ?? Infinity) - (other.number ?? Infinity),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, provider = ''] = (request.url ?? '').split('/');
    if (request.method === 'GET') {
      const own = this.#models.filter(({ upstream }) => upstream === provider);
      response.end(JSON.stringify({ data: own.map(({ model }) => ({ id: model })) }));
      return;
    }
    const body = Buffer.concat(await Array.fromAsync<Buffer>(request));
    const ofProvider = this.#left.filter(({ exchange }) => exchange.upstream === provider);
    const shape = shapeOf(body);
    const chosen =
      ofProvider.find(({ sent }) => sent.equals(body)) ??
      ofProvider.find(({ sent }) => shapeOf(sent) === shape) ??
      ofProvider[0];
    if (chosen === undefined) {
      this.#compared.push({});
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: 'Nothing like this was recorded.' } }));
      return;
    }
    this.#left = this.#left.filter((one) => one !== chosen);
    const { exchange, sent } = chosen;
    const difference =
      this.#compares === 'bytes' ? firstDifference(sent, body) : shapeDifference(sent, body);
    this.#compared.push({
      number: exchange.number,
      ...(difference === undefined ? {} : { difference }),
    });
    await give(exchange, response);
  }
}

/** The recorded answer, with its end: a connection that was lost is lost again. */
async function give(exchange: RecordedExchange, response: ServerResponse): Promise<void> {
  const { status, contentType, retryAfter, isWhole } = exchange;
  if (status === undefined) {
    response.destroy();
    return;
  }
  response.writeHead(status, {
    'content-type': contentType,
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
  });
  const body = await exchange.answer();
  if (isWhole) response.end(body);
  else response.write(body, () => response.destroy());
}
