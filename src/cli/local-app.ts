import { randomInt } from 'node:crypto';
import type { App } from '../app.ts';
import { benchPolicy } from '../bench/policies.ts';
import { randomIds, systemClock } from '../clock.ts';
import type { Config } from '../config/resolve.ts';
import { createLogger } from '../log.ts';
import { createOperations } from '../operations/operations.ts';
import { readVersion } from './version.ts';

/** Steps of the jitter between 0 and 1. */
const randomSteps = 2 ** 32;

/** The whole proxy in this process, with the machine's clock and chance. @throws ProxyError as `openApp` */
export async function openLocalApp(config: Config, logLevel: string): Promise<App> {
  // Loaded only here: the other commands start in half the time without it.
  const { openApp } = await import('../app.ts');
  return openApp({
    config,
    version: readVersion(),
    log: createLogger(logLevel),
    clock: systemClock,
    ids: randomIds,
    random: () => randomInt(randomSteps) / randomSteps,
    policies: [benchPolicy],
    operations: (parts) => ({ run: createOperations({ ...parts, clock: systemClock }) }),
  });
}
