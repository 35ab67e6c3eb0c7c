import { ProxyError } from '../errors.ts';
import type { HttpAnswer } from './http-answer.ts';

/**
 * What answers with success, or with a redirect, where a chat completion or a list of models should
 * be, and is not.
 */
export type Stranger =
  | { readonly kind: 'page'; readonly title?: string | undefined }
  | { readonly kind: 'lines' }
  | { readonly kind: 'json' }
  | { readonly kind: 'other'; readonly contentType: string }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string | undefined };

/**
 * The error for an address that is not a chat API: a login page, a wrong path, a server's own
 * protocol. Never retried, since no repetition cures it. Of what came it shows a page's title and
 * nothing else.
 */
export function notAnApi(origin: string, stranger: Stranger): ProxyError {
  const what = describe(stranger, 'chat completion');
  return new ProxyError('upstream_failed', `${origin} answered with ${what}.`, {
    retryable: false,
    wireCode: 'not_a_chat_api',
    hint: hintFor(stranger),
  });
}

/**
 * The error for what stands where the list of models should be; `id` is the provider's name in the
 * configuration.
 */
export function notAList(id: string, stranger: Stranger): ProxyError {
  const what = describe(stranger, 'list of models');
  return new ProxyError('upstream_rejected', `Where the list of models should be is ${what}.`, {
    hint: `Check the base URL of the provider \`${id}\`: most end in /v1.`,
  });
}

function describe(stranger: Stranger, wanted: string): string {
  switch (stranger.kind) {
    case 'page': {
      const title = stranger.title ?? '';
      return title === '' ? 'a web page' : `a web page, "${title}"`;
    }
    case 'lines':
      return `newline-delimited JSON, which is no ${wanted}`;
    case 'json':
      return `JSON that is no ${wanted}`;
    case 'other': {
      const type = stranger.contentType === '' ? '' : ` of the type "${stranger.contentType}"`;
      return `something${type}, which is no ${wanted}`;
    }
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

/**
 * The redirect that an answer's head is, its target made absolute; undefined where it is not one.
 */
export function redirectOf(
  { statusCode: status, headers }: Pick<HttpAnswer, 'statusCode' | 'headers'>,
  origin: string,
): Stranger | undefined {
  if (status < 300) return undefined;
  const { location } = headers;
  const target = location === undefined ? undefined : URL.parse(location, origin)?.href;
  return { kind: 'redirect', status, location: target };
}

/**
 * What the head of a successful answer says of itself.
 * @throws ProxyError for what is not a chat API, after one request
 */
export function checkHead(answer: HttpAnswer, contentType: string, origin: string): void {
  const lines: Stranger | undefined = isLinesType(contentType) ? { kind: 'lines' } : undefined;
  const stranger = redirectOf(answer, origin) ?? lines;
  if (stranger === undefined) return;
  answer.body.destroy();
  throw notAnApi(origin, stranger);
}

/**
 * What a text that is not JSON is: a web page (it begins with a tag), or something else of this
 * content type.
 */
export function strangerIn(text: string, contentType: string): Stranger {
  return /^\s*</.test(text)
    ? { kind: 'page', title: pageTitle(text) }
    : { kind: 'other', contentType };
}

/** Content types under which servers send one JSON value a line. */
function isLinesType(contentType: string): boolean {
  return /ndjson|jsonl|json-?lines|json-seq/i.test(contentType);
}

/** Longest title shown, characters. */
const maxTitleChars = 100;

/** The title of a page of HTML, its white space made plain; undefined where there is none. */
export function pageTitle(html: string): string | undefined {
  const title = /<title[^>]*>([^<]*)/i.exec(html)?.[1]?.replace(/\s+/g, ' ').trim();
  return title === undefined || title === '' ? undefined : title.slice(0, maxTitleChars);
}
