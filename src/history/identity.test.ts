import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../wire/types.ts';
import { hashText } from './message-texts.ts';
import { chainAfter, emptyChain, identityOf, visibleText } from './identity.ts';

const call = (id: string, args: string) => ({
  id,
  type: 'function' as const,
  function: { name: 'bash', arguments: args },
});

const turn: Message = {
  role: 'assistant',
  content: 'I look.',
  reasoning_content: 'Hm.',
  tool_calls: [call('a', '{"command": "ls", "n": 1.0}')],
};

describe('who a message is', () => {
  it.each<readonly [string, Message, Message]>([
    [
      'dropped reasoning',
      turn,
      { role: 'assistant', content: 'I look.', tool_calls: turn.tool_calls ?? [] },
    ],
    [
      'arguments spelled anew',
      turn,
      { ...turn, tool_calls: [call('a', '{"command":"ls","n":1}')] },
    ],
    [
      'arguments in another order',
      { ...turn, tool_calls: [call('a', '{"a":{"b":1,"c":[2,3]},"d":null}')] },
      { ...turn, tool_calls: [call('a', '{"d":null,"a":{"c":[2,3],"b":1}}')] },
    ],
    ['trimmed text', turn, { ...turn, content: ' I look.\n' }],
    [
      'text in parts',
      turn,
      {
        ...turn,
        content: [
          { type: 'text', text: 'I' },
          { type: 'text', text: ' look.' },
        ],
      },
    ],
    [
      'null for nothing',
      { role: 'assistant', content: '', tool_calls: [call('a', '')] },
      { role: 'assistant', content: null, tool_calls: [call('a', '{}')] },
    ],
    [
      'a reminder in a part',
      { role: 'user', content: 'Go' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Go' },
          { type: 'text', text: '<system-reminder>\nPlan.\n</system-reminder>' },
        ],
      },
    ],
    [
      'a reminder joined to the text',
      { role: 'user', content: 'Go' },
      { role: 'user', content: 'Go\n<system-reminder>Plan.</system-reminder>\n' },
    ],
    [
      'a pruned output',
      { role: 'tool', tool_call_id: 'a', content: 'long' },
      { role: 'tool', tool_call_id: 'a', content: '[Old tool result content cleared]' },
    ],
  ])('does not change by %s', (_, one, other) => {
    expect(identityOf(other).key).toBe(identityOf(one).key);
  });

  it.each<readonly [string, Message, Message]>([
    ['another word', turn, { ...turn, content: 'I looked.' }],
    ['other arguments', turn, { ...turn, tool_calls: [call('a', '{"command":"rm"}')] }],
    ['another call id', turn, { ...turn, tool_calls: [call('b', '{"command": "ls", "n": 1.0}')] }],
    ['another role', { role: 'user', content: 'x' }, { role: 'assistant', content: 'x' }],
    [
      'another image',
      { role: 'user', content: [{ type: 'image_url', url: 'a' }] },
      { role: 'user', content: [{ type: 'image_url', url: 'b' }] },
    ],
  ])('changes by %s', (_, one, other) => {
    expect(identityOf(other).key).not.toBe(identityOf(one).key);
  });

  it('has no part in the chain where it is a system message', () => {
    const user = identityOf({ role: 'user', content: 'x' });
    const system = identityOf({ role: 'system', content: 'Today is Sunday.' });
    expect(chainAfter(chainAfter(emptyChain, system), user)).toBe(chainAfter(emptyChain, user));
    expect(chainAfter(chainAfter(emptyChain, user), user)).not.toBe(chainAfter(emptyChain, user));
  });

  it('does not depend on where a long text is cut for hashing', () => {
    const text = `${'a'.repeat(65_535)}🙂 ${'b\n'.repeat(70_000)}`;
    expect(hashText(` ${text} `)).toBe(hashText(text.replaceAll('\n', '  ')));
    expect(hashText(text)).not.toBe(hashText(text.replace('🙂', '🙃')));
    expect(hashText(' \n'.repeat(80_000))).toBe('');
  });

  it('leaves an assistant’s text alone that looks like a reminder', () => {
    const content = 'It says <system-reminder>x</system-reminder>';
    expect(visibleText({ role: 'assistant', content })).toBe(content);
  });
});

it('takes no white space of any kind into account, and everything else', () => {
  fc.assert(
    fc.property(
      fc
        .array(
          fc.oneof(
            fc.nat(0x20).map((code) => String.fromCharCode(code)),
            fc.string(),
          ),
        )
        .map((texts) => texts.join('')),
      (text) => {
        const bare = text.replace(/\s+/g, '');
        const wanted = bare === '' ? '' : createHash('sha256').update(bare).digest('base64url');
        expect(hashText(text)).toBe(wanted);
      },
    ),
  );
});
