import { expect, it } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { createOpenAIUpstream, type OpenAIUpstreamOptions } from '../../src/upstream/openai-upstream.ts';
import { plainProfile } from '../../src/upstream/profiles.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { Chunk } from '../../src/wire/types.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';

function open(baseURL: string, more: Partial<OpenAIUpstreamOptions> = {}): Upstream {
  return createOpenAIUpstream({
    id: 'test',
    baseURL,
    profile: plainProfile,
    headers: {},
    patience: { connectTimeoutMs: 5000, firstByteTimeoutMs: 10_000, idleTimeoutMs: 10_000, maxRetries: 2, maxRetryWaitMs: 60_000 },
    maxInFlight: 10,
    clock: systemClock,
    ids: randomIds,
    random: () => 0,
    log: silentLogger(),
    ...more,
  });
}

it('streams an answer', async () => {
  await using scripted = await startScriptedUpstream();
  await using upstream = open(scripted.baseURL);
  scripted.script(answer('Hello, world'));
  const stream = await upstream.complete({ model: 'm', messages: [{ role: 'user', content: 'x' }] }, { signal: new AbortController().signal });
  const chunks: Chunk[] = [];
  for await (const batch of stream.batches) chunks.push(...batch);
  expect(foldChunks(chunks).message.content).toBe('Hello, world');
});
