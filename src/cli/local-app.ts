import { guardFor } from '../secrets/guard.ts';
import { randomInt } from 'node:crypto';
import type { App } from '../app.ts';
import { randomIds, systemClock } from '../clock.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/resolve.ts';
import { createLogger, type Logger } from '../log.ts';
import { createOperations, type ServerSide } from '../operations/operations.ts';
import type { Policy } from '../upstream/demo-policy.ts';
import { checkProviders } from './provider-check.ts';
import { factsOf } from './server-facts.ts';
import { readVersion } from './version.ts';

/** Steps of the jitter between 0 and 1. */
const randomSteps = 2 ** 32;

/**
 * The whole proxy in this process, with the machine's clock and chance.
 * @param log Where it writes, or the level of what it writes on stderr
 * @param given.loaded The settings as they were read, for a server that commands may ask for them
 * @param given.policies Scripts that the demo upstream asks before its own
 * @throws ProxyError as `openApp`
 */
export async function openLocalApp(
  config: Config,
  log: Logger | string,
  { loaded, policies = [] }: { loaded?: LoadedConfig; policies?: readonly Policy[] } = {},
): Promise<App> {
  // Loaded only here: the other commands start in half the time without it.
  const { openApp } = await import('../app.ts');
  return openApp({
    config,
    version: readVersion(),
    log: typeof log === 'string' ? createLogger(log) : log,
    clock: systemClock,
    ids: randomIds,
    random: () => randomInt(randomSteps) / randomSteps,
    policies,
    operations: ({ newPageCode, ...parts }) => ({
      run: createOperations({
        ...parts,
        clock: systemClock,
        secrets: guardFor(config.capture.secrets),
        ...(loaded === undefined ? {} : { server: { ...serverSide(loaded), newPageCode } }),
      }),
    }),
  });
}

function serverSide(loaded: LoadedConfig): Omit<ServerSide, 'newPageCode'> {
  return {
    describe: () => factsOf(loaded),
    checkProviders: async (signal) => checkProviders(loaded.config, signal),
  };
}
