import { isObject, type JsonObject } from './json.ts';
import { mergeReasoningDetails } from './reasoning-details.ts';
import type { Chunk, FinishReason, FoldedTurn, ToolCall, ToolCallDelta, Usage } from './types.ts';

interface GrowingCall {
  readonly id: string;
  readonly name: string;
  readonly isCustom: boolean;
  arguments: string;
  extra: Record<string, unknown>;
}

/** Puts one completion together again, verbatim, as it must be remembered and sent back. */
export class TurnFold {
  #content = '';
  #reasoning: string | undefined;
  #reasoningField = 'reasoning_content';
  readonly #reasoningDetails: unknown[] = [];
  #refusal = '';
  readonly #calls = new Map<number, GrowingCall>();
  #extra: Record<string, unknown> = {};
  #logprobs: Record<string, unknown> | undefined;
  #choice: Readonly<Record<string, unknown>> | undefined;
  #frame: Readonly<Record<string, unknown>> | undefined;
  #finishReason: FinishReason | undefined;
  #usage: Usage | undefined;

  /** Takes the next chunk. */
  add(chunk: Chunk): void {
    if (chunk.content !== undefined) this.#content += chunk.content;
    if (chunk.reasoning !== undefined) {
      this.#reasoning = (this.#reasoning ?? '') + chunk.reasoning;
      if (chunk.reasoningField !== undefined) this.#reasoningField = chunk.reasoningField;
    }
    if (chunk.reasoningDetails !== undefined) {
      for (const detail of chunk.reasoningDetails) {
        mergeReasoningDetails(this.#reasoningDetails, detail);
      }
    }
    if (chunk.refusal !== undefined) this.#refusal += chunk.refusal;
    if (chunk.toolCalls !== undefined) for (const delta of chunk.toolCalls) this.#addCall(delta);
    if (chunk.extra !== undefined) this.#extra = mergeExtra(this.#extra, chunk.extra);
    if (chunk.logprobs !== undefined) this.#addLogprobs(chunk.logprobs);
    if (chunk.choice !== undefined) this.#choice = { ...this.#choice, ...chunk.choice };
    if (chunk.frame !== undefined) this.#frame = { ...this.#frame, ...chunk.frame };
    if (chunk.finishReason !== undefined) this.#finishReason = chunk.finishReason;
    if (chunk.usage !== undefined) this.#usage = chunk.usage;
  }

  /** The turn so far. A turn whose finish reason has not come counts as cut short: `length`. */
  turn(): FoldedTurn {
    const calls = this.#toolCalls();
    return {
      message: {
        role: 'assistant',
        content: this.#content === '' && calls.length > 0 ? null : this.#content,
        ...(this.#reasoning === undefined ? {} : { [this.#reasoningField]: this.#reasoning }),
        ...(this.#reasoningDetails.length === 0
          ? {}
          : { reasoning_details: [...this.#reasoningDetails] }),
        ...(this.#refusal === '' ? {} : { refusal: this.#refusal }),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
        ...this.#extra,
      },
      finishReason: this.#finishReason ?? 'length',
      ...(this.#usage === undefined ? {} : { usage: this.#usage }),
      ...(this.#logprobs === undefined ? {} : { logprobs: this.#logprobs }),
      ...(this.#choice === undefined ? {} : { choice: this.#choice }),
      ...(this.#frame === undefined ? {} : { frame: this.#frame }),
    };
  }

  #toolCalls(): ToolCall[] {
    const calls: ToolCall[] = [];
    // Indexes are given in order of first appearance, so this is their order.
    for (const call of this.#calls.values()) {
      const { id, name, isCustom, extra } = call;
      const detail = isCustom
        ? { type: 'custom', custom: { name, input: call.arguments } }
        : { type: 'function', function: { name, arguments: call.arguments } };
      calls.push({ id, ...detail, ...extra });
    }
    return calls;
  }

  #addCall(delta: ToolCallDelta): void {
    const known = this.#calls.get(delta.index);
    if (known === undefined) {
      // The first piece of a call carries id and name (wire/types.ts); without them there is
      // nothing to call.
      if (delta.id === undefined || delta.name === undefined) return;
      const { id, name } = delta;
      this.#calls.set(delta.index, {
        id,
        name,
        isCustom: delta.type === 'custom',
        arguments: delta.arguments,
        extra: { ...delta.extra },
      });
      return;
    }
    known.arguments += delta.arguments;
    if (delta.extra !== undefined) known.extra = mergeExtra(known.extra, delta.extra);
  }

  #addLogprobs(logprobs: unknown): void {
    if (!isObject(logprobs)) return;
    const merged: Record<string, unknown> = { ...this.#logprobs };
    for (const [member, value] of Object.entries(logprobs)) {
      const before = merged[member];
      merged[member] =
        Array.isArray(before) && Array.isArray(value)
          ? before.concat(value)
          : (value ?? before ?? null);
    }
    this.#logprobs = merged;
  }
}

/** Folds a whole list of chunks. */
export function foldChunks(chunks: Iterable<Chunk>): FoldedTurn {
  const fold = new TurnFold();
  for (const chunk of chunks) fold.add(chunk);
  return fold.turn();
}

/**
 * Members whose texts arrive in pieces. All other texts (Gemini's signatures) are whole each time
 * they come.
 */
const growing: ReadonlySet<string> = new Set(['function_call', 'audio']);

/**
 * Adds what a delta brought to what came before: lists are continued, objects merged, the rest
 * replaced.
 */
function mergeExtra(before: JsonObject, more: JsonObject, grows = false): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...before };
  for (const [member, value] of Object.entries(more)) {
    const known = merged[member];
    const isText = typeof known === 'string' && typeof value === 'string';
    if (isText && grows && member !== 'id') merged[member] = known + value;
    else if (Array.isArray(known) && Array.isArray(value)) merged[member] = known.concat(value);
    else if (isObject(known) && isObject(value)) {
      merged[member] = mergeExtra(known, value, grows || growing.has(member));
    } else if (value !== null) merged[member] = value;
  }
  return merged;
}
