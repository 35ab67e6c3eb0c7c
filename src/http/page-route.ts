import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { readBody } from './body-stream.ts';
import type { PageFile, PageHandler } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';
import { peerUser } from './peer-user.ts';
import { sendStream } from './reply-stream.ts';

/** Where the page hands in the code of its link. */
export const loginPath = '/page/login';

/** A code in its JSON, and nothing else, bytes. */
const maxLoginBytes = 1_024;

/**
 * What a browser may do with anything that comes from here: run our script, show our style, ask
 * this server; nothing else, and in no frame of others.
 */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** What the routes of the page need. */
interface PageRouteParts {
  readonly page: PageHandler;
  /** Questions that are being answered. */
  readonly reads: LiveRequests;
  /** Pages that are told of changes. */
  readonly streams: LiveRequests;
  readonly clock: Clock;
  readonly heartbeatMs: number;
}

/**
 * `/` and all below `/page`: the owner's page. Its own files hold nothing of anybody; all else
 * wants the cookie that a one-time code gives, whatever token is brought along.
 */
export function addPageRoutes(server: FastifyInstance, parts: PageRouteParts): void {
  const { page } = parts;
  void server.register((routes) => {
    const options = { config: { access: 'page' } } as const;
    routes.addHook('onRequest', (_request, reply, done) => {
      void reply.headers(pageHeaders);
      done();
    });
    routes.get('/', options, async (_request, reply) =>
      // It names its script and style by what they hold: an old one would name those of before.
      sendFile(reply, await page.file('index.html'), 'no-cache'),
    );
    routes.get<{ Params: { '*': string } }>('/page/assets/*', options, async ({ params }, reply) =>
      sendFile(
        reply,
        await page.file(`assets/${params['*']}`),
        'public, max-age=31536000, immutable',
      ),
    );
    routes.post(loginPath, options, async (request, reply) => {
      const code = codeIn(await readBody(request.raw, maxLoginBytes));
      const token = await page.enter(code, async () => peerOf(request));
      if (token === undefined)
        throw new ProxyError('unauthorized', 'The code is not good, or not any more.', {
          hint: 'Run `rlm-opencode open` for a new link.',
        });
      void reply.header(
        'set-cookie',
        `${cookieName(request)}=${token}; Path=/page; HttpOnly; SameSite=Strict`,
      );
      return reply.code(204).send();
    });
    routes.get('/page/events', { ...options, exposeHeadRoute: false }, async (request, reply) => {
      await checkOwner(request, page);
      const signal = parts.streams.begin(reply.raw);
      const stream = {
        contentType: 'text/event-stream; charset=utf-8',
        headers: { 'cache-control': pageHeaders['cache-control'] },
        frames: page.events(signal),
        // Comments: the browser connects again by itself.
        heartbeat: () => ': waiting\n\n',
        errorFrame: () => ': over\n\n',
      };
      await sendStream(reply, stream, { ...parts, signal });
      return reply;
    });
    routes.get<{ Params: { '*': string } }>('/page/*', options, async (request, reply) => {
      await checkOwner(request, page);
      const signal = parts.reads.begin(reply.raw);
      const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
      const found = await page.read({ path: request.params['*'], query, signal });
      return reply.type('application/json; charset=utf-8').send(JSON.stringify(found));
    });
  });
}

function sendFile(
  reply: FastifyReply,
  file: PageFile | undefined,
  cacheControl: string,
): FastifyReply {
  if (file === undefined) throw new ProxyError('not_found', 'The page has no such file.');
  return reply.header('cache-control', cacheControl).type(file.contentType).send(file.bytes);
}

/** @throws ProxyError `invalid_request` */
function codeIn(body: Buffer): string {
  const value = parseJson(body.toString());
  const code = isObject(value) ? value['code'] : undefined;
  if (typeof code === 'string') return code;
  throw new ProxyError('invalid_request', 'The body must be {"code": "..."}.');
}

/** @throws ProxyError `unauthorized` */
async function checkOwner(request: FastifyRequest, page: PageHandler): Promise<void> {
  for (const token of tokensIn(request))
    if (await page.admits(token, async () => peerOf(request))) return;
  throw new ProxyError('unauthorized', 'Only the owner of this server may see this.', {
    hint: '`rlm-opencode open` shows the way in.',
  });
}

/** Whose program is at the other end, found out once for each connection. */
const peers = new WeakMap<Socket, Promise<number | undefined>>();

async function peerOf({ socket }: FastifyRequest): Promise<number | undefined> {
  const peer = peers.get(socket) ?? peerUser(socket);
  peers.set(socket, peer);
  return peer;
}

/**
 * What the cookie holds. Several where a browser brings several of that name: of other paths, or
 * set by others.
 */
function tokensIn(request: FastifyRequest): readonly string[] {
  const name = cookieName(request);
  return (request.headers.cookie ?? '').split(';').flatMap((pair) => {
    const [given = '', value = ''] = pair.split('=', 2);
    return given.trim() === name ? [value.trim()] : [];
  });
}

/** By the port: a browser sends the cookies of all servers of a host to each of them. */
function cookieName({ socket }: FastifyRequest): string {
  return `rlm_page_${socket.localPort ?? 0}`;
}
