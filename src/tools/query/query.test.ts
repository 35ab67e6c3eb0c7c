import { expect, test } from 'vitest';
import { memorySearch, memorySession } from '../../../test/support/memory-session.ts';
import { systemClock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import { keptAnswers } from './kept-answers.ts';
import { queryTool } from './query.ts';
import { searchTool } from '../searching/search.ts';
import type { SubModel, SubQuestion } from '../sub-model.ts';
import type { ToolContext } from '../tool.ts';
import { toolResult } from '../../../test/support/tool-results.ts';

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
    left: { calls: 100, tokens: 1_000_000 },
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
  const { run, asked, mostRunning } = play({
    ask: async () => {
      waiting += 1;
      if (waiting === 3) together.resolve('all three');
      return together.promise;
    },
  });
  const result = await run({});
  const answers = result['answers'] as { part: string }[];
  expect(answers.length).toBeGreaterThan(3);
  expect(mostRunning()).toBe(3);
  expect(answers.map(({ part }) => part.split(':')[0])).toEqual(
    answers.map((_, index) => `part ${index + 1} of ${answers.length}`),
  );
  expect(asked.every((one) => one.text?.endsWith('\n') === true)).toBe(true);
  const withoutNames = asked.map((one) => one.text?.replaceAll(/^--- .* ---\n/gm, ''));
  expect(withoutNames.join('')).toBe(texts.map((one) => one.text).join(''));
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
    /^--- b\.ts \(e2\), lines 1-5 ---\nbeta line 0[\s\S]*--- a\.ts \(e1\), lines 1-40 ---\nalpha/,
  );
  expect(result['answers']).toMatchObject([
    { part: 'b.ts (e2), lines 1-5; a.ts (e1), lines 1-40' },
  ]);
  expect((await run({ entries: ['e9'] }))['error']).toContain('"e9"');
});

test('a pattern gives the lines around its hits, overlapping windows as one', async () => {
  const { run, asked } = play();
  const result = await run({ pattern: 'NEEDLE|gamma line 19', context_lines: 1 });
  expect(asked[0]?.text).toBe(
    'gamma line 18 é\u{1f600}\ngamma line 19 é\u{1f600}\nthe NEEDLE is here\ndelta line 0 é\u{1f600}\n',
  );
  expect(result['answers']).toMatchObject([{ part: 'output of bash (e3), lines 19-22' }]);
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
      if (question.label.startsWith('part 2 of')) throw new ProxyError('upstream_failed', 'gone');
      return 'fine';
    },
  });
  const result = await run({});
  expect(result).toMatchObject({ failed: 1 });
  expect((result['answers'] as unknown[])[1]).toMatchObject({ failed: 'gone' });
  expect((result['answers'] as unknown[])[2]).toMatchObject({ answer: 'fine' });
});

test('answers are merged, in rounds where they are too long for one question', async () => {
  const { run, asked } = play({
    ask: async ({ label }) => (label.startsWith('merging') ? 'short' : 'x'.repeat(80)),
  });
  const result = await run({ reduce: 'join them' });
  expect(result['merged']).toBe('short');
  const merges = asked.filter((one) => one.label.startsWith('merging'));
  expect(merges.length).toBeGreaterThan(2);
  expect(merges.every((one) => Array.from(one.text ?? '').length <= 300)).toBe(true);
  expect(merges[0]?.question).toContain('join them');
});

test('a merging has its own task, knows the parts, and only its answer is shown', async () => {
  const { run, asked, context } = play({
    ask: async ({ label, task }) => {
      if (label.startsWith('part 2 of')) throw new ProxyError('upstream_failed', 'gone');
      return task === 'merge' ? 'all in all' : `of ${label}`;
    },
    subModel: { maxTextChars: 1_000 },
  });
  const result = await run({ question: 'Which ones?', chunk_chars: 300, reduce: 'One list.' });
  const merge = asked.at(-1);
  expect(merge?.question).toMatch(
    /^One list\.\n\nEach part of the text was asked this:\nWhich ones\?$/,
  );
  expect(merge?.text).toMatch(/^--- part 1 of \d+: a\.ts \(e1\), lines 1-\d+ ---\nof part 1/);
  expect(result).toMatchObject({ failed: 1, merged: 'all in all' });
  expect(result['answers']).toMatchObject([{ failed: 'gone' }]);
  const id = /context\.answers\("(q\d+)"\)/.exec(String(result['parts']))?.[1] ?? '';
  const kept = keptAnswers(context.session, id);
  expect(kept).toHaveLength(Number(result['asked']));
  expect(kept[0]).toMatchObject({
    answer: expect.stringMatching(/^of part 1 of/),
    spans: [{ entry: 'e1' }],
  });
  expect(keptAnswers(context.session, 'q77')).toContain('are: q1)');
});

test('parts are told what they are, even in size, and begin where sections do', async () => {
  const sections = Array.from(
    { length: 40 },
    (_, index) => `## Section ${index}\n\n${'some words here\n'.repeat(2 + (index % 3))}\n`,
  ).join('');
  const session = memorySession([{ text: sections, path: 'docs/guide.md' }]);
  const { asked, context } = play({ subModel: { maxTextChars: 1_000 } });
  const args = queryTool.args.parse({ question: 'what?' });
  const result = toolResult(await queryTool.run(args, { ...context, session }));
  const sizes = asked.map(({ text }) => text?.length ?? 0);
  expect(Math.max(...sizes) / Math.min(...sizes)).toBeLessThan(1.6);
  expect(asked.every(({ text }) => text?.startsWith('## Section') === true)).toBe(true);
  const lines = sections.split('\n');
  for (const { text, textName } of asked) {
    const [, first, last] = /lines (\d+)-(\d+)\.$/.exec(textName ?? '') ?? [];
    expect(lines.slice(Number(first) - 1, Number(last)).join('\n')).toBe(text?.slice(0, -1));
  }
  expect(asked[1]?.textName).toMatch(
    /^It is part 2 of \d: docs\/guide\.md \(e1\), lines \d+-\d+\.$/,
  );
  expect(result).toMatchObject({ failed: 0 });
});

test('entries, filters and a pattern choose together', async () => {
  const { run, asked } = play();
  await run({ entries: ['e1', 'e2'], pattern: 'line 3 ', context_lines: 0 });
  expect(asked.map(({ text }) => text).join('')).toBe(
    '--- a.ts (e1), lines 4-4 ---\nalpha line 3 é\u{1f600}\n--- b.ts (e2), lines 4-4 ---\nbeta line 3 é\u{1f600}\n',
  );
  asked.length = 0;
  await run({ path: 'b.ts', pattern: 'line 3 ', context_lines: 0 });
  expect(asked.map(({ text }) => text)).toEqual(['beta line 3 é\u{1f600}\n']);
  asked.length = 0;
  await run({ path: 'b.ts' });
  expect(asked.map(({ text }) => text)).toEqual([texts[1]?.text]);
  expect((await run({ path: 'b.ts', entries: ['e1'] }))['error']).toContain('None of the named');
  expect((await run({ path: 'nope.ts' }))['error']).toContain('Nearest');
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
  const refused = String((await run({ max_parts: 2 }))['error']);
  expect(refused).toMatch(/makes about \d+ parts of up to 300 characters, and max_parts is 2/);
  expect(refused).toContain('"explore": true');
  expect(refused).toContain('"max_parts" up to 1000');
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
