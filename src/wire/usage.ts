import { isObject, type JsonObject } from './json.ts';
import type { Usage } from './types.ts';

/**
 * The token counts of a chunk in OpenAI's form, or undefined if there are none to go by. Counts
 * become integers, negative ones count as absent, a missing total is the sum, cached tokens are
 * found under the names that others use, members that are null are left out, others are kept.
 */
export function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const promptTokens = count(value['prompt_tokens']);
  const completionTokens = count(value['completion_tokens']) ?? 0;
  if (promptTokens === undefined) return undefined;
  const usage: Record<string, unknown> = {};
  for (const [member, part] of Object.entries(value)) {
    if (part === null) continue;
    usage[member] = isObject(part) ? withoutNulls(part) : part;
  }
  const total = count(value['total_tokens']);
  const details = isObject(usage['prompt_tokens_details']) ? usage['prompt_tokens_details'] : {};
  const cached = count(details['cached_tokens']) ?? cachedElsewhere(value);
  const outside = outsideTokens(value, { promptTokens, completionTokens, cached, total });
  const allPrompt = promptTokens + outside;
  const sum = allPrompt + completionTokens;
  return {
    ...usage,
    prompt_tokens: allPrompt,
    completion_tokens: completionTokens,
    total_tokens: outside > 0 ? sum : (total ?? sum),
    ...(cached === undefined
      ? {}
      : { prompt_tokens_details: { ...details, cached_tokens: Math.min(cached, allPrompt) } }),
  };
}

/**
 * Where others report what came from their cache: DeepSeek and SiliconFlow, Anthropic's words,
 * Moonshot.
 */
const cachedMembers = ['prompt_cache_hit_tokens', 'cache_read_input_tokens', 'cached_tokens'];

function cachedElsewhere(value: JsonObject): number | undefined {
  for (const member of cachedMembers) {
    const cached = count(value[member]);
    if (cached !== undefined) return cached;
  }
  return undefined;
}

/**
 * Tokens of the prompt that `prompt_tokens` does not hold: some gateways count only what was not
 * cached. More cached than there is prompt shows it, and so does a total that is the sum of all of
 * them.
 */
function outsideTokens(
  value: JsonObject,
  told: {
    readonly promptTokens: number;
    readonly completionTokens: number;
    readonly cached: number | undefined;
    readonly total: number | undefined;
  },
): number {
  const { promptTokens, completionTokens, cached = 0, total } = told;
  const beside = cached + (count(value['cache_creation_input_tokens']) ?? 0);
  if (beside === 0) return 0;
  const isSum = total === promptTokens + beside + completionTokens;
  return cached > promptTokens || isSum ? beside : 0;
}

function withoutNulls(part: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null));
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? Math.round(value)
    : undefined;
}

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
