import { ProxyError } from '../errors.ts';
import type { HttpAnswer } from './http-answer.ts';

/** What answers with success where a chat completion should be, and is none. */
export type Stranger =
  | { readonly kind: 'page'; readonly title?: string | undefined }
  | { readonly kind: 'lines' }
  | { readonly kind: 'json' }
  | { readonly kind: 'other'; readonly contentType: string }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string | undefined };

/**
 * The error for an address that is no chat API: a login page, a path that is wrong, a server's own protocol. Never retried, since no
 * repetition cures it. Of what came it shows a page's title and nothing else.
 */
export function notAnApi(origin: string, stranger: Stranger): ProxyError {
  return new ProxyError('upstream_failed', `${origin} answered with ${describe(stranger)}.`, {
    retryable: false,
    wireCode: 'not_a_chat_api',
    hint: hintFor(stranger),
  });
}

function describe(stranger: Stranger): string {
  switch (stranger.kind) {
    case 'page': {
      const title = stranger.title ?? '';
      return title === '' ? 'a web page' : `a web page, "${title}"`;
    }
    case 'lines':
      return 'newline-delimited JSON, which is no chat completion';
    case 'json':
      return 'JSON that is no chat completion';
    case 'other':
      return `something of the type "${stranger.contentType}", which is no chat completion`;
    case 'redirect':
      return `a redirect (${stranger.status}) to ${placeOf(stranger.location)}`;
  }
}

function hintFor(stranger: Stranger): string {
  if (stranger.kind === 'redirect') {
    return 'Redirects are not followed, so that the key goes nowhere else. Is the base URL right?';
  }
  if (stranger.kind === 'lines') {
    return "Is the base URL that of the server's OpenAI-compatible API (mostly it ends in /v1)?";
  }
  return 'Is the base URL right (mostly it ends in /v1), and is there a login in between?';
}

/** The origin and path; a query may hold secrets. */
function placeOf(location: string | undefined): string {
  if (location === undefined) return 'nowhere';
  const url = URL.parse(location);
  return url === null ? (location.split('?', 1)[0] ?? '') : url.origin + url.pathname;
}

/** What the head of a successful answer says of itself. @throws ProxyError for what is no chat API, after one request */
export function checkHead(
  { statusCode, headers, body }: HttpAnswer,
  contentType: string,
  origin: string,
): void {
  if (statusCode >= 300) {
    body.destroy();
    const { location } = headers;
    const target = location === undefined ? undefined : URL.parse(location, origin)?.href;
    throw notAnApi(origin, { kind: 'redirect', status: statusCode, location: target });
  }
  if (!isLinesType(contentType)) return;
  body.destroy();
  throw notAnApi(origin, { kind: 'lines' });
}

/** Content types under which servers send one JSON value a line. */
function isLinesType(contentType: string): boolean {
  return /ndjson|jsonl|json-?lines|json-seq/i.test(contentType);
}

/** Longest title shown, characters. */
const maxTitleChars = 100;

/** The title of a page of HTML, its white space made plain; undefined where there is none. */
export function titleOf(html: string): string | undefined {
  const title = /<title[^>]*>([^<]*)/i.exec(html)?.[1]?.replace(/\s+/g, ' ').trim();
  return title === undefined || title === '' ? undefined : title.slice(0, maxTitleChars);
}
