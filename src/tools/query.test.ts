import { expect, test } from 'vitest';
import { memorySearch, memorySession } from '../../test/support/memory-session.ts';
import { systemClock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { queryTool } from './query.ts';
import { searchTool } from './search.ts';
import type { SubModel, SubQuestion } from './sub-model.ts';
import type { ToolContext } from './tool.ts';
import { toolResult } from '../../test/support/tool-results.ts';

const lines = (name: string, count: number): string =>
  Array.from({ length: count }, (_, index) => `${name} line ${index} é\u{1f600}\n`).join('');

const texts = [
  { text: lines('alpha', 40), path: 'a.ts' },
  { text: lines('beta', 5), path: 'b.ts' },
  { text: `${lines('gamma', 20)}the NEEDLE is here\n${lines('delta', 20)}`, tool: 'bash' },
];

interface Given {
  readonly ask?: (question: SubQuestion, signal: AbortSignal) => Promise<string>;
  readonly subModel?: Partial<SubModel>;
  readonly signal?: AbortSignal;
  readonly slice?: ToolContext['slice'];
}

function play(given: Given = {}) {
  const asked: SubQuestion[] = [];
  let running = 0;
  let mostRunning = 0;
  const subModel: SubModel = {
    maxTextChars: 300,
    concurrency: 3,
    mayExplore: true,
    ask: async (question, signal) => {
      asked.push(question);
      running += 1;
      mostRunning = Math.max(mostRunning, running);
      try {
        return given.ask === undefined
          ? `read ${question.text?.length ?? 'nothing'}`
          : await given.ask(question, signal);
      } finally {
        running -= 1;
      }
    },
    ...given.subModel,
  };
  const context: ToolContext = {
    session: memorySession(texts),
    search: memorySearch(),
    signal: given.signal ?? new AbortController().signal,
    clock: systemClock,
    searchDeadlineMs: 1000,
    maxResultChars: 20_000,
    subModel,
    ...(given.slice === undefined ? {} : { slice: given.slice }),
  };
  return {
    asked,
    context,
    running: () => running,
    mostRunning: () => mostRunning,
    run: async (args: Record<string, unknown>): Promise<Record<string, unknown>> => {
      const checked = queryTool.args.parse({ question: 'what?', ...args });
      return toolResult(await queryTool.run(checked, context));
    },
  };
}

test('a slice is cut at line borders, without gap and without overlap, and asked in order', async () => {
  const together = Promise.withResolvers<string>();
  let waiting = 0;
  const { run, asked, mostRunning, context } = play({
    ask: async () => {
      waiting += 1;
      if (waiting === 3) together.resolve('all three');
      return together.promise;
    },
  });
  const result = await run({});
  const answers = result['answers'] as { spans: { offset: number; length: number }[] }[];
  expect(answers.length).toBeGreaterThan(3);
  expect(mostRunning()).toBe(3);
  let position = 0;
  for (const { spans } of answers) {
    expect(spans[0]?.offset).toBe(position);
    position += spans[0]?.length ?? 0;
  }
  expect(position).toBe(context.session.store.totals.chars);
  expect(asked.every((one) => one.text?.endsWith('\n') === true)).toBe(true);
  expect(asked.map((one) => one.text).join('')).toBe(texts.map((one) => one.text).join(''));
});

test('a range by offset and length covers just that', async () => {
  const { run, asked } = play();
  await run({ offset: 3, length: 100 });
  expect(asked.map((one) => one.text).join('')).toBe(
    Array.from(texts[0]!.text).slice(3, 103).join(''),
  );
});

test('entries are named, small ones share a question', async () => {
  const { run, asked } = play({ subModel: { maxTextChars: 2000 } });
  const result = await run({ entries: ['e2', 'e1'] });
  expect(asked.length).toBe(1);
  expect(asked[0]?.text).toMatch(
    /^--- e2, offset \d+ ---\nbeta line 0[\s\S]*--- e1, offset 0 ---\nalpha/,
  );
  expect(result['answers']).toMatchObject([{ spans: [{ entry: 'e2' }, { entry: 'e1' }] }]);
  expect((await run({ entries: ['e9'] }))['error']).toContain('"e9"');
});

test('a pattern gives the lines around its hits, overlapping windows as one', async () => {
  const { run, asked } = play();
  const result = await run({ pattern: 'NEEDLE|gamma line 19', context_lines: 1 });
  expect(asked[0]?.text).toBe(
    'gamma line 18 é\u{1f600}\ngamma line 19 é\u{1f600}\nthe NEEDLE is here\ndelta line 0 é\u{1f600}\n',
  );
  expect(result['answers']).toMatchObject([{ spans: [{ lines: '64-67' }] }]);
  expect((await run({ pattern: 'no such thing' }))['error']).toContain('no hit');
});

test('hits that were left out are named', async () => {
  const { run } = play();
  expect((await run({ pattern: 'alpha', max_hits: 2, context_lines: 0 }))['slice_note']).toBe(
    'The pattern has 40 hits; the newest 2 were used.',
  );
});

test('a search that ran out of time is not taken for one that found nothing', async () => {
  const { context } = play();
  const slow: ToolContext = {
    ...context,
    search: {
      ...context.search,
      search: async (...given) => ({
        ...(await context.search.search(...given)),
        matches: [],
        partial: true,
      }),
    },
  };
  const args = queryTool.args.parse({ question: 'what?', pattern: 'NEEDLE' });
  expect(await queryTool.run(args, slow)).toContain('ran out of time');
});

test('a part that fails is reported beside the others', async () => {
  const { run } = play({
    ask: async (question) => {
      if (question.label.startsWith('part 2,')) throw new ProxyError('upstream_failed', 'gone');
      return 'fine';
    },
  });
  const result = await run({ reduce: 'merge' });
  expect(result).toMatchObject({ failed: 1, merged: 'fine' });
  expect((result['answers'] as unknown[])[1]).toMatchObject({ failed: 'gone' });
  expect((result['answers'] as unknown[])[2]).toMatchObject({ answer: 'fine' });
});

test('answers are merged, in rounds where they are too long for one question', async () => {
  const { run, asked } = play({
    ask: async ({ label }) => (label.startsWith('merging') ? 'short' : 'x'.repeat(120)),
  });
  const result = await run({ reduce: 'join them' });
  expect(result['merged']).toBe('short');
  const merges = asked.filter((one) => one.label.startsWith('merging'));
  expect(merges.length).toBeGreaterThan(2);
  expect(merges.every((one) => Array.from(one.text ?? '').length <= 300)).toBe(true);
  expect(merges[0]?.question).toContain('join them');
});

test('answers that cannot be made shorter end the merging', async () => {
  const { run } = play({ ask: async () => 'x'.repeat(290) });
  expect((await run({ reduce: 'join' }))['merge_failed']).toContain('too long');
});

test('exploring hands out slices, not texts, and only as deep as allowed', async () => {
  const { run, asked } = play();
  await run({ explore: true, entries: ['e1', 'e2'] });
  const [first, second] = asked.map((one) => one.slice);
  expect(asked[0]?.text).toBeUndefined();
  expect(first).toMatchObject({ startChars: 0, startBytes: 0 });
  expect(second?.startBytes).toBe(Buffer.byteLength(texts[0]!.text));
  expect(second?.startChars).toBe(Array.from(texts[0]!.text).length);
  const deep = play({ subModel: { mayExplore: false } });
  expect((await deep.run({ explore: true }))['error']).toContain('no tools');
});

test('a sub-call sees only its slice', async () => {
  const startChars = Array.from(texts[0]!.text).length;
  const endChars = startChars + Array.from(texts[1]!.text).length;
  const startBytes = Buffer.byteLength(texts[0]!.text);
  const endBytes = startBytes + Buffer.byteLength(texts[1]!.text);
  const { run, asked } = play({ slice: { startChars, endChars, startBytes, endBytes } });
  await run({});
  expect(asked.map((one) => one.text).join('')).toBe(texts[1]!.text);
  expect((await run({ pattern: 'NEEDLE' }))['error']).toContain('no hit');
  expect((await run({ entries: ['e1'] }))['error']).toContain('nothing');
});

test('a slice of too many parts is refused before anything is asked', async () => {
  const { run, asked } = play();
  expect((await run({ max_parts: 2 }))['error']).toContain('more than 2 parts');
  expect((await run({ offset: 1, pattern: 'x' }))['error']).toContain('one way');
  expect(asked).toEqual([]);
});

test('long answers are cut alike and said to be', async () => {
  const { run } = play({ ask: async () => 'y'.repeat(30_000) });
  const result = await run({});
  expect(JSON.stringify(result).length).toBeLessThan(25_000);
  expect(result['note']).toContain('cut to');
});

test('an abort in the middle ends all of it and leaves nothing running', async () => {
  const controller = new AbortController();
  let begun = 0;
  const { run, running } = play({
    signal: controller.signal,
    ask: async (_, signal) => {
      begun += 1;
      if (begun === 3) queueMicrotask(() => controller.abort(new Error('gone')));
      const ended = Promise.withResolvers<string>();
      signal.addEventListener('abort', () => ended.reject(signal.reason), { once: true });
      return ended.promise;
    },
  });
  await expect(run({})).rejects.toThrow('gone');
  expect(begun).toBe(3);
  expect(running()).toBe(0);
});

test('a filter whose entries lie outside the part that a sub-call sees is no zero', async () => {
  const { context } = play({});
  const session = memorySession([
    { text: 'NEEDLE\n', path: '/a' },
    { text: 'NEEDLE\n', path: '/b' },
  ]);
  const slice = { startChars: 0, endChars: 7, startBytes: 0, endBytes: 7 };
  const search = async (path: string) =>
    toolResult(
      await searchTool.run(searchTool.args.parse({ pattern: 'NEEDLE', path }), {
        ...context,
        session,
        slice,
      }),
    );
  expect(await search('/a')).toMatchObject({ total: 1 });
  expect((await search('/b'))['error']).toContain('outside the part');
});
