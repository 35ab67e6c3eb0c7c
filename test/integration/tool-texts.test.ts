import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { type Clock, systemClock, randomIds } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';

/** A clock on which no time passes: nothing is left out because the machine is busy. */
const clock: Clock = { ...systemClock, elapsedMs: () => 0, after: () => () => undefined };

const registry = new ToolRegistry(readingTools);
let folder: string;
let sessions: Sessions;
let session: Session;
let search: SearchEngine;

const oldSource = 'import { z } from "zod";\n\nexport function half(n) {\n  return n / 2;\n}\n';
const newSource = oldSource.replace('n / 2', 'Math.floor(n / 2)');
const run = (test: string): string =>
  `running ${test}\n${'ok\n'.repeat(40)}FAIL half of 3\nFAIL half of 5\n2 failed`;

/** What is stored, in order: e1, e2, … */
const stored = [
  { kind: 'file', path: '/work/app/src/half.ts', text: oldSource },
  { kind: 'tool_result', tool: 'bash', args: '{"command":"npm test"}', text: run('all') },
  { kind: 'user_text', text: '\n  Here is the report of the customer\nFAIL to login\n' },
  {
    kind: 'file',
    path: '/work/app/dist/all.js',
    text: `${'x'.repeat(9_000)}FAIL${'y'.repeat(900)}`,
  },
  { kind: 'file', path: '/work/app/src/half.ts', text: newSource },
] as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-texts-'));
  search = openSearchEngine({ clock, workers: 1 });
  sessions = await openSessions({
    dataDir: join(folder, 'store'),
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  session = (await sessions.forDirectory('/work/app', { create: true }))!;
  for (const entry of stored) await session.store.append([{ ...entry, timeMs: 1_780_000_000_000 }]);
});

afterAll(async () => {
  await sessions[Symbol.asyncDispose]();
  await search[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** What a model is shown. */
async function shown(name: string, args: object): Promise<string> {
  return registry.run(
    { id: 'c', type: 'function', function: { name, arguments: JSON.stringify(args) } },
    {
      session,
      search,
      clock,
      signal: AbortSignal.timeout(60_000),
      searchDeadlineMs: 60_000,
      maxResultChars: 20_000,
    },
  );
}

describe('a search', () => {
  test('shows hits by entry, the newest first, each by its line in the entry', async () => {
    expect(await shown('rlm_find', { text: 'FAIL' })).toBe(
      [
        '4 matching lines:',
        'note: … is more of a long line; @ is the offset of the match for rlm_get_context.',
        '',
        'e4 /work/app/dist/all.js',
        `1: …${'x'.repeat(150)}FAIL${'y'.repeat(446)}… @${oldSource.length + run('all').length + 1 + 52 + 9_000}`,
        '',
        'e3 user_text Here is the report of the customer',
        '3: FAIL to login',
        '',
        'e2 bash npm test',
        '42: FAIL half of 3',
        '43: FAIL half of 5',
      ].join('\n'),
    );
  });

  test('says what is old, joins lines around hits, and where the entry ends', async () => {
    expect(await shown('rlm_search', { pattern: 'return n', context_lines: 1 })).toBe(
      [
        '1 matching line:',
        'note: 1 of these lines lies in older texts of files that were stored again: total counts both.',
        '',
        'e1 /work/app/src/half.ts (old: replaced by e5)',
        '3- export function half(n) {',
        '4:   return n / 2;',
        '5- }',
        '[e1 ends]',
      ].join('\n'),
    );
    const near = await shown('rlm_search', { pattern: 'FAIL', entry: 'e2', context_lines: 2 });
    expect(near.split('\n').slice(2)).toEqual([
      'e2 bash npm test',
      '40- ok',
      '41- ok',
      '42: FAIL half of 3',
      '43: FAIL half of 5',
      '44- 2 failed',
      '[e2 ends]',
    ]);
  });

  test('that goes on says how', async () => {
    const first = await shown('rlm_find', { text: 'ok', max_results: 2 });
    expect(first).toMatch(/^40 matching lines; 2 shown:\n\ne2 bash npm test\n2: ok\n3: ok\n\n/);
    const cursor = /"cursor":"([^"]+)"/.exec(first)?.[1];
    const next = await shown('rlm_find', { text: 'ok', max_results: 2, cursor });
    expect(next).toMatch(/^40 matching lines in all; 2 more:\n\ne2 bash npm test\n4: ok\n5: ok\n/);
  });

  test('without a hit says how much was searched', async () => {
    const { chars } = session.store.totals;
    expect(await shown('rlm_find', { text: 'never' })).toBe(
      `0 matching lines: all ${chars} characters were searched.`,
    );
    expect(await shown('rlm_find', { text: 'never', entry: 'e3' })).toMatch(
      /^0 matching lines: all 52 characters were searched\.\nnote: There are none without the filter/,
    );
  });

  test('counts values, and says where they are only when that is asked', async () => {
    const asked = { pattern: '(FAIL|running) \\w+', group: 1 };
    expect(await shown('rlm_search', { ...asked, aggregate: 'count_by' })).toBe(
      '4 occurrences in 4 lines; 2 different values:\n3  FAIL\n1  running',
    );
    expect(await shown('rlm_search', { ...asked, aggregate: 'first_last', max_groups: 1 })).toBe(
      '4 occurrences in 4 lines; the 1 most frequent of 2 different values:\n3  FAIL  (first e2:42, last e3:3)',
    );
  });

  test('costs less than half of its fields as JSON, in code with long paths', async () => {
    const asked = { pattern: '\\w', path: 'src', max_results: 1000 };
    const [text, json] = [
      await shown('rlm_search', asked),
      await shown('rlm_search', { ...asked, format: 'json' }),
    ];
    expect((JSON.parse(json) as { matches: [] }).matches.length).toBe(6);
    // In the prompt JSON is a string once more, and its quotes are escaped.
    expect(JSON.stringify(text).length).toBeLessThan(JSON.stringify(json).length / 2);
  });
});

describe('a read', () => {
  test.each([
    [{ line: 3, lines: 2 }, 'lines 3-4 of 5, characters 26-68 of 70', [3, 4]],
    [{ line: 4, around: 1 }, 'lines 3-5 of 5, characters 26-70 of 70', [3, 5]],
    [{ line: -2 }, 'lines 4-5 of 5, characters 52-70 of 70', [4, 5]],
    [{ tail: 2 }, 'lines 4-5 of 5, characters 52-70 of 70', [4, 5]],
    [{ tail: 99 }, 'all 5 lines, 70 characters', [1, 5]],
    [{ around: 4 }, 'all 5 lines, 70 characters', [1, 5]],
  ])('of %o', async (place, head, [first = 0, last = 0]) => {
    const lines = oldSource.split('\n').slice(first - 1, last);
    expect(await shown('rlm_get_context', { entry: 'e1', ...place })).toBe(
      `[e1 /work/app/src/half.ts (old: replaced by e5): ${head}]\n${lines.join('\n')}\n`,
    );
  });

  test('around a hit takes its offset, too, and what is behind it says how to go on', async () => {
    const hits = await shown('rlm_find', { text: 'login', format: 'json' });
    const [{ offset }] = (JSON.parse(hits) as { matches: [{ offset: number }] }).matches;
    expect(await shown('rlm_get_context', { offset, around: 1 })).toMatch(
      /^\[e3 user_text Here is .*: lines 2-3 of 3, .*\]\n {2}Here is the report of the customer\nFAIL to login\n$/,
    );
    const begun = await shown('rlm_get_context', { entry: 'e2', line: 1, length: 20 });
    expect(begun).toMatch(
      /lines 1-3 of 44, .*; go on with \{"entry":"e2","offset":18\}\]\nrunning/,
    );
    const [, goOn = ''] = /go on with (\{.*\})\]/.exec(begun) ?? [];
    expect(await shown('rlm_get_context', JSON.parse(goOn) as object)).toMatch(
      /lines 4-44 of 44, .*\]\nok\n/,
    );
  });

  test('of a line that is not there says how many there are', async () => {
    expect(await shown('rlm_get_context', { entry: 'e1', line: 90 })).toBe(
      'error: e1 has 5 lines; there is no line 90.',
    );
  });

  test('against another entry shows what differs, in whichever order they are named', async () => {
    const wanted = [
      '--- e1 /work/app/src/half.ts',
      '+++ e5 /work/app/src/half.ts',
      '1 line added, 1 removed.',
      '@@ -2,4 +2,4 @@',
      ' ',
      ' export function half(n) {',
      '-  return n / 2;',
      '+  return Math.floor(n / 2);',
      ' }',
    ].join('\n');
    expect(await shown('rlm_get_context', { entry: 'e5', against: 'e1' })).toBe(wanted);
    expect(await shown('rlm_get_context', { entry: 'e1', against: 'e5' })).toBe(wanted);
  });
});

test('what is stored is listed by what it is', async () => {
  const { chars, lines } = session.store.totals;
  expect((await shown('rlm_stats', { newest: 3 })).split('\n')).toEqual([
    `${chars} characters, ${lines} lines, 5 entries, 1 of them old texts that newer ones replaced`,
    expect.stringMatching(/^by kind: file 3 \(\d+ characters\), tool_result 1 \(/),
    expect.stringMatching(/^by tool: bash 1 \(\d+ characters\)$/),
    '',
    'newest first (characters, lines, time):',
    `e5 /work/app/src/half.ts: ${newSource.length}, 5, 2026-05-28T20:26Z`,
    'e4 /work/app/dist/all.js: 9904, 1, 2026-05-28T20:26Z',
    'e3 user_text Here is the report of the customer: 52, 3, 2026-05-28T20:26Z',
    '',
    'There are more: the same call with "cursor":"e3".',
  ]);
});

test.each<[object, readonly string[]]>([
  [{ title: 'NPM' }, ['e2']],
  [{ title: 'customer', kind: 'user_text' }, ['e3']],
  [{ folder: 'src' }, ['e5', 'e1']],
  [{ folder: '/work/app', newest: 2 }, ['e5', 'e4']],
  [{ kind: 'file', newest: 2, cursor: 'e4' }, ['e1']],
  [{ path: 'dist', since: '2026-01-01' }, ['e4']],
  [{ tool: 'bash' }, ['e2']],
])('what is stored is chosen by %o', async (filter, wanted) => {
  const text = await shown('rlm_stats', filter);
  expect([...text.matchAll(/^(e\d+) /gm)].map((found) => found[1])).toEqual(wanted);
});

test('a filter that chooses nothing is an error, and a folder shows its parts', async () => {
  expect(await shown('rlm_stats', { folder: 'lib' })).toBe(
    'error: No entry is in a folder "lib". Under /work/app/ are src/, dist/.',
  );
  expect(await shown('rlm_stats', { title: 'never' })).toMatch(
    /^error: No entry is with "never" in/,
  );
  expect(await shown('rlm_stats', { folder: 'app' })).toMatch(
    /^in \/work\/app\/: src\/ 2 \(\d+ characters\), dist\/ 1 \(9904 characters\)$/m,
  );
});

describe('a search for words', () => {
  test('counts each, and begins with the passage that has the most of them, and the rarest', async () => {
    const text = await shown('rlm_search', { words: 'customer report FAIL' });
    expect(text.split('\n')[0]).toMatch(
      /^6 matching lines \("customer" 1, "report" 1, "FAIL" 5, .*\); the best passages first:$/,
    );
    const heads = [...text.matchAll(/^(e\d+) /gm)].map((found) => found[1]);
    expect(heads[0]).toBe('e3');
    expect(new Set(heads)).toEqual(new Set(['e2', 'e3', 'e4']));
    expect(text).toContain('2:   Here is the report of the customer\n3: FAIL to login');
  });

  test('finds a phrase before its words, and says 0 where there is none', async () => {
    const text = await shown('rlm_search', { words: '"half of 5"', max_results: 1 });
    expect(text).toMatch(/e2 bash npm test\n43: FAIL half of 5$/);
    expect(await shown('rlm_search', { words: 'nowhere absent' })).toMatch(
      /^0 matching lines: all/,
    );
    expect(await shown('rlm_search', {})).toBe('error: Give a pattern, or words to look for.');
  });
});
