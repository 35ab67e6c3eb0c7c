/** A question for a client library. */
export interface AiQuestion {
  readonly baseURL: string;
  readonly model: string;
  readonly prompt: string;
  readonly tools: Readonly<Record<string, AiTool>>;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers at most, the tools being run between them. Default 1. */
  readonly maxSteps?: number;
}

/** A tool; without `execute` its calls are only shown. */
export interface AiTool {
  readonly description: string;
  readonly parameters: object;
  readonly execute?: (input: never) => Promise<unknown>;
}

/** A call as the SDK has read it; `input` is text where it could not be parsed. */
export interface AiCall {
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: unknown;
}

/** The parts of a stream that the tests look at. */
export type AiPart =
  | { readonly type: 'text-delta' | 'reasoning-delta'; readonly text: string }
  | ({ readonly type: 'tool-call' } & AiCall)
  | { readonly type: 'error'; readonly error: unknown }
  | {
      readonly type: 'finish';
      readonly finishReason: string;
      readonly totalUsage: { readonly inputTokens?: number };
    }
  | { readonly type: 'start' };

/** A whole answer. */
export interface AiAnswer {
  readonly text: string;
  readonly reasoningText?: string;
  readonly toolCalls: readonly AiCall[];
  readonly finishReason: string;
  readonly usage: { readonly inputTokens?: number };
  readonly steps: readonly unknown[];
}

/** `streamText`: the parts as they come. A failure is a part of its own. */
export declare function streamWithAiSdk(asked: AiQuestion): AsyncIterable<AiPart>;

/** `generateText`. Rejects on a failure. */
export declare function generateWithAiSdk(asked: AiQuestion): Promise<AiAnswer>;
