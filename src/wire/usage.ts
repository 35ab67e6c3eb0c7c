import { isObject } from './json.ts';
import type { Usage } from './types.ts';

/**
 * The token counts of a chunk in OpenAI's form, or undefined if there are none to go by. Counts become integers,
 * a missing total is the sum, members that are null are left out, all others are kept.
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
  return {
    ...usage,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: count(value['total_tokens']) ?? promptTokens + completionTokens,
  };
}

function withoutNulls(part: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null));
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? Math.round(value) : undefined;
}
