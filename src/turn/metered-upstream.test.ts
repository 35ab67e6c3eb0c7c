import { expect, it } from 'vitest';
import type { Chunk } from '../wire/types.ts';
import { AnswerLimit } from './metered-upstream.ts';

const call = (index: number): Chunk => ({
  toolCalls: [{ index, id: `c${index}`, name: 'f', arguments: '{}' }],
});

it('keeps all of what is within the limits', () => {
  const limit = new AnswerLimit({ maxChars: 10, maxCalls: 2 });
  const batch = [{ content: 'abc' }, { reasoning: 'def' }, { content: 'ghij' }];
  expect(limit.take(batch)).toEqual({ kept: batch });
});

it('counts text, reasoning and arguments over all batches, and cuts a text where the limit lies', () => {
  const limit = new AnswerLimit({ maxChars: 10, maxCalls: 2 });
  limit.take([{ content: 'abc' }, call(0)]);
  const { kept, sentence } = limit.take([
    { reasoning: 'd' },
    { content: 'efghij' },
    { content: 'k' },
  ]);
  expect(kept).toEqual([{ reasoning: 'd' }, { content: 'efg' }]);
  expect(sentence).toContain('turn.answerChars');
});

it('lets no call pass that is over the limit', () => {
  const limit = new AnswerLimit({ maxChars: 1_000, maxCalls: 2 });
  const { kept, sentence } = limit.take([call(0), call(1), call(2)]);
  expect(kept).toEqual([call(0), call(1)]);
  expect(sentence).toContain('turn.answerCalls');
});
