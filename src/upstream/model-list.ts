import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { readFault } from '../wire/error-body.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { faultToError, type FaultSource } from './fault.ts';
import { type HttpAnswer, readText } from './http-answer.ts';
import { notAList, redirectOf, strangerIn } from './not-an-api.ts';
import { cancelled } from './retry.ts';
import type { UpstreamModel } from './upstream.ts';

/** Who is asked for its list. */
interface ListSource {
  /**
   * Sends the request, by the same way and with the same key as a chat. @throws ProxyError where
   * nobody answers
   */
  readonly get: (stopping: AbortController) => Promise<HttpAnswer>;
  readonly toError: (
    fault: Parameters<typeof faultToError>[0],
    head: Pick<FaultSource, 'status'>,
  ) => ProxyError;
  /** The provider's name in the configuration. */
  readonly id: string;
  /** The origin of its address, for a redirect without one of its own. */
  readonly origin: string;
  readonly clock: Clock;
  /** Longest wait for the whole list, milliseconds. */
  readonly timeoutMs: number;
}

/** Names under which servers state a model's window, tokens. */
const windowMembers = ['context_length', 'context_window', 'max_model_len', 'max_context_length'];

/** Longest list that is read, bytes: OpenRouter's is half a megabyte. */
const maxListBytes = 16 * 1024 * 1024;

/** Asks a provider for its models, once. @throws ProxyError `upstream_*`, `unauthorized`, ... */
export async function listModels(
  source: ListSource,
  signal: AbortSignal,
): Promise<readonly UpstreamModel[]> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  signal.addEventListener('abort', stop);
  const cancelTimer = source.clock.after(source.timeoutMs, stop);
  try {
    if (signal.aborted) throw cancelled(signal);
    const answer = await source.get(stopping);
    const text = await readText(answer.body, { maxBytes: maxListBytes, stop: stopping.signal });
    if (signal.aborted) throw cancelled(signal);
    if (stopping.signal.aborted) {
      throw new ProxyError('upstream_timeout', `No list of models came in ${source.timeoutMs} ms.`);
    }
    return modelsOf(answer, text, source);
  } catch (cause) {
    throw signal.aborted ? cancelled(signal) : cause;
  } finally {
    signal.removeEventListener('abort', stop);
    cancelTimer();
  }
}

function modelsOf(answer: HttpAnswer, text: string, source: ListSource): readonly UpstreamModel[] {
  const { statusCode: status, headers } = answer;
  if (status >= 400) throw source.toError(readFault(text), { status });
  const redirect = redirectOf(answer, source.origin);
  if (redirect !== undefined) throw notAList(source.id, redirect);
  const list = parseJson(text);
  if (list === undefined) {
    throw notAList(source.id, strangerIn(text, headers['content-type'] ?? ''));
  }
  // Servers differ: a list may be missing altogether.
  const data = isObject(list) ? list['data'] : list;
  const entries: readonly unknown[] = Array.isArray(data) ? data : [];
  return entries.flatMap((entry) => readModel(entry) ?? []);
}

function readModel(entry: unknown): UpstreamModel | undefined {
  if (!isObject(entry) || typeof entry['id'] !== 'string' || entry['id'] === '') return undefined;
  const stated = windowMembers
    .map((member) => entry[member])
    .find((value) => typeof value === 'number');
  // Gemini's list says `models/gemini-...`, its chat endpoint wants the name alone.
  const id = entry['id'].replace(/^models\//, '');
  return typeof stated === 'number' ? { id, contextWindowTokens: stated } : { id };
}
