import type { Upstream, UpstreamCall, UpstreamStream } from '../upstream/upstream.ts';
import type { ChatRequest, Chunk } from '../wire/types.ts';
import type { Budget, TokenPrices } from './budget.ts';

/**
 * The same upstream, with every completion's usage drawn from a budget as the upstream reports it; and a step for each, where
 * completions are those of a loop.
 */
export function meterUpstream(
  upstream: Upstream,
  budget: Budget,
  { prices, isLoop }: { readonly prices: TokenPrices | undefined; readonly isLoop: boolean },
): Upstream {
  return {
    id: upstream.id,
    models: async (signal) => upstream.models(signal),
    complete: async (request: ChatRequest, call: UpstreamCall): Promise<UpstreamStream> => {
      const stream = await upstream.complete(request, call);
      if (isLoop) budget.spendStep();
      return { model: stream.model, batches: metered(stream.batches, budget, prices) };
    },
    // Whoever opened it closes it.
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function* metered(
  batches: AsyncIterable<readonly Chunk[]>,
  budget: Budget,
  prices: TokenPrices | undefined,
): AsyncGenerator<readonly Chunk[], void, void> {
  for await (const batch of batches) {
    for (const { usage } of batch) if (usage !== undefined) budget.spendUsage(usage, prices);
    yield batch;
  }
}
