import type { Config } from '../config/resolve.ts';
import { readOwner } from '../store/owner.ts';
import { isAnswering, serverOf, type RunningServer } from './operations-client.ts';

/** A server to ask, closed by its disposal if it is our own. */
export interface AskServer {
  readonly server: RunningServer;
  /** What a chat request must carry. */
  readonly headers: Readonly<Record<string, string>>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The server that holds the data directory; else one in this process, on a free port, for as long as the command runs. */
export async function openAskServer(config: Config): Promise<AskServer> {
  const { apiToken } = config.server;
  const headers: Readonly<Record<string, string>> =
    apiToken === undefined ? {} : { authorization: `Bearer ${apiToken}` };
  const running = serverOf(await readOwner(config.dataDir));
  if (running !== undefined && (await isAnswering(running)))
    return { server: running, headers, [Symbol.asyncDispose]: async () => undefined };
  const server = { ...config.server, host: '127.0.0.1', port: 0 };
  const { openLocalApp } = await import('./local-app.ts');
  const app = await openLocalApp({ ...config, server }, 'error');
  const address = await app.server.listen();
  return {
    server: { address, secret: app.ownerSecret, pid: process.pid },
    headers,
    [Symbol.asyncDispose]: async () => app[Symbol.asyncDispose](),
  };
}
