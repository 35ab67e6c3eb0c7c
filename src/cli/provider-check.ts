import { randomIds, systemClock } from '../clock.ts';
import type { Config, ConfiguredProvider } from '../config/resolve.ts';
import { countOf } from '../base/numbers.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { nearest } from './nearest.ts';
import { silentLogger } from '../log.ts';
import { shownAddress, withVersion } from '../upstream/endpoint.ts';
import { openProvider } from '../upstream/open-provider.ts';
import type { UpstreamModel } from '../upstream/upstream.ts';
import { routeText } from '../upstream/route.ts';

/** One thing that was looked at. `advice` says what to do. */
export interface Finding {
  readonly level: 'ok' | 'note' | 'fail';
  readonly text: string;
  readonly advice?: string | undefined;
  /** The provider that it is about, by its name in the configuration. */
  readonly provider?: string;
}

/** Longest wait for a provider, milliseconds. */
const timeoutMs = 10_000;
/** Models of a list that are named where the wanted one is not in it. */
const namedModels = 3;

/**
 * Asks each provider for its list of models: costs nothing, goes the way of a chat, and shows
 * whether address, key and model names are right.
 */
export async function checkProviders(
  config: Config,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const wanted = wantedModels(config);
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const found = await Promise.all(
    config.providers.map((provider) =>
      checkProvider(provider, wanted.get(provider.id) ?? [], inTime),
    ),
  );
  return found.flatMap((findings, at) =>
    findings.map((finding) => ({ ...finding, provider: config.providers[at]!.id })),
  );
}

async function checkProvider(
  provider: ConfiguredProvider,
  wanted: readonly string[],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const name = `provider ${provider.id}`;
  const way = routeText(provider.route);
  const place = shownAddress(provider.baseURL) + (way === '' ? '' : `, ${way}`);
  try {
    const models = await listOf(provider, provider.baseURL, signal);
    const ok: Finding = {
      level: 'ok',
      text: `${name}: answers, ${countOf(models.length, 'model')} (${place})`,
    };
    return [ok, ...wanted.flatMap((model) => modelFinding(provider.id, model, models))];
  } catch (caught) {
    const error = toProxyError(caught);
    const better = await betterAddress(provider, error, signal);
    if (better !== undefined) {
      return [
        {
          level: 'fail',
          text: `${name}: the base URL lacks its \`/v1\` (${place})`,
          advice: `Set it to ${shownAddress(better)}, which answers.`,
        },
      ];
    }
    return [failure(name, place, { error, provider })];
  }
}

function failure(
  name: string,
  place: string,
  { error, provider }: { readonly error: ProxyError; readonly provider: ConfiguredProvider },
): Finding {
  const { code, status, message } = error;
  const advice = error.parts.hint;
  if (code === 'unauthorized' || code === 'forbidden') {
    return {
      level: 'fail',
      text: `${name}: refuses with status ${status} (${place})`,
      advice:
        provider.apiKey === undefined
          ? 'No key is configured.'
          : 'Is the key right, and for this address?',
    };
  }
  const text = `${name}: ${message} (${place})`;
  // A provider without a list may chat all the same; one that cannot be reached, or is none,
  // cannot.
  const hasNoList = error.parts.status !== undefined && status < 500;
  return {
    level: hasNoList ? 'note' : 'fail',
    text: hasNoList ? `${name}: answers, but gives no list of models: ${message} (${place})` : text,
    advice,
  };
}

/** The address with `/v1` behind it, if that one answers where the configured one has nothing. */
export async function betterAddress(
  provider: Omit<ConfiguredProvider, 'namedModels'>,
  error: ProxyError,
  signal: AbortSignal,
): Promise<string | undefined> {
  const isNothingThere = error.code === 'upstream_rejected' || error.status === 404;
  const better = isNothingThere ? withVersion(provider.baseURL) : undefined;
  if (better === undefined) return undefined;
  try {
    await listOf(provider, better, signal);
    return better;
  } catch (caught) {
    // Who asks for a key there is an API, too.
    return toProxyError(caught).code === 'unauthorized' ? better : undefined;
  }
}

async function listOf(
  provider: Omit<ConfiguredProvider, 'namedModels'>,
  baseURL: string,
  signal: AbortSignal,
): Promise<readonly UpstreamModel[]> {
  await using upstream = openProvider(
    { ...provider, baseURL },
    {
      patience: {
        connectTimeoutMs: timeoutMs,
        firstByteTimeoutMs: timeoutMs,
        idleTimeoutMs: timeoutMs,
        maxFrameBytes: 1_048_576,
        maxRetries: 0,
        maxRetryWaitMs: 0,
      },
      clock: systemClock,
      ids: randomIds,
      random: () => 0,
      log: silentLogger(),
    },
  );
  return await upstream.models(signal);
}

/** A model that is not in the list may be served all the same; most often it is misspelt. */
function modelFinding(
  providerId: string,
  model: string,
  models: readonly UpstreamModel[],
): readonly Finding[] {
  const ids = models.map(({ id }) => id);
  if (ids.length === 0 || ids.includes(model)) return [];
  return [
    {
      level: 'note',
      text: `provider ${providerId}: its list has no model \`${model}\`.`,
      advice: nearestText(model, ids),
    },
  ];
}

/** What a model that is not in a provider's list may be meant for. */
export function nearestText(model: string, ids: readonly string[]): string {
  const near = nearest(model, ids, namedModels);
  const some = near.length > 0 ? near : ids.slice(0, namedModels);
  return `${near.length > 0 ? 'Nearest' : 'It has'}: ${some.map((id) => `\`${id}\``).join(', ')}.`;
}

/**
 * The models that the settings name, by provider. Those of a preset are the program's own and not
 * the user's.
 */
function wantedModels(config: Config): ReadonlyMap<string, readonly string[]> {
  const wanted = new Map<string, Set<string>>();
  const add = (providerId: string, model: string): void => {
    const names = wanted.get(providerId) ?? new Set();
    wanted.set(providerId, names.add(model));
  };
  for (const { id, namedModels: named } of config.providers)
    for (const model of named) add(id, model);
  const { defaultModel } = config;
  if (defaultModel?.modelId !== undefined) add(defaultModel.providerId, defaultModel.modelId);
  return new Map([...wanted].map(([id, names]) => [id, [...names]]));
}
