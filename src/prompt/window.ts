import type { RequestMessage } from '../history/request-message.ts';

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
