import { type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { Way } from './way.ts';

/** Opens connections to an origin, by its way. Whoever opens it destroys it. */
export function openDispatcher(origin: string, way: Way, connectTimeoutMs: number): Dispatcher {
  return way.proxy === undefined
    ? new Pool(origin, { connect: { timeout: connectTimeoutMs } })
    : new ProxyAgent({ uri: way.proxy.uri, connectTimeout: connectTimeoutMs });
}
