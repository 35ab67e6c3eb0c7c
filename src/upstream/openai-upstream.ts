import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type Clock, type Ids, Watchdog } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { ChoicesReader } from '../wire/choices.ts';
import { ChunkReader, type ChunkReaderOptions } from '../wire/chunk.ts';
import { readFault, type UpstreamFault } from '../wire/error-body.ts';
import { requestBody } from '../wire/message-json.ts';
import type { ChatRequest } from '../wire/types.ts';
import { bodyHeaders, passedHeaders, withAnswerId } from './answer-headers.ts';
import { AnswerReader, batchesOf, firstByteHint, type ReadingLimits } from './answer-reader.ts';
import {
  chatHeaders,
  type Endpoint,
  listHeaders,
  maskedHeaders,
  parseEndpoint,
  passHeaders,
  pathBeside,
  shownAddress,
  versionAdvice,
} from './endpoint.ts';
import { faultToError, type FaultSource } from './fault.ts';
import {
  certificateHint,
  type HttpAnswer,
  openDispatcher,
  type PendingAnswer,
  readText,
  sendRequest,
  unreachedCodes,
} from './http-answer.ts';
import { Semaphore } from '../base/semaphore.ts';
import { listModels } from './model-list.ts';
import { checkHead } from './not-an-api.ts';
import { passedBody } from './passed-body.ts';
import type { Profile } from './profile.ts';
import { cancelled, readRetryAfter, unreachableCode, withRetries } from './retry.ts';
import { rewriteRequest } from './rewrite.ts';
import { secretsOf } from './secrets.ts';
import { StreamRefusals } from './stream-refusals.ts';
import { tappedAnswer } from './tapped-answer.ts';
import type {
  PassedAnswer,
  PassedRequest,
  Upstream,
  UpstreamCall,
  UpstreamModel,
  UpstreamStream,
} from './upstream.ts';
import type { Route } from './route.ts';

/** Patience with a provider; all times in milliseconds. */
interface Patience extends ReadingLimits {
  readonly connectTimeoutMs: number;
  /** Attempts after the first one, made only while no chunk has come. */
  readonly maxRetries: number;
  /** Waiting between the attempts of one call, summed. */
  readonly maxRetryWaitMs: number;
}

/** One provider that speaks OpenAI's protocol, more or less. */
export interface OpenAIUpstreamOptions {
  readonly id: string;
  readonly baseURL: string;
  /** Absent for local servers: then no key is sent at all. */
  readonly apiKey?: string | undefined;
  readonly profile: Profile;
  /** How the base URL is reached. Default: straight. */
  readonly route?: Route;
  /** Sent with every request, from the configuration. */
  readonly headers: Readonly<Record<string, string>>;
  readonly patience: Patience;
  /** Calls at the same time; more wait their turn. */
  readonly maxInFlight: number;
  /**
   * The window of a model, tokens, where it is known: an empty answer to more than that is an
   * overflow.
   */
  readonly contextWindowOf?: (model: string) => number | undefined;
  readonly clock: Clock;
  readonly ids: Ids;
  /** From 0 to 1, for the jitter between attempts. */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Creates the provider's upstream. Nothing is sent before the first call. @throws TypeError for a
 * base URL that is not a URL
 */
export function createOpenAIUpstream(options: OpenAIUpstreamOptions): Upstream {
  return new OpenAIUpstream(options);
}

/** Longest body of a failed answer that is read, bytes. */
const maxErrorBytes = 64 * 1024;

class OpenAIUpstream implements Upstream {
  readonly id: string;
  readonly #options: OpenAIUpstreamOptions;
  readonly #endpoint: Endpoint;
  readonly #dispatcher: Dispatcher;
  /** Never shown. */
  readonly #secrets: readonly string[];
  readonly #inFlight: Semaphore;
  /** Members that have been left out and logged, so that each is logged once. */
  readonly #toldDropped = new Set<string>();
  readonly #refusals: StreamRefusals;

  constructor(options: OpenAIUpstreamOptions) {
    this.id = options.id;
    this.#options = options;
    this.#refusals = new StreamRefusals(options);
    this.#endpoint = parseEndpoint(options.baseURL);
    this.#inFlight = new Semaphore(options.maxInFlight);
    this.#dispatcher = openDispatcher(
      this.#endpoint.origin,
      options.route ?? {},
      options.patience.connectTimeoutMs,
    );
    this.#secrets = secretsOf(options);
  }

  async models(signal: AbortSignal): Promise<readonly UpstreamModel[]> {
    const { clock, patience, id } = this.#options;
    const source = {
      id,
      origin: this.#endpoint.origin,
      clock,
      timeoutMs: patience.connectTimeoutMs,
      toError: this.#toError.bind(this),
      get: async (stopping: AbortController) => {
        const { modelsPath } = this.#endpoint;
        const headers = listHeaders(this.#ownHeaders());
        const sent = this.#dispatch({ method: 'GET', path: modelsPath, headers });
        const stop = (): void => sent.destroy();
        stopping.signal.addEventListener('abort', stop);
        try {
          return await sent.head;
        } catch (cause) {
          throw this.#connectionError(cause);
        } finally {
          stopping.signal.removeEventListener('abort', stop);
        }
      },
    };
    return listModels(source, signal);
  }

  async complete(request: ChatRequest, call: UpstreamCall): Promise<UpstreamStream> {
    const { patience, profile, clock, random } = this.#options;
    const policy = {
      maxRetries: patience.maxRetries,
      maxWaitMs: patience.maxRetryWaitMs,
      baseMs: profile.retryBaseMs ?? 1000,
      clock,
      random,
    };
    const answer = await withRetries(this.#attempts(request, call), policy, call);
    return { ...answer, model: request.model };
  }

  async pass(request: PassedRequest, signal: AbortSignal): Promise<PassedAnswer> {
    const { clock, patience } = this.#options;
    const leave = await this.#place(signal);
    const watchdog = new Watchdog(clock);
    let end: (() => void) | undefined;
    // An answer that nobody begins to read is left when its client goes.
    const close = (): void => {
      signal.removeEventListener('abort', close);
      watchdog.close();
      end?.();
      leave();
    };
    signal.addEventListener('abort', close);
    try {
      const { body } = request;
      const pending = this.#dispatch({
        method: 'POST',
        path: pathBeside(this.#endpoint, request.path),
        headers: passHeaders(this.#ownHeaders(), request),
        body: Buffer.isBuffer(body) ? body : Readable.from(body, { objectMode: false }),
      });
      end = () => pending.destroy();
      const response = await this.#headOf(pending, { signal, watchdog });
      if (response.statusCode >= 400) throw await this.#rejection(response);
      checkHead(response, '', this.#endpoint.origin);
      const watched = {
        source: response.body,
        idleTimeoutMs: patience.idleTimeoutMs,
        clock,
        signal,
        toError: (cause: unknown) => this.#connectionError(cause),
        release: close,
      };
      return {
        status: response.statusCode,
        headers: { ...passedHeaders(response.headers), ...bodyHeaders(response.headers) },
        body: passedBody(watched),
      };
    } catch (error) {
      close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /**
   * One attempt after the other, all with the same bytes; once more at once without a member that
   * the model turns out to refuse.
   */
  #attempts(request: ChatRequest, call: UpstreamCall): () => Promise<AnswerStart> {
    let body = this.#serialise(request);
    return async () => {
      for (;;) {
        try {
          return await this.#attempt(request, body, call);
        } catch (error) {
          if (!this.#refusals.learn(request.model, error)) throw error;
          body = this.#serialise(request);
        }
      }
    };
  }

  /** The one place where a request becomes bytes. */
  #serialise(request: ChatRequest): Buffer {
    const refused = this.#refusals.of(request.model);
    const { body, dropped } = rewriteRequest(request, this.#options.profile, refused);
    const news = dropped.filter((member) => !this.#toldDropped.has(member));
    for (const member of news) this.#toldDropped.add(member);
    if (news.length > 0) {
      const told = { upstream: this.id, members: news };
      this.#options.log.info(told, 'left out of requests: the provider does not take them');
    }
    return requestBody(body);
  }

  /** A place among the calls in flight. @throws ProxyError `cancelled`, or the signal's own */
  async #place(signal: AbortSignal): Promise<() => void> {
    try {
      return await this.#inFlight.acquire(signal);
    } catch {
      throw cancelled(signal);
    }
  }

  /** One HTTP request, up to its first chunk. */
  async #attempt(request: ChatRequest, body: Buffer, call: UpstreamCall): Promise<AnswerStart> {
    const { clock, patience } = this.#options;
    const leave = await this.#place(call.signal);
    const watchdog = new Watchdog(clock);
    let end: (() => void) | undefined;
    const close = (): void => {
      call.signal.removeEventListener('abort', close);
      watchdog.close();
      end?.();
      leave();
    };
    call.signal.addEventListener('abort', close);
    try {
      const pending = this.#send(body, call);
      end = () => pending.destroy();
      const response = await this.#headOf(pending, { signal: call.signal, watchdog });
      if (response.statusCode >= 400) throw await this.#rejection(response);
      const contentType = response.headers['content-type'] ?? '';
      checkHead(response, contentType, this.#endpoint.origin);
      const reader = this.#chunkReader(request);
      const answer = new AnswerReader({
        body: response.body,
        reader,
        limits: patience,
        clock,
        watchdog,
        signal: call.signal,
        origin: this.#endpoint.origin,
        contentType,
      });
      end = () => answer.close();
      const first = await answer.next();
      return {
        batches: batchesOf(answer, first, close),
        headers: withAnswerId(passedHeaders(response.headers), reader.id),
      };
    } catch (error) {
      close();
      throw error;
    }
  }

  #send(body: Buffer, call: UpstreamCall): PendingAnswer {
    const own = this.#ownHeaders();
    const path = this.#endpoint.chatPath;
    const headers = chatHeaders({ ...own, passed: call.headers });
    const request = { method: 'POST', path, headers, body } as const;
    if (call.tap === undefined) return this.#dispatch(request);
    const tap = call.tap.begin({
      upstream: this.id,
      url: shownAddress(this.#endpoint.origin + path),
      headers: chatHeaders({ ...maskedHeaders(own), passed: call.headers }),
      body,
    });
    const pending = this.#dispatch(request);
    return {
      head: tappedAnswer(() => pending.head, tap, this.#secrets),
      destroy: (reason) => pending.destroy(reason),
    };
  }

  /** The head of the answer, whatever its status. */
  async #headOf(
    pending: PendingAnswer,
    { signal, watchdog }: { readonly signal: AbortSignal; readonly watchdog: Watchdog },
  ): Promise<HttpAnswer> {
    const limitMs = this.#options.patience.firstByteTimeoutMs;
    let isLate = false;
    watchdog.start(limitMs, () => {
      isLate = true;
      pending.destroy();
    });
    try {
      return await pending.head;
    } catch (cause) {
      // What the client's own body broke with, where it is passed on.
      if (cause instanceof ProxyError) throw cause;
      if (signal.aborted) throw cancelled(signal);
      if (!isLate) throw this.#connectionError(cause);
      throw new ProxyError('upstream_timeout', `The upstream sent nothing for ${limitMs} ms.`, {
        hint: firstByteHint,
      });
    } finally {
      watchdog.stop();
    }
  }

  #ownHeaders(): Omit<Parameters<typeof chatHeaders>[0], 'passed'> {
    const { profile, apiKey, headers } = this.#options;
    const { authorization } = this.#endpoint;
    return { profile, apiKey, authorization, configured: headers };
  }

  #dispatch(
    request: Pick<Dispatcher.DispatchOptions, 'method' | 'path' | 'headers' | 'body'>,
  ): PendingAnswer {
    const { origin } = this.#endpoint;
    // Our own limits count comments as life and a slow client not as silence.
    const whole = { ...request, origin, headersTimeout: 0, bodyTimeout: 0 };
    return sendRequest(this.#dispatcher, whole);
  }

  #connectionError(cause: unknown): ProxyError {
    const { code, message } = (cause ?? {}) as { readonly code?: unknown; message?: unknown };
    const { origin } = this.#endpoint;
    const { proxy, exempt } = this.#options.route ?? {};
    const nobody = code === 'ECONNREFUSED' || code === 'ENOTFOUND';
    const distrust = certificateHint(code);
    const what = typeof code === 'string' ? ` (${code})` : '';
    if (proxy !== undefined) {
      const status = /\b[45]\d\d\b/.exec(String(message))?.[0];
      const reason = status === undefined ? what : ` (its answer: status ${status})`;
      const where = `the proxy ${shownAddress(proxy.uri)} that ${proxy.variable} names`;
      return new ProxyError('upstream_failed', `${origin} was not reached by ${where}${reason}.`, {
        cause,
        ...(nobody || status !== undefined || distrust !== undefined
          ? { wireCode: unreachableCode }
          : {}),
        hint:
          distrust ?? `Mend ${proxy.variable}, or name the host in NO_PROXY to go there straight.`,
      });
    }
    const instead =
      exempt === undefined
        ? ''
        : ` It was asked straight and not as ${exempt.variable} says: ${exempt.because}.`;
    if (nobody) {
      return new ProxyError('upstream_failed', `Nobody answers at ${origin}${what}.`, {
        cause,
        wireCode: unreachableCode,
        hint:
          code === 'ENOTFOUND'
            ? `No such name is known. Is this machine online, and the base URL of the provider \`${this.id}\` right?${instead}`
            : `Is the server of the provider \`${this.id}\` running, and its base URL right?${instead}`,
      });
    }
    if (distrust !== undefined) {
      return new ProxyError(
        'upstream_failed',
        `${origin} has a certificate that is not trusted${what}.`,
        { cause, wireCode: unreachableCode, hint: distrust + instead },
      );
    }
    if (unreachedCodes.has(code)) {
      return new ProxyError('upstream_failed', `${origin} was not reached${what}.`, {
        cause,
        hint: `Is this machine online, and the base URL of the provider \`${this.id}\` right?${instead}`,
      });
    }
    return new ProxyError('upstream_failed', `The connection to ${origin} broke${what}.`, {
      cause,
      ...(instead === '' ? {} : { hint: instead.trim() }),
    });
  }

  async #rejection(response: HttpAnswer): Promise<ProxyError> {
    const { clock, patience } = this.#options;
    const slow = new AbortController();
    const watchdog = new Watchdog(clock);
    watchdog.start(patience.idleTimeoutMs, () => slow.abort());
    const limits = { maxBytes: maxErrorBytes, stop: slow.signal };
    const text = await readText(response.body, limits).finally(() => watchdog.close());
    return this.#toError(readFault(text), {
      status: response.statusCode,
      retryAfterMs: readRetryAfter(response.headers, clock.now()),
      headers: passedHeaders(response.headers),
    });
  }

  #toError(
    fault: UpstreamFault,
    head: Pick<FaultSource, 'status' | 'retryAfterMs' | 'headers'> = {},
  ): ProxyError {
    const { profile, baseURL } = this.#options;
    return faultToError(fault, {
      profile,
      upstreamId: this.id,
      secrets: this.#secrets,
      addressAdvice: versionAdvice(baseURL, head.status),
      ...head,
    });
  }

  #chunkReader(request: ChatRequest): ChunkReader {
    const contextWindowTokens = this.#options.contextWindowOf?.(request.model);
    const count = Number(request['n'] ?? 1);
    const options: ChunkReaderOptions = {
      makeId: () => this.#options.ids.next('call_'),
      toError: (fault) => this.#toError(fault),
      legacyFunctions: request['functions'] !== undefined,
      contextWindowTokens,
    };
    return count > 1 ? new ChoicesReader(count, options) : new ChunkReader(options);
  }
}

/** An answer whose first chunk is in. */
type AnswerStart = Pick<UpstreamStream, 'batches' | 'headers'>;
