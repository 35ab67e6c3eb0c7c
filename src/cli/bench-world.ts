import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openApp } from '../app.ts';
import { benchPolicy } from '../bench/policies.ts';
import type { BareUpstream, BenchServer } from '../bench/rlm-bench.ts';
import { randomIds, systemClock } from '../clock.ts';
import type { Config } from '../config/resolve.ts';
import { silentLogger } from '../log.ts';

/** The alias that reaches whatever upstream is configured. */
export const benchModel = 'rlm-internal.rlm-core-v1';

/** Share of a window that a bare prompt may fill with text, in characters a token: room for question and answer stays. */
const bareCharsPerToken = 3;

/** The real server on a port and in a folder of its own, closed and deleted with the case. Its demo upstream plays the scripted policies. */
export async function openBenchServer(config: Config, workDir: string): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(workDir, 'rlm-bench-'));
  const app = await openApp({
    config: { ...config, dataDir, server: { ...config.server, host: '127.0.0.1', port: 0 } },
    version: 'bench',
    log: silentLogger(),
    clock: systemClock,
    ids: randomIds,
    random: () => 0.5,
    policies: [benchPolicy],
    operations: () => ({
      run: () => {
        throw new Error('a benchmark has no operations');
      },
    }),
  });
  const address = await app.server.listen();
  const { apiToken } = config.server;
  return {
    sessions: app.sessions,
    target: (sessionId) => ({
      baseUrl: `${address}/v1`,
      model: benchModel,
      headers: {
        'x-rlm-session': sessionId,
        ...(apiToken === undefined ? {} : { authorization: `Bearer ${apiToken}` }),
      },
    }),
    diskBytes: async () => folderBytes(dataDir),
    [Symbol.asyncDispose]: async () => {
      await app[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** The first configured upstream without the proxy; undefined where there is none. */
export function bareUpstream(config: Config): BareUpstream | undefined {
  const [provider] = config.providers;
  const model = provider?.models[0];
  if (provider === undefined || model === undefined) return undefined;
  return {
    target: {
      baseUrl: provider.baseURL,
      model: model.id,
      headers: {
        ...provider.headers,
        ...(provider.apiKey === undefined ? {} : { authorization: `Bearer ${provider.apiKey}` }),
      },
    },
    windowChars: (model.contextWindowTokens ?? 128_000) * bareCharsPerToken,
  };
}

async function folderBytes(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true });
  const sizes = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(path, name)).catch((error: NodeJS.ErrnoException) => {
        // An index file may be replaced while we look.
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      return found?.isFile() === true ? found.size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
