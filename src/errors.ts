/**
 * What may go wrong, once for all: HTTP status, OpenAI `type`, whether trying again can help,
 * whether the text may be shown.
 */
export const errorTable = {
  invalid_request: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    exposable: true,
  },
  context_length_exceeded: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    exposable: true,
  },
  unauthorized: { status: 401, type: 'authentication_error', retryable: false, exposable: true },
  quota_exhausted: { status: 402, type: 'insufficient_quota', retryable: false, exposable: true },
  forbidden: { status: 403, type: 'permission_error', retryable: false, exposable: true },
  not_found: { status: 404, type: 'invalid_request_error', retryable: false, exposable: true },
  unknown_model: { status: 404, type: 'invalid_request_error', retryable: false, exposable: true },
  unknown_session: {
    status: 404,
    type: 'invalid_request_error',
    retryable: false,
    exposable: true,
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    retryable: false,
    exposable: true,
  },
  body_timeout: { status: 408, type: 'invalid_request_error', retryable: true, exposable: true },
  body_too_large: { status: 413, type: 'invalid_request_error', retryable: false, exposable: true },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    retryable: false,
    exposable: true,
  },
  too_busy: { status: 429, type: 'rate_limit_error', retryable: true, exposable: true },
  limit_reached: { status: 400, type: 'invalid_request_error', retryable: false, exposable: true },
  upstream_rejected: { status: 400, type: 'upstream_error', retryable: false, exposable: true },
  upstream_failed: { status: 502, type: 'upstream_error', retryable: true, exposable: true },
  upstream_cut: { status: 502, type: 'upstream_error', retryable: true, exposable: true },
  upstream_timeout: { status: 504, type: 'upstream_error', retryable: true, exposable: true },
  cancelled: { status: 499, type: 'cancelled', retryable: false, exposable: true },
  shutting_down: { status: 503, type: 'server_error', retryable: true, exposable: true },
  store_full: { status: 507, type: 'server_error', retryable: false, exposable: true },
  store_corrupt: { status: 500, type: 'server_error', retryable: false, exposable: true },
  store_newer: { status: 500, type: 'server_error', retryable: false, exposable: true },
  store_away: { status: 503, type: 'server_error', retryable: true, exposable: true },
  store_locked: { status: 500, type: 'server_error', retryable: false, exposable: true },
  config_invalid: { status: 500, type: 'server_error', retryable: false, exposable: true },
  internal: { status: 500, type: 'server_error', retryable: false, exposable: false },
} as const;

/** A name from {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable;

/** Optional parts of a {@link ProxyError}. */
export interface ErrorParts {
  /** What was thrown underneath. Never shown, only logged. */
  readonly cause?: unknown;
  /** What the user can do: a command or a setting. Appended to the shown message. */
  readonly hint?: string | undefined;
  /** Overrides the table's HTTP status, for an upstream status that is passed through (400-599). */
  readonly status?: number;
  /** The `code` member of the answer, when the upstream gave one of its own. */
  readonly wireCode?: string | undefined;
  /** The `type` member of the answer, when the upstream gave one of its own. */
  readonly wireType?: string;
  /** The request member at fault, OpenAI's `param`. */
  readonly param?: string | undefined;
  /** How long the upstream asked us to wait, milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Headers of the upstream's refusal that pass to the client. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The window of the model, where the upstream stated it in refusing a prompt, tokens. */
  readonly windowTokens?: number;
  /** Whether trying the same again can help, where the table's answer does not fit. */
  readonly retryable?: boolean;
}

/**
 * An operational failure with a name. Anything else that is thrown is a bug and becomes `internal`.
 */
export class ProxyError extends Error {
  readonly code: ErrorCode;
  readonly parts: ErrorParts;

  constructor(code: ErrorCode, message: string, parts: ErrorParts = {}) {
    super(message, parts.cause === undefined ? {} : { cause: parts.cause });
    this.name = 'ProxyError';
    this.code = code;
    this.parts = parts;
  }

  /** The HTTP status to answer with. */
  get status(): number {
    return this.parts.status ?? errorTable[this.code].status;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this.parts.retryable ?? errorTable[this.code].retryable;
  }
}

/**
 * Turns whatever was caught into a {@link ProxyError}; a stranger becomes `internal` with the
 * stranger as its cause.
 */
export function toProxyError(caught: unknown): ProxyError {
  if (caught instanceof ProxyError) return caught;
  return new ProxyError('internal', 'Something went wrong inside rlm-opencode.', { cause: caught });
}
