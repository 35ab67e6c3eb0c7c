import type { Usage } from '../wire/types.ts';

/** What is known of a turn, as far as it is: all of it comes bit by bit, and may change. */
export interface TurnFacts {
  /** The client's name. */
  readonly client?: string | undefined;
  /** The project directory. */
  readonly directory?: string | undefined;
  /** Id of the store. */
  readonly session?: string | undefined;
  /** The conversation. */
  readonly chat?: string | undefined;
  /** As the client names it; provider and model as soon as those are found. */
  readonly model?: string | undefined;
  /** What of our tools the model is offered. */
  readonly tools?: 'none' | 'dormant' | 'active';
  /** Texts that the turn has moved into the store. */
  readonly storedTexts?: number;
  /** Times that the turn has moved older material out of the prompt. */
  readonly demotions?: number;
  /** Prompt tokens of the client's own history, had it gone upstream as it came. An estimate. */
  readonly estimatedPromptTokensWithout?: number;
  /** The limit at which the turn is ended, in words. */
  readonly limit?: string;
}

/**
 * Hears what one turn does while it does it. Nothing here throws, and nobody waits for it. Of
 * {@link ends}, {@link fails} and {@link leaves} the first one counts, and after it nothing else.
 */
export interface TurnWatch {
  /** What is left out stays as it was. */
  know(facts: TurnFacts): void;
  /**
   * A request goes upstream. Where the step before has not ended, this one takes its place: the
   * same again, smaller.
   * @param sentBytes JSON of the request
   */
  stepBegins(sentBytes: number): void;
  /** Its first chunk is there. */
  stepAnswers(): void;
  /** @param usage What the upstream has counted, where it has */
  stepEnds(usage: Usage | undefined): void;
  /** A call of our tools that the last step has made. `words`: what it does, for progress. */
  callBegins(call: { readonly name: string; readonly words: string }): CallWatch;
  /** The answer is there. */
  ends(): void;
  /** There is none, or no whole one. */
  fails(error: unknown): void;
  /** Nobody reads on. */
  leaves(): void;
}

/** What a call of ours tells while it runs. */
export interface CallEars {
  /** A short text about what is under way. */
  readonly report: (text: string) => void;
  /** A question goes to a sub-model. */
  readonly asks: () => void;
}

/** Hears what one call of our tools does. */
export interface CallWatch extends CallEars {
  /** @param resultChars Length of its result, code units */
  ends(resultChars: number): void;
}

/** Hears of all turns. */
export interface TurnWatcher {
  /**
   * A request begins to come in.
   * @param turn Its id as in the log, and the signal that ends it
   * @returns Absent where nobody watches this one
   */
  begin(turn: { readonly requestId: string; readonly signal: AbortSignal }): TurnWatch | undefined;
}
