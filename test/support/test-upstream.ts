import { type Clock, randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import {
  createOpenAIUpstream,
  type OpenAIUpstreamOptions,
} from '../../src/upstream/openai-upstream.ts';
import { plainProfile } from '../../src/upstream/profiles.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';

/** The machine's clock, except that nobody waits between attempts. */
export const hurriedClock: Clock = { ...systemClock, sleep: () => Promise.resolve() };

/** An upstream as the program makes it, with two repetitions and no waiting between them. */
export function openTestUpstream(
  baseURL: string,
  more: Partial<OpenAIUpstreamOptions> = {},
): Upstream {
  return createOpenAIUpstream({
    id: 'test',
    baseURL,
    profile: plainProfile,
    headers: {},
    patience: {
      connectTimeoutMs: 5000,
      firstByteTimeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      maxFrameBytes: 67_108_864,
      maxRetries: 2,
      maxRetryWaitMs: 60_000,
    },
    maxInFlight: 10,
    clock: hurriedClock,
    ids: randomIds,
    random: () => 0,
    log: silentLogger(),
    ...more,
  });
}
