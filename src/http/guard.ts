import { hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { ProxyError } from '../errors.ts';

/**
 * What may reach the server. A web page must not reach a local model or a store, neither by a
 * cross-site request (`Origin`) nor by a name of its own that it lets point to 127.0.0.1 (`Host`,
 * DNS rebinding).
 */
export interface GuardRules {
  /** The address listened on. */
  readonly host: string;
  /** Further names that `Host` may carry. */
  readonly allowedHosts: readonly string[];
  /** Origins that may call, spelled exactly. */
  readonly corsOrigins: readonly string[];
  /** The clients' token; absent: none is needed. */
  readonly apiToken?: string | undefined;
  /** The commands' own token, new with each start of the server. */
  readonly ownerSecret: string;
}

/**
 * Who may use a route: everybody who may reach the server; clients; clients that have a token, set
 * or not; the user's own commands. A client's token is not enough for the last: operations read
 * files of this machine and delete stores. `page`: what this server's own page asks for, and no
 * other page; whose browser it is says a cookie, which the routes look at themselves.
 */
export type Access = 'open' | 'clients' | 'token' | 'owner' | 'page';

/** What is looked at; the body is not read yet. */
export interface GuardedRequest {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

const wildcardHosts: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Why a request may not go on, if so: `forbidden` or `unauthorized`. */
export function refusal(
  request: GuardedRequest,
  access: Access,
  rules: GuardRules,
): ProxyError | undefined {
  const { host, origin, authorization, 'x-api-key': key } = request.headers;
  if (!isAllowedHost(host, rules)) {
    return new ProxyError('forbidden', 'This server does not answer to that Host header.', {
      hint: 'Use 127.0.0.1 or localhost, or add the name to RLM_ALLOWED_HOSTS.',
    });
  }
  if (access === 'page') return pageRefusal(request);
  if (origin !== undefined && !rules.corsOrigins.includes(origin)) {
    return new ProxyError('forbidden', 'Web pages of this origin may not call this server.', {
      hint: 'Add the origin to RLM_CORS_ORIGINS if it is yours.',
    });
  }
  if (isPreflight(request) || access === 'open') return undefined;
  if (carries(authorization, rules.ownerSecret)) return undefined;
  if (access === 'owner') {
    return new ProxyError('unauthorized', 'Only the commands of the same user may ask this.');
  }
  const { apiToken } = rules;
  if (apiToken === undefined) return access === 'token' ? noTokenSet() : undefined;
  if (carries(authorization, apiToken)) return undefined;
  // Anthropic's clients send a key so.
  if (typeof key === 'string' && isSame(key, apiToken)) return undefined;
  return new ProxyError('unauthorized', 'This server wants `Authorization: Bearer <token>`.', {
    hint: 'The token is what RLM_API_TOKEN was set to where the server was started.',
  });
}

/** Where other users of the machine could read along if nothing were wanted. */
function noTokenSet(): ProxyError {
  return new ProxyError('unauthorized', 'No token is set, and here one is always wanted.', {
    hint: 'Set RLM_API_TOKEN where the server is started and send it as `Authorization: Bearer <token>`; or let the assistant start `rlm-opencode mcp`, which needs none.',
  });
}

/**
 * The same for what only this server's own page may ask. A cookie is of a host, not of a port, so a
 * page of another server on this machine would bring it along: a browser says who asks. Opening a
 * document is free to everybody: what it shows is seen by whoever sits there.
 */
function pageRefusal({ method, headers }: GuardedRequest): ProxyError | undefined {
  const { host, origin, 'sec-fetch-site': site, 'sec-fetch-dest': destination } = headers;
  // A page that tells nobody where it is may be asked for its origin, too, and then says `null`.
  const isOwnOrigin =
    origin === undefined ||
    (origin === 'null' && site === 'same-origin') ||
    /^https?:\/\/(.+)$/.exec(origin.toLowerCase())?.[1] === host?.toLowerCase();
  const isReading = method === 'GET' || method === 'HEAD';
  const isOwnSite = site === undefined || site === 'same-origin' || site === 'none';
  if (isOwnOrigin && (isOwnSite || (isReading && destination === 'document'))) return undefined;
  return new ProxyError('forbidden', 'Only the page of this server itself may ask this.');
}

/** @throws ProxyError `config_invalid` where anybody on the network could use the server */
export function checkBind(rules: {
  readonly host: string;
  readonly apiToken?: string | undefined;
}): void {
  if (rules.apiToken !== undefined || isLoopback(rules.host)) return;
  throw new ProxyError('config_invalid', `Listening on ${rules.host} needs a token.`, {
    hint: 'Set RLM_API_TOKEN, or listen on 127.0.0.1.',
  });
}

function isAllowedHost(header: string | undefined, rules: GuardRules): boolean {
  const name = hostName(header);
  if (name === undefined) return false;
  if (isLoopback(name) || name === rules.host.toLowerCase()) return true;
  // Rebinding needs a name, so any address will do where every address was asked for.
  if (wildcardHosts.has(rules.host) && isIP(name) !== 0) return true;
  return rules.allowedHosts.some((allowed) => allowed.toLowerCase() === name);
}

/** The name in `name`, `name:port`, `[v6]:port`, in lower case. */
function hostName(header: string | undefined): string | undefined {
  const match = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<name>[^\s:@/[\]]+))(?::\d+)?$/i.exec(header ?? '');
  // A name may end in a dot, which says that it is whole.
  return (match?.groups?.['v6'] ?? match?.groups?.['name']?.replace(/\.$/, ''))?.toLowerCase();
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** A browser asking whether it may; it never carries a token, and the CORS plugin answers it. */
function isPreflight({ method, headers }: GuardedRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

/** Compares digests, so that neither content nor length shows in the time it takes. */
function carries(authorization: string | undefined, token: string): boolean {
  if (authorization === undefined) return false;
  const given = /^Bearer +(.+)$/i.exec(authorization)?.[1] ?? '';
  return isSame(given, token);
}

function isSame(given: string, token: string): boolean {
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
