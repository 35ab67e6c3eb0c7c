import { coreModelId } from '../wire/core-model.ts';
import { noKey, type ProxyFacts, tokenVariable } from './proxy-facts.ts';

/** Name of our provider in OpenCode's configuration. */
export const providerId = 'rlm-opencode';

/** What OpenCode must know to use the proxy. */
export interface ProviderFacts {
  /** With `/v1`. */
  readonly baseURL: string;
  /** Sent as bearer token; `{env:NAME}` is filled in by OpenCode. */
  readonly apiKey: string;
  /** The upstream's real window: OpenCode decides about compaction and shows a percentage by it. */
  readonly contextWindowTokens: number;
  readonly maxOutputTokens: number;
}

/** What OpenCode is told of the proxy. A token stays in its variable. */
export function openCodeFacts({
  address,
  hasToken,
  contextWindowTokens,
  maxOutputTokens,
}: ProxyFacts): ProviderFacts {
  return {
    baseURL: `${address}/v1`,
    apiKey: hasToken ? `{env:${tokenVariable}}` : noKey,
    contextWindowTokens,
    maxOutputTokens,
  };
}

/**
 * A block for OpenCode's configuration, and which of its members an update overwrites; all others
 * are the user's.
 */
export interface ProviderEntry {
  /** The key it stands under: 1.x reads `provider`, 2.x also its native `providers`. */
  readonly section: 'provider' | 'providers';
  readonly block: Readonly<Record<string, unknown>>;
  readonly ownedPaths: readonly (readonly string[])[];
}

const npmPackage = '@ai-sdk/openai-compatible';

/** The block in the form that both majors of OpenCode read. */
export function providerEntry(facts: ProviderFacts): ProviderEntry {
  return {
    section: 'provider',
    block: {
      // Always explicit: 2.x assumes none.
      npm: npmPackage,
      name: 'RLM OpenCode',
      options: { baseURL: facts.baseURL, apiKey: facts.apiKey },
      models: modelEntries(facts),
    },
    ownedPaths: [['options', 'baseURL'], ['options', 'apiKey'], ...limitPaths],
  };
}

/** The block in the form of OpenCode 2, used only where such a block stands already. */
export function nativeProviderEntry(facts: ProviderFacts): ProviderEntry {
  return {
    section: 'providers',
    block: {
      package: `aisdk:${npmPackage}`,
      name: 'RLM OpenCode',
      settings: { baseURL: facts.baseURL, apiKey: facts.apiKey },
      models: modelEntries(facts),
    },
    ownedPaths: [['settings', 'baseURL'], ['settings', 'apiKey'], ...limitPaths],
  };
}

const limitPaths = [
  ['models', coreModelId, 'limit', 'context'],
  ['models', coreModelId, 'limit', 'output'],
] as const;

function modelEntries(facts: ProviderFacts): Record<string, unknown> {
  return {
    [coreModelId]: {
      name: 'RLM Core v1',
      tool_call: true,
      limit: { context: facts.contextWindowTokens, output: facts.maxOutputTokens },
    },
  };
}
