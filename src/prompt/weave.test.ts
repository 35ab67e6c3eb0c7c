import { expect, it } from 'vitest';
import type { Message } from '../wire/types.ts';
import { parsed } from '../wire/unparsed-message.ts';
import { identityOf } from '../history/identity.ts';
import { progressLine } from '../history/progress.ts';
import type { TurnRecord } from './turn-memory.ts';
import { placesOf, weave } from './weave.ts';

function call(id: string, name: string) {
  return { id, type: 'function' as const, function: { name, arguments: '{}' } };
}

const tool = (id: string, content = id): Message => ({ role: 'tool', tool_call_id: id, content });

const mixed: TurnRecord = {
  before: [
    { role: 'assistant', content: 'hidden', tool_calls: [call('h', 'rlm_find')] },
    tool('h'),
  ],
  message: {
    role: 'assistant',
    content: null,
    reasoning_content: '',
    tool_calls: [call('a', 'bash'), call('own', 'rlm_stats'), call('b', 'read')],
  },
  results: { own: 'ours' },
  shownTextHash: '',
};

const copy: Message = {
  role: 'assistant',
  content: '',
  tool_calls: [call('a', 'bash'), call('b', 'read')],
};

async function woven(messages: readonly Message[], from = 0): Promise<readonly Message[]> {
  const history = messages.map((message) => ({
    identity: identityOf(message),
    mayHoldProgress: message['reasoning_content'] !== undefined,
    message: () => message,
  }));
  const list = await weave(history, placesOf(history), {
    chatId: 'chat',
    from,
    find: async (turns) =>
      turns.map(({ identity: { key } }) => (key === identityOf(copy).key ? mixed : undefined)),
  });
  return list.map(({ message }) => parsed(message));
}

const user: Message = { role: 'user', content: 'Go.' };

it('a mixed turn comes back whole, its results in the order of its calls', async () => {
  expect(await woven([user, copy, tool('b'), tool('a')])).toEqual([
    user,
    ...mixed.before,
    mixed.message,
    tool('a'),
    tool('own', 'ours'),
    tool('b'),
  ]);
});

it('a call whose result the client does not send is left out; a second answer and a stranger’s, too', async () => {
  const list = await woven([user, copy, tool('a'), tool('a', 'again'), tool('who'), user]);
  expect(list.slice(3)).toEqual([
    { ...mixed.message, tool_calls: [call('a', 'bash'), call('own', 'rlm_stats')] },
    tool('a'),
    tool('own', 'ours'),
    user,
  ]);
});

it('what lies before the beginning is not looked at', async () => {
  expect(await woven([user, copy, tool('a'), tool('b'), user], 4)).toEqual([user]);
});

it('progress that a client replays is taken out of a turn that is not known', async () => {
  const replayed = {
    role: 'assistant' as const,
    content: 'x',
    reasoning_content: `Hm.${progressLine('searching')}So.`,
  };
  expect(await woven([user, replayed])).toEqual([
    user,
    { ...replayed, reasoning_content: 'Hm.So.' },
  ]);
});

it('of a turn that is not known, too, only answered calls stay', async () => {
  const calls = [call('x', 'bash'), call('y', 'bash')];
  const unknown: Message = { role: 'assistant', content: 'I call.', tool_calls: calls };
  expect(await woven([user, unknown, tool('y'), user])).toEqual([
    user,
    { ...unknown, tool_calls: [call('y', 'bash')] },
    tool('y'),
    user,
  ]);
  expect(await woven([user, unknown, user])).toEqual([
    user,
    { role: 'assistant', content: 'I call.' },
    user,
  ]);
  expect(await woven([user, { ...unknown, content: null }, user])).toEqual([user, user]);
});
