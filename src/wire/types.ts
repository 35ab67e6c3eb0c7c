/**
 * The OpenAI chat completions protocol as this program handles it. Types only.
 *
 * Requests are kept *loose*: members that we do not know are carried along untouched. Chunks are
 * kept *normal*: whatever dirt a provider sends, `upstream` has cleaned it before anybody sees a
 * {@link Chunk}.
 */

import type { UnparsedMessage } from './unparsed-message.ts';

/** A text or other part of a message whose content is a list. */
export interface ContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [member: string]: unknown;
}

/**
 * A call as it stands in an assistant message. What it is for and what it says are read by
 * `callName` and `callText` of `calls.ts` alone: OpenAI's custom calls have no `function`, and
 * histories hold calls of kinds that we do not know.
 */
export interface ToolCall {
  readonly id: string;
  /** `function`, `custom`, or a provider's own kind. */
  readonly type?: string;
  /** `arguments` is JSON text, kept byte for byte. */
  readonly function?: {
    readonly name: string;
    readonly arguments: string;
    readonly [member: string]: unknown;
  } | null;
  /** A custom tool's call; `input` is free text. */
  readonly custom?: {
    readonly name: string;
    readonly input: string;
    readonly [member: string]: unknown;
  } | null;
  readonly [member: string]: unknown;
}

/** A call of a function. */
export interface FunctionCall extends ToolCall {
  readonly function: NonNullable<ToolCall['function']>;
}

/** One message of a conversation, with every member the sender gave it. */
export interface Message {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool' | 'function';
  readonly content?: string | readonly ContentPart[] | null;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly name?: string;
  readonly [member: string]: unknown;
}

/** A tool as the client declares it. */
export interface ToolDefinition {
  readonly type: string;
  readonly function?: {
    readonly name: string;
    readonly description?: string;
    readonly parameters?: unknown;
    readonly [member: string]: unknown;
  };
  readonly [member: string]: unknown;
}

/** The body of `POST /v1/chat/completions` but for its messages. */
export interface Envelope {
  readonly model: string;
  readonly stream?: boolean | null;
  readonly stream_options?: {
    readonly include_usage?: boolean;
    readonly [member: string]: unknown;
  } | null;
  readonly tools?: readonly ToolDefinition[];
  readonly tool_choice?: unknown;
  readonly [member: string]: unknown;
}

/** A message on its way upstream: an object of ours, or the client's own bytes. */
export type UpstreamMessage = Message | UnparsedMessage;

/** A request whose messages are all objects. */
export interface PlainRequest extends Envelope {
  readonly messages: readonly Message[];
}

/** The body of `POST /v1/chat/completions`, on its way upstream. */
export interface ChatRequest extends Envelope {
  readonly messages: readonly UpstreamMessage[];
}

/** The five reasons OpenAI documents. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'function_call';

/** Token counts as the upstream reports them; unknown members are kept. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details?: {
    readonly cached_tokens?: number;
    readonly [member: string]: unknown;
  };
  readonly completion_tokens_details?: {
    readonly reasoning_tokens?: number;
    readonly [member: string]: unknown;
  };
  readonly [member: string]: unknown;
}

/**
 * A piece of a tool call. `index` is always set, from 0 without gaps in order of first appearance;
 * `id` and `name` only on a call's first piece, `name` never empty there.
 */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly name?: string;
  /** On every piece of a custom tool's call; absent for a function's. */
  readonly type?: 'custom';
  /** The next piece of the arguments text, or of a custom call's input; may be empty. */
  readonly arguments: string;
  /** Members beside id, type, function and custom (Gemini's `extra_content`). */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** One clean step of a streamed completion. Only what is present happened. */
export interface Chunk {
  /** The next piece of the visible text. */
  readonly content?: string;
  /** The next piece of the reasoning, whatever member the provider uses for it. */
  readonly reasoning?: string;
  /**
   * The member the reasoning came in (`reasoning_content` or `reasoning`): it goes back under the
   * same name.
   */
  readonly reasoningField?: string;
  /** OpenRouter's and MiniMax's structured reasoning, as it came. */
  readonly reasoningDetails?: readonly unknown[];
  readonly refusal?: string;
  readonly toolCalls?: readonly ToolCallDelta[];
  /** Already mapped to the five standard values. At most one chunk of a completion carries it. */
  readonly finishReason?: FinishReason;
  readonly usage?: Usage;
  readonly logprobs?: unknown;
  /**
   * Other members of the delta (`annotations`, `audio`, …), passed on to the client as they are.
   */
  readonly extra?: Readonly<Record<string, unknown>>;
  /**
   * Other members of the choice (`content_filter_results`, `native_finish_reason`, …): those that
   * are new or have changed.
   */
  readonly choice?: Readonly<Record<string, unknown>>;
  /**
   * Other members of the frame (`system_fingerprint`, `citations`, …): those that are new or have
   * changed.
   */
  readonly frame?: Readonly<Record<string, unknown>>;
  /**
   * Which answer it belongs to, where several were asked for; absent: the only one, or the first.
   */
  readonly choiceIndex?: number;
}

/**
 * A whole assistant turn, folded from its chunks, as it is remembered and sent back upstream:
 * verbatim.
 */
export interface FoldedTurn {
  /**
   * The assistant message with all its members: content, reasoning under its own names, calls with
   * their original argument bytes.
   */
  readonly message: Message;
  readonly finishReason: FinishReason;
  readonly usage?: Usage;
  readonly logprobs?: unknown;
  /** The last of each member of {@link Chunk.choice} and {@link Chunk.frame}. */
  readonly choice?: Readonly<Record<string, unknown>>;
  readonly frame?: Readonly<Record<string, unknown>>;
}
