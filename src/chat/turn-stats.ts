import { allTools } from '../tools/registry.ts';
import type { FinishedTurn } from '../turn/turn-state.ts';
import { sumUsages } from '../wire/usage.ts';
import { WorkCounts } from './work-counts.ts';

/** What one turn adds. */
export interface TurnTally {
  readonly done: FinishedTurn;
  readonly newlyStored: number;
  readonly parsedMessages: number;
  /** Estimated prompt tokens of the same request without the proxy. */
  readonly clientTokens: number;
  /** Times that it has moved older material out of the prompt. */
  readonly demotions: number;
  readonly storeFault?: string;
}

/**
 * Sums since the server started, for `/health`. Token counts are the upstream's own except where
 * they say `estimated`.
 */
export interface TurnTotals {
  readonly turns: number;
  readonly steps: number;
  readonly toolCalls: number;
  readonly storedTexts: number;
  /**
   * Messages of clients that had to be parsed; the others were known by their bytes. A client that
   * appends to its history adds a few a turn, one that rewrites it all of them.
   */
  readonly parsedMessages: number;
  /** JSON of all requests sent upstream, bytes. */
  readonly upstreamBytes: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /**
   * Prompt tokens that the same turns would have cost without the proxy, each sent once. An
   * estimate.
   */
  readonly estimatedTokensWithout: number;
  readonly demotions: number;
  readonly lastStoreFault: string | undefined;
}

/** Counts turns. */
export class TurnStats {
  /** Of what turns do, and of what fails before it is one. */
  readonly work = new WorkCounts(allTools.map(({ name }) => name));
  #totals: TurnTotals = {
    turns: 0,
    steps: 0,
    toolCalls: 0,
    storedTexts: 0,
    parsedMessages: 0,
    upstreamBytes: 0,
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    estimatedTokensWithout: 0,
    demotions: 0,
    lastStoreFault: undefined,
  };

  get totals(): TurnTotals {
    return this.#totals;
  }

  add({ done, newlyStored, parsedMessages, clientTokens, demotions, storeFault }: TurnTally): void {
    const totals = this.#totals;
    const sums = sumUsages(done.usages);
    this.#totals = {
      turns: totals.turns + 1,
      steps: totals.steps + done.steps,
      toolCalls: totals.toolCalls + done.ownCalls,
      storedTexts: totals.storedTexts + newlyStored,
      parsedMessages: totals.parsedMessages + parsedMessages,
      upstreamBytes: totals.upstreamBytes + done.sentBytes,
      promptTokens: totals.promptTokens + sums.promptTokens,
      cachedTokens: totals.cachedTokens + sums.cachedTokens,
      completionTokens: totals.completionTokens + sums.completionTokens,
      estimatedTokensWithout: totals.estimatedTokensWithout + Math.round(clientTokens),
      demotions: totals.demotions + demotions,
      // A text that could be stored shows that the store works again.
      lastStoreFault: storeFault ?? (newlyStored > 0 ? undefined : totals.lastStoreFault),
    };
  }
}
