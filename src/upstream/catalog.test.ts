import { pino } from 'pino';
import { expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { ProxyError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { Catalog, type CatalogOptions, type CatalogProvider } from './catalog.ts';
import type { RetryNotice, Upstream, UpstreamModel } from './upstream.ts';
import { coreModelId } from '../wire/core-model.ts';

const signal = new AbortController().signal;
const limits = { contextWindowTokens: 128_000, maxOutputTokens: 32_000 };
const call = { signal };

interface Fake {
  readonly upstream: Upstream;
  readonly asked: string[];
  lists: number;
}

async function* noBatches(): AsyncGenerator<never> {}

/** A provider in memory: lists these models (or fails), answers with its own name (or fails). */
function fake(id: string, listed: readonly UpstreamModel[] | Error, fails?: ProxyError): Fake {
  const self: Fake = {
    asked: [],
    lists: 0,
    upstream: {
      id,
      models: async () => {
        self.lists += 1;
        if (listed instanceof Error) throw listed;
        return listed;
      },
      complete: async (request) => {
        self.asked.push(request.model);
        if (fails !== undefined) throw fails;
        return { model: request.model, batches: noBatches() };
      },
      [Symbol.asyncDispose]: async () => {},
    },
  };
  return self;
}

function provider(from: Fake, more: Partial<CatalogProvider> = {}): CatalogProvider {
  return { upstream: from.upstream, models: [], modelDefaults: limits, fallback: [], ...more };
}

function catalog(
  providers: readonly CatalogProvider[],
  more: Partial<CatalogOptions> = {},
): Catalog {
  return new Catalog({
    providers,
    listMaxAgeMs: 1000,
    listTimeoutMs: 100,
    clock: new ManualClock(),
    log: silentLogger(),
    ...more,
  });
}

const glm5 = { id: 'glm-5', contextWindowTokens: 202_752, maxOutputTokens: 131_072 };

it.each([
  ['zai.glm-5', 'zai', 'glm-5'],
  ['zai.glm-4.6', 'zai', 'glm-4.6'],
  ['or.org/name:free', 'or', 'org/name:free'],
  ['or.org/na.me:1.5', 'or', 'org/na.me:1.5'],
  ['or.zai.glm-5', 'or', 'zai.glm-5'],
  [coreModelId, 'zai', 'glm-5'],
])('finds %s', async (id, providerId, model) => {
  const found = await catalog([
    provider(fake('zai', []), { models: [glm5] }),
    provider(fake('or', [])),
  ]).resolve(id, signal);
  expect([found.providerId, found.id, found.upstream.id]).toEqual([providerId, model, providerId]);
});

it('says of an unknown id what would be right', async () => {
  const two = catalog([provider(fake('zai', [])), provider(fake('or', []))]);
  for (const id of ['glm-5', 'nobody.glm-5', '.x', 'zai.']) {
    await expect(two.resolve(id, signal)).rejects.toMatchObject({
      code: 'unknown_model',
      status: 404,
      parts: { hint: expect.stringMatching(/zai, or/) },
    });
  }
});

it('hands any id to a single provider as it is', async () => {
  const one = catalog([provider(fake('zai', []))]);
  for (const id of ['glm-4.6', 'org/x:1.5', 'other.model']) {
    expect((await one.resolve(id, signal)).id).toBe(id);
  }
});

it('takes the alias from the configuration, else the first model, else the provider’s own first', async () => {
  const listed = fake('b', [{ id: 'b-1', contextWindowTokens: 8192 }]);
  const providers = [provider(fake('a', []), { models: [glm5] }), provider(listed)];
  const first = await catalog(providers).resolve(coreModelId, signal);
  expect(first).toMatchObject(glm5);
  const chosen = catalog(providers, { defaultModel: { providerId: 'b' } });
  expect(await chosen.resolve(coreModelId, signal)).toMatchObject({
    id: 'b-1',
    contextWindowTokens: 8192,
  });
  const named = catalog(providers, { defaultModel: { providerId: 'b', modelId: 'x' } });
  expect(await named.resolve(coreModelId, signal)).toMatchObject({ id: 'x', ...limits });
  const nothing = catalog([provider(fake('a', new ProxyError('upstream_failed', 'x')))]);
  await expect(nothing.resolve(coreModelId, signal)).rejects.toMatchObject({
    parts: { hint: expect.stringMatching(/RLM_UPSTREAM_MODEL/) },
  });
});

it('lists the alias, what is configured and what the providers name, once each', async () => {
  const down = fake('down', new ProxyError('upstream_failed', 'x'));
  const zai = fake('zai', [{ id: 'glm-5' }, { id: 'glm-9', contextWindowTokens: 9000 }]);
  const all = catalog([provider(zai, { models: [glm5] }), provider(down)]);
  const list = await all.list(signal);
  expect(list.map((model) => [model.id, model.owned_by, model.context_window])).toEqual([
    [coreModelId, 'zai', 202_752],
    ['zai.glm-5', 'zai', 202_752],
    ['zai.glm-9', 'zai', 9000],
  ]);
  expect(await all.find('zai.glm-9', signal)).toEqual(list[2]);
  expect(await all.find('zai.glm-8', signal)).toBeUndefined();
});

it('asks for a list once in a while', async () => {
  const clock = new ManualClock();
  const zai = fake('zai', [{ id: 'glm-5' }]);
  const all = catalog([provider(zai)], { clock });
  await all.list(signal);
  await all.find('zai.glm-5', signal);
  expect(zai.lists).toBe(1);
  clock.advance(1000);
  await all.list(signal);
  expect(zai.lists).toBe(2);
});

it('tells once of a list that cannot be had, and when it is there again', async () => {
  const clock = new ManualClock();
  const told: unknown[] = [];
  const write = (line: string): void => void told.push(JSON.parse(line));
  const log = pino({ level: 'debug', base: null, timestamp: false }, { write });
  const fails = new ProxyError('upstream_failed', 'a private text');
  let answer = async (_stop: AbortSignal): Promise<UpstreamModel[]> => Promise.reject(fails);
  const zai = { ...fake('zai', []).upstream, models: async (stop: AbortSignal) => answer(stop) };
  const all = catalog([provider({ upstream: zai, asked: [], lists: 0 })], { clock, log });
  for (let at = 0; at < 6; at += 1) {
    clock.advance(500);
    await all.list(signal);
  }
  const outage = { upstream: 'zai', code: 'upstream_failed', status: 502 };
  const first = { level: 30, msg: 'no model list from the provider', ...outage };
  const again = { level: 20, msg: 'still no model list', ...outage };
  expect(told.splice(0)).toEqual([first, again, again]);

  answer = async () => [];
  clock.advance(1000);
  await all.list(signal);
  await all.list(signal);
  const over = { level: 30, msg: 'the provider lists its models again', upstream: 'zai' };
  expect(told.splice(0)).toEqual([over]);

  // A client that leaves says nothing of the provider.
  clock.advance(1000);
  answer = async () => Promise.reject(new ProxyError('cancelled', 'x'));
  await all.list(AbortSignal.abort());
  expect(told.splice(0)).toEqual([]);

  answer = async (stop) =>
    new Promise((_, reject) => {
      stop.addEventListener('abort', () => reject(stop.reason as ProxyError));
    });
  clock.advance(1000);
  const slow = all.list(signal);
  clock.advance(100);
  await slow;
  expect(told).toEqual([{ ...first, code: 'upstream_timeout', status: 504 }]);
});

it('does not wait long for a list', async () => {
  const clock = new ManualClock();
  const slow: Upstream = {
    ...fake('slow', []).upstream,
    models: (stop) =>
      new Promise((_, reject) => {
        stop.addEventListener('abort', () => reject(new ProxyError('upstream_timeout', 'x')));
      }),
  };
  const list = catalog([provider({ upstream: slow, asked: [], lists: 0 }, { models: [glm5] })], {
    clock,
  }).list(signal);
  clock.advance(100);
  expect((await list).length).toBe(2);
});

it('turns to the fallbacks in order when a provider is overloaded, and not when the request is bad', async () => {
  const busy = new ProxyError('too_busy', 'busy');
  const a = fake('a', [], busy);
  const b = fake('b', [], new ProxyError('quota_exhausted', 'empty'));
  const c = fake('c', []);
  const providers = [provider(a, { fallback: ['b.org/x', 'c.y'] }), provider(b), provider(c)];
  const found = await catalog(providers).resolve('a.m', signal);
  const told: unknown[] = [];
  const onRetry = ({ code, model }: RetryNotice): void => void told.push([code, model]);
  const stream = await found.upstream.complete({ model: 'm', messages: [] }, { ...call, onRetry });
  expect([stream.model, a.asked, b.asked, c.asked]).toEqual(['y', ['m'], ['org/x'], ['y']]);
  expect(told).toEqual([
    ['too_busy', 'org/x'],
    ['quota_exhausted', 'y'],
  ]);

  const bad = fake('a', [], new ProxyError('upstream_rejected', 'bad'));
  const rejecting = await catalog([
    provider(bad, { fallback: ['b.x'] }),
    provider(b),
    provider(c),
  ]).resolve('a.m', signal);
  await expect(
    rejecting.upstream.complete({ model: 'm', messages: [] }, call),
  ).rejects.toMatchObject({ message: 'bad' });

  const none = await catalog([provider(a, { fallback: ['b.x'] }), provider(b)]).resolve(
    'a.m',
    signal,
  );
  await expect(none.upstream.complete({ model: 'm', messages: [] }, call)).rejects.toBe(busy);
});
