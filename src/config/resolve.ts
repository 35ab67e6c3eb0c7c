import type { ParsedSettings } from './parse.ts';
import { type OwnFolder, ownFoldersIn } from '../clients/spill-file.ts';
import { ProxyError } from '../errors.ts';
import { checkKey, parseEndpoint } from '../upstream/endpoint.ts';
import { readProxies, type Route, routeTo } from '../upstream/route.ts';
import { type Environment, type Folders, readKeyFile, standardDataDir } from './places.ts';
import { fallbackLimits, presetOfUrl, presets } from './presets.ts';
import type { Prices, ProviderSettings } from './provider-settings.ts';
import type { Settings } from './schema.ts';

/** A model that the configuration names. */
interface ConfiguredModel {
  readonly id: string;
  readonly contextWindowTokens: number;
  /** Nobody states the window: it is what most models have. */
  readonly isWindowAssumed?: boolean;
  readonly maxOutputTokens: number;
  readonly prices?: Prices | undefined;
}

/** An upstream, ready to be called. */
export interface ConfiguredProvider {
  /** Holds no dot, so that `<id>.<model>` can be taken apart at the first one. */
  readonly id: string;
  readonly baseURL: string;
  /** How the base URL is reached: straight, or through a proxy of the environment. */
  readonly route: Route;
  readonly apiKey?: string;
  /** Known models; others are passed on by name with `modelDefaults`. */
  readonly models: readonly ConfiguredModel[];
  readonly modelDefaults: Omit<ConfiguredModel, 'id'>;
  /** Ids of the models that the user named, not a preset. */
  readonly namedModels: readonly string[];
  /** Name in the table of quirks; absent: found by the base URL. */
  readonly profile?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxInFlight: number;
  /** Model ids to try in order when this provider is overloaded or silent. */
  readonly fallback: readonly string[];
}

/** Everything the program needs to be built. Only `app` and the commands see it. */
export interface Config extends Omit<
  Settings,
  '$schema' | 'upstream' | 'providers' | 'defaultModel' | 'dataDir' | 'strip'
> {
  /** Absolute; of a shared store a folder of its own. */
  readonly dataDir: string;
  /** Where this machine's own stores are. */
  readonly localDataDir: string;
  /** Where OpenCode keeps whole outputs, if its environment is ours. */
  readonly outputFolders: readonly OwnFolder[];
  /** Empty: the demo upstream. */
  readonly providers: readonly ConfiguredProvider[];
  /**
   * What the alias stands for. Without `modelId` it is the first model that the provider lists.
   * Absent with the demo upstream.
   */
  readonly defaultModel?:
    | { readonly providerId: string; readonly modelId?: string | undefined }
    | undefined;
  readonly strip: Settings['strip'] & {
    /** Whether `minChars` was set by somebody: then it holds whatever room there is. */
    readonly isFixed: boolean;
    /** Tools with a threshold that somebody has set. */
    readonly fixedTools: readonly string[];
  };
}

/**
 * A file read is what the model asked for, so it stays in the prompt at lengths where a log would
 * not.
 */
const fileReadFactor = 2;

/**
 * Fills in what follows from the machine and the presets. `env` and `readKey` are only asked for
 * the keys that providers name.
 * @throws ProxyError `config_invalid` for a provider that cannot be reached or a default model that
 * does not exist
 */
export function resolveConfig(
  { settings, sources }: ParsedSettings,
  env: Environment,
  folders: Folders,
  readKey: (path: string) => string = readKeyFile,
): Config {
  const { $schema: _, upstream, providers, defaultModel, dataDir, ...rest } = settings;
  const configured = Object.entries(providers).map(([id, provider]) =>
    resolveProvider({ id, provider, env, readKey, maxInFlight: settings.patience.maxInFlight }),
  );
  const single = resolveUpstream(settings, env);
  const all = single === undefined ? configured : [single, ...configured];
  const chosen = defaultModel ?? (upstream.baseURL === undefined ? upstream.model : undefined);
  const model = resolveDefaultModel(chosen, all);
  checkModels(settings, all);
  return {
    ...rest,
    dataDir: dataDir ?? standardDataDir(folders),
    localDataDir: dataDir ?? standardDataDir(folders),
    outputFolders: ownFoldersIn(
      {
        data: folders.dataHome,
        home: folders.home,
        temp: folders.temp,
      },
      env,
    ),
    strip: {
      ...rest.strip,
      perTool: { read: rest.strip.minChars * fileReadFactor, ...rest.strip.perTool },
      isFixed: sources.get('strip.minChars')?.kind !== 'default',
      fixedTools: Object.keys(rest.strip.perTool),
    },
    providers: all,
    defaultModel: model,
  };
}

/** The upstream of the `RLM_UPSTREAM_*` variables, under its preset's name where there is one. */
function resolveUpstream(settings: Settings, env: Environment): ConfiguredProvider | undefined {
  const { upstream, providers } = settings;
  if (upstream.baseURL === undefined) return undefined;
  const presetName = presetOfUrl(upstream.baseURL);
  const id =
    presetName === undefined || Object.hasOwn(providers, presetName) ? 'upstream' : presetName;
  const { model, contextWindowTokens, maxOutputTokens } = upstream;
  const provider: ProviderSettings = {
    baseURL: upstream.baseURL,
    preset: presetName,
    apiKey: upstream.apiKey,
    models: model === undefined ? undefined : [model],
    contextWindow: contextWindowTokens,
    maxOutput: maxOutputTokens,
    profile: upstream.profile,
    headers: {},
    fallback: [],
  };
  const { maxInFlight } = settings.patience;
  return resolveProvider({ id, provider, env, readKey: readKeyFile, maxInFlight });
}

function resolveProvider(from: {
  readonly id: string;
  readonly provider: ProviderSettings;
  readonly env: Environment;
  readonly readKey: (path: string) => string;
  readonly maxInFlight: number;
}): ConfiguredProvider {
  const { id, provider, env, readKey } = from;
  const presetName = provider.preset ?? (provider.baseURL === undefined ? id : undefined);
  const preset = presetName === undefined ? undefined : presets[presetName];
  const baseURL = provider.baseURL ?? preset?.baseURL;
  if (baseURL === undefined) {
    throw new ProxyError('config_invalid', `providers.${id}: no \`baseURL\`, and no such preset.`, {
      hint: `Presets: ${Object.keys(presets).join(', ')}.`,
    });
  }
  const apiKey =
    provider.apiKey === undefined && provider.apiKeyFile !== undefined
      ? keyInFile(id, provider.apiKeyFile, readKey)
      : keyOf(id, provider, { name: provider.apiKeyEnv ?? preset?.apiKeyEnv, env });
  checkOneKey({ id, baseURL, apiKey, headers: provider.headers });
  return {
    id,
    baseURL: baseURL.replace(/\/+$/, ''),
    route: routeTo(baseURL, readProxies(env)),
    ...(apiKey === '' ? {} : { apiKey }),
    ...modelsOf(provider, preset?.models ?? []),
    profile: provider.profile,
    headers: provider.headers,
    maxInFlight: provider.inFlight ?? from.maxInFlight,
    fallback: provider.fallback,
  };
}

/**
 * The provider's key, or the one in the variable that customarily holds it; empty where there is
 * none. @throws ProxyError `config_invalid`
 */
function keyOf(
  id: string,
  provider: ProviderSettings,
  variable: { readonly name: string | undefined; readonly env: Environment },
): string {
  const { name } = variable;
  if (provider.apiKey !== undefined || name === undefined) return provider.apiKey ?? '';
  const found = checkKey(variable.env[name] ?? '');
  if (found.ok) return found.text;
  throw new ProxyError('config_invalid', `providers.${id}.apiKeyEnv (${name}): ${found.fault}.`, {
    hint: 'Set the variable to the key alone.',
  });
}

/** @throws ProxyError `config_invalid` where the file cannot be read or holds no key */
function keyInFile(id: string, path: string, readKey: (path: string) => string): string {
  let fault = 'it is empty';
  try {
    const found = checkKey(readKey(path));
    if (found.ok && found.text !== '') return found.text;
    if (!found.ok) ({ fault } = found);
  } catch (error) {
    fault = `it cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`;
  }
  throw new ProxyError('config_invalid', `providers.${id}.apiKeyFile (${path}): ${fault}.`, {
    hint: 'Write the key alone into it, and make it readable by you alone: chmod 600.',
  });
}

/** A request has room for one way to say who asks. @throws ProxyError `config_invalid` */
function checkOneKey(provider: {
  readonly id: string;
  readonly baseURL: string;
  readonly apiKey: string;
  readonly headers: Readonly<Record<string, string>>;
}): void {
  const { id, baseURL, apiKey, headers } = provider;
  if (parseEndpoint(baseURL).authorization === undefined) return;
  const isHeader = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
  if (apiKey === '' && !isHeader) return;
  const other = isHeader ? 'an `authorization` header' : 'a key';
  throw new ProxyError(
    'config_invalid',
    `The address of the provider \`${id}\` holds a user and a password, and ${other} is set as well.`,
    { hint: 'Choose one: take the user and password out of the base URL, or the other away.' },
  );
}

function modelsOf(
  provider: ProviderSettings,
  stated: readonly ConfiguredModel[],
): Pick<ConfiguredProvider, 'models' | 'modelDefaults' | 'namedModels'> {
  const names = provider.models ?? stated.map((model) => model.id);
  return {
    models: names.map((named) => {
      const own = typeof named === 'string' ? { id: named } : named;
      const vendors = stated.find((model) => model.id === own.id);
      return Object.assign(limitsOf([own, provider], vendors), { id: own.id });
    }),
    modelDefaults: limitsOf([provider], undefined),
    namedModels: (provider.models ?? []).map((named) =>
      typeof named === 'string' ? named : named.id,
    ),
  };
}

/**
 * The user's numbers first, those of the model before those of the provider; then the vendor's,
 * then what most models have.
 */
function limitsOf(
  said: readonly Pick<ProviderSettings, 'contextWindow' | 'maxOutput' | 'prices'>[],
  vendors: ConfiguredModel | undefined,
): Omit<ConfiguredModel, 'id'> {
  const prices = said.find((one) => one.prices !== undefined)?.prices;
  const window =
    said.find((one) => one.contextWindow !== undefined)?.contextWindow ??
    vendors?.contextWindowTokens;
  return {
    contextWindowTokens: window ?? fallbackLimits.contextWindowTokens,
    ...(window === undefined ? { isWindowAssumed: true } : {}),
    maxOutputTokens:
      said.find((one) => one.maxOutput !== undefined)?.maxOutput ??
      vendors?.maxOutputTokens ??
      fallbackLimits.maxOutputTokens,
    prices,
  };
}

function resolveDefaultModel(
  chosen: string | undefined,
  providers: readonly ConfiguredProvider[],
): Config['defaultModel'] {
  const [first] = providers;
  if (first === undefined) return undefined;
  if (chosen !== undefined) return placeOfModel('defaultModel', chosen, providers);
  const modelId = first.models[0]?.id;
  return { providerId: first.id, modelId };
}

/**
 * Takes `<provider>.<model>` apart; with one provider a bare model will do. @throws ProxyError
 * `config_invalid`
 */
function placeOfModel(
  setting: string,
  model: string,
  providers: readonly ConfiguredProvider[],
): { readonly providerId: string; readonly modelId: string } {
  const dot = model.indexOf('.');
  const named = providers.find((provider) => dot > 0 && provider.id === model.slice(0, dot));
  if (named !== undefined) return { providerId: named.id, modelId: model.slice(dot + 1) };
  const [only, ...others] = providers;
  if (only !== undefined && others.length === 0) return { providerId: only.id, modelId: model };
  throw new ProxyError('config_invalid', `${setting}: \`${model}\` names no provider.`, {
    hint: `Spell it \`<provider>.<model>\`; providers: ${providers.map((one) => one.id).join(', ')}.`,
  });
}

/**
 * A misspelt model would only be noticed when it is needed. The alias names no provider and is
 * always there.
 */
function checkModels(settings: Settings, providers: readonly ConfiguredProvider[]): void {
  const named = [
    ['subModel', settings.subModel] as const,
    ...providers.flatMap(({ id, fallback }) =>
      fallback.map((model) => [`providers.${id}.fallback`, model] as const),
    ),
  ];
  for (const [setting, model] of named) {
    if (model === undefined || providers.length === 0 || model.startsWith('rlm-internal.'))
      continue;
    placeOfModel(setting, model, providers);
  }
}
