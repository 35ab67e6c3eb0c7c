import { expect, test } from 'vitest';
import { toolResult } from '../../test/support/tool-results.ts';
import { memorySession, memorySearch } from '../../test/support/memory-session.ts';
import { systemClock } from '../clock.ts';
import type { Entry } from '../store/types.ts';
import { statsTool } from './stats.ts';
import type { ToolContext } from './tool.ts';

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
  const context: ToolContext = {
    session,
    search: memorySearch(),
    clock: systemClock,
    signal: new AbortController().signal,
    searchDeadlineMs: 1_000,
    maxResultChars: 20_000,
  };
  const stats = toolResult(await statsTool.run({ newest: 3 }, context));
  expect(stats).toMatchObject({
    entries: count,
    by_kind: { tool_result: { entries: count } },
    by_tool: { read: { entries: count } },
    newest_entries: [{ entry: `e${count}`, path: `/p/${count - 1}` }, {}, {}],
  });
  expect(visits).toBe(3);
});
