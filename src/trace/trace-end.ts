import { ProxyError } from '../errors.ts';

/**
 * How something ended: well, or with the code of a failure (ours, or the system's as in
 * `ECONNRESET`).
 */
export type TraceEnd = { readonly ok: true } | { readonly ok: false; readonly code: string };

/** How something ended, of what it has thrown. @param error Undefined: it went well */
export function traceEnd(error: unknown): TraceEnd {
  if (error === undefined) return { ok: true };
  return { ok: false, code: codeOf(error) };
}

/** A short name of a failure: never its words, which may quote what they should not. */
export function codeOf(error: unknown): string {
  if (error instanceof ProxyError) return error.code;
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : 'internal';
}

/** A time as ISO 8601 writes it. @param timeMs Milliseconds since 1970 */
export function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
