import type { Upstream, UpstreamCall, UpstreamStream } from '../upstream/upstream.ts';
import type { ChatRequest, Chunk } from '../wire/types.ts';
import type { AnswerLimit } from './answer-limit.ts';
import { requestBytes } from '../wire/message-json.ts';
import type { Budget, TokenPrices } from './budget.ts';

/**
 * The same upstream, with every completion's usage drawn from a budget as the upstream reports it;
 * and a step for each, where completions are those of a loop.
 */
export function meterUpstream(
  upstream: Upstream,
  budget: Budget,
  options: {
    readonly prices: TokenPrices | undefined;
    readonly isLoop: boolean;
    /** Ends answers that would never end; absent: nothing does. */
    readonly limit?: AnswerLimit;
    /** Told of each answer that has begun. */
    readonly onAnswer?: (stream: UpstreamStream) => void;
    /** Told of a call that failed before its answer began. */
    readonly onFault?: (error: unknown) => void;
  },
): Upstream {
  return {
    id: upstream.id,
    models: async (signal) => upstream.models(signal),
    complete: async (request: ChatRequest, call: UpstreamCall): Promise<UpstreamStream> => {
      const { prices, isLoop, limit, onAnswer, onFault } = options;
      const stream = await upstream.complete(request, call).catch((error: unknown) => {
        onFault?.(error);
        throw error;
      });
      onAnswer?.(stream);
      if (isLoop) budget.spendStep();
      const mostTokens = requestBytes(request) + templateTokens;
      return { ...stream, batches: metered(stream.batches, budget, { prices, limit, mostTokens }) };
    },
    // Whoever opened it closes it.
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** What a provider may add to a prompt itself, tokens. */
const templateTokens = 10_000;

async function* metered(
  batches: AsyncIterable<readonly Chunk[]>,
  budget: Budget,
  {
    prices,
    limit,
    mostTokens,
  }: {
    readonly prices: TokenPrices | undefined;
    readonly limit: AnswerLimit | undefined;
    /** A prompt has no more tokens than bytes: a count above that would end the day's turns. */
    readonly mostTokens: number;
  },
): AsyncGenerator<readonly Chunk[], void, void> {
  for await (const batch of batches) {
    for (const { usage } of batch)
      if (usage !== undefined)
        budget.spendUsage(
          { ...usage, prompt_tokens: Math.min(usage.prompt_tokens, mostTokens) },
          prices,
        );
    const { kept, sentence } = limit?.take(batch) ?? { kept: batch };
    if (kept.length > 0) yield kept;
    if (sentence === undefined) continue;
    // Leaving the loop ends the upstream's answer.
    yield [{ content: `\n\n[rlm-opencode] ${sentence}` }, { finishReason: 'length' }];
    return;
  }
}
