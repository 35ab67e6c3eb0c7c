import { expect, it, test } from 'vitest';
import { allTools, ToolRegistry } from '../tools/registry.ts';
import type { FunctionCall } from '../wire/types.ts';
import { maxOpeningToolChars, openedResult, openingTool, openingToolName } from './dormant-tool.ts';

const registry = new ToolRegistry(allTools);
const opened = { toolNames: registry.names, overview: '2 texts:\n- e1 notes.txt' };

function call(args: string, name = openingToolName): FunctionCall {
  return { id: 'c', type: 'function', function: { name, arguments: args } };
}

it.each([1, 42, 9_999_999])('the one tool costs 600 characters at most (%d texts)', (texts) => {
  const json = JSON.stringify(openingTool(texts));
  expect(json.length).toBeLessThanOrEqual(maxOpeningToolChars);
  expect(maxOpeningToolChars).toBe(600);
  expect(json).toContain(texts === 1 ? ' 1 text ' : ` ${texts} texts `);
});

test('the one tool is a part of the tool that has its name later: what it takes, that takes, too', () => {
  const later = registry.definitions.find((tool) => tool.function?.name === openingToolName);
  const members = (given: unknown): readonly string[] =>
    Object.keys((given as { readonly properties: object }).properties);
  const names = members(later?.function?.parameters);
  expect(names).toEqual(expect.arrayContaining([...members(openingTool(1).function?.parameters)]));
});

it.each(['{}', '', 'null', '{"words": ""}', '{"bro'])(
  'a call that looks for nothing gets what is there: %s',
  (args) => {
    const text = openedResult(call(args), 'error: Give a pattern.', opened);
    expect(text).toContain(opened.overview);
    expect(text).not.toContain('error');
    for (const name of registry.names) expect(text.split('\n')[0]).toContain(name);
  },
);

it('any other call gets its own result behind the note, as JSON where it is JSON', () => {
  expect(openedResult(call('{"words":"x"}'), '3 matching lines', opened)).toMatch(
    /^note: .*\n3 matching lines$/,
  );
  expect(openedResult(call('{}', 'rlm_stats'), '7 characters', opened)).toMatch(
    /^note: .*\n7 characters$/,
  );
  const json = openedResult(call('{"words":"x"}'), '{"total":3}', opened);
  expect(JSON.parse(json)).toEqual({
    note: expect.stringContaining('rlm_find') as string,
    total: 3,
  });
});
