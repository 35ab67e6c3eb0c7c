import { afterAll, expect, test } from 'vitest';
import { engineSearch } from '../../../test/support/engine-search.ts';
import { memorySession } from '../../../test/support/memory-session.ts';
import { systemClock } from '../../clock.ts';
import { ToolRegistry } from '../registry.ts';
import { searchTool } from './search.ts';

const search = engineSearch();
afterAll(() => search[Symbol.asyncDispose]());

const session = memorySession([
  { text: 'user=ann ms=10\nuser=bob ms=5\nuser=ann ms=20\n', path: 'logs/a.log' },
  { text: 'user=ann ms=1,000\nuser=bob ms=fast\n', path: 'logs/b.log' },
  { text: 'user=zoë ms=7\n', tool: 'bash' },
]);

const registry = new ToolRegistry([searchTool as never]);

async function call(args: Record<string, unknown>): Promise<string> {
  return registry.run(
    {
      type: 'function',
      function: { name: 'rlm_search', arguments: JSON.stringify(args) },
    } as never,
    {
      session,
      search,
      signal: new AbortController().signal,
      clock: systemClock,
      searchDeadlineMs: 10_000,
      maxResultChars: 20_000,
    },
  );
}

const pattern = String.raw`user=(?<user>\S+) ms=(?<ms>\S+)`;

test('groups by several keys, the path among them', async () => {
  const text = await call({ pattern, aggregate: 'count_by', group: ['path', 'user'] });
  expect(text.split('\n').slice(1)).toEqual([
    '2  logs/a.log | ann',
    '1  logs/a.log | bob',
    '1  logs/b.log | ann',
    '1  logs/b.log | bob',
    '1  e3 | zoë',
  ]);
});

test('computes measures of each group, and says what was no number', async () => {
  const asked = { pattern, group: 'user', measures: { sum: 'ms', max: 'ms', distinct: 2 } };
  expect((await call(asked)).split('\n').slice(1)).toEqual([
    '3  ann  sum 1030, max 1000, distinct 3',
    '2  bob  sum 5, max 5, distinct 2, not numbers 1',
    '1  zoë  sum 7, max 7, distinct 1',
  ]);
  expect(JSON.parse(await call({ ...asked, format: 'json' }))).toMatchObject({
    group_count: 3,
    groups: [{ value: 'ann', count: 3, sum: 1030 }, { not_numbers: 1 }, { value: 'zoë' }],
  });
});

test('groups by what entries are, with one key', async () => {
  const text = await call({ pattern: 'user=', aggregate: 'count_by', group: 'tool' });
  expect(text.split('\n').slice(1)).toEqual(['5  file', '1  bash']);
});

test('a group or a measure that there is not is a fault, and says what there is', async () => {
  expect(await call({ pattern, aggregate: 'count_by', group: 'usr' })).toContain(
    'The pattern has no group "usr"; it has user, ms.',
  );
  expect(await call({ pattern, group: 1, measures: { median: 'ms' } })).toContain(
    'There is no measure "median"; there are sum, min, max, avg, distinct',
  );
});

test('one group by its number, and plain counts, stay as they were', async () => {
  expect(await call({ pattern, aggregate: 'count' })).toBe('6 occurrences in 6 lines.');
  expect((await call({ pattern, aggregate: 'count_by', group: '1' })).split('\n')).toEqual([
    '6 occurrences in 6 lines; 3 different values:',
    '3  ann',
    '2  bob',
    '1  zoë',
  ]);
});
