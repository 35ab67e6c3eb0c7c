import type { LoadedConfig } from '../config/load.ts';
import { fallbackLimits } from '../config/presets.ts';
import { ProxyError } from '../errors.ts';
import type { ProviderFacts } from '../setup/provider-entry.ts';
import { coreModelId } from '../wire/core-model.ts';
import { isObject } from '../wire/json.ts';
import { factsOf, type KnownServer, type ModelLimits } from './server-facts.ts';

/** What OpenCode is told, and where the model's limits come from. */
export interface OpenCodeFacts extends ProviderFacts {
  /**
   * `assumed`: nobody states them; `installed`: nobody states them here, so what OpenCode has
   * stays.
   */
  readonly limitsFrom: 'server' | 'settings' | 'installed' | 'assumed';
}

/**
 * What OpenCode has to know: from the running server, which was perhaps started with other
 * settings; where none runs, from the settings here. An address given on the command line holds
 * against both. The demo's limits are no model's and never written.
 * @param installed Our block as it stands in OpenCode's configuration
 * @throws ProxyError `config_invalid` where no port is known
 */
export function opencodeFacts(
  loaded: LoadedConfig,
  running: KnownServer | undefined,
  installed: Readonly<Record<string, unknown>> | undefined,
): OpenCodeFacts {
  const facts = running?.facts ?? factsOf(loaded);
  const stated = facts.model === undefined || facts.model.isAssumed ? undefined : facts.model;
  const present = stated === undefined ? installedLimits(installed) : undefined;
  const { contextWindowTokens, maxOutputTokens } =
    stated ?? present ?? facts.model ?? fallbackLimits;
  const from = running === undefined ? 'settings' : 'server';
  return {
    baseURL: `${addressOf(loaded, running)}/v1`,
    // A token stays where it is; OpenCode takes it from the environment.
    apiKey: facts.hasToken ? '{env:RLM_API_TOKEN}' : 'rlm-local',
    contextWindowTokens,
    maxOutputTokens,
    limitsFrom: stated === undefined ? (present === undefined ? 'assumed' : 'installed') : from,
  };
}

function addressOf({ config, sources }: LoadedConfig, running: KnownServer | undefined): string {
  const isSaid = ['server.host', 'server.port'].some((key) => sources.get(key)?.kind === 'flag');
  if (running !== undefined && !isSaid) return reachable(running.address);
  const { host, port } = config.server;
  if (port !== 0) return reachable(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
  throw new ProxyError('config_invalid', 'OpenCode needs to know a port, and RLM_PORT is 0.', {
    hint: 'Give the port that the server will listen on with --port.',
  });
}

/** Who listens everywhere is asked here. */
function reachable(address: string): string {
  return address.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:)/, '//127.0.0.1');
}

function installedLimits(
  block: Readonly<Record<string, unknown>> | undefined,
): ModelLimits | undefined {
  const models = block?.['models'];
  const model = isObject(models) ? models[coreModelId] : undefined;
  const limit = isObject(model) ? model['limit'] : undefined;
  if (!isObject(limit)) return undefined;
  const { context, output } = limit;
  return typeof context === 'number' && typeof output === 'number'
    ? { contextWindowTokens: context, maxOutputTokens: output }
    : undefined;
}
