import type { Upstream, UpstreamCall, UpstreamStream } from '../upstream/upstream.ts';
import type { ChatRequest, Chunk } from '../wire/types.ts';
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
      let stream: UpstreamStream;
      try {
        stream = await upstream.complete(request, call);
      } catch (error) {
        onFault?.(error);
        throw error;
      }
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

/** What an upstream may say in one turn, over all its steps. */
export interface AnswerLimits {
  /** Text, reasoning and arguments of calls, UTF-16 code units. */
  readonly maxChars: number;
  /** Tool calls. */
  readonly maxCalls: number;
}

/** Counts what an upstream says in one turn, and ends it where it would never end by itself. */
export class AnswerLimit {
  readonly #limits: AnswerLimits;
  #chars = 0;
  #calls = 0;

  constructor(limits: AnswerLimits) {
    this.#limits = limits;
  }

  /**
   * What of a batch is within the limits, and the sentence for the user where that is not all of
   * it.
   */
  take(batch: readonly Chunk[]): { readonly kept: readonly Chunk[]; readonly sentence?: string } {
    for (let at = 0; at < batch.length; at += 1) {
      const chunk = batch[at]!;
      const leftChars = this.#limits.maxChars - this.#chars;
      this.#chars += charsOf(chunk);
      if (chunk.toolCalls !== undefined)
        for (const { id } of chunk.toolCalls) if (id !== undefined) this.#calls += 1;
      const sentence = this.#sentence();
      if (sentence === undefined) continue;
      const content = chunk.content?.slice(0, Math.max(0, leftChars)) ?? '';
      const cut = content === '' ? [] : [{ content: content.toWellFormed() }];
      return { kept: [...batch.slice(0, at), ...cut], sentence };
    }
    return { kept: batch };
  }

  #sentence(): string | undefined {
    const { maxChars, maxCalls } = this.#limits;
    if (this.#chars > maxChars) {
      return `Cut by the limit turn.answerChars: the model said more than ${maxChars} characters in one turn.`;
    }
    return this.#calls > maxCalls
      ? `Cut by the limit turn.answerCalls: the model made more than ${maxCalls} calls in one turn.`
      : undefined;
  }
}

function charsOf({ content = '', reasoning = '', refusal = '', toolCalls }: Chunk): number {
  let chars = content.length + reasoning.length + refusal.length;
  if (toolCalls !== undefined)
    for (const call of toolCalls) chars += call.arguments.length + (call.name?.length ?? 0);
  return chars;
}
