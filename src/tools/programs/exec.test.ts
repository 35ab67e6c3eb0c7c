import { afterAll, expect, test } from 'vitest';
import { memorySearch, memorySession } from '../../../test/support/memory-session.ts';
import { systemClock } from '../../clock.ts';
import { openSandboxes } from '../../sandbox/sandboxes.ts';
import { execTool } from './exec.ts';
import { sliceAt } from '../slice.ts';
import type { ToolContext } from '../tool.ts';

const sandboxes = openSandboxes({
  clock: systemClock,
  limits: {
    memoryBytes: 64_000_000,
    stackBytes: 256_000,
    computeMs: 2000,
    maxOutputChars: 4000,
    maxAnswerChars: 100_000,
    maxQuestions: 1_000,
    maxReadChars: 4_000_000,
  },
  maxSandboxes: 2,
  idleMs: 60_000,
});
afterAll(async () => {
  await sandboxes[Symbol.asyncDispose]();
});

const session = memorySession([
  {
    text: Array.from(
      { length: 60 },
      (_, i) => `user=u${i % 3} GET /x status=${i % 5 === 0 ? 503 : 200}\n`,
    ).join(''),
    tool: 'bash',
  },
  { text: 'meeting 1: we decided é\u{1f600} A\n', path: 'notes/meeting-1.md' },
  { text: 'meeting 2: we decided B\n', path: 'notes/meeting-2.md' },
]);

function play(change: Partial<ToolContext> = {}) {
  const answers: string[] = [];
  const asked: string[] = [];
  let names: readonly string[] = [];
  const context: ToolContext = {
    session,
    search: memorySearch(),
    signal: new AbortController().signal,
    clock: systemClock,
    searchDeadlineMs: 1000,
    maxResultChars: 20_000,
    programs: {
      sandboxes,
      chatId: 'chat',
      names: {
        load: async () => names,
        save: async (next) => {
          names = next;
        },
      },
      onAnswer: (text) => answers.push(text),
    },
    subModel: {
      maxTextChars: 1000,
      concurrency: 2,
      mayExplore: false,
      ask: async ({ question, text }) => {
        asked.push(question);
        return question.startsWith('Merge') ? `merged ${text}` : `found ${text?.slice(0, 9)}`;
      },
    },
    ...change,
  };
  return { answers, asked, run: async (code: string) => execTool.run({ code }, context) };
}

/** The examples of the description are what models imitate: they must run as they stand. */
function example(number: number): string {
  return execTool.description.split(/Example \d[^\n]*\n/)[number]?.trimEnd() ?? '';
}

test('the first example counts exactly', async () => {
  expect(await play().run(example(1))).toBe('=> [["u0", 4], ["u2", 4], ["u1", 4]]');
});

test('the second example asks about each part and merges', async () => {
  const { run, asked } = play();
  expect(await run(example(2))).toBe('=> merged found meeting 1\nfound meeting 2');
  expect(asked.length).toBe(3);
});

test('a program sees entries and hits as the tools do', async () => {
  const { run } = play();
  expect(
    await run('const [e] = context.entries({path: "meeting-1"}); context.read(e.offset, e.length)'),
  ).toBe('=> meeting 1: we decided é\u{1f600} A\n');
  expect(await run('context.find("decided").matches.map((hit) => [hit.entry, hit.line])')).toBe(
    '=> [["e3", 1], ["e2", 1]]',
  );
  expect(await run('context.search(/status=503/, {tool: "bash", max_results: 1}).total')).toBe(
    '=> 12',
  );
  expect(await run('context.search("x", {max_results: "many"})')).toContain(
    '[error] Error: The arguments of rlm_search do not fit: ',
  );
  expect(await run('context.search("x", {entry: "e77"})')).toContain('"e77"');
});

test('a search that ran out of time is an error in a program, not a smaller number', async () => {
  const engine = memorySearch();
  const { run } = play({
    search: {
      ...engine,
      search: async (...given) => ({ ...(await engine.search(...given)), partial: true }),
    },
  });
  expect(await run('context.search("status").total')).toContain('ran out of time');
});

test('a question that is too long for the sub-model fails by itself', async () => {
  const result = await play().run('llm_query_batched([["q", "x".repeat(5000)], ["q", "abc"]])');
  expect(result).toMatch(/\["\[failed: prompt and text have 5001 characters.*", "found abc"\]/);
  expect(await play({ subModel: undefined as never }).run('llm_query("q")')).toContain(
    'no sub-model',
  );
});

test('an answer goes out whole, and the model is told not to repeat it', async () => {
  const { run, answers } = play();
  const result = await run('answer("long ".repeat(5000))');
  expect(answers).toEqual(['long '.repeat(5000)]);
  expect(result).toContain('answer taken: 25000 characters');
});

test('a sub-call reads only its slice', async () => {
  const { offsetChars, lengthChars } = session.store.entry('e2')!;
  const slice = await sliceAt(session.store, offsetChars, offsetChars + lengthChars);
  const { run } = play({ slice });
  expect(
    await run(
      'let all = ""; for (let at = 0; at < context.length; at += 100) all += context.read(at, 100); all',
    ),
  ).toBe('=> meeting 1: we decided é\u{1f600} A\n');
  expect(await run('context.lines(1, 1000)')).toBe('=> ["meeting 1: we decided é\u{1f600} A"]');
  expect(await run('context.entries().map((e) => e.id)')).toBe('=> ["e2"]');
  expect(await run('context.find("decided").total')).toBe('=> 1');
});
