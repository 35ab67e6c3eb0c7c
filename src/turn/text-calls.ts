import { randomIds } from '../clock.ts';
import { readArgumentText } from '../tools/call-door.ts';
import { TextCallDoor, type TextCall } from '../wire/text-calls.ts';
import type { Chunk } from '../wire/types.ts';
import type { ProxyTools } from './turn-state.ts';

/**
 * An answer's chunks in which calls of our tools that the model has written as text are calls,
 * behind all others and with ids of ours; the text around them stays. What could be such a call is
 * held back until that is clear; a real call ends the wait, so that the text before it comes before
 * it.
 */
export async function* withTextCalls(
  batches: AsyncIterable<readonly Chunk[]>,
  tools: ProxyTools,
): AsyncGenerator<readonly Chunk[], void, void> {
  const door = new TextCallDoor({
    isOwn: (name) => tools.isOwn(name),
    isReadable: (text) => readArgumentText(text).ok,
  });
  const calls: TextCall[] = [];
  let callCount = 0;
  const close = (): string => {
    const { rest, calls: found } = door.end();
    calls.push(...found);
    return rest;
  };
  for await (const batch of batches) {
    const seen = batch.flatMap((chunk): readonly Chunk[] => {
      const { content = '', toolCalls } = chunk;
      for (const { index } of toolCalls ?? []) callCount = Math.max(callCount, index + 1);
      const text = door.push(content) + (toolCalls === undefined ? '' : close());
      if (text === content) return [chunk];
      const { content: _, ...others } = chunk;
      if (text !== '') return [{ ...others, content: text }];
      return Object.keys(others).length === 0 ? [] : [others];
    });
    if (seen.length > 0) yield seen;
  }
  const rest = close();
  if (rest !== '') yield [{ content: rest }];
  if (calls.length === 0) return;
  const toolCalls = calls.map(({ name, arguments: text }, place) => ({
    index: callCount + place,
    id: randomIds.next('call_'),
    name,
    arguments: text,
  }));
  yield [{ toolCalls }];
}
