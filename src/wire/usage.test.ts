import { describe, expect, it } from 'vitest';
import { readUsage } from './usage.ts';

describe('cached tokens', () => {
  it.each([
    ['DeepSeek', { prompt_cache_hit_tokens: 700, prompt_cache_miss_tokens: 300 }],
    ['Anthropic, counted inside', { cache_read_input_tokens: 700 }],
    ['Moonshot', { cached_tokens: 700 }],
    ['OpenAI', { prompt_tokens_details: { cached_tokens: 700 } }],
  ])('are found under the name of %s', (_, members) => {
    const usage = readUsage({ prompt_tokens: 1_000, completion_tokens: 5, ...members });
    expect(usage?.prompt_tokens).toBe(1_000);
    expect(usage?.prompt_tokens_details?.cached_tokens).toBe(700);
    expect(usage?.total_tokens).toBe(1_005);
  });

  it.each([
    ['more than there is prompt', { cache_read_input_tokens: 31_500 }, 33_000],
    [
      'with what was written to the cache',
      { cache_read_input_tokens: 20_000, cache_creation_input_tokens: 500 },
      22_000,
    ],
    ['by the total', { prompt_cache_hit_tokens: 1_000, total_tokens: 2_509 }, 2_500],
  ])('outside of the prompt are added: %s', (_, members, all) => {
    const usage = readUsage({ prompt_tokens: 1_500, completion_tokens: 9, ...members });
    expect(usage?.prompt_tokens).toBe(all);
    expect(usage?.total_tokens).toBe(all + 9);
  });

  it('are never more than the prompt, and a negative count is none', () => {
    expect(readUsage({ prompt_tokens: -1 })).toBeUndefined();
    const usage = readUsage({ prompt_tokens: 10, completion_tokens: -3 });
    expect(usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 0, total_tokens: 10 });
  });
});
