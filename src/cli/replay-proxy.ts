import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReplayProxy, ReplayProxyParts } from '../replay/replay.ts';

/**
 * Runs `work` with what opens proxies for recorded turns, over one data directory that is gone
 * afterwards.
 * @param options.traceDir Where the turns are written down once more, absolute; absent: nowhere
 */
export async function withReplayProxy(
  options: { readonly traceDir?: string },
  work: (open: (parts: ReplayProxyParts) => Promise<ReplayProxy>) => Promise<void>,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rlm-replay-'));
  try {
    await work(async (parts) => openProxy({ ...options, dataDir }, parts));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** A proxy with the settings of a trace; nothing of this machine's own settings is in it. */
async function openProxy(
  { dataDir, traceDir }: { readonly dataDir: string; readonly traceDir?: string | undefined },
  parts: ReplayProxyParts,
): Promise<ReplayProxy> {
  const [{ openApp }, { recordedConfig }, { silentLogger }, { readVersion }, { TokenGauge }] =
    await Promise.all([
      import('../app.ts'),
      import('../config/recorded.ts'),
      import('../log.ts'),
      import('./version.ts'),
      import('../prompt/token-gauge.ts'),
    ]);
  const token = randomBytes(32).toString('hex');
  const { clock, ids, settings, upstreamOrigin } = parts;
  const config = recordedConfig(settings, { dataDir, traceDir, token, upstreamOrigin });
  const gauge = new TokenGauge(clock);
  const app = await openApp({
    config,
    version: readVersion(),
    log: silentLogger(),
    clock,
    ids,
    // What varies from run to run is only how long an attempt waits, and here none does.
    random: () => 0,
    gauge,
    notesPlaces: false,
    // Commands have nothing to ask of it.
    operations: () => ({ run: noOperation }),
  });
  return {
    origin: await app.server.listen(),
    token,
    sessions: app.sessions,
    assume: (gaugeKey, learned) => gauge.assume(gaugeKey, learned),
    [Symbol.asyncDispose]: async () => app[Symbol.asyncDispose](),
  };
}

async function* noOperation(): AsyncGenerator<never> {
  // Nothing to tell.
}
