import type { AiQuestion } from './ai-sdk.js';

/** What LangChain made of a conversation that goes on until no tool is called. */
export interface LangChainOutcome {
  readonly text: string;
  /** Answers of the model. */
  readonly turns: number;
  readonly finish?: string;
  readonly promptTokens?: number;
}

/**
 * Asks, runs the tools that are called, and asks on, with `invoke` or with `stream`. Rejects on a
 * failure.
 */
export declare function loopWithLangChain(
  asked: AiQuestion,
  streaming: boolean,
): Promise<LangChainOutcome>;
