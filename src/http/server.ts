import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import cors from '@fastify/cors';
import { type FastifyInstance, fastify } from 'fastify';
import type { Clock, Ids } from '../clock.ts';
import { probedPaths } from '../clients/known-clients.ts';
import { ProxyError } from '../errors.ts';
import { addChatRoute } from './chat-route.ts';
import { type FaultEars, sendError } from './error-reply.ts';
import { type Access, checkBind, type GuardRules, refusal } from './guard.ts';
import type {
  ChatHandler,
  ErrorWriter,
  Face,
  HealthHandler,
  McpHandler,
  MetricsHandler,
  ModelForms,
  ModelsHandler,
  OperationsHandler,
  PageHandler,
  PassHandler,
  Whose,
} from './handlers.ts';
import { LiveRequests } from './live-requests.ts';
import { addOperationsRoute } from './operations-route.ts';
import { addMcpRoute, mcpMethods, mcpPath } from './mcp-route.ts';
import { addPageRoutes, loginPath } from './page-route.ts';
import { addPassRoutes } from './pass-route.ts';
import { hintFor, passedPaths, plainUrl } from './paths.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose it is, once it has been read. */
    whose: Whose | undefined;
  }
  interface FastifyContextConfig {
    access?: Access;
    /** Default: OpenAI's. */
    errorBody?: ErrorWriter;
    /** Carries the request's id beside `x-request-id`. */
    requestIdHeader?: string;
  }
}

/** What the server is made of. */
export interface ServerOptions extends GuardRules, FaultEars {
  /** 0 takes any free one. */
  readonly port: number;
  readonly bodyLimitBytes: number;
  /** Requests worked on at once. */
  readonly maxLiveTurns: number;
  /** Longest silence of a body that is being sent to us, milliseconds. */
  readonly bodyIdleMs: number;
  /** Longest silence of a stream, milliseconds. */
  readonly heartbeatMs: number;
  /** How long `close` lets live answers finish, milliseconds. */
  readonly drainMs: number;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly chat: ChatHandler;
  /** Other protocols than chat completions. */
  readonly faces: readonly Face[];
  /** What answers the paths that are a provider's own. */
  readonly pass: PassHandler;
  readonly models: ModelsHandler;
  readonly health: HealthHandler;
  readonly metrics?: MetricsHandler;
  /** Absent: the protocol is not spoken. */
  readonly mcp?: McpHandler;
  readonly operations: OperationsHandler;
  readonly page?: PageHandler;
  /** Hears of a request when its headers have come. */
  readonly onArrival?: (() => void) | undefined;
}

/** A server that is not listening yet. */
export interface ProxyServer {
  /**
   * @returns Its address, as in `http://127.0.0.1:8768`. @throws ProxyError `config_invalid` where
   * it cannot listen
   */
  listen(): Promise<string>;
  /** Requests being worked on. */
  readonly liveCount: number;
  /**
   * Stops accepting, lets live answers finish for `drainMs`, ends the others with `shutting_down`
   * and closes every connection. May be called more than once.
   */
  close(): Promise<void>;
}

/** Longest wait for the whole of a request, milliseconds: 256 MiB over a slow line. */
const requestTimeoutMs = 600_000;
/** Pages that are told of changes at once, and as many questions of theirs: others are refused. */
const maxPages = 64;
/** What aborted answers get for their last frame, milliseconds. */
const lastFrameMs = 1000;

const tooManyPages = 'Close some of the pages that show this server.';

/** Builds the HTTP side. Knows nothing of stores and providers. */
export function createServer(options: ServerOptions): ProxyServer {
  checkBind(options);
  const live = new LiveRequests(options.maxLiveTurns, options.clock);
  const pages = {
    reads: new LiveRequests(maxPages, options.clock, tooManyPages),
    streams: new LiveRequests(maxPages, options.clock, tooManyPages),
  };
  const app = fastify({
    logger: false,
    requestTimeout: requestTimeoutMs,
    genReqId: () => options.ids.next('req_'),
    return503OnClosing: false,
    rewriteUrl: (request) => plainUrl(request.url ?? '/'),
    frameworkErrors: (caught, request, reply) => {
      void reply.header('x-request-id', request.id);
      void sendError({ ...earsOf(options), caught }, request, reply);
    },
    clientErrorHandler: refuseGarbage,
  });
  let closing: Promise<void> | undefined;
  app.decorateRequest('whose', undefined);
  addGuards(app, options, () => closing !== undefined);
  if (options.corsOrigins.length > 0) {
    void app.register(cors, {
      origin: [...options.corsOrigins],
      methods: [...mcpMethods],
      exposedHeaders: ['x-request-id', 'mcp-session-id'],
    });
  }
  void app.register((routes) => {
    const chatCompletions: Face = { path: '/v1/chat/completions', chat: options.chat };
    for (const face of [chatCompletions, ...options.faces])
      addChatRoute(routes, face, { ...options, live });
    addPassRoutes(routes, { ...options, live });
    addModelsRoutes(routes, { ...options, live });
    addHealthRoute(routes, options.health);
    if (options.metrics !== undefined) addMetricsRoute(routes, options.metrics);
    if (options.mcp !== undefined) addMcpRoute(routes, { ...options, mcp: options.mcp, live });
    addProbeRoutes(routes);
    addOperationsRoute(routes, { ...options, live });
    if (options.page !== undefined)
      addPageRoutes(routes, { ...options, ...pages, page: options.page });
  });
  return {
    listen: () => listen(app, options),
    get liveCount() {
      return live.count;
    },
    close: () => (closing ??= shutDown(app, { live, pages: Object.values(pages) }, options)),
  };
}

function earsOf({ log, onFault }: FaultEars): FaultEars {
  return { log, onFault };
}

/** Everything that is refused before a body is read, and the shape of every refusal. */
function addGuards(app: FastifyInstance, options: ServerOptions, isClosing: () => boolean): void {
  const ears = earsOf(options);
  app.removeAllContentTypeParsers();
  // The body stays a stream; who wants it reads it.
  app.addContentTypeParser('application/json', (_request, body, done) => done(null, body));
  app.addHook('onRequest', (request, reply, done) => {
    const { config } = request.routeOptions;
    if (request.method === 'POST') options.onArrival?.();
    void reply.header('x-request-id', request.id);
    if (config.requestIdHeader !== undefined) void reply.header(config.requestIdHeader, request.id);
    const refused = isClosing()
      ? stopping()
      : refusal(request.raw, config.access ?? 'clients', options);
    if (refused !== undefined) void reply.header('connection', 'close');
    done(refused);
  });
  app.setErrorHandler((caught, request, reply) => sendError({ ...ears, caught }, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsOf(request.url, options);
    if (request.headers.upgrade?.toLowerCase() === 'websocket') {
      // Codex, set to use one, then goes on without at once; after a 404 it tries for seconds.
      const refused = new ProxyError('method_not_allowed', 'No WebSockets are spoken here.', {
        status: 426,
      });
      return sendError({ ...ears, caught: refused }, request, reply);
    }
    const caught =
      allowed === undefined
        ? new ProxyError(
            'not_found',
            `There is nothing at ${request.method} ${pathOf(request.url)}.`,
            { hint: hintFor(pathOf(request.url)) },
          )
        : new ProxyError('method_not_allowed', `Allowed here: ${allowed}.`);
    if (allowed !== undefined) void reply.header('allow', allowed);
    return sendError({ ...ears, caught }, request, reply);
  });
}

/** `GET /v1/models` and `GET /v1/models/{id}`; ids may hold `/`, `.` and `:`, escaped or not. */
function addModelsRoutes(
  server: FastifyInstance,
  parts: {
    readonly models: ModelsHandler;
    readonly live: LiveRequests;
    readonly faces: readonly Face[];
  },
): void {
  const options = { config: { access: 'clients' } } as const;
  const formsFor = (headers: IncomingHttpHeaders): ModelForms =>
    parts.faces.find(({ models }) => models?.isFor(headers))?.models ?? openAiModels;
  server.get('/v1/models', options, async ({ headers }, reply) =>
    formsFor(headers).list(await parts.models.list(parts.live.begin(reply.raw)), headers),
  );
  server.get<{ Params: { '*': string } }>('/v1/models/*', options, async (request, reply) => {
    const id = request.params['*'];
    const model = await parts.models.find(id, parts.live.begin(reply.raw));
    if (model !== undefined) return formsFor(request.headers).one(model);
    throw new ProxyError('unknown_model', `There is no model \`${id}\`.`, {
      hint: 'GET /v1/models lists them.',
      param: 'model',
    });
  });
}

const openAiModels: ModelForms = {
  isFor: () => true,
  one: (card) => card,
  list: (data) => ({ object: 'list', data }),
};

/** `GET /health`, without a token and without a call to the upstream. */
function addHealthRoute(server: FastifyInstance, health: HealthHandler): void {
  server.get('/health', { config: { access: 'open' } }, (_request, reply) =>
    reply.header('cache-control', 'no-store').send(health.report()),
  );
}

/** `GET /metrics`: for whoever may chat, as it says how much is done here. */
function addMetricsRoute(server: FastifyInstance, metrics: MetricsHandler): void {
  server.get('/metrics', { config: { access: 'clients' } }, async (_request, reply) => {
    const { contentType, text } = await metrics.report();
    return reply.header('cache-control', 'no-store').type(contentType).send(text);
  });
}

/** What clients look for at their start: without a token, and without a line in the log. */
function addProbeRoutes(server: FastifyInstance): void {
  for (const url of probedPaths)
    server.head(url, { config: { access: 'open' } }, (_request, reply) => reply.send());
}

function methodsOf(
  url: string,
  { faces, page }: Pick<ServerOptions, 'faces' | 'page'>,
): string | undefined {
  const path = pathOf(url);
  if (page !== undefined && path === loginPath) return 'POST';
  if (page !== undefined && /^\/(?:page\/.*)?$/.test(path)) return 'GET, HEAD';
  if (faces.some((face) => face.path === path)) return 'POST';
  if (passedPaths.some((passed) => `/v1${passed}` === path)) return 'POST';
  if (path === mcpPath) return mcpMethods.join(', ');
  if (path === '/v1/chat/completions' || /^\/v1\/rlm\/[^/]+$/.test(path)) return 'POST';
  return path === '/health' || path === '/metrics' || /^\/v1\/models(\/|$)/.test(path)
    ? 'GET, HEAD'
    : undefined;
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? url;
}

async function listen(app: FastifyInstance, options: ServerOptions): Promise<string> {
  const { host, port } = options;
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const busy = code === 'EADDRINUSE';
    throw new ProxyError(
      'config_invalid',
      busy ? `Port ${port} on ${host} is already in use.` : `Cannot listen on ${host}: ${message}.`,
      {
        cause: error,
        hint: busy
          ? 'Choose another with --port or RLM_PORT; 0 takes any free one.'
          : 'See --host.',
      },
    );
  }
  const bound = app.server.address() as AddressInfo;
  return `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
}

async function shutDown(
  app: FastifyInstance,
  { live, pages }: { readonly live: LiveRequests; readonly pages: readonly LiveRequests[] },
  { drainMs, clock }: ServerOptions,
): Promise<void> {
  const closed = app.close();
  // A page waits for nothing; the time that there is belongs to chats.
  for (const asked of pages) asked.abortAll(stopping());
  await idleWithin(live, drainMs, clock);
  live.abortAll(stopping());
  await Promise.all([live, ...pages].map((asked) => idleWithin(asked, lastFrameMs, clock)));
  app.server.closeAllConnections();
  await closed;
}

function stopping(): ProxyError {
  return new ProxyError('shutting_down', 'The server is stopping.');
}

async function idleWithin(live: LiveRequests, ms: number, clock: Clock): Promise<void> {
  const timeUp = Promise.withResolvers<void>();
  const cancel = clock.after(ms, timeUp.resolve);
  await Promise.race([live.idle(), timeUp.promise]);
  cancel();
}

/** What Node refuses before there is a request, by its error code. */
const refusals: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'The headers of the request are larger than 16 KB. Does the client send cookies?',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not come to its end in time.'],
};

/** Answers what is not HTTP, or too much of it, on the bare socket. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] = refusals[error.code ?? ''] ?? [
    '400 Bad Request',
    'The request is not valid HTTP.',
  ];
  const body = JSON.stringify({
    error: {
      message,
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_request',
    },
  });
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
