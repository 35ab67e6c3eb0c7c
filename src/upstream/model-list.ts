import { ProxyError } from '../errors.ts';
import { isObject } from '../wire/json.ts';
import { faultToError } from './fault.ts';
import type { Profile } from './profile.ts';
import { cancelled } from './retry.ts';
import type { UpstreamModel } from './upstream.ts';

/** Whose list is asked for. */
export interface ListSource {
  readonly id: string;
  readonly baseURL: string;
  readonly apiKey?: string;
  readonly profile: Profile;
  readonly headers: Readonly<Record<string, string>>;
  readonly patience: { readonly connectTimeoutMs: number };
}

/** Names under which servers state a model's window, tokens. */
const windowMembers = ['context_length', 'context_window', 'max_model_len', 'max_context_length'];

/** Asks a provider for its models, once. @throws ProxyError `upstream_*`, `unauthorized`, ... */
export async function listModels(
  source: ListSource,
  signal: AbortSignal,
): Promise<readonly UpstreamModel[]> {
  // Loaded when first needed: it is large, and most runs never list.
  const { OpenAI } = await import('openai');
  const isBearer = source.apiKey !== undefined && source.profile.keyHeader !== 'api-key';
  const client = new OpenAI({
    baseURL: source.baseURL,
    apiKey: source.apiKey ?? 'none',
    // Nothing of this machine's OpenAI settings may leak to another provider.
    organization: null,
    project: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: source.patience.connectTimeoutMs,
    defaultHeaders: {
      ...source.headers,
      ...(isBearer ? {} : { authorization: null }),
      ...(source.apiKey !== undefined && !isBearer ? { 'api-key': source.apiKey } : {}),
    },
  });
  try {
    const page = await client.models.list({ signal });
    // Servers differ: a list may be missing altogether.
    const entries: readonly unknown[] = Array.isArray(page.data) ? page.data : [];
    return entries.flatMap((entry) => readModel(entry) ?? []);
  } catch (cause) {
    throw signal.aborted ? cancelled(signal) : listError(cause, source);
  }
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

function listError(cause: unknown, source: ListSource): ProxyError {
  const { status, message } = cause as { readonly status?: unknown; readonly message?: unknown };
  const text = typeof message === 'string' ? message : '';
  const key = source.apiKey === undefined ? {} : { apiKey: source.apiKey };
  const head = typeof status === 'number' ? { status } : {};
  const parts = { profile: source.profile, upstreamId: source.id, ...key, ...head };
  return faultToError({ message: text }, parts);
}
