import { expect, test } from 'vitest';
import { allTools, ToolRegistry } from './registry.ts';
import type { ToolContext } from './tool.ts';

const registry = new ToolRegistry(allTools);

test('six tools, whose definitions cost every prompt 8,000 characters at most', () => {
  expect(registry.names).toHaveLength(6);
  expect(JSON.stringify(registry.definitions).length).toBeLessThanOrEqual(8_000);
});

test('a tool with a manual shows it when asked, whatever else is missing', async () => {
  const run = async (args: string): Promise<string> =>
    registry.run(
      { id: 'c', type: 'function', function: { name: 'rlm_search', arguments: args } },
      {} as ToolContext,
    );
  expect(await run('{"help": true}')).toContain('first_last');
  expect(await run('{"help": "true"}')).toBe(await run('{"help": true}'));
});
