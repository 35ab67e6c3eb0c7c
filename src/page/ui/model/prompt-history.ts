import type { TurnView } from '../../page-protocol.ts';
import { countText } from './figures-text.ts';

/** One chat that can be chosen for the chart. */
export interface ChatChoice {
  readonly chat: string;
  readonly turns: number;
  /** Directory or client, as far as they are known: text of anybody. */
  readonly name: string;
  readonly lastAtMs: number;
}

/** One turn of the chart. */
export interface PromptPoint {
  readonly id: string;
  readonly atMs: number;
  readonly tokens: number;
  readonly hasDemotion: boolean;
}

/** Chats with at least one turn that has been counted, the one that was heard of last first. */
export function chatChoices(turns: readonly TurnView[]): readonly ChatChoice[] {
  const chats = new Map<string, ChatChoice>();
  for (const { chat, directory, client, startedAtMs, largestPromptTokens } of turns) {
    if (chat === undefined || largestPromptTokens === 0) continue;
    const before = chats.get(chat);
    chats.set(chat, {
      chat,
      turns: (before?.turns ?? 0) + 1,
      name: directory ?? client ?? before?.name ?? chat,
      lastAtMs: Math.max(startedAtMs, before?.lastAtMs ?? 0),
    });
  }
  return [...chats.values()].sort((left, right) => right.lastAtMs - left.lastAtMs);
}

/**
 * Turns whose prompt has been counted, oldest first.
 *
 * @param chat Absent: those of all chats
 */
export function promptPoints(turns: readonly TurnView[], chat?: string): readonly PromptPoint[] {
  return turns
    .filter((turn) => turn.largestPromptTokens > 0 && (chat === undefined || turn.chat === chat))
    .map(({ id, startedAtMs, largestPromptTokens, demotions }) => ({
      id,
      atMs: startedAtMs,
      tokens: largestPromptTokens,
      hasDemotion: demotions > 0,
    }));
}

/** The chart in a sentence, for those who do not see it. */
export function chartSentence(points: readonly PromptPoint[]): string {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined) return 'No turn has been counted yet.';
  const most = points.reduce((max, { tokens }) => Math.max(max, tokens), 0);
  const demotions = points.filter(({ hasDemotion }) => hasDemotion).length;
  return `${countText(points.length)} turns, from ${countText(first.tokens)} prompt tokens to ${countText(last.tokens)}, at most ${countText(most)}; ${countText(demotions)} with a demotion.`;
}
