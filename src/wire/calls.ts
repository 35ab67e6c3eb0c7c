import type { FunctionCall, ToolCall, ToolCallDelta } from './types.ts';

/**
 * The name of the tool that a call is for: a function's, a custom tool's, else the call's type,
 * which is all that a call of a kind we do not know says of itself. The only place that knows where
 * the name stands.
 */
export function callName(call: ToolCall): string {
  return call.function?.name ?? call.custom?.name ?? call.type ?? '';
}

/**
 * What the call says to its tool, as it came: the JSON text of a function's arguments, or a custom
 * tool's free text. Empty for calls of other kinds.
 */
export function callText(call: ToolCall): string {
  return call.function?.arguments ?? call.custom?.input ?? '';
}

/** Whether the call is for a function: the only kind that can be for a tool of ours. */
export function isFunctionCall(call: ToolCall): call is FunctionCall {
  return call.function !== undefined && call.function !== null;
}

/** A call in one piece, the `index`-th of its answer. */
export function wholeDelta(call: ToolCall, index: number): ToolCallDelta {
  const { id, type: _, function: __, custom, ...extra } = call;
  return {
    index,
    id,
    name: callName(call),
    arguments: callText(call),
    ...(isFunctionCall(call) || (custom ?? undefined) === undefined
      ? {}
      : { type: 'custom' as const }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
