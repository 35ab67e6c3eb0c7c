import { expect, it } from 'vitest';
import { allTools, ToolRegistry } from '../tools/registry.ts';
import type { Message } from '../wire/types.ts';
import { becomesActive, clashes, withInstructions } from './activation.ts';

const signs = { mode: 'auto', hasStub: false, isFirstRequest: false, entriesBefore: 0 } as const;

it.each([
  [{ ...signs, isFirstRequest: true }, false],
  [{ ...signs, isFirstRequest: true, entriesBefore: 3 }, true],
  [{ ...signs, entriesBefore: 3 }, false],
  [{ ...signs, hasStub: true }, true],
  [{ ...signs, mode: 'always' as const }, true],
  [{ ...signs, mode: 'never' as const, hasStub: true }, false],
])('of %o becomes active: %s', (given, expected) => {
  expect(becomesActive(given)).toBe(expected);
});

it('instructions stand behind the system message’s own text, whatever form it has', () => {
  const user: Message = { role: 'user', content: 'Go.' };
  expect(withInstructions([user], 'I.')).toEqual([{ role: 'system', content: 'I.' }, user]);
  expect(withInstructions([{ role: 'system', content: 'Be.' }, user], 'I.')[0]).toEqual({
    role: 'system',
    content: 'Be.\n\nI.',
  });
  const parts = [{ type: 'text', text: 'Be.', cache_control: { type: 'ephemeral' } }];
  expect(withInstructions([{ role: 'developer', content: parts }], 'I.')[0]).toEqual({
    role: 'developer',
    content: [...parts, { type: 'text', text: 'I.' }],
  });
});

it('a client’s tool of the same name is noticed', () => {
  const registry = new ToolRegistry(allTools);
  const tools = ['bash', 'rlm_find'].map((name) => ({ type: 'function', function: { name } }));
  expect([...clashes(tools, registry)]).toEqual(['rlm_find']);
});
