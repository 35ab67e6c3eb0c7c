import { expect, test } from 'vitest';
import { turnView } from '../../../../test/support/page-views.ts';
import type { TurnView } from '../../page-protocol.ts';
import { chartSentence, chatChoices, promptPoints } from './prompt-history.ts';

function turn(startedAtMs: number, more: Partial<TurnView>): TurnView {
  const largestPromptTokens = 100 * startedAtMs;
  return turnView(`t${startedAtMs}`, { startedAtMs, state: 'done', largestPromptTokens, ...more });
}

const turns = [
  turn(1, { chat: 'a', directory: '/home/a' }),
  turn(2, { chat: 'b', client: 'codex' }),
  turn(3, { chat: 'a', demotions: 1 }),
  turn(4, { chat: 'a', largestPromptTokens: 0, state: 'running' }),
  turn(5, {}),
];

test('the chart has the turns that were counted, of all chats or of one', () => {
  expect(promptPoints(turns).map(({ id }) => id)).toEqual(['t1', 't2', 't3', 't5']);
  expect(promptPoints(turns, 'a')).toEqual([
    { id: 't1', atMs: 1, tokens: 100, hasDemotion: false },
    { id: 't3', atMs: 3, tokens: 300, hasDemotion: true },
  ]);
});

test('chats are named by what is known of them, the last one first', () => {
  expect(chatChoices(turns)).toEqual([
    { chat: 'a', turns: 2, name: '/home/a', lastAtMs: 3 },
    { chat: 'b', turns: 1, name: 'codex', lastAtMs: 2 },
  ]);
});

test('the chart is said in a sentence', () => {
  expect(chartSentence([])).toBe('No turn has been counted yet.');
  expect(chartSentence(promptPoints(turns))).toBe(
    '4 turns, from 100 prompt tokens to 500, at most 500; 1 with a demotion.',
  );
});
