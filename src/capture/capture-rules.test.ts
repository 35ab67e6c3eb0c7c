import { describe, expect, it } from 'vitest';
import type { Message, ToolCall } from '../wire/types.ts';
import { isPruned } from '../clients/known-clients.ts';
import { candidatesOf } from './capture-rules.ts';
import { withTexts } from '../history/message-texts.ts';

const limits = {
  captureMinChars: 500,
  stripMinChars: 10_000,
  stripMinCharsByTool: { grep: 2_000 },
  stripIsFixed: false,
  stripFixedTools: ['grep'],
  maxSpillBytes: 1_000_000,
  outlineWaitMs: 100,
};

function callOf(name: string, args: object): ToolCall {
  return { id: 'a', type: 'function', function: { name, arguments: JSON.stringify(args) } };
}

function result(content: Message['content']): Message {
  return { role: 'tool', tool_call_id: 'a', content: content ?? null };
}

const context = { chatId: 'chat', limits };
const long = 'π'.repeat(600);

describe('what belongs in the store', () => {
  it.each([
    ['bash', 10_000],
    ['read', 20_000],
    ['grep', 2_000],
  ])('a result of %s is stripped from %i characters on', (name, stripMinChars) => {
    const [found] = candidatesOf(result(long), callOf(name, { filePath: '/a.ts' }), context);
    expect(found).toMatchObject({
      part: -1,
      strip: { minChars: stripMinChars, isFixed: name === 'grep' },
      entry: {
        kind: 'tool_result',
        tool: name,
        path: '/a.ts',
        toolCallId: 'a',
        chatId: 'chat',
        text: long,
      },
    });
  });

  it('characters are code points', () => {
    expect(candidatesOf(result('🙂'.repeat(499)), undefined, context)).toEqual([]);
    expect(candidatesOf(result('🙂'.repeat(500)), undefined, context)).toHaveLength(1);
  });

  it.each<readonly [string, Message, ToolCall | undefined]>([
    ['a short result', result('x'.repeat(499)), undefined],
    ['a result of our own', result(long), callOf('rlm_search', {})],
    ['what a client has pruned', result('[Old tool result content cleared]'), undefined],
    ['an answer', { role: 'assistant', content: long }, undefined],
    ['a system message', { role: 'system', content: long }, undefined],
    ['an image', result([{ type: 'image_url', url: long }]), undefined],
  ])('%s does not', (_, message, call) => {
    expect(candidatesOf(message, call, context)).toEqual([]);
  });

  it('a part behind a client’s note of a file is that file', () => {
    const note = 'Called the Read tool with the following input: {"filePath":"/b.md"}';
    const parts = [
      { type: 'text', text: note },
      { type: 'text', text: long },
      { type: 'text', text: `${long} why?` },
    ];
    const found = candidatesOf({ role: 'user', content: parts }, undefined, context);
    expect(found.map(({ part, entry: { kind, path } }) => [part, kind, path])).toEqual([
      [1, 'attachment', '/b.md'],
      [2, 'user_text', undefined],
    ]);
  });
});

it('a mark of pruning is known by all of the text', () => {
  expect(isPruned(' [Old tool result content cleared]\n')).toBe(true);
  expect(isPruned('It says [Old tool result content cleared]')).toBe(false);
});

it('only the texts that are named are replaced', () => {
  const parts = [
    { type: 'text', text: 'a', cache_control: { type: 'ephemeral' } },
    { type: 'image_url' },
  ];
  const message: Message = { role: 'user', name: 'n', content: parts };
  expect(withTexts(message, new Map([[0, 'stub']]))).toEqual({
    ...message,
    content: [{ ...parts[0], text: 'stub' }, parts[1]],
  });
  expect(withTexts(result('a'), new Map([[-1, 'stub']]))).toEqual(result('stub'));
});
