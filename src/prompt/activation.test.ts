import { expect, it } from 'vitest';
import { allTools, ToolRegistry } from '../tools/registry.ts';
import type { Entry } from '../store/types.ts';
import { memorySession } from '../../test/support/memory-session.ts';
import type { Message } from '../wire/types.ts';
import { clashes, entriesBefore, nextOffer, withInstructions } from './activation.ts';

const signs = {
  mode: 'auto',
  hasStub: false,
  isFirstRequest: false,
  openable: 0,
  isDormant: false,
  mayBeDormant: true,
} as const;

it.each([
  [{ ...signs, isFirstRequest: true }, undefined],
  [{ ...signs, isFirstRequest: true, openable: 3 }, 'dormant'],
  [{ ...signs, isFirstRequest: true, openable: 3, mayBeDormant: false }, 'active'],
  [{ ...signs, isFirstRequest: true, openable: 3, hasStub: true }, 'active'],
  [{ ...signs, openable: 3 }, undefined],
  [{ ...signs, isDormant: true }, 'dormant'],
  [{ ...signs, isDormant: true, mayBeDormant: false }, 'active'],
  [{ ...signs, isDormant: true, hasStub: true }, 'active'],
  [{ ...signs, hasStub: true }, 'active'],
  [{ ...signs, mode: 'always' as const }, 'active'],
  [{ ...signs, mode: 'always' as const, isDormant: true }, 'active'],
  [{ ...signs, mode: 'never' as const, hasStub: true, isDormant: true }, undefined],
])('of %o the chat is %s', (given, expected) => {
  expect(nextOffer(given)).toBe(expected);
});

it('a chat counts what was there before it, and none of what is in its own history', () => {
  const session = memorySession([{ text: 'a\n' }, { text: 'b\n' }, { text: 'c\n' }]);
  const [first] = session.store.entries;
  const own = new Set([first as Entry]);
  const texts = (from: number, entries?: number): number =>
    entriesBefore(
      session.store,
      'chat',
      { from, own },
      entries === undefined ? undefined : { kind: 'dormant', texts: 1, entries },
    ).length;
  expect(texts(0)).toBe(2);
  // What came into the store while it was dormant is not what it was told of.
  expect(texts(0, 2)).toBe(1);
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
