import type { Usage } from '../wire/types.ts';

/** What the upstream counted over several steps, in tokens. */
export interface UsageSums {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
}

/** Adds up what the upstream said of each step; what it did not say counts as nothing. */
export function sumUsages(usages: readonly Usage[]): UsageSums {
  const sums = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };
  for (const usage of usages) {
    sums.promptTokens += usage.prompt_tokens;
    sums.cachedTokens += usage.prompt_tokens_details?.cached_tokens ?? 0;
    sums.completionTokens += usage.completion_tokens;
    sums.reasoningTokens += usage.completion_tokens_details?.reasoning_tokens ?? 0;
  }
  return sums;
}
