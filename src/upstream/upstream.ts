import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode } from '../errors.ts';
import type { ChatRequest, Chunk } from '../wire/types.ts';

/** A model that an upstream offers. Windows are in tokens; absent where unknown. */
export interface UpstreamModel {
  /** The provider's own id, such as `glm-5` or `org/name:tag`. */
  readonly id: string;
  readonly contextWindowTokens?: number;
  readonly maxOutputTokens?: number;
}

/** What a call may need beside the request body. */
export interface UpstreamCall {
  /** Aborting cancels the HTTP request at once and ends every wait. */
  readonly signal: AbortSignal;
  /**
   * Headers to pass on (session affinity). Never `authorization`, `cookie`, `origin`, `host`.
   * Lower-case names.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Called when a failed attempt is about to be repeated. For progress and logs; nothing has
   * reached the client yet.
   */
  readonly onRetry?: (attempt: RetryNotice) => void;
  /** Present where the bytes of the call are written down. */
  readonly tap?: WireTap;
}

/** What one attempt sends. */
export interface SentRequest {
  /** Id of the upstream. */
  readonly upstream: string;
  /** The address with user, password and the values of its query masked. */
  readonly url: string;
  /** Lower-case names; keys and configured values are masked. */
  readonly headers: Readonly<Record<string, string>>;
  /** The very bytes. Nobody changes them. */
  readonly body: Uint8Array;
}

/** Hears what goes over the wire in a call, attempt by attempt. Nothing that it does may fail. */
export interface WireTap {
  /** An attempt is about to be sent. */
  begin(sent: SentRequest): AnswerTap;
}

/** Hears one attempt's answer. */
export interface AnswerTap {
  /** The answer's head is in. Lower-case names, nothing masked. */
  head(status: number, headers: IncomingHttpHeaders): void;
  /**
   * Bytes of the body, without transfer compression and with the upstream's secrets masked. They
   * come late by at most the length of a secret. Nobody changes them.
   * @returns What to wait for before the next are read, if anything
   */
  piece(bytes: Uint8Array): Promise<void> | undefined;
  /**
   * Nothing more comes. Only the first call counts.
   * @param error Why the answer ended early; absent: it came to its end
   */
  end(error?: unknown): void;
}

/**
 * A failed attempt that is about to be repeated. Never the upstream's words: they may quote what it
 * was asked.
 */
export interface RetryNotice {
  /** Of the attempt that failed, from 1. */
  readonly number: number;
  readonly waitMs: number;
  readonly code: ErrorCode;
  /** The upstream's HTTP status where it gave one, else the one that we would answer with. */
  readonly status: number;
  /** The system's name of a connection's failure, such as `ECONNRESET`. */
  readonly cause?: string;
  /** The model that is tried now; absent where it is the same. */
  readonly model?: string;
}

/** A completion that the upstream has accepted. */
export interface UpstreamStream {
  /**
   * The answer in batches: all chunks that one socket read brought, in order, never an empty batch.
   * Pulled, so that a slow client slows the upstream. Ends normally only after a finish reason;
   * otherwise throws a `ProxyError` (`upstream_cut`, `upstream_failed`, `upstream_timeout`,
   * `context_length_exceeded`, ...). Leaving the loop early cancels the HTTP request.
   */
  readonly batches: AsyncIterable<readonly Chunk[]>;
  /** The upstream model that really answers (it differs from the asked one after a fallback). */
  readonly model: string;
  /** Headers of the answer that a client gets: request id, rate limits. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A request for something else than a chat completion: passed on as it came. */
export interface PassedRequest {
  /** Behind the base URL, such as `/embeddings`. */
  readonly path: string;
  readonly contentType: string;
  /** The client's `accept`. */
  readonly accept?: string | undefined;
  /** Where the body comes in pieces and its length is known, bytes. */
  readonly sizeBytes?: number | undefined;
  readonly body: Buffer | AsyncIterable<Buffer>;
}

/** An answer that is passed on as it comes. */
export interface PassedAnswer {
  /** Below 300. */
  readonly status: number;
  /** Those that a client gets, its type among them. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * To be read to its end or left. @throws ProxyError `upstream_failed`, `upstream_timeout`,
   * `cancelled`
   */
  readonly body: AsyncIterable<Buffer>;
}

/**
 * One configured provider. Adding one is a row in `profile.ts` or a section in the user's
 * configuration.
 *
 * Contract (test/integration/upstream-contract.test.ts runs it over every implementation): the
 * request is sent with the provider's own spelling (`profile`), always streamed; retries happen
 * only before the first chunk; keys never appear in an error.
 */
export interface Upstream {
  /** The provider's name in the configuration, such as `zai`; `demo` for the built-in script. */
  readonly id: string;
  /** The provider's own list. @throws ProxyError `upstream_*` */
  models(signal: AbortSignal): Promise<readonly UpstreamModel[]>;
  /**
   * One completion. Resolves when the first chunk is in (retries are over); rejects with a
   * `ProxyError`.
   */
  complete(request: ChatRequest, call: UpstreamCall): Promise<UpstreamStream>;
  /**
   * Passes a request on, once, with the provider's own key and headers. Absent where there is
   * nothing but chat completions.
   * @throws ProxyError what the provider refused it with, else `upstream_*`, `cancelled`, or what
   * reading the body throws
   */
  pass?(request: PassedRequest, signal: AbortSignal): Promise<PassedAnswer>;
  /** Closes kept connections. */
  [Symbol.asyncDispose](): Promise<void>;
}
