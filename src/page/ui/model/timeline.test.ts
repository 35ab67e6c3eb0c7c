import { expect, test } from 'vitest';
import { turnView } from '../../../../test/support/page-views.ts';
import type { CallView, StepView, TurnView } from '../../page-protocol.ts';
import { hiddenCounts, presentWords, stepWords, stretches } from './timeline.ts';

const call: CallView = {
  name: 'rlm_search',
  words: 'searching 60M characters for "x"',
  startedMs: 900,
  reports: [],
  subCalls: 2,
};

function turnOf(steps: readonly StepView[], state: TurnView['state'] = 'running'): TurnView {
  return turnView('t1', { tools: 'active', steps, state });
}

const hidden: StepView = {
  startedMs: 100,
  firstChunkMs: 400,
  endedMs: 900,
  sentBytes: 10,
  calls: [{ ...call, endedMs: 1_500 }],
};

test('a turn is waiting, answering and tools, one after the other', () => {
  const turn = turnOf([hidden, { startedMs: 1_500, sentBytes: 10, calls: [] }]);
  expect(stretches(turn, 2_000)).toEqual([
    { kind: 'waiting', startMs: 100, endMs: 400, step: 0 },
    { kind: 'answering', startMs: 400, endMs: 900, step: 0 },
    { kind: 'tool', startMs: 900, endMs: 1_500, step: 0 },
    { kind: 'waiting', startMs: 1_500, endMs: 2_000, step: 1 },
  ]);
  expect(stretches(turnOf([]), 50)).toEqual([]);
});

test('what a turn does now is said', () => {
  const { endedMs: _, ...open } = hidden;
  expect(presentWords(turnOf([]))).toBe('preparing the prompt');
  expect(presentWords(turnOf([{ startedMs: 0, sentBytes: 1, calls: [] }]))).toBe(
    'waiting for the model',
  );
  expect(presentWords(turnOf([{ ...open, calls: [] }]))).toBe('the model answers');
  expect(presentWords(turnOf([{ ...hidden, calls: [call] }]))).toBe(call.words);
  expect(presentWords(turnOf([hidden]))).toBe('between two steps');
  expect(presentWords(turnOf([hidden], 'failed'))).toBe('failed');
  expect(presentWords(turnOf([hidden], 'done'))).toBe('answered after 1 hidden call');
  expect(presentWords(turnOf([], 'done'))).toBe('answered');
});

test('hidden steps, calls and questions to a sub-model are counted', () => {
  const turn = turnOf([hidden, { ...hidden, calls: [call, call] }, { ...hidden, calls: [] }]);
  expect(hiddenCounts(turn)).toEqual({ steps: 2, calls: 3, subCalls: 6 });
});

test.each<[TurnView['state'], string]>([
  ['running', 'under way'],
  ['done', 'shown to the client'],
  ['failed', 'failed'],
  ['aborted', 'broken off'],
])('the last step of a turn that is %s: %s', (state, words) => {
  const last = { ...hidden, calls: [] };
  const turn = turnOf([hidden, last], state);
  expect([0, 1].map((index) => stepWords(turn, index))).toEqual(['hidden from the client', words]);
});
