import { ProxyError, toProxyError } from '../errors.ts';
import { coreModelId } from '../wire/core-model.ts';
import { type Target, withFallback } from './fallback.ts';
import { type ListCacheOptions, ModelListCache } from './model-list-cache.ts';
import type { Upstream, UpstreamModel } from './upstream.ts';

/** A model with its limits in tokens, from the configuration. */
export type KnownModel = Required<UpstreamModel>;

/** A provider as the catalog offers it. */
export interface CatalogProvider {
  readonly upstream: Upstream;
  readonly models: readonly KnownModel[];
  /** For models that are not among those. */
  readonly modelDefaults: Omit<KnownModel, 'id'>;
  /** Model ids, as the catalog spells them, to turn to in order when this provider fails. */
  readonly fallback: readonly string[];
}

/** What a {@link Catalog} is made of. */
export interface CatalogOptions extends ListCacheOptions {
  /** At least one. Their ids hold no dot. */
  readonly providers: readonly CatalogProvider[];
  /**
   * What {@link coreModelId} stands for; without a model, the provider's first. Default: the first
   * provider.
   */
  readonly defaultModel?:
    | { readonly providerId: string; readonly modelId?: string | undefined }
    | undefined;
}

/** A model that was found by its name. */
export interface ResolvedModel extends KnownModel {
  /** Where to send the request: the provider, with its fallbacks behind it. */
  readonly upstream: Upstream;
  readonly providerId: string;
}

/** A model as `GET /v1/models` lists it. */
export interface CatalogModel {
  readonly [member: string]: unknown;
  readonly id: string;
  readonly object: 'model';
  /**
   * Seconds since 1970: when this program was started, since providers do not agree on a meaning.
   */
  readonly created: number;
  /** The provider's id. */
  readonly owned_by: string;
  readonly context_window: number;
  readonly max_output_tokens: number;
}

/** All providers, and the names of their models. */
export class Catalog {
  readonly #options: CatalogOptions;
  readonly #lists: ModelListCache;
  readonly #createdS: number;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#lists = new ModelListCache(options);
    this.#createdS = Math.floor(options.clock.now() / 1000);
  }

  /** Names of the providers, the first one first. */
  get providerIds(): readonly string[] {
    return this.#options.providers.map((provider) => provider.upstream.id);
  }

  /**
   * Finds a model by the name a client uses: the alias, `<provider>.<model>` (the model's id may
   * hold `/`, `.` and `:`), or, with one provider, any id that names none. Asks a provider for its
   * list only for an alias that names no model.
   * @throws ProxyError `unknown_model`
   */
  async resolve(id: string, signal: AbortSignal): Promise<ResolvedModel> {
    const { provider, modelId } = await this.#find(id, signal);
    const others: Target[] = [];
    for (const name of provider.fallback) {
      const other = await this.#find(name, signal);
      others.push({ upstream: other.provider.upstream, model: other.modelId });
    }
    const upstream = withFallback({ upstream: provider.upstream, model: modelId }, others);
    return { ...this.#limitsOf(provider, modelId), upstream, providerId: provider.upstream.id };
  }

  /**
   * The alias, the configured models, and what the providers themselves list. A provider whose list
   * fails only adds less.
   */
  async list(signal: AbortSignal): Promise<readonly CatalogModel[]> {
    const { providers } = this.#options;
    const own = await Promise.all(providers.map((one) => this.#lists.get(one.upstream, signal)));
    const alias = await this.#aliasCards(signal);
    const models = new Map(alias.map((card): [string, CatalogModel] => [card.id, card]));
    for (const [at, provider] of providers.entries()) {
      for (const { id } of [...provider.models, ...(own[at] ?? [])]) {
        const publicId = `${provider.upstream.id}.${id}`;
        if (!models.has(publicId)) models.set(publicId, this.#card(publicId, provider, id));
      }
    }
    return [...models.values()];
  }

  /** One model of {@link list}. */
  async find(id: string, signal: AbortSignal): Promise<CatalogModel | undefined> {
    const models = await this.list(signal);
    return models.find((model) => model.id === id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#options.providers.map(({ upstream }) => upstream[Symbol.asyncDispose]()),
    );
  }

  async #find(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly provider: CatalogProvider; readonly modelId: string }> {
    const { providers } = this.#options;
    if (id === coreModelId) return this.#default(signal);
    const dot = id.indexOf('.');
    const named = providers.find((one) => one.upstream.id === id.slice(0, dot));
    const modelId = id.slice(dot + 1);
    if (dot > 0 && named !== undefined && modelId !== '') return { provider: named, modelId };
    const [only] = providers;
    if (only !== undefined && providers.length === 1) return { provider: only, modelId: id };
    const names = providers.map((one) => one.upstream.id).join(', ');
    throw new ProxyError('unknown_model', `There is no model \`${id}\`.`, {
      param: 'model',
      wireCode: 'model_not_found',
      hint: `Use ${coreModelId}, or <provider>.<model> with one of the providers ${names}.`,
    });
  }

  async #default(
    signal: AbortSignal,
  ): Promise<{ readonly provider: CatalogProvider; readonly modelId: string }> {
    const { providers, defaultModel } = this.#options;
    const wanted = defaultModel?.providerId;
    const provider = providers.find((one) => one.upstream.id === wanted) ?? providers[0];
    if (provider === undefined) throw new ProxyError('unknown_model', 'No provider is configured.');
    const known = defaultModel?.modelId ?? provider.models[0]?.id;
    const modelId = known ?? (await this.#lists.get(provider.upstream, signal))[0]?.id;
    if (modelId !== undefined) return { provider, modelId };
    throw new ProxyError(
      'unknown_model',
      `The provider \`${provider.upstream.id}\` names no model of its own.`,
      { param: 'model', wireCode: 'model_not_found', hint: 'Set RLM_UPSTREAM_MODEL.' },
    );
  }

  /** None while it is not known what the alias stands for. */
  async #aliasCards(signal: AbortSignal): Promise<readonly CatalogModel[]> {
    try {
      const { provider, modelId } = await this.#default(signal);
      return [this.#card(coreModelId, provider, modelId)];
    } catch (error) {
      if (toProxyError(error).code === 'unknown_model') return [];
      throw error;
    }
  }

  #card(id: string, provider: CatalogProvider, modelId: string): CatalogModel {
    const limits = this.#limitsOf(provider, modelId);
    return {
      id,
      object: 'model',
      created: this.#createdS,
      owned_by: provider.upstream.id,
      context_window: limits.contextWindowTokens,
      max_output_tokens: limits.maxOutputTokens,
    };
  }

  /**
   * What the configuration says of the model; else its defaults, and never more than the provider
   * itself states.
   */
  #limitsOf(provider: CatalogProvider, modelId: string): KnownModel {
    const known = provider.models.find((model) => model.id === modelId);
    if (known !== undefined) return known;
    const { contextWindowTokens, maxOutputTokens } = provider.modelDefaults;
    const listed = this.#lists.known(provider.upstream)?.find((model) => model.id === modelId);
    const statedTokens = listed?.contextWindowTokens ?? contextWindowTokens;
    return {
      id: modelId,
      contextWindowTokens: Math.min(contextWindowTokens, statedTokens),
      maxOutputTokens,
    };
  }
}
