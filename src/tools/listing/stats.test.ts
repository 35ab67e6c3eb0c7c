import { expect, test } from 'vitest';
import { toolResult } from '../../../test/support/tool-results.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { memorySession, memorySearch } from '../../../test/support/memory-session.ts';
import type { Entry, Session } from '../../store/types.ts';
import { statsTool } from './stats.ts';
import type { ToolContext } from '../tool.ts';

const clock = new ManualClock();
const hourMs = 3_600_000;

function contextOf(session: Session): ToolContext {
  return {
    session,
    search: memorySearch(),
    clock,
    signal: new AbortController().signal,
    searchDeadlineMs: 1_000,
    maxResultChars: 20_000,
    form: 'json',
  };
}

/** A log of a day ago, a file of 3 hours ago, a log of half an hour ago. */
const threeTimes = memorySession([
  { text: 'yesterday\n', tool: 'bash', timeMs: clock.now() - 24 * hourMs },
  { text: 'one\ntwo\n', path: '/p/a.ts', timeMs: clock.now() - 3 * hourMs },
  { text: 'just now\n', tool: 'bash', timeMs: clock.now() - 0.5 * hourMs },
]);

test.each([10, 1_000])('of %i entries only the listed ones are looked at', async (count) => {
  const session = memorySession(
    Array.from({ length: count }, (_, n) => ({
      text: `text ${n}\n`,
      path: `/p/${n}`,
      tool: 'read',
    })),
  );
  let visits = 0;
  const entries = new Proxy(session.store.entries as Entry[], {
    get: (target, name, receiver) => {
      if (typeof name === 'string' && /^\d+$/.test(name)) visits += 1;
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  Object.assign(session.store, { entries });
  const stats = toolResult(await statsTool.run({ newest: 3 }, contextOf(session)));
  expect(stats).toMatchObject({
    entries: count,
    by_kind: { tool_result: { entries: count } },
    by_tool: { read: { entries: count } },
    newest_entries: [{ entry: `e${count}`, path: `/p/${count - 1}` }, {}, {}],
  });
  expect(visits).toBe(3);
});

test('with since, only what was stored since then is counted and listed', async () => {
  const run = async (since: string) =>
    toolResult(await statsTool.run({ newest: 20, since }, contextOf(threeTimes)));
  expect(await run('4h')).toMatchObject({
    entries: 2,
    characters: 17,
    bytes: 17,
    lines: 3,
    by_kind: {
      file: { entries: 1, characters: 8 },
      tool_result: { entries: 1, characters: 9 },
    },
    by_tool: { bash: { entries: 1, characters: 9 } },
    newest_entries: [{ entry: 'e3' }, { entry: 'e2', offset: 10 }],
  });
  // Since before the first: the same as without it.
  expect(await run('2d')).toEqual(
    toolResult(await statsTool.run({ newest: 20 }, contextOf(threeTimes))),
  );
});

test('until ends what since begins, and a date is a whole day', async () => {
  const listed = async (times: { readonly since?: string; readonly until?: string }) => {
    const stats = toolResult(await statsTool.run({ newest: 20, ...times }, contextOf(threeTimes)));
    return (stats['newest_entries'] as readonly { readonly entry: string }[]).map((e) => e.entry);
  };
  expect(await listed({ until: '4h' })).toEqual(['e1']);
  expect(await listed({ since: '4h', until: '2h' })).toEqual(['e2']);
  const newestDay = new Date(threeTimes.store.entries[2]!.timeMs).toISOString().slice(0, 10);
  expect(await listed({ until: newestDay })).toContain('e3');
  expect(await listed({ since: newestDay })).toContain('e3');
});

test('a time that nothing was stored until, or before what it is to begin with, is an error', async () => {
  const run = async (times: { readonly since?: string; readonly until: string }) =>
    toolResult(await statsTool.run({ newest: 20, ...times }, contextOf(threeTimes)))['error'];
  expect(await run({ until: '2020-01-01' })).toMatch(
    /^Nothing was stored until "2020-01-01": the oldest entry, e1, is of /,
  );
  expect(await run({ since: '2h', until: '4h' })).toBe(
    'No entry fits all filters at once: 1 fit since "2h", 1 fit until "4h". Leave one of them out.',
  );
  expect(await run({ until: 'yesterday' })).toContain('"until" is "yesterday"; write it as "30m"');
});

test('a time that nothing was stored since, or that is none, is an error that helps', async () => {
  const run = async (since: string) =>
    toolResult(await statsTool.run({ newest: 20, since }, contextOf(threeTimes)));
  expect(await run('10m')).toEqual({
    error: expect.stringMatching(/^Nothing was stored since "10m": the newest entry, e3, is of /),
  });
  expect((await run('yesterday'))['error']).toContain('write it as "30m", "2h", "7d"');
});
