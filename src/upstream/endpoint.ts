import type { Profile } from './profile.ts';

/** A provider's address, taken apart for a connection pool. */
export interface Endpoint {
  readonly origin: string;
  /** For `POST`, with the base's prefix and query. */
  readonly chatPath: string;
}

/**
 * Takes a base URL as users write it: with or without a slash at the end, with any path prefix, with the query that Azure
 * wants (`?api-version=...`), or with `/chat/completions` already there.
 */
export function parseEndpoint(baseURL: string): Endpoint {
  const url = new URL(baseURL);
  const prefix = url.pathname.replace(/\/+$/, '').replace(/\/chat\/completions$/, '');
  return { origin: url.origin, chatPath: `${prefix}/chat/completions${url.search}` };
}

/** Never passed on, whoever asks: they belong to the client and to us. */
const neverPassed: ReadonlySet<string> = new Set(['authorization', 'cookie', 'origin', 'host']);

/** What a request carries beside its body. */
export interface HeaderParts {
  readonly profile: Profile;
  readonly apiKey?: string | undefined;
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
  if (parts.apiKey !== undefined) {
    const name = parts.profile.keyHeader ?? 'authorization';
    headers[name] = name === 'authorization' ? `Bearer ${parts.apiKey}` : parts.apiKey;
  }
  for (const [name, value] of Object.entries(parts.configured)) headers[name.toLowerCase()] = value;
  return headers;
}
