import type { IncomingHttpHeaders } from 'node:http';
import {
  createMcpHandler,
  isInitializeRequest,
  type McpHttpHandler,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { headerOf, originOf } from '../clients/origin.ts';
import type { Clock, Ids } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { isObject } from '../wire/json.ts';
import { HttpRequest } from './http-request.ts';
import { createRlmServer } from './rlm-server.ts';
import type { AskStores, StoreChoice } from './stores.ts';

/** What the sessions are made of. */
export interface HttpSessionsParts {
  readonly version: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly ask: AskStores;
}

/** A message as it came over HTTP. */
export interface HttpMessage {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed; undefined where there is none, or what came is no JSON. */
  readonly body?: unknown;
  /** Aborts when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  /** Aborts when the answer is over, whether it has been given or not. */
  readonly answered: AbortSignal;
}

/** Clients at once. The one that has been silent for longest makes room for another. */
export const maxSessions = 64;

/** A client that neither asks nor listens is forgotten after this long, milliseconds. */
export const sessionIdleMs = 1_800_000;

/**
 * The Model Context Protocol over HTTP. Clients of its older versions begin a session, so that what
 * they cancel in one request ends in another, and so that they can be asked for the roots of their
 * workspace; those of the newer ones, and whoever only asks one question, need none.
 */
export class HttpSessions implements AsyncDisposable {
  readonly #parts: HttpSessionsParts;
  /** Those that are known to their clients, the one that was used last at the end. */
  readonly #sessions = new Map<string, HttpSession>();
  readonly #single: McpHttpHandler;

  constructor(parts: HttpSessionsParts) {
    this.#parts = parts;
    this.#single = createMcpHandler(
      ({ requestInfo }) =>
        createRlmServer({
          ...parts,
          choice: choiceOf(Object.fromEntries(requestInfo?.headers ?? [])),
          usesRoots: false,
        }),
      // Nothing here changes by itself in a way that could be listened for.
      { maxSubscriptions: 0, keepAliveMs: 0 },
    );
  }

  /**
   * Answers a message in words of the protocol. @throws ProxyError `too_busy`, `invalid_request`
   */
  async handle(message: HttpMessage): Promise<Response> {
    const id = headerOf(message.headers, 'mcp-session-id');
    const choice = choiceOf(message.headers);
    if (id !== undefined) return this.#inSession(id, message);
    if (message.method === 'POST' && isInitializeRequest(message.body))
      return this.#begin(message, choice);
    return this.#single.fetch(requestOf(message), { parsedBody: message.body });
  }

  async #inSession(id: string, message: HttpMessage): Promise<Response> {
    const session = this.#sessions.get(id);
    if (session === undefined) return noSession();
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session.handle(message);
  }

  async #begin(message: HttpMessage, choice: StoreChoice | undefined): Promise<Response> {
    const { ids, clock } = this.#parts;
    const session = new HttpSession({
      server: createRlmServer({ ...this.#parts, choice, usesRoots: choice === undefined }),
      clock,
      // Two of them, since who knows it can end the session of another.
      id: ids.next('') + ids.next(''),
      onClose: () => this.#sessions.delete(session.id),
    });
    await session.connect();
    await this.#makeRoom();
    this.#sessions.set(session.id, session);
    const response = await session.handle(message);
    // Where it was refused, its client knows of no session.
    if (!response.ok) await session.close();
    return response;
  }

  /** @throws ProxyError `too_busy` where all clients are being answered or listen */
  async #makeRoom(): Promise<void> {
    while (this.#sessions.size >= maxSessions) {
      const idle = this.#sessions.values().find(({ isIdle }) => isIdle);
      if (idle === undefined)
        throw new ProxyError('too_busy', `${maxSessions} MCP clients are connected already.`, {
          hint: 'End one of them, or use `rlm-opencode mcp`, which each client starts for itself.',
        });
      await idle.close();
    }
  }

  /** Ends every session, and what its calls are about. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#single.close();
    await Promise.all([...this.#sessions.values()].map(async (session) => session.close()));
  }
}

/** One client that has begun a session. */
class HttpSession {
  readonly id: string;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #onClose: () => void;
  readonly #transport: WebStandardStreamableHTTPServerTransport;
  /** Messages that are being answered, and the stream on which the client listens. */
  #open = 0;
  #cancelEnd: () => void = () => undefined;

  constructor({
    server,
    clock,
    id,
    onClose,
  }: {
    readonly server: Server;
    readonly clock: Clock;
    readonly id: string;
    readonly onClose: () => void;
  }) {
    this.id = id;
    this.#server = server;
    this.#clock = clock;
    this.#onClose = onClose;
    this.#transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => id,
      onsessionclosed: async () => this.close(),
      // The sender of the stream gives its signs of life.
      keepAliveMs: 0,
    });
  }

  /** Whether nothing is being answered and nobody listens. */
  get isIdle(): boolean {
    return this.#open === 0;
  }

  async connect(): Promise<void> {
    await this.#server.connect(this.#transport);
  }

  async handle(message: HttpMessage): Promise<Response> {
    this.#open += 1;
    this.#cancelEnd();
    message.answered.addEventListener('abort', () => this.#leave(), { once: true });
    const response = await this.#transport.handleRequest(requestOf(message), {
      parsedBody: message.body,
    });
    const cancelled = cancelledBy(message.body);
    // No answer comes to what was cancelled: whoever waits for one need not.
    if (cancelled !== undefined) this.#transport.closeSSEStream(cancelled);
    return response;
  }

  async close(): Promise<void> {
    this.#cancelEnd();
    this.#onClose();
    await this.#server.close();
  }

  #leave(): void {
    this.#open -= 1;
    if (this.#open > 0 || this.#server.transport === undefined) return;
    this.#cancelEnd = this.#clock.after(sessionIdleMs, () => void this.close());
  }
}

/** The id of the request that a message cancels. */
function cancelledBy(body: unknown): string | number | undefined {
  if (!isObject(body) || body['method'] !== 'notifications/cancelled') return undefined;
  const id = isObject(body['params']) ? body['params']['requestId'] : undefined;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
}

/** The message as the protocol's library reads it: without the token, which is of no use there. */
function requestOf({ method, headers, signal: work, answered }: HttpMessage): Request {
  const given = new Headers();
  for (const [name, value] of Object.entries(headers)) given.set(name, String(value));
  for (const name of ['authorization', 'x-api-key']) given.delete(name);
  // The address is not looked at; the guards have looked at the host.
  return new HttpRequest('http://localhost/mcp', {
    method,
    headers: given,
    signal: answered,
    work,
  });
}

function noSession(): Response {
  const error = { code: -32_001, message: 'Session not found' };
  return Response.json({ jsonrpc: '2.0', error, id: null }, { status: 404 });
}

/** Which store the headers name. @throws ProxyError `invalid_request` */
function choiceOf(headers: IncomingHttpHeaders): StoreChoice | undefined {
  const { sessionId, directory, project } = originOf(headers);
  if (sessionId !== undefined) return { session: sessionId };
  if (directory === undefined) return project === undefined ? undefined : { project };
  if (directory.startsWith('/') || /^[A-Za-z]:[\\/]/.test(directory))
    return { directory, climb: true };
  throw new ProxyError(
    'invalid_request',
    `The directory ${JSON.stringify(directory)} is not an absolute path.`,
    { param: 'x-rlm-directory' },
  );
}
