import { Counter, Gauge, Registry } from 'prom-client';
import { type SharedHealth, storeState } from './health.ts';
import type { TurnTotals } from './turn-stats.ts';

/** What is measured; read when it is asked for, so that a turn pays nothing for it. */
export interface MeasuredParts {
  readonly totals: TurnTotals;
  /** Requests that are being answered. */
  readonly live: number;
  /** Why the stores as a whole cannot be used, if so. */
  readonly storeFault: string | undefined;
  /** How the store is that machines share; absent where they do not. */
  readonly shared: SharedHealth | undefined;
}

/**
 * What `/metrics` says, in the text form of Prometheus. There are no labels but of a fixed list, so
 * that no path, no name and no text of anybody can come into it.
 */
export async function metricsText(
  parts: MeasuredParts,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const registry = new Registry();
  const registers = [registry];
  const { totals, live, shared } = parts;
  for (const [name, help, value] of [
    ['rlm_turns_total', 'Turns that were answered.', totals.turns],
    ['rlm_steps_total', 'Completions of the upstream.', totals.steps],
    ['rlm_tool_calls_total', 'Calls of our own tools.', totals.toolCalls],
    ['rlm_stored_texts_total', 'Texts that were stored.', totals.storedTexts],
    ['rlm_demotions_total', 'Prompts that were made smaller.', totals.demotions],
    ['rlm_parsed_messages_total', 'Messages that had to be parsed.', totals.parsedMessages],
    ['rlm_upstream_sent_bytes_total', 'JSON that was sent upstream.', totals.upstreamBytes],
    [
      'rlm_saved_baseline_tokens_total',
      'Prompt tokens that the same turns would have cost without the proxy, estimated.',
      totals.estimatedTokensWithout,
    ],
  ] as const)
    new Counter({ name, help, registers }).inc(value);
  const tokens = new Counter({
    name: 'rlm_upstream_tokens_total',
    help: 'Tokens as the upstream counts them; cached ones are prompt tokens, too.',
    labelNames: ['kind'],
    registers,
  });
  tokens.inc({ kind: 'prompt' }, totals.promptTokens);
  tokens.inc({ kind: 'cached' }, totals.cachedTokens);
  tokens.inc({ kind: 'completion' }, totals.completionTokens);
  for (const [name, help, value] of [
    ['rlm_live_requests', 'Requests that are being answered.', live],
    [
      'rlm_store_up',
      '1 where texts are stored, 0 where /health says degraded.',
      storeState(parts).status === 'ok' ? 1 : 0,
    ],
    [
      'rlm_memory_peak_bytes',
      'Largest memory of the process.',
      process.resourceUsage().maxRSS * 1024,
    ],
    ...(shared === undefined
      ? []
      : ([
          ['rlm_shared_store_up', '1 where the database answers.', shared.isAway ? 0 : 1],
          ['rlm_shared_store_waiting_rows', 'Rows that wait for it.', shared.waiting.rows],
          ['rlm_shared_store_waiting_bytes', 'Bytes that wait for it.', shared.waiting.bytes],
        ] as const)),
  ] as const)
    new Gauge({ name, help, registers }).set(value);
  return { contentType: registry.contentType, text: await registry.metrics() };
}
