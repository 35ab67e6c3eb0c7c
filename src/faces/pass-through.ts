import { ProxyError } from '../errors.ts';
import type { PassCall, PassHandler, PassReply } from '../http/handlers.ts';
import type { Logger } from '../log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { coreModelId } from '../wire/core-model.ts';
import { memberJson, parseEnvelopeJson } from '../wire/envelope-json.ts';
import { isObject } from '../wire/json.ts';
import type { Usage } from '../wire/types.ts';
import { boundaryOf, findModel } from './form-model.ts';
import { usageWatchFor } from './passed-usage.ts';

/** What passing through needs. */
export interface PassThroughOptions {
  /** Who serves a model, by the client's name for it. @throws ProxyError `unknown_model` */
  readonly resolve: (model: string, signal: AbortSignal) => Promise<PassTarget>;
  readonly log: Logger;
}

/** Who answers a request, and who pays for it. */
interface PassTarget {
  /** The provider's name of the model. */
  readonly id: string;
  readonly upstream: Upstream;
  /** Begins to count the use of one request. */
  readonly openAccount: () => PassAccount;
}

/** The use of one request, as the day's limits count it. */
export interface PassAccount {
  /** What says that the day's budget is used up, if it is. */
  readonly refusal: string | undefined;
  spend(usage: Usage): void;
  /** Once, at the end. */
  close(): void;
}

/** A body whose model is known. */
interface ReadBody {
  /** The client's name of the model; absent where the request names none. */
  readonly model?: string | undefined;
  /** The body with the provider's name of it, and its length where that is known, bytes. */
  readonly named: (model: string) => {
    readonly body: Buffer | AsyncIterable<Buffer>;
    readonly sizeBytes?: number | undefined;
  };
  /** Leaves what has not been read. */
  readonly leave?: () => Promise<unknown>;
}

/** What a provider may add to a request itself, tokens. */
const templateTokens = 10_000;

/**
 * Hands requests of other kinds to the provider that their model names, and its answers back.
 * Nothing of them is stored or searched; what their answers say of tokens counts for the day.
 */
export function passThrough({ resolve, log }: PassThroughOptions): PassHandler {
  return {
    handle: async (given) => {
      const arrived = { bytes: 0 };
      const call = { ...given, body: counting(given.body, arrived) };
      const form = boundaryOf(call.contentType);
      const read = await (form === undefined ? readJson(call) : readForm(call, form));
      try {
        return await send(call, read, arrived);
      } catch (error) {
        await read.leave?.();
        throw error;
      }
    },
  };

  async function send(
    call: PassCall,
    { model, named }: ReadBody,
    arrived: { readonly bytes: number },
  ): Promise<PassReply> {
    const { upstream, id, openAccount } = await resolve(model ?? coreModelId, call.signal);
    if (upstream.pass === undefined)
      throw new ProxyError(
        'not_found',
        `The provider \`${upstream.id}\` has chat completions only.`,
        {
          hint: 'Set an upstream: see RLM_UPSTREAM_BASE_URL.',
        },
      );
    const account = openAccount();
    if (account.refusal !== undefined) throw new ProxyError('limit_reached', account.refusal);
    try {
      const answered = await upstream.pass(
        {
          path: call.path,
          contentType: call.contentType,
          accept: call.accept,
          ...named(model === undefined ? '' : id),
        },
        call.signal,
      );
      const { path, requestId: request } = call;
      log.info({ request, path, model: `${upstream.id}.${id}` }, 'passed through');
      return { ...answered, body: metered(answered, account, arrived) };
    } catch (error) {
      account.close();
      throw error;
    }
  }
}

/** The bytes as they come, and how many have come. */
async function* counting(
  body: AsyncIterable<Buffer>,
  arrived: { bytes: number },
): AsyncGenerator<Buffer, void, void> {
  for await (const piece of body) {
    arrived.bytes += piece.length;
    yield piece;
  }
}

/** The answer as it comes; what it says of tokens goes to the account when it is over. */
async function* metered(
  { headers, body }: PassReply,
  account: PassAccount,
  arrived: { readonly bytes: number },
): AsyncGenerator<Buffer, void, void> {
  const watch = usageWatchFor(headers['content-type'] ?? '');
  try {
    for await (const piece of body) {
      watch?.add(piece);
      yield piece;
    }
  } finally {
    // What a client has left early may have counted up to there.
    const usage = watch?.end();
    // A request has no more tokens than bytes: a count above that would end the day.
    const most = arrived.bytes + templateTokens;
    if (usage !== undefined)
      account.spend({ ...usage, prompt_tokens: Math.min(usage.prompt_tokens, most) });
    account.close();
  }
}

/** Of JSON the model may stand anywhere, so it is read whole. */
async function readJson({ body }: PassCall): Promise<ReadBody> {
  const bytes = Buffer.concat(await Array.fromAsync(body));
  let parsed: unknown;
  try {
    parsed = parseEnvelopeJson(bytes.toString());
  } catch (cause) {
    throw new ProxyError('invalid_request', 'The request body is not valid JSON.', { cause });
  }
  if (!isObject(parsed))
    throw new ProxyError('invalid_request', 'The request body must be a JSON object.');
  const request = parsed;
  const { model } = request;
  if (typeof model !== 'string' || model === '') return { named: () => ({ body: bytes }) };
  return {
    model,
    named: (id) => {
      if (id === model) return { body: bytes };
      const members = Object.entries({ ...request, model: id }).map(
        ([name, value]) => `${JSON.stringify(name)}:${memberJson(request, name, value)}`,
      );
      return { body: Buffer.from(`{${members.join(',')}}`) };
    },
  };
}

/** Of a form no more is held than comes before its model. */
async function readForm({ body, sizeBytes }: PassCall, boundary: string): Promise<ReadBody> {
  const pieces = body[Symbol.asyncIterator]();
  const { held, found } = await findModel(pieces, boundary);
  const leave = async (): Promise<unknown> => pieces.return?.();
  if (found === undefined) return { named: () => ({ body: held }), leave };
  const { from, to } = found;
  return {
    model: held.toString('utf8', from, to).trim(),
    named: (id) => ({
      body: joined([held.subarray(0, from), Buffer.from(id), held.subarray(to)], pieces),
      ...(sizeBytes === undefined
        ? {}
        : { sizeBytes: sizeBytes - (to - from) + Buffer.byteLength(id) }),
    }),
    leave,
  };
}

async function* joined(
  first: readonly Buffer[],
  rest: AsyncIterator<Buffer, unknown>,
): AsyncGenerator<Buffer, void, void> {
  try {
    yield* first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next())
      yield next.value;
  } finally {
    await rest.return?.();
  }
}
