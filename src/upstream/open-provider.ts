import { createOpenAIUpstream, type OpenAIUpstreamOptions } from './openai-upstream.ts';
import { findProfile } from './profiles.ts';
import type { Upstream } from './upstream.ts';
import type { Route } from './route.ts';

/** A provider as the settings name it. */
interface NamedProvider {
  readonly id: string;
  readonly baseURL: string;
  readonly route: Route;
  readonly apiKey?: string | undefined;
  /** Name in the table of quirks; absent: found by the base URL. */
  readonly profile?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxInFlight: number;
  readonly models: readonly { readonly id: string; readonly contextWindowTokens: number }[];
}

/**
 * The upstream of a provider of the settings: the one place that says what its address, key,
 * profile and headers are in a request, whoever asks for what.
 * @throws ProxyError `config_invalid` for a profile that does not exist
 */
export function openProvider(
  { id, baseURL, route, apiKey, profile, headers, maxInFlight, models }: NamedProvider,
  parts: Pick<OpenAIUpstreamOptions, 'patience' | 'clock' | 'ids' | 'random' | 'log'>,
): Upstream {
  return createOpenAIUpstream({
    ...parts,
    id,
    baseURL,
    route,
    apiKey,
    profile: findProfile(baseURL, profile),
    headers,
    maxInFlight,
    contextWindowOf: (model) => models.find((known) => known.id === model)?.contextWindowTokens,
  });
}
