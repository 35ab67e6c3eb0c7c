import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { injectHeader } from '../../clients/origin.ts';
import type { BenchDocument } from '../../bench/questions/cases.ts';
import type { BareUpstream, BenchServer } from '../../bench/questions/rlm-bench.ts';
import { storeCase } from '../../bench/questions/storing.ts';
import { randomIds, systemClock } from '../../clock.ts';
import type { Config } from '../../config/resolve.ts';
import { silentLogger } from '../../log.ts';
import { openSessions } from '../../store/sessions.ts';
import { coreModelId } from '../../wire/core-model.ts';
import { startChildServer, type ChildServer } from '../child-server.ts';

/**
 * Share of a window that a bare prompt may fill with text, in characters a token: room for question
 * and answer stays.
 */
const bareCharsPerToken = 3;

/**
 * Stores a case in a folder of its own, then starts the real server over it, in its own process:
 * its memory is the server's and not the generator's. Ended and deleted with the case.
 */
export async function openBenchServer(
  config: Config,
  workDir: string,
  documents: readonly BenchDocument[],
): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(workDir, 'rlm-bench-'));
  try {
    const startedMs = systemClock.elapsedMs();
    const stored = await storeIn(dataDir, documents);
    const ingestMs = systemClock.elapsedMs() - startedMs;
    const child = await startBenchServer(dataDir, {
      ...upstreamEnv(config),
      RLM_SEARCH_DEADLINE_MS: String(config.tools.searchDeadlineMs),
    });
    return {
      target: {
        baseUrl: `${child.server.address}/v1`,
        model: coreModelId,
        headers: { 'x-rlm-session': stored.sessionId, [injectHeader]: 'always' },
      },
      storedChars: stored.storedChars,
      ingestMs,
      diskBytes: async () => folderBytes(dataDir),
      peakMemoryBytes: async () => child.peakMemoryBytes(),
      [Symbol.asyncDispose]: async () => {
        await child[Symbol.asyncDispose]();
        await rm(dataDir, { recursive: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true });
    throw error;
  }
}

/** A server in its own process that can play a model for the benchmark's own questions. */
export async function startBenchServer(
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<ChildServer> {
  return startChildServer(dataDir, { env, program: 'bench/server' });
}

async function storeIn(dataDir: string, documents: readonly BenchDocument[]) {
  await using sessions = await openSessions({
    dataDir,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  return await storeCase(sessions, '/bench', documents);
}

/** The first configured upstream, as a server's environment names it. */
function upstreamEnv({ providers: [provider] }: Config): Readonly<Record<string, string>> {
  const model = provider?.models[0];
  if (provider === undefined || model === undefined) return {};
  return {
    RLM_UPSTREAM_BASE_URL: provider.baseURL,
    RLM_UPSTREAM_MODEL: model.id,
    RLM_UPSTREAM_CONTEXT_WINDOW: String(model.contextWindowTokens),
    ...(provider.apiKey === undefined ? {} : { RLM_UPSTREAM_API_KEY: provider.apiKey }),
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
    windowChars: model.contextWindowTokens * bareCharsPerToken,
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
