/** What the owner's page is told, as small as can be, for tests that change something in it. */
import type { ServerView, SessionView, TurnView } from '../../src/page/page-protocol.ts';

/** A server that has done nothing yet. */
export const idleServer: ServerView = {
  version: '1.0.0',
  startedAtMs: 0,
  status: 'ok',
  upstreams: ['demo'],
  totals: {
    turns: 0,
    steps: 0,
    toolCalls: 0,
    storedTexts: 0,
    upstreamBytes: 0,
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    estimatedTokensWithout: 0,
    demotions: 0,
  },
};

/** A store with one text of a character. */
export function sessionView(id: string): SessionView {
  return { id, entries: 1, chars: 1, bytes: 1, createdAtMs: 0, updatedAtMs: 0 };
}

/** A turn of which nothing is known but its id and what is said here. */
export function turnView(id: string, more: Partial<TurnView> = {}): TurnView {
  return {
    id,
    startedAtMs: 0,
    state: 'running',
    elapsedMs: 0,
    tools: 'none',
    steps: [],
    storedTexts: 0,
    demotions: 0,
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    largestPromptTokens: 0,
    estimatedPromptTokensWithout: 0,
    ...more,
  };
}
