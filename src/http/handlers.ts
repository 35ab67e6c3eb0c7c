import type { IncomingHttpHeaders } from 'node:http';
import type { ProxyError } from '../errors.ts';
import type { CompletionHead } from '../wire/encode.ts';
import type { Chunk } from '../wire/types.ts';

/** A chat request as it came in: nothing of it has been parsed. */
export interface ChatCall {
  /**
   * The JSON bytes as they arrive, so that a history of 100 MB need not lie in memory at once. Read
   * once, to its end.
   * @throws ProxyError `body_too_large` while it is read
   */
  readonly body: AsyncIterable<Buffer>;
  /** Node's lower-case header names. */
  readonly headers: IncomingHttpHeaders;
  /**
   * Members of a request that was translated from another protocol which chat completions do not
   * have, and in which clients name their conversation.
   */
  readonly ownMembers?: Readonly<Record<string, unknown>>;
  /** Aborts when the client is gone or the server gives up on the turn at shutdown. */
  readonly signal: AbortSignal;
  /** Also sent to the client as `x-request-id`. */
  readonly requestId: string;
  /** How the answer is written. Absent: as a chat completion. */
  readonly form?: AnswerForm;
  /** Told once the request has been read, for the log: a turn may end in many places. */
  readonly noteWhose?: (whose: Whose) => void;
}

/** Whose a request is, as far as it says so; for the log. */
export interface Whose {
  /** The client's name. */
  readonly client?: string | undefined;
  /** The project directory. */
  readonly directory?: string | undefined;
  /** As the client names it. */
  readonly model?: string | undefined;
}

/**
 * How another protocol writes an answer. It gets the very chunks of the turn: what the client may
 * see, and with the last batch the finish reason and the usage.
 */
export interface AnswerForm {
  /** A streamed answer, as {@link StreamReply.frames} wants it. */
  frames(chunks: AsyncIterable<readonly Chunk[]>, head: CompletionHead): AsyncIterable<string>;
  /** The JSON of a whole answer. */
  whole(chunks: AsyncIterable<readonly Chunk[]>, head: CompletionHead): Promise<string>;
}

/** A whole answer. */
export interface JsonReply {
  readonly kind: 'json';
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A streamed answer. `frames` does all the work when it is pulled, so `handle` can resolve at once.
 * What it throws before its first frame becomes an HTTP status with a JSON body, unless the headers
 * had to go out because the wait was long; what it throws later becomes a last frame in the form
 * the client understands. Its `return` is called when the client leaves, after `signal` has
 * aborted.
 */
export interface StreamReply {
  readonly kind: 'stream';
  /**
   * Ready server-sent events with their blank line, several joined into one string where several
   * are ready; ends with `[DONE]`.
   */
  readonly frames: AsyncIterable<string | Uint8Array>;
  /**
   * Read when the head goes out, with the first frame: what the upstream's answer brings may be
   * added until then.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Until when nothing can come because a failed attempt waits for the next, by the clock's elapsed
   * milliseconds.
   */
  readonly quietUntilMs?: () => number;
  /** What is sent in a long silence, even before the first frame. Default: an SSE comment. */
  readonly heartbeat?: () => string;
  /** The last frame of a stream that failed. Default: as clients of chat completions want it. */
  readonly errorFrame?: (error: ProxyError) => string;
  /**
   * Whether a failure before the first frame is told by the error frame of a stream that has begun
   * well, for clients that do the right thing with it only there. Default: it is a status.
   */
  readonly failsInStream?: (error: ProxyError) => boolean;
}

/**
 * What answers `POST /v1/chat/completions`. @throws ProxyError anything that is wrong before the
 * answer has begun
 */
export interface ChatHandler {
  handle(call: ChatCall): Promise<JsonReply | StreamReply>;
}

/** Another protocol over the same turn, at a path of its own. */
export interface Face {
  /** With the `/v1` in front; answers POST. */
  readonly path: string;
  /**
   * Hands the request on, translated and with an {@link AnswerForm}, to the handler of chat
   * completions.
   */
  readonly chat: ChatHandler;
  /** The body of an error that has a status. Default: OpenAI's. */
  readonly errorBody?: ErrorWriter;
  /** A further header for the request's id, by the protocol's name for it. */
  readonly requestIdHeader?: string;
  /** How the protocol shows models, where it does not as OpenAI. */
  readonly models?: ModelForms;
  /** It tells something and begins no turn. */
  readonly hasNoTurn?: true;
}

/** How the clients of one protocol read lists of models. */
export interface ModelForms {
  /** Whether it is one of them that asks. */
  isFor(headers: IncomingHttpHeaders): boolean;
  one(card: ModelCard): object;
  list(cards: readonly ModelCard[], headers: IncomingHttpHeaders): object;
}

/** Writes an error down as the clients of one protocol read it. */
export type ErrorWriter = (
  error: ProxyError,
  request: { readonly userAgent: string | undefined; readonly requestId: string },
) => object;

/** A request that a provider answers by itself: embeddings, audio, images, … */
export interface PassCall {
  /** Behind `/v1`, such as `/embeddings`. */
  readonly path: string;
  /** JSON or a form, with its parameters. */
  readonly contentType: string;
  readonly accept?: string | undefined;
  /** Length of the body where it is known, bytes. */
  readonly sizeBytes?: number | undefined;
  /** @throws ProxyError `body_too_large` while it is read */
  readonly body: AsyncIterable<Buffer>;
  readonly signal: AbortSignal;
  readonly requestId: string;
}

/** Its answer, passed on as it comes. */
export interface PassReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Buffer>;
}

/** What answers the paths that are passed through. @throws ProxyError before the answer begins */
export interface PassHandler {
  handle(call: PassCall): Promise<PassReply>;
}

/** A model as `GET /v1/models` shows it; further members are passed on. */
export interface ModelCard {
  readonly id: string;
  readonly object: 'model';
  /** Seconds since 1970. */
  readonly created: number;
  readonly owned_by: string;
  readonly [member: string]: unknown;
}

/** What answers `GET /v1/models` and `GET /v1/models/{id}`. */
export interface ModelsHandler {
  /** All models, never a failure of a provider's list. */
  list(signal: AbortSignal): Promise<readonly ModelCard[]>;
  /** One model by its id, which may hold `/`, `.` and `:`. */
  find(id: string, signal: AbortSignal): Promise<ModelCard | undefined>;
}

/** What answers `GET /health`. Costs no upstream call and shows no stored text and no key. */
export interface HealthHandler {
  report(): { readonly status: 'ok' | 'degraded'; readonly [member: string]: unknown };
}

/** What answers `GET /metrics`. Holds no path, no name and no text. */
export interface MetricsHandler {
  report(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/**
 * What answers `/mcp`: the Model Context Protocol over HTTP. The answer's body is events or a text.
 * @throws ProxyError what no message of the protocol can say
 */
export interface McpHandler {
  handle(message: {
    readonly method: string;
    readonly headers: IncomingHttpHeaders;
    /** Parsed; undefined where there is none, or what came is no JSON. */
    readonly body: unknown;
    /** Aborts when the client is gone or the server stops. */
    readonly signal: AbortSignal;
    /** Aborts when the answer is over, whether it has been given or not. */
    readonly answered: AbortSignal;
  }): Promise<Response>;
}

/** What answers `POST /v1/rlm/{operation}`: the commands' way through a running server. */
export interface OperationsHandler {
  /**
   * JSON lines, each ending in a newline: any number of `{"progress": ...}`, then one `{"result":
   * ...}`.
   * @throws ProxyError `not_found` for an unknown operation, `invalid_request` for wrong arguments
   */
  run(call: {
    readonly operation: string;
    readonly body: Buffer;
    /** What comes behind the arguments, read as it arrives; absent where nothing does. */
    readonly input?: AsyncIterable<Uint8Array>;
    readonly signal: AbortSignal;
  }): AsyncIterable<string>;
}

/** A file of the owner's page. */
export interface PageFile {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** What answers `/` and all below `/page`: the owner's page, which only reads. */
export interface PageHandler {
  /**
   * `index.html` or a file among its assets, which are the same for everybody. Undefined where
   * there is none of that name. @throws ProxyError `not_found` where the page was not built
   */
  file(name: string): Promise<PageFile | undefined>;
  /**
   * What the cookie is to hold, for a code that is good: once. Undefined for any other.
   * @param peerUser Tells whose program hands it in, by the user's id, where that can be found out
   */
  enter(code: string, peerUser: () => Promise<number | undefined>): Promise<string | undefined>;
  /** Whether whoever brings this in the cookie has entered, and not too long ago. */
  admits(token: string, peerUser: () => Promise<number | undefined>): Promise<boolean>;
  /**
   * What stands behind `/page/`, as a value for JSON. Only for those who are admitted. @throws
   * ProxyError `not_found`, `unknown_session`, `invalid_request`, what reading a store does
   */
  read(call: {
    /** Behind `/page/`, such as `sessions`. */
    readonly path: string;
    readonly query: URLSearchParams;
    readonly signal: AbortSignal;
  }): Promise<object>;
  /**
   * Server-sent events with their blank line, without end. Only for those who are admitted.
   * @throws ProxyError when the signal aborts
   */
  events(signal: AbortSignal): AsyncIterable<string | Uint8Array>;
}
