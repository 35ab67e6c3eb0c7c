import type { Profile } from './profile.ts';
import { decoded } from './secrets.ts';

/** A provider's address, taken apart for a connection pool. */
export interface Endpoint {
  readonly origin: string;
  /** For `POST`, with the base's prefix and query. */
  readonly chatPath: string;
  /** For `GET`: the provider's list of models, beside the chat. */
  readonly modelsPath: string;
  /** `Basic ...` where the address holds a user and a password. */
  readonly authorization?: string;
  /**
   * Whether the path names a version (`/v1`, `/api/paas/v4`, `/v1beta/openai`); without one the
   * address is most likely cut short.
   */
  readonly hasVersion: boolean;
}

/**
 * A text that was checked: what it means, or what is wrong with it. The fault never repeats the
 * text.
 */
export type Checked =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly fault: string };

/**
 * A base URL as users write it, checked where the settings are read: white space and quotes around
 * it are not part of it. Everything that later uses it (chat, list of models, `doctor`, `config`)
 * takes it apart with {@link parseEndpoint}.
 */
export function checkAddress(written: string): Checked {
  const text = bare(written);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/^https?:\/\//i.test(text)) {
    return { ok: false, fault: 'must be an http or https URL, as in https://api.z.ai/api/paas/v4' };
  }
  if (/\s/.test(text)) return { ok: false, fault: 'holds white space' };
  if (url.password !== '' && url.username === '') {
    return { ok: false, fault: 'holds a password without a user' };
  }
  return { ok: true, text };
}

/**
 * A key as it comes out of key files, `.env` files and documentation: white space and quotes around
 * it and a `Bearer ` before it are taken off. Empty text: there is none.
 */
export function checkKey(written: string): Checked {
  const text = bare(bare(written).replace(/^bearer\s+/i, ''));
  const fault = headerFault(text);
  return fault === undefined ? { ok: true, text } : { ok: false, fault };
}

/** A header of the configuration. White space around its value is not part of it. */
export function checkHeader(name: string, written: string): Checked {
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name)) return { ok: false, fault: 'is no name of a header' };
  if (ownHeaders.has(name.toLowerCase())) {
    return { ok: false, fault: 'is a header of the connection, which cannot be set' };
  }
  const text = written.trim();
  const fault = headerFault(text);
  return fault === undefined ? { ok: true, text } : { ok: false, fault };
}

/** What the HTTP client sets itself. */
const ownHeaders: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-authorization',
  'transfer-encoding',
  'upgrade',
]);

/** Without white space and one pair of quotes around it. */
function bare(written: string): string {
  const text = written.trim();
  const quoted = /^(["'`])(.*)\1$/s.exec(text);
  return quoted === null ? text : (quoted[2] ?? '').trim();
}

function headerFault(text: string): string | undefined {
  const at = text.search(/[^\x20-\x7e]/);
  if (at < 0) return undefined;
  const code = (text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  const what = code === '000A' || code === '000D' ? 'a line break' : `U+${code}`;
  return `holds ${what} as its character ${at + 1}, which no HTTP header can hold`;
}

/**
 * Takes a base URL as users write it: with or without a slash at the end, with any path prefix,
 * with the query that Azure wants (`?api-version=...`), with a user and a password, or with
 * `/chat/completions` already there.
 */
export function parseEndpoint(baseURL: string): Endpoint {
  const url = new URL(baseURL);
  const prefix = url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '');
  const pair = `${decoded(url.username)}:${decoded(url.password)}`;
  return {
    origin: url.origin,
    chatPath: `${prefix}/chat/completions${url.search}`,
    modelsPath: `${prefix}/models${url.search}`,
    ...(url.username === ''
      ? {}
      : { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }),
    hasVersion: /\/v\d/.test(prefix) || url.search !== '',
  };
}

/** The path of something else than the chat, such as `/embeddings`, with the base's prefix. */
export function pathBeside({ chatPath }: Endpoint, path: string): string {
  const at = chatPath.indexOf('?');
  const query = at === -1 ? '' : chatPath.slice(at);
  const chat = at === -1 ? chatPath : chatPath.slice(0, at);
  return chat.slice(0, -'/chat/completions'.length) + path + query;
}

/** The same address with `/v1` behind its path; undefined where it names a version already. */
export function withVersion(baseURL: string): string | undefined {
  if (parseEndpoint(baseURL).hasVersion) return undefined;
  const url = new URL(baseURL);
  url.pathname = `${url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '')}/v1`;
  return url.href;
}

/** What to say where an address without a version answers that it has no such path. */
export function versionAdvice(baseURL: string, status: number | undefined): string | undefined {
  if (status !== 404 && status !== 405) return undefined;
  const fuller = withVersion(baseURL);
  return fuller === undefined
    ? undefined
    : `Does the base URL lack its \`/v1\`? Perhaps it is ${shownAddress(fuller)}.`;
}

/**
 * An address as it may be shown: user, password and the values of the query are masked. A text that
 * is not an address stays as it is.
 */
export function shownAddress(text: string): string {
  return text
    .replace(/(\/\/)[^/?#]*@/, '$1***@')
    .replace(/[?][^#]*/, (query) => query.replaceAll(/([?&][^=&]*=)[^&]*/g, '$1***'));
}

/** Never passed on, whoever asks: they belong to the client and to us. */
const neverPassed: ReadonlySet<string> = new Set(['authorization', 'cookie', 'origin', 'host']);

/** What a request carries beside its body. */
interface HeaderParts {
  readonly profile: Profile;
  readonly apiKey?: string | undefined;
  /** The address's own, see {@link Endpoint}. */
  readonly authorization?: string | undefined;
  /** From the configuration. */
  readonly configured: Readonly<Record<string, string>>;
  /** The client's, of which the profile's affinity headers go on. */
  readonly passed?: Readonly<Record<string, string>> | undefined;
}

/** The headers of a chat request. */
export function chatHeaders(parts: HeaderParts): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    'user-agent': 'rlm-opencode',
  };
  for (const name of parts.profile.affinityHeaders ?? []) {
    const value = parts.passed?.[name];
    if (value !== undefined && !neverPassed.has(name)) headers[name] = value;
  }
  return Object.assign(headers, ownHeadersOf(parts));
}

/** The same without what must not be shown: keys, and the values of configured headers. */
export function maskedHeaders<Parts extends Omit<HeaderParts, 'passed'>>(parts: Parts): Parts {
  const { apiKey, authorization, configured } = parts;
  const mask = '[key]';
  return {
    ...parts,
    ...(apiKey === undefined ? {} : { apiKey: mask }),
    ...(authorization === undefined ? {} : { authorization: mask }),
    configured: Object.fromEntries(Object.keys(configured).map((name) => [name, mask])),
  };
}

/** The headers of a request for the list of models. */
export function listHeaders(parts: Omit<HeaderParts, 'passed'>): Record<string, string> {
  return Object.assign(
    { accept: 'application/json', 'user-agent': 'rlm-opencode' },
    ownHeadersOf(parts),
  );
}

/** The headers of a request that is passed on. Nothing else of the client's goes with it. */
export function passHeaders(
  parts: Omit<HeaderParts, 'passed'>,
  { contentType, accept, sizeBytes }: PassedParts,
): Record<string, string> {
  const headers = {
    'content-type': contentType,
    accept: accept ?? '*/*',
    'user-agent': 'rlm-opencode',
    ...(sizeBytes === undefined ? {} : { 'content-length': String(sizeBytes) }),
  };
  return Object.assign(headers, ownHeadersOf(parts));
}

/** What a passed request says of its body and of its answer. */
interface PassedParts {
  readonly contentType: string;
  readonly accept?: string | undefined;
  readonly sizeBytes?: number | undefined;
}

/** Who we are, and what the configuration adds. */
function ownHeadersOf(parts: Omit<HeaderParts, 'passed'>): Record<string, string> {
  const headers: Record<string, string> = {};
  if (parts.authorization !== undefined) headers['authorization'] = parts.authorization;
  if (parts.apiKey !== undefined) {
    const name = parts.profile.keyHeader ?? 'authorization';
    headers[name] = name === 'authorization' ? `Bearer ${parts.apiKey}` : parts.apiKey;
  }
  for (const [name, value] of Object.entries(parts.configured)) headers[name.toLowerCase()] = value;
  return headers;
}
