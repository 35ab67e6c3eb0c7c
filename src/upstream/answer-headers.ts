import type { IncomingHttpHeaders } from 'node:http';

/** Under which name a client gets an upstream's own request id; ours is in `x-request-id`. */
const upstreamIdHeader = 'x-upstream-request-id';

/**
 * Headers of an answer that pass under their own name. Cookies, encodings and what is for one
 * connection alone never do.
 */
const passed = /^(?:x-ratelimit-[a-z0-9-]+|retry-after(?:-ms)?|openai-processing-ms)$/;

/** What may stand in a header. */
const plainValue = /^[\x20-\x7e]{1,1000}$/;

/** The headers of an upstream's answer that a client gets. */
export function passedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    const isId = name === 'x-request-id';
    if (!isId && !passed.test(name)) continue;
    const value = headers[name];
    if (typeof value === 'string' && plainValue.test(value))
      found[isId ? upstreamIdHeader : name] = value;
  }
  return found;
}

/**
 * The same, with the answer's own id where the upstream names its requests in no header
 * (OpenRouter's costs are looked up by it).
 */
export function withAnswerId(
  headers: Record<string, string>,
  id: string | undefined,
): Record<string, string> {
  return headers[upstreamIdHeader] !== undefined || id === undefined || !plainValue.test(id)
    ? headers
    : { ...headers, [upstreamIdHeader]: id };
}

/** What says how the body of an answer that is passed on is to be read. */
export function bodyHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ['content-type', 'content-disposition'] as const) {
    const value = headers[name];
    if (value !== undefined && plainValue.test(value)) found[name] = value;
  }
  return found;
}
