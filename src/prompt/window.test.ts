import { expect, it } from 'vitest';
import type { Message } from '../wire/types.ts';
import { type Shorten, fitSteps } from './window.ts';
import { messageBytes } from '../wire/message-json.ts';

function step(id: string, lengthChars: number): readonly Message[] {
  const call = {
    id,
    type: 'function' as const,
    function: { name: 'rlm_get_context', arguments: '{}' },
  };
  return [
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: id, content: 'x'.repeat(lengthChars) },
  ];
}

const shorten: Shorten = async (message, call) => ({ ...message, content: `gone: ${call?.id}` });

function sizeOf(before: readonly Message[]): number {
  return before.reduce((total, message) => total + messageBytes(message) + 1, 0);
}

it('leaves everything while there is room', async () => {
  const before = [...step('a', 1_000), ...step('b', 1_000)];
  const same = [...before];
  await fitSteps(before, { requestBytes: 500, maxBytes: 3_000, shorten });
  expect(before).toEqual(same);
});

it('makes half of the room free in one go, oldest first, and leaves the newest step whole', async () => {
  const before = ['a', 'b', 'c', 'd'].flatMap((id) => step(id, 1_000));
  await fitSteps(before, { requestBytes: 1_000, maxBytes: 5_000, shorten });
  expect(before.map(({ content }) => String(content).slice(0, 7))).toEqual([
    'null',
    'gone: a',
    'null',
    'gone: b',
    'null',
    'gone: c',
    'null',
    'xxxxxxx',
  ]);
  expect(sizeOf(before) + 1_000).toBeLessThan(3_000);
});

it('shortens of the newest step only what must be', async () => {
  const [first, ...rest] = step('a', 2_000);
  const before = [
    first as Message,
    ...rest,
    ...step('b', 2_000).slice(1),
    ...step('c', 2_000).slice(1),
  ];
  await fitSteps(before, { requestBytes: 1_000, maxBytes: 5_500, shorten });
  expect(before.filter(({ content }) => String(content).startsWith('gone'))).toHaveLength(1);
  expect(sizeOf(before) + 1_000).toBeLessThan(5_500);
});
