import type { Message, ToolCall } from '../wire/types.ts';
import type { Scales } from './prompt-cost.ts';
import { messageBytes } from '../wire/message-json.ts';

/** Room for the hidden steps of a turn. */
export interface TurnRoom {
  /** How large the prompt may become by them, tokens. */
  readonly maxTokens: number;
  /** What the parts of a prompt cost, as far as it is known when the turn begins. */
  readonly scales: Scales;
}

/** Shortens one result of ours; gives back the very same message where it cannot. */
export type Shorten = (message: Message, call: ToolCall | undefined) => Promise<Message>;

/**
 * Keeps a turn's own results inside the window: when they outgrow `maxBytes`, the oldest are
 * shortened until half of their room is free again, in one go, because each time breaks the cached
 * prefix; of the newest step only as many as must be. `before` is changed in place and remembered
 * so, and later turns replay what was sent.
 */
export async function fitSteps(
  before: Message[],
  room: { readonly requestBytes: number; readonly maxBytes: number; readonly shorten: Shorten },
): Promise<void> {
  const { requestBytes, maxBytes, shorten } = room;
  let sizeBytes = before.reduce(
    (total, message) => total + messageBytes(message) + 1,
    requestBytes,
  );
  if (sizeBytes <= maxBytes) return;
  const newest = before.findLastIndex((message) => message.role === 'assistant');
  const halfBytes = requestBytes + Math.max(0, maxBytes - requestBytes) / 2;
  const calls = new Map<string, ToolCall>();
  for (const [at, message] of before.entries()) {
    for (const call of message.tool_calls ?? []) calls.set(call.id, call);
    if (message.role !== 'tool') continue;
    if (sizeBytes <= (at < newest ? halfBytes : maxBytes)) continue;
    const shorter = await shorten(message, calls.get(message.tool_call_id ?? ''));
    sizeBytes += messageBytes(shorter) - messageBytes(message);
    before[at] = shorter;
  }
}
