import { expect, test } from 'vitest';
import { turnView } from '../../test/support/page-views.ts';
import { watchedTurns } from '../../test/support/watched-turns.ts';
import { ProxyError } from '../errors.ts';
import type { TurnView } from './page-protocol.ts';

function usageOf(prompt: number, cached: number, completion: number) {
  return {
    prompt_tokens: prompt,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

function open() {
  const { clock, turns, begin } = watchedTurns();
  const only = (): TurnView => {
    const [turn, ...others] = turns.turns();
    expect(others).toEqual([]);
    return turn as TurnView;
  };
  return { clock, turns, begin, only };
}

test('a turn is told step by step', () => {
  const { clock, begin, only } = open();
  const watch = begin('req_1');
  expect(only()).toEqual(turnView('req_1', { startedAtMs: clock.now() }));
  watch.know({ client: 'opencode', directory: '/p', chat: 'c1', storedTexts: 2, session: 's1' });
  watch.know({ model: 'p.m', tools: 'active', demotions: 1, estimatedPromptTokensWithout: 900 });
  clock.advance(10);
  watch.stepBegins(1_000);
  clock.advance(20);
  watch.stepAnswers();
  clock.advance(5);
  watch.stepAnswers();
  clock.advance(5);
  watch.stepEnds(usageOf(500, 100, 10));
  const call = watch.callBegins({ name: 'rlm_exec', words: 'running a program' });
  call.report('searching');
  call.asks();
  call.asks();
  clock.advance(60);
  expect(only().steps[0]?.calls).toEqual([
    {
      name: 'rlm_exec',
      words: 'running a program',
      startedMs: 40,
      reports: ['searching'],
      subCalls: 2,
    },
  ]);
  call.ends(77);
  watch.stepBegins(2_000);
  watch.stepEnds(usageOf(400, 400, 20));
  watch.know({ limit: 'Stopped.' });
  watch.ends();
  clock.advance(1_000);
  // What is late changes nothing.
  watch.fails(new Error('late'));
  call.report('late');
  watch.stepBegins(1);
  expect(only()).toEqual({
    id: 'req_1',
    startedAtMs: clock.now() - 1_100,
    state: 'done',
    elapsedMs: 100,
    client: 'opencode',
    directory: '/p',
    session: 's1',
    chat: 'c1',
    model: 'p.m',
    tools: 'active',
    steps: [
      {
        startedMs: 10,
        firstChunkMs: 30,
        endedMs: 40,
        sentBytes: 1_000,
        promptTokens: 500,
        cachedTokens: 100,
        completionTokens: 10,
        calls: [
          {
            name: 'rlm_exec',
            words: 'running a program',
            startedMs: 40,
            endedMs: 100,
            resultChars: 77,
            reports: ['searching'],
            subCalls: 2,
          },
        ],
      },
      {
        startedMs: 100,
        endedMs: 100,
        sentBytes: 2_000,
        promptTokens: 400,
        cachedTokens: 400,
        completionTokens: 20,
        calls: [],
      },
    ],
    storedTexts: 2,
    demotions: 1,
    promptTokens: 900,
    cachedTokens: 500,
    completionTokens: 30,
    largestPromptTokens: 500,
    estimatedPromptTokensWithout: 900,
    limit: 'Stopped.',
  });
});

test('a step that is made again, smaller, takes the place of the first', () => {
  const { begin, only } = open();
  const watch = begin('req_1');
  watch.stepBegins(1_000);
  watch.stepBegins(400);
  expect(only().steps.map(({ sentBytes }) => sentBytes)).toEqual([400]);
});

test.each([
  {
    why: 'the client has left',
    reason: new ProxyError('cancelled', 'The client is gone.'),
    ends: { state: 'aborted' },
  },
  {
    why: 'the server stops',
    reason: new ProxyError('shutting_down', 'The server is stopping.'),
    ends: { state: 'aborted', error: 'The server is stopping.' },
  },
  {
    why: 'the body does not come',
    reason: new ProxyError('body_timeout', 'The rest did not come.', { hint: 'Send it.' }),
    ends: { state: 'failed', error: 'The rest did not come. Send it.' },
  },
])('a signal ends a turn: $why', ({ reason, ends }) => {
  const { begin, only } = open();
  const controller = new AbortController();
  const watch = begin('req_1', controller);
  controller.abort(reason);
  // What fails in its wake is not the reason.
  watch.fails(new Error('terminated'));
  const { state, error } = only();
  expect({ state, ...(error === undefined ? {} : { error }) }).toEqual(ends);
});

test('a failure is told in the words of the answer, and a mistake of ours shows nothing', () => {
  const { begin, turns } = open();
  begin('req_1').fails(new ProxyError('upstream_failed', 'No answer', { hint: 'Try again.' }));
  begin('req_2').fails(new Error('secret of /home/x'));
  begin('req_3').leaves();
  expect(turns.turns().map(({ state, error }) => [state, error])).toEqual([
    ['failed', 'No answer. Try again.'],
    ['failed', 'Something went wrong inside rlm-opencode: `rlm-opencode logs` says what.'],
    ['aborted', undefined],
  ]);
});

test('the last 500 that ended are kept, and every text is cut', () => {
  const { clock, begin, turns } = open();
  const long = '\u{1f600}'.repeat(1_500);
  const running = begin('running');
  running.know({ client: long, directory: long, session: long, chat: long, model: long });
  running.know({ limit: long });
  for (let index = 0; index < 3_000; index += 1) {
    clock.advance(1);
    const watch = begin(`req_${index}`);
    watch.know({ client: long, model: long });
    watch.stepBegins(1);
    const call = watch.callBegins({ name: long, words: long });
    for (let report = 0; report < 30; report += 1) call.report(`${report} ${long}`);
    call.ends(1);
    watch.fails(new ProxyError('upstream_failed', long));
  }
  const all = turns.turns();
  expect(all.map(({ id }) => id)).toEqual([
    'running',
    ...Array.from({ length: 500 }, (_, index) => `req_${2_500 + index}`),
  ]);
  expect(all.at(-1)?.steps[0]?.calls[0]?.reports.map((text) => Number.parseInt(text, 10))).toEqual(
    Array.from({ length: 20 }, (_, index) => 10 + index),
  );
  const json = JSON.stringify(all);
  expect(json.length).toBeLessThan(8_000_000);
  expect(json.isWellFormed()).toBe(true);
});

test('of many steps, calls and reports those of turns that ended first go first; sums stay', () => {
  const { begin, turns } = open();
  const running = begin('running');
  running.stepBegins(1);
  running.callBegins({ name: 'rlm_read', words: 'reading' });
  for (let index = 0; index < 400; index += 1) {
    const watch = begin(`req_${index}`);
    for (let step = 0; step < 10; step += 1) {
      watch.stepBegins(1);
      watch.stepEnds(usageOf(10, 5, 1));
      for (let call = 0; call < 9; call += 1) watch.callBegins({ name: 'rlm_read', words: 'x' });
    }
    watch.ends();
  }
  expect(turns.parts).toBeLessThanOrEqual(20_000);
  const all = turns.turns();
  // 100 parts each, and the two of the one that runs.
  const withSteps = all.filter(({ steps }) => steps.length > 0).map(({ id }) => id);
  expect(withSteps).toEqual([
    'running',
    ...Array.from({ length: 199 }, (_, index) => `req_${201 + index}`),
  ]);
  expect(all.every(({ id, promptTokens }) => id === 'running' || promptTokens === 100)).toBe(true);
});

test('turns that run for ever and call for ever do not grow', () => {
  const { begin, turns } = open();
  const watches = Array.from({ length: 1_200 }, (_, index) => {
    const watch = turns.begin({ requestId: `${index}`, signal: new AbortController().signal });
    for (let step = 0; step < 3; step += 1) {
      watch?.stepBegins(1);
      watch?.stepEnds(undefined);
      for (let at = 0; at < 20; at += 1) watch?.callBegins({ name: 'x', words: 'y' }).report('z');
    }
    return watch;
  });
  expect(watches.filter((watch) => watch === undefined)).toHaveLength(200);
  expect(turns.parts).toBeLessThanOrEqual(20_000);
  for (const watch of watches) watch?.ends();
  const one = begin('one');
  for (let step = 0; step < 30_000; step += 1) {
    one.stepBegins(step);
    one.stepEnds(undefined);
  }
  for (let at = 0; at < 30_000; at += 1) one.callBegins({ name: 'x', words: 'y' }).report('z');
  const view = turns.turns().at(-1);
  expect(view?.steps).toHaveLength(200);
  expect(view?.steps.at(-1)?.calls).toHaveLength(100);
  one.ends();
  // Nothing is counted that is not there.
  const counted = turns
    .turns()
    .flatMap(({ steps }) => steps)
    .reduce(
      (sum, { calls }) =>
        sum + 1 + calls.reduce((parts, call) => parts + 1 + call.reports.length, 0),
      0,
    );
  expect(turns.parts).toBe(counted);
});

test('whoever subscribes is told four times a second at most; else there is no timer', () => {
  const { clock, begin, turns } = open();
  const told: (readonly TurnView[])[] = [];
  const toldMs: number[] = [];
  const first = begin('req_1');
  first.stepBegins(1);
  expect(clock.waiting).toBe(0);
  const end = turns.subscribe((views) => {
    told.push(views);
    toldMs.push(clock.elapsedMs());
  });
  expect(clock.waiting).toBe(0);
  for (let ms = 0; ms < 1_000; ms += 1) {
    first.know({ storedTexts: ms });
    clock.advance(1);
  }
  expect(toldMs).toEqual([0, 250, 500, 750, 1_000]);
  // The last word is told, too, and with it what began meanwhile; each turn once.
  const before = told.length;
  first.ends();
  begin('req_2');
  clock.advance(250);
  expect(told.slice(before).map((views) => views.map(({ id, state }) => [id, state]))).toEqual([
    [
      ['req_1', 'done'],
      ['req_2', 'running'],
    ],
  ]);
  clock.advance(10_000);
  expect(told).toHaveLength(before + 1);
  begin('req_3');
  expect(clock.waiting).toBe(1);
  end();
  expect(clock.waiting).toBe(0);
  clock.advance(10_000);
  expect(told).toHaveLength(before + 1);
});

test('of thousands between two tellings those are told that are kept, and the end of what was seen', () => {
  const { clock, turns, begin } = watchedTurns();
  const told: string[] = [];
  const end = turns.subscribe((views) => {
    for (const { id, state } of views) told.push(`${id} ${state}`);
  });
  const first = begin('told');
  clock.advance(250);
  const greeted = begin('greeted');
  expect(turns.turns().map(({ id }) => id)).toEqual(['told', 'greeted']);
  first.ends();
  greeted.ends();
  for (let at = 0; at < 2_000; at += 1) begin(`t${at}`).ends();
  clock.advance(250);
  expect(told).toEqual([
    'told running',
    'greeted done',
    'told done',
    ...Array.from({ length: 500 }, (_, at) => `t${1_500 + at} done`),
  ]);
  end();
});
