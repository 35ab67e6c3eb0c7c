import { ProxyError } from '../errors.ts';
import type { PassCall, PassHandler, PassReply } from '../http/handlers.ts';
import type { Logger } from '../log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { coreModelId } from '../wire/core-model.ts';
import { memberJson, parseEnvelopeJson } from '../wire/envelope-json.ts';
import { isObject } from '../wire/json.ts';
import { boundaryOf, findModel } from './form-model.ts';

/** What passing through needs. */
export interface PassThroughOptions {
  /** Who serves a model, by the client's name for it. @throws ProxyError `unknown_model` */
  readonly resolve: (
    model: string,
    signal: AbortSignal,
  ) => Promise<{ readonly id: string; readonly upstream: Upstream }>;
  readonly log: Logger;
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

/**
 * Hands requests of other kinds to the provider that their model names, and its answers back.
 * Nothing of them is stored, searched or counted.
 */
export function passThrough({ resolve, log }: PassThroughOptions): PassHandler {
  return {
    handle: async (call) => {
      const form = boundaryOf(call.contentType);
      const read = await (form === undefined ? readJson(call) : readForm(call, form));
      try {
        return await send(call, read);
      } catch (error) {
        await read.leave?.();
        throw error;
      }
    },
  };

  async function send(call: PassCall, { model, named }: ReadBody): Promise<PassReply> {
    const target = await resolve(model ?? coreModelId, call.signal);
    const { upstream, id } = target;
    if (upstream.pass === undefined)
      throw new ProxyError(
        'not_found',
        `The provider \`${upstream.id}\` has chat completions only.`,
        {
          hint: 'Set an upstream: see RLM_UPSTREAM_BASE_URL.',
        },
      );
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
    return answered;
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
