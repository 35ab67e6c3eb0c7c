/** What is spoken here, for whoever knocks at another door. */
const spokenPaths =
  'POST /v1/chat/completions, POST /v1/responses, GET /v1/models, GET /v1/models/{id}, GET /health';

/** Paths that clients send to without the `/v1` in front. */
const underV1 = /^\/(?:chat\/completions|models|responses)(?:\/|$)/;

/**
 * A request's path as the routes spell it: clients write a base URL with or without `/v1`, with one
 * or two slashes in the middle and at the end. Other spellings of hosts and the query stay as they
 * are.
 */
export function plainUrl(url: string): string {
  if (!url.startsWith('/')) return url;
  const end = url.indexOf('?');
  const query = end === -1 ? '' : url.slice(end);
  let path = (end === -1 ? url : url.slice(0, end)).replace(/\/{2,}/g, '/');
  if (path.length > 1 && path.endsWith('/')) path = path.slice(0, -1);
  path = path.replace(/^(?:\/v1)+(?=\/|$)/, '/v1');
  return (underV1.test(path) ? `/v1${path}` : path) + query;
}

/** Where to go instead, by what the path ends in. */
const elsewhere: readonly (readonly [RegExp, string])[] = [
  [
    /\/messages(?:\/|$)/,
    'The Messages API is not spoken here: set the client to an OpenAI-compatible provider.',
  ],
  [
    /\/api\/(?:chat|generate|tags|show|embed|embeddings)$/,
    "Ollama's own API is not spoken here: set the client to an OpenAI-compatible provider with a base URL that ends in /v1.",
  ],
  [
    /\/(?:embeddings|completions|moderations|rerank|files|batches|audio\/.*|images\/.*)$/,
    "Only chat completions go through this server: for this, give the client the provider's own base URL.",
  ],
];

/** What to do about a path that leads nowhere. */
export function hintFor(path: string): string {
  const known = elsewhere.find(([pattern]) => pattern.test(path))?.[1];
  return `Spoken here: ${spokenPaths}.${known === undefined ? '' : ` ${known}`}`;
}
