import { expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import type { Entry, NewEntry, SessionStore } from '../store/types.ts';
import type { ToolCall } from '../wire/types.ts';
import { droppedResult, ProxyResults } from './shorten-results.ts';

function storeOf(
  append: (entries: readonly NewEntry[]) => Promise<readonly Entry[]>,
): SessionStore {
  return { append } as unknown as SessionStore;
}

function call(name: string): ToolCall {
  return { id: 'a', type: 'function', function: { name, arguments: '{"question":"q"}' } };
}

const long = { role: 'tool' as const, tool_call_id: 'a', content: 'x'.repeat(5_000) };

it('what reads the store is dropped; what a model or a program said goes into it first', async () => {
  const stored: NewEntry[] = [];
  const results = new ProxyResults(
    storeOf(async (entries) => {
      stored.push(...entries);
      return [{ id: 'e7', lengthChars: 5_000 } as Entry];
    }),
  );
  const read = await results.shorten({ ...long }, { call: call('rlm_find'), chatId: 'chat' });
  expect(read.content).toBe(droppedResult);
  expect(stored).toEqual([]);
  const asked = await results.shorten(long, { call: call('rlm_query'), chatId: 'chat' });
  expect(asked.content).toContain('"entry":"e7"');
  expect(stored).toMatchObject([{ text: long.content, tool: 'rlm_query', chatId: 'chat' }]);
  expect(await results.shorten(long, { call: call('rlm_query'), chatId: 'chat' })).toBe(asked);
  expect(stored).toHaveLength(1);
});

it('short results stay, and so does what a full store cannot take', async () => {
  const results = new ProxyResults(
    storeOf(async () => {
      throw new ProxyError('store_full', 'The disk is full.');
    }),
  );
  const short = { ...long, content: 'few' };
  expect(await results.shorten(short, { call: call('rlm_find'), chatId: 'c' })).toBe(short);
  expect(await results.shorten(long, { call: call('rlm_exec'), chatId: 'c' })).toBe(long);
});
