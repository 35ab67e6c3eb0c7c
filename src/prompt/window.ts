import type { RequestMessage } from '../history/request-message.ts';
import type { Scales } from './prompt-cost.ts';
import { messageBytes } from '../wire/message-json.ts';
import type { Message, ToolCall } from '../wire/types.ts';

/** How much of the upstream's window a prompt may fill, in tokens. */
export interface WindowMarks {
  /** Above this, older material is demoted. */
  readonly highTokens: number;
  /** Down to this, in one step. */
  readonly lowTokens: number;
  /** What a turn's hidden steps may fill it up to. */
  readonly turnTokens: number;
}

/**
 * The marks of a request. What the answer needs is kept free above the high one, up to a quarter of
 * the window; shares as in DESIGN 4.4 (0.70 and 0.35 of the window).
 */
export function windowMarks(
  windowTokens: number,
  answerTokens: number,
  shares: { readonly highWater: number; readonly lowWater: number },
): WindowMarks {
  const reserved = Math.min(answerTokens, windowTokens / 4);
  const highTokens = Math.max(shares.highWater * windowTokens - reserved, 0.3 * windowTokens);
  return {
    highTokens,
    lowTokens: Math.min(shares.lowWater * windowTokens, highTokens * 0.75),
    turnTokens: Math.max(highTokens, turnShare * windowTokens - reserved),
  };
}

/**
 * Between this share of the window and the high mark a turn's own steps have room, whatever the
 * turn began with.
 */
const turnShare = 0.9;

/**
 * The first message that is never demoted: the newest user message, or the last turn with its
 * results where a long turn of tool calls follows it. Half a call and result pair is never left.
 */
export function protectedFrom(items: readonly RequestMessage[]): number {
  for (let index = items.length - 1; index >= 0; index -= 1) {
    const { role } = (items[index] as RequestMessage).identity;
    if (role === 'assistant' || role === 'user') return index;
  }
  return 0;
}

/** Index of the newest user message; -1 where there is none. */
export function newestUserIndex(items: readonly RequestMessage[]): number {
  return items.findLastIndex((item) => item.identity.role === 'user');
}

/**
 * Where the group that begins at `index` ends: a turn and the results that follow it, or one other
 * message.
 */
export function groupEnd(items: readonly RequestMessage[], index: number): number {
  let end = index + 1;
  if (items[index]?.identity.role === 'assistant')
    while (items[end]?.identity.role === 'tool') end += 1;
  return end;
}

/** Where the group begins that a message belongs to. */
export function groupStart(items: readonly RequestMessage[], index: number): number {
  let start = index;
  while (start > 0 && items[start]?.identity.role === 'tool') start -= 1;
  return start;
}

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
