import type { LoadedConfig } from '../config/load.ts';
import { fallbackLimits } from '../config/presets.ts';
import { ProxyError } from '../errors.ts';
import type { ProxyFacts } from '../setup/proxy-facts.ts';
import { factsOf, type KnownServer, type ModelLimits } from './server-facts.ts';

/** What a client is told, and where the model's limits come from. */
export interface ClientFacts extends ProxyFacts {
  /**
   * `assumed`: nobody states them; `installed`: nobody states them here, so what the client has
   * stays.
   */
  readonly limitsFrom: 'server' | 'settings' | 'installed' | 'assumed';
  /** Whether a model is set up at all; else the built-in demo answers. */
  readonly hasModel: boolean;
}

/**
 * What a client has to know: from the running server, which was perhaps started with other
 * settings; where none runs, from the settings here. An address given on the command line holds
 * against both. The demo's limits are no model's and never written.
 * @param installed The limits as they stand in the client's configuration
 * @throws ProxyError `config_invalid` where no port is known
 */
export function clientFacts(
  loaded: LoadedConfig,
  running: KnownServer | undefined,
  installed: ModelLimits | undefined,
): ClientFacts {
  const facts = running?.facts ?? factsOf(loaded);
  const stated = facts.model === undefined || facts.model.isAssumed ? undefined : facts.model;
  const present = stated === undefined ? installed : undefined;
  const { contextWindowTokens, maxOutputTokens } =
    stated ?? present ?? facts.model ?? fallbackLimits;
  const from = running === undefined ? 'settings' : 'server';
  return {
    address: addressOf(loaded, running),
    hasToken: facts.hasToken,
    contextWindowTokens,
    maxOutputTokens,
    hasModel: facts.model !== undefined,
    limitsFrom: stated === undefined ? (present === undefined ? 'assumed' : 'installed') : from,
  };
}

function addressOf({ config, sources }: LoadedConfig, running: KnownServer | undefined): string {
  const isSaid = ['server.host', 'server.port'].some((key) => sources.get(key)?.kind === 'flag');
  if (running !== undefined && !isSaid) return reachable(running.address);
  const { host, port } = config.server;
  if (port !== 0) return reachable(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
  throw new ProxyError('config_invalid', 'A client needs to know a port, and RLM_PORT is 0.', {
    hint: 'Give the port that the server will listen on with --port.',
  });
}

/** Who listens everywhere is asked here. */
function reachable(address: string): string {
  return address.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:)/, '//127.0.0.1');
}
