import { afterAll, expect, test } from 'vitest';
import { projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import { memorySearch, memorySession } from '../../../test/support/memory-session.ts';
import { systemClock } from '../../clock.ts';
import { openSearchEngine } from '../../search/engine.ts';
import { openSandboxes } from '../../sandbox/sandboxes.ts';
import { engineSearch } from '../../../test/support/engine-search.ts';
import { execTool } from './exec.ts';
import { manual } from './manual.ts';
import { sliceAt } from '../slice.ts';
import type { SubQuestion } from '../sub-model.ts';
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

const realSearch = engineSearch();
afterAll(() => realSearch[Symbol.asyncDispose]());

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

function play(change: Partial<ToolContext> = {}, ask?: (asked: SubQuestion) => Promise<string>) {
  const answers: string[] = [];
  const asked: SubQuestion[] = [];
  let names: readonly string[] = [];
  const context: ToolContext = {
    session,
    search: realSearch,
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
      left: { calls: 100, tokens: 1_000_000 },
      ask: async (question) => {
        asked.push(question);
        return ask === undefined ? `found ${question.text?.slice(0, 9)}` : ask(question);
      },
    },
    ...change,
  };
  return { answers, asked, run: async (code: string) => execTool.run({ code }, context) };
}

/** The examples of the manual are what models imitate: they must run as they stand. */
function example(number: number): string {
  return manual.split(/Example \d[^\n]*\n/)[number]?.trimEnd() ?? '';
}

test('the example of the description and the first of the manual count exactly', async () => {
  const shown = execTool.description.split('Example: ')[1] ?? '';
  expect(await play().run(shown)).toBe(
    '=> [{"value": "u0", "count": 4}, {"value": "u2", "count": 4}, {"value": "u1", "count": 4}]',
  );
  expect(await play().run(example(1))).toBe(
    '=> [{"values": ["u0", "503"], "count": 4}, {"values": ["u2", "503"], "count": 4}, {"values": ["u1", "503"], "count": 4}]',
  );
});

test('the second example follows a graph', async () => {
  const edges = Array.from('abcd').map(
    (name, i) => `edge ${i === 0 ? 'start' : name} -> ${'bcde'[i]}\n`,
  );
  const graph = memorySession([{ text: edges.join('') }]);
  expect(await play({ session: graph }).run(example(2))).toBe('=> ["start", "b", "c", "d"]');
});

test('the third example asks about each text and checks the answers', async () => {
  const { run, asked } = play({}, async ({ text }) =>
    text?.includes('meeting 1') === true
      ? '```json\n{"decisions": ["A"]}\n```'
      : '{"decisions": ["B"]}',
  );
  expect(await run(example(3))).toBe('=> ["B", "A"]'.replace('"B", "A"', '"A", "B"'));
  expect(asked).toHaveLength(2);
  expect(asked[0]?.question).toContain('"required":["decisions"]');
});

test('a program reads what was stored at a moment, and is told of one that there is not', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const stored = await projectSession(sessions);
  for (const text of ['user=a\n', 'user=b\n', 'user=c\n'])
    await stored.store.append([{ text, kind: 'tool_result' }]);
  await sessions.nameMoment(stored.id, 'three');
  await stored.store.append([{ text: 'user=d\n', kind: 'tool_result' }]);
  await using search = openSearchEngine({ clock: systemClock, workers: 1 });
  const { run } = play({ session: stored, search });
  expect(await run('[context.length, context.at("e2").length, context.at("three").length]')).toBe(
    '=> [28, 14, 21]',
  );
  expect(await run('context.at("e2").records(/user=(\\w)/)')).toBe('=> [["a"], ["b"]]');
  expect(await run('context.at("three").search("user=").total')).toBe('=> 3');
  expect(await run('context.at("e2").entries().map((entry) => entry.text)')).toContain('user=b');
  expect(await run('context.at("e2").text("e3")')).toContain('no entry "e3"');
  expect(await run('context.at("thre")')).toContain('the name of a snapshot (three)');
});

test('help shows the manual', async () => {
  expect(await play().run('help()')).toContain('context.records(pattern');
});

test('records come with their groups by name, and with where they stand', async () => {
  const { run } = play();
  expect(await run(String.raw`context.records(/meeting (\d): we (\w+)/)`)).toBe(
    '=> [["1", "decided"], ["2", "decided"]]',
  );
  expect(await run(String.raw`context.records('meeting (?<n>\\d): .* (.)$', {with: 'path'})`)).toBe(
    '=> [{"n": "1", "2": "A", "path": "notes/meeting-1.md"}, {"n": "2", "2": "B", "path": "notes/meeting-2.md"}]'.replaceAll(
      /"n": "(\d)", "2": "(.)"/g,
      '"2": "$2", "n": "$1"',
    ),
  );
  // Without names a record stays a list, with its place at the end.
  expect(
    await run(
      String.raw`context.records(/meeting (\d): we/, {with: 'path'}).map(([n, path]) => n + ' ' + path)`,
    ),
  ).toBe('=> ["1 notes/meeting-1.md", "2 notes/meeting-2.md"]');
  expect(await run(String.raw`context.records(/meeting (\d): we/, {with: 'path'})[1].path`)).toBe(
    '=> notes/meeting-2.md',
  );
  expect(await run(String.raw`context.records(/status=(\d)/, {tool: 'bash'}).length`)).toBe(
    '=> 60',
  );
  expect(await run('context.records(/no such thing/)')).toBe('=> []');
  expect(await run('context.records(/x/, {limit: 5})')).toContain(
    'It takes entry (string), tool (string), path (string), since (string)',
  );
});

test('groups have several keys, entries among them, and measures', async () => {
  const { run } = play();
  const pattern = String.raw`/user=(?<user>\w+) GET \S+ status=(?<status>\d+)/`;
  expect(await run(`context.group(${pattern}, ['entry', 'status'], {distinct: 'user'})`)).toBe(
    '=> [{"values": ["e1", "200"], "count": 48, "distinct": 3}, {"values": ["e1", "503"], "count": 12, "distinct": 3}]',
  );
  expect(
    await run(`context.group(${pattern}, 'user', {sum: 'status', min: 2, max: 2, avg: 2})[0]`),
  ).toBe('=> {"value": "u0", "count": 20, "sum": 5212, "min": 200, "max": 503, "avg": 260.6}');
  expect(await run(`context.group(${pattern}, [], {max: 2})`)).toBe(
    '=> [{"count": 60, "max": 503}]',
  );
  expect(await run(`context.group(${pattern}, 'usr')`)).toContain(
    'The pattern has no group "usr"; it has user, status.',
  );
  expect(await run(`context.group(/decided/, 'path').map((row) => row.value)`)).toBe(
    '=> ["notes/meeting-1.md", "notes/meeting-2.md"]',
  );
});

test('llm_map refuses above its bound before it asks, and tells what was not done', async () => {
  const { run, asked } = play({}, async ({ text, question }) => {
    if (text === 'bad') throw new Error('gone');
    if (text === 'odd' && !question.includes('earlier answer')) return 'no idea';
    return `{"n": ${text?.length ?? 0}}`;
  });
  expect(await run('llm_map(Array(101).fill("x"), "count")')).toContain(
    '101 items are 101 calls; 100 are left in this turn. Nothing was asked',
  );
  expect(await run('llm_map(["a", "b"], "count", {maxCalls: 1})')).toContain('maxCalls is 1');
  expect(await run('llm_map(["a", "b"], "count", {maxTokens: 300})')).toContain('maxTokens is 300');
  expect(await run('llm_map(["x".repeat(2000)], "count")')).toContain('cut it into several items');
  expect(asked).toEqual([]);
  const result = await run(
    'const map = llm_map(["abc", "bad", "odd", {text: "four"}], "count", {schema: {n: "number"}, maxTokens: 9000}); print(map.bound.tokens <= 9000); delete map.bound; map',
  );
  expect(result).toContain('true\n');
  expect(result).toContain(
    '=> {"results": [{"n": 3}, null, {"n": 3}, {"n": 4}], "done": 3, "failed": [{"index": 1, "error": "gone"}], "calls": 5}',
  );
  expect(asked.every(({ maxAnswerTokens = 0 }) => maxAnswerTokens >= 64)).toBe(true);
  expect(await run('llm_map(["a"], "count", {limit: 3})')).toContain('maxCalls (integer)');
});

test('what the paper writes is taken as it is meant', async () => {
  const { run, answers } = play();
  expect(await run('context.slice(0, 7)')).toBe('=> user=u0');
  expect(await run('context.slice(-3)')).toBe('=>  B\n');
  expect(await run('context.substring(5, 7)')).toBe('=> u0');
  expect(await run(String.raw`context.split('\n').length`)).toBe('=> 63');
  expect(await run('len(context) === context.length && len([1, 2]) === 2')).toBe('=> true');
  await run('FINAL("all of it")');
  await run('let found = "in a variable"');
  await run('FINAL_VAR("found")');
  expect(answers).toEqual(['all of it', 'in a variable']);
});

test('entries are read as texts and by lines', async () => {
  const { run } = play();
  expect(await run('context.text("e2")')).toBe('=> meeting 1: we decided é\u{1f600} A\n');
  expect(await run('context.text("notes/meeting-2.md")')).toBe('=> meeting 2: we decided B\n');
  expect(await run('context.entries({path: "meeting-2"})[0].text')).toBe(
    '=> meeting 2: we decided B\n',
  );
  expect(await run('context.lines("e1", 2, 3).map((line) => line.slice(0, 7))')).toBe(
    '=> ["user=u1", "user=u2"]',
  );
  expect(await run('context.lines("e2", 1)')).toBe('=> ["meeting 1: we decided é\u{1f600} A"]');
  expect(await run('context.lines("e2", 5, 9).length')).toBe('=> 0');
  expect(await run('context.entries({path: "notes/*.md"}).map((e) => e.title)')).toBe(
    '=> ["notes/meeting-1.md", "notes/meeting-2.md"]',
  );
  expect(await run('context.text("e9")')).toContain('"e9"');
  expect(await run('context.lines("e9", 1, 2)')).toContain('"e9"');
});

test.each([
  ['for x in range(10):\n    print(x)', 'This reads like Python'],
  ['def f(x):\n  return x', 'This reads like Python'],
  ['context[:1000]', 'This reads like Python'],
  ['context.get("e1")', 'context has no get; it has length, read, lines, text, search'],
  ['context[0]', 'context is no string: context.read(0, 1)'],
  ['rlm_search({pattern: "x"})', 'context.search(pattern, options) is rlm_search'],
  ['require("fs")', 'no files, network, timers or modules'],
  ['context.read("e1")', 'context.text("e1") reads an entry'],
  ['context.entries({limit: 3})', 'It takes id (string), kind (string), tool (string)'],
])('%j is told what would have worked', async (code, hint) => {
  expect(await play().run(code)).toContain(hint);
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

test('of an entry that is too large to be handed out whole, lines are', async () => {
  const line = `${'x'.repeat(99)}\n`;
  const { run } = play({
    session: memorySession([{ text: 'first\n' }, { text: line.repeat(110_000) }]),
  });
  expect(await run('context.text("e2").length')).toContain('context.lines("e2", from, to)');
  expect(await run('context.lines("e2", 109999).length')).toBe('=> 2');
  expect(await run('context.lines("e2", 1, 2).join("").length')).toBe('=> 198');
  expect(await run('context.lines("e2").length')).toContain('take fewer lines');
  expect(await run('context.lines().length')).toContain('take fewer lines');
});
