import { describe, expect, it } from 'vitest';
import { randomIds } from '../../src/clock.ts';
import { createDemoUpstream } from '../../src/upstream/demo-upstream.ts';
import { withFallback } from '../../src/upstream/fallback.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { PlainRequest, Chunk } from '../../src/wire/types.ts';
import { answer, startScriptedUpstream } from '../support/scripted-upstream.ts';
import { openTestUpstream } from '../support/test-upstream.ts';

/** What every implementation of `Upstream` promises to whoever calls it. */
interface Opened extends AsyncDisposable {
  readonly upstream: Upstream;
}

const implementations: readonly {
  readonly name: string;
  readonly open: () => Promise<Opened>;
}[] = [
  {
    name: 'the OpenAI-compatible one',
    open: async () => {
      const scripted = await startScriptedUpstream();
      scripted.otherwise(answer('Hello, world'));
      const upstream = openTestUpstream(scripted.baseURL, { maxInFlight: 2 });
      return {
        upstream,
        [Symbol.asyncDispose]: async () => {
          await upstream[Symbol.asyncDispose]();
          await scripted[Symbol.asyncDispose]();
        },
      };
    },
  },
  {
    name: 'one with a fallback, the first being dead',
    open: async () => {
      const dead = await startScriptedUpstream();
      await dead[Symbol.asyncDispose]();
      const scripted = await startScriptedUpstream();
      scripted.otherwise(answer('Hello, world'));
      const first = openTestUpstream(dead.baseURL);
      // Lists come from the first: give it the living one's.
      const second = openTestUpstream(scripted.baseURL, { maxInFlight: 2 });
      const listing: Upstream = {
        id: first.id,
        models: (stop) => second.models(stop),
        complete: (asked, call) => first.complete(asked, call),
        [Symbol.asyncDispose]: () => first[Symbol.asyncDispose](),
      };
      const upstream = withFallback({ upstream: listing, model: 'a' }, [
        { upstream: second, model: 'b' },
      ]);
      return {
        upstream,
        [Symbol.asyncDispose]: async () => {
          await first[Symbol.asyncDispose]();
          await second[Symbol.asyncDispose]();
          await scripted[Symbol.asyncDispose]();
        },
      };
    },
  },
  {
    name: 'the demo',
    open: async () => {
      const upstream = createDemoUpstream({ ids: randomIds });
      return { upstream, [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose]() };
    },
  },
];

const request: PlainRequest = { model: 'm', messages: [{ role: 'user', content: 'Hello?' }] };
const signal = (): AbortSignal => new AbortController().signal;

describe.each(implementations)('$name', ({ open }) => {
  it('names itself and its models', async () => {
    await using opened = await open();
    expect(opened.upstream.id).toMatch(/^[^.]+$/);
    const models = await opened.upstream.models(signal());
    expect(models.length).toBeGreaterThan(0);
    for (const { id } of models) expect(id).not.toBe('');
  });

  it('answers in batches that are never empty, with the finish reason last and once', async () => {
    await using opened = await open();
    const stream = await opened.upstream.complete(request, { signal: signal() });
    expect(stream.model).not.toBe('');
    const chunks: Chunk[] = [];
    for await (const batch of stream.batches) {
      expect(batch.length).toBeGreaterThan(0);
      chunks.push(...batch);
    }
    expect(chunks.flatMap((chunk, at) => (chunk.finishReason === undefined ? [] : [at]))).toEqual([
      chunks.length - 1,
    ]);
    const { message, usage } = foldChunks(chunks);
    expect(message.content).not.toBe('');
    expect(usage?.prompt_tokens).toBeGreaterThan(0);
  });

  it('does not touch the request', async () => {
    await using opened = await open();
    const before = JSON.stringify(request);
    await opened.upstream.complete(request, { signal: signal() });
    expect(JSON.stringify(request)).toBe(before);
  });

  it('refuses a call that is cancelled already', async () => {
    await using opened = await open();
    await expect(
      opened.upstream.complete(request, { signal: AbortSignal.abort() }),
    ).rejects.toBeInstanceOf(Error);
  });

  it('can be left in the middle, any number of times', async () => {
    await using opened = await open();
    for (let n = 0; n < 5; n += 1) {
      const { batches } = await opened.upstream.complete(request, { signal: signal() });
      for await (const batch of batches) {
        expect(batch.length).toBeGreaterThan(0);
        break;
      }
    }
  });
});
