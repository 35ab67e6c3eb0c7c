/** What is passed through to the provider that the request's model names, behind `/v1`. */
export const passedPaths = [
  '/embeddings',
  '/completions',
  '/rerank',
  '/moderations',
  '/images/generations',
  '/audio/speech',
  '/audio/transcriptions',
  '/audio/translations',
] as const;

/** What a turn is asked for at, in one protocol or another. */
const turnPaths = [
  '/chat/completions',
  '/responses',
  '/messages',
  '/messages/count_tokens',
] as const;

/** What is spoken here, for whoever knocks at another door. */
const spokenPaths = [
  turnPaths.map((path) => `POST /v1${path}`).join(', '),
  'GET /v1/models, GET /v1/models/{id}, GET /health',
  `and, passed through to the provider, POST ${passedPaths.map((path) => `/v1${path}`).join(', ')}`,
].join(', ');

/** Paths that clients send to without the `/v1` in front. */
const underV1: ReadonlySet<string> = new Set([...turnPaths, ...passedPaths, '/models']);

/** What most clients send: spelled as the routes are. */
const plainPaths: ReadonlySet<string> = new Set(turnPaths.map((path) => `/v1${path}`));

/**
 * A request's path as the routes spell it: clients write a base URL with or without `/v1`, with one
 * or two slashes in the middle and at the end. Other spellings of hosts and the query stay as they
 * are.
 */
export function plainUrl(url: string): string {
  if (plainPaths.has(url)) return url;
  if (!url.startsWith('/')) return url;
  const end = url.indexOf('?');
  const query = end === -1 ? '' : url.slice(end);
  let path = (end === -1 ? url : url.slice(0, end)).replace(/\/{2,}/g, '/');
  if (path.length > 1 && path.endsWith('/')) path = path.slice(0, -1);
  path = path.replace(/^(?:\/v1)+(?=\/|$)/, '/v1');
  const isKnown = underV1.has(path) || path.startsWith('/models/');
  return (isKnown ? `/v1${path}` : path) + query;
}

/** Where to go instead, by what the path ends in. */
const elsewhere: readonly (readonly [RegExp, string])[] = [
  [
    /\/api\/(?:chat|generate|tags|show|embed|embeddings)$/,
    "Ollama's own API is not spoken here: set the client to an OpenAI-compatible provider with a base URL that ends in /v1.",
  ],
  [
    /\/(?:files|batches|fine_tuning|vector_stores|assistants|threads|audio\/.*|images\/.*)(?:\/|$)/,
    "For this, give the client the provider's own base URL.",
  ],
];

/** What to do about a path that leads nowhere. */
export function hintFor(path: string): string {
  const known = elsewhere.find(([pattern]) => pattern.test(path))?.[1];
  return `Spoken here: ${spokenPaths}.${known === undefined ? '' : ` ${known}`}`;
}
