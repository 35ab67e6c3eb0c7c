import { Counter, Gauge, Registry } from 'prom-client';
import { type SharedHealth, storeState } from './health.ts';
import type { DayLimits } from '../turn/budget.ts';
import type { DayState } from '../turn/day-ledger.ts';
import type { TurnTotals } from './turn-stats.ts';
import { searchSeconds, type WorkCounts } from './work-counts.ts';

/** What is measured; read when it is asked for, so that a turn pays nothing for it. */
export interface MeasuredParts {
  readonly totals: TurnTotals;
  readonly work: WorkCounts;
  /** What all turns of today have used, and may. */
  readonly day: { readonly used: DayState; readonly limits: DayLimits };
  /** What there is in all stores; absent where they cannot be looked at. */
  readonly stores:
    | { readonly stores: number; readonly entries: number; readonly bytes: number }
    | undefined;
  /** Stores whose files are open. */
  readonly openStores: number;
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
  const { totals, live, shared, work, stores, openStores } = parts;
  for (const [name, help, value] of [
    ['rlm_turns_total', 'Turns that were answered.', totals.turns],
    ['rlm_steps_total', 'Completions of the upstream.', totals.steps],
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
  for (const [name, help, label, counts] of [
    [
      'rlm_tool_calls_total',
      'Calls of our own tools, by models, over MCP and by commands.',
      'tool',
      work.calls,
    ],
    ['rlm_upstream_retries_total', 'Attempts that were repeated.', 'code', work.retries],
    ['rlm_faults_total', 'Requests that were answered with an error.', 'code', work.faults],
  ] as const) {
    const counter = new Counter({ name, help, labelNames: [label], registers });
    for (const [value, count] of counts) counter.inc({ [label]: value }, count);
  }
  addDay(registers, parts.day);
  for (const [name, help, value] of [
    ['rlm_open_stores', 'Stores whose files are open.', openStores],
    ...(stores === undefined
      ? []
      : ([
          ['rlm_stores', 'Stores that there are.', stores.stores],
          ['rlm_store_entries', 'Texts in all of them.', stores.entries],
          ['rlm_store_text_bytes', 'Their bytes.', stores.bytes],
        ] as const)),
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
  const text = (await registry.metrics()) + searchTimes(work);
  return { contentType: registry.contentType, text };
}

/** What is used of a day's limits, and those that are set. */
function addDay(registers: Registry[], { used, limits }: MeasuredParts['day']): void {
  const labelNames = ['of'];
  const kinds = [
    ['sub_calls', used.subCalls, limits.subCalls],
    ['tokens', used.tokens, limits.tokens],
    ['money', used.money, limits.money],
    ['seconds', used.wallClockMs / 1000, inSeconds(limits.wallClockMs)],
  ] as const;
  const help = 'What all turns of today have used (UTC), in the currency of the prices for money.';
  const use = new Gauge({ name: 'rlm_day_used', help, labelNames, registers });
  const limit = new Gauge({
    name: 'rlm_day_limit',
    help: 'What they may use, where that is limited.',
    labelNames,
    registers,
  });
  for (const [of, value, most] of kinds) {
    use.set({ of }, value);
    if (most !== undefined) limit.set({ of }, most);
  }
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

/**
 * The times of searches as a histogram. Prometheus' own counts while it measures; here it is to be
 * loaded only by who asks.
 */
function searchTimes({ searches: { counts, sumSeconds } }: WorkCounts): string {
  const name = 'rlm_search_seconds';
  let below = 0;
  const buckets = counts.map((count, at) => {
    below += count;
    return `${name}_bucket{le="${searchSeconds[at] ?? '+Inf'}"} ${below}\n`;
  });
  return [
    `\n# HELP ${name} How long searches took, from the asking to the answer.\n`,
    `# TYPE ${name} histogram\n`,
    ...buckets,
    `${name}_sum ${sumSeconds}\n`,
    `${name}_count ${below}\n`,
  ].join('');
}
