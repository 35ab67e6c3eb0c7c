import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/resolve.ts';
import { type ShownSetting, shownSettings } from '../config/show.ts';
import { ProxyError } from '../errors.ts';
import { readOwner } from '../store/disk/owner.ts';
import { shownAddress } from '../upstream/endpoint.ts';
import { type Route, routeText } from '../upstream/route.ts';
import { callOver, fetchLines, isAnswering, serverOf } from './operations-client.ts';
import type { Finding } from './provider-check.ts';

/** Limits of a model, tokens. */
export interface ModelLimits {
  readonly contextWindowTokens: number;
  readonly maxOutputTokens: number;
}

/** What a server says of the settings that it runs with; no secret in it. */
export interface ServerFacts {
  /** What its alias stands for; absent with the built-in demo. */
  readonly model?:
    | (ModelLimits & { readonly name: string; readonly isAssumed: boolean })
    | undefined;
  readonly upstreams: readonly string[];
  /** Whether clients must send a token. */
  readonly hasToken: boolean;
  /** 0: it takes another one at each start. */
  readonly configuredPort: number;
  readonly settings: readonly ShownSetting[];
}

/** A running server, and what it says of itself. */
export interface KnownServer {
  /** `http://127.0.0.1:8768` */
  readonly address: string;
  readonly facts: ServerFacts;
  /** Has the server itself ask its providers, with its own keys. */
  checkProviders(): Promise<readonly Finding[]>;
}

/** What a process with these settings says as a server. */
export function factsOf(loaded: LoadedConfig): ServerFacts {
  const { config } = loaded;
  const model = defaultModelOf(config);
  return {
    model,
    upstreams: config.providers.map(
      ({ id, baseURL, route }) => `${id}: ${shownAddress(baseURL)}${wayText(route)}`,
    ),
    hasToken: config.server.apiToken !== undefined,
    configuredPort: config.server.port,
    settings: shownSettings(loaded),
  };
}

/** The proxy on the way to a provider; nothing where there is none, as for most. */
function wayText(route: Route): string {
  return route.proxy === undefined ? '' : `, ${routeText(route)}`;
}

/**
 * The server that holds the data directory, if one answers. A server of an older version says
 * nothing of itself and is not one.
 */
export async function knownServer({ dataDir }: Config): Promise<KnownServer | undefined> {
  const server = serverOf(await readOwner(dataDir));
  if (server === undefined || !(await isAnswering(server))) return undefined;
  const call = callOver((asked) => fetchLines(server, asked));
  try {
    const facts = (await call('server', {})) as ServerFacts | null;
    if (facts === null) return undefined;
    return {
      address: server.address,
      facts,
      checkProviders: async () => (await call('check-providers', {})) as readonly Finding[],
    };
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** Settings that the running server has otherwise than this command, by key. */
export function differencesOf(
  here: readonly ShownSetting[],
  running: ServerFacts,
): ReadonlyMap<string, ShownSetting> {
  const theirs = new Map(running.settings.map((setting) => [setting.key, setting]));
  const different = here.flatMap((setting): [string, ShownSetting][] => {
    const other = theirs.get(setting.key);
    const isSame = JSON.stringify(other?.value) === JSON.stringify(setting.value);
    return other === undefined || isSame ? [] : [[setting.key, other]];
  });
  return new Map(different);
}

/** The model behind the alias; undefined with the demo, whose limits are no model's. */
function defaultModelOf({ providers, defaultModel }: Config): ServerFacts['model'] {
  const provider = providers.find(({ id }) => id === defaultModel?.providerId);
  if (provider === undefined) return undefined;
  const model = provider.models.find(({ id }) => id === defaultModel?.modelId);
  const limits = model ?? provider.modelDefaults;
  const { contextWindowTokens, maxOutputTokens } = limits;
  return {
    name: `${provider.id}.${defaultModel?.modelId ?? '(its first)'}`,
    contextWindowTokens,
    maxOutputTokens,
    isAssumed: limits.isWindowAssumed === true,
  };
}
