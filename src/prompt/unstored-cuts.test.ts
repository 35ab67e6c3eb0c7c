import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../wire/types.ts';
import { cutUnstoredText } from './cut-text.ts';
import { scalesFor } from './prompt-cost.ts';
import { UnstoredCuts } from './unstored-cuts.ts';

const { weigh } = scalesFor('model', { bytesPerToken: 3.6, partScale: 1 });
const room = { highBytes: 40_000, lowBytes: 20_000 };

function words(lengthChars: number, word: string): string {
  return `${word} `.repeat(Math.ceil(lengthChars / (word.length + 1))).slice(0, lengthChars);
}

function sizeOf(messages: readonly Message[]): number {
  return messages.reduce((total, message) => total + weigh(message) + 1, 0);
}

test('no character is parted, and all that stands and is left out is all there was', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', minLength: 10, maxLength: 60 }),
      fc.nat(5),
      fc.nat(4),
      (text, head, tail) => {
        const [first, gap, last] = cutUnstoredText(text, head, tail).split(
          /\n(\[rlm\] … .* …)\n/s,
        ) as [string, string, string];
        expect(text.startsWith(first) && text.endsWith(last)).toBe(true);
        const left = text.slice(first.length, text.length - last.length);
        expect(gap).toContain(`${codePoints(left)} characters of this text`);
        expect(gap).toContain(`behind its first ${codePoints(first)}:`);
        expect(codePoints(first) + codePoints(left) + codePoints(last)).toBe(codePoints(text));
      },
    ),
  );
});

function codePoints(text: string): number {
  return Array.from(text).length;
}

test('what fits stands as it came', () => {
  const messages: readonly Message[] = [{ role: 'user', content: words(30_000, 'small') }];
  const { messages: laid, count } = new UnstoredCuts().fit(messages, { chatId: 'a', room, weigh });
  expect([laid, count]).toEqual([messages, 0]);
});

test('results go before the question, and a cut stays as it is while there is room for more', () => {
  const cuts = new UnstoredCuts();
  const fit = (messages: readonly Message[]): readonly Message[] =>
    cuts.fit(messages, { chatId: 'a', room, weigh }).messages as readonly Message[];
  const turn: readonly Message[] = [
    { role: 'user', content: words(9_000, 'question') },
    { role: 'tool', tool_call_id: 'a', content: words(500_000, 'large') },
    { role: 'tool', tool_call_id: 'b', content: words(3_000, 'small') },
  ];
  const first = fit(turn);
  expect(first[0]).toBe(turn[0]);
  expect(first[2]).toBe(turn[2]);
  expect(sizeOf(first)).toBeLessThan(room.highBytes);
  const longer = [...turn, { role: 'assistant' as const, content: words(4_000, 'answer') }];
  expect(fit(longer).slice(0, 3)).toEqual(first);
  const second = [
    ...longer,
    { role: 'tool' as const, tool_call_id: 'c', content: words(90_000, 'next') },
  ];
  const laid = fit(second);
  expect(laid.slice(0, 3)).toEqual(first);
  expect(sizeOf(laid)).toBeLessThan(room.highBytes);
});

test('the newest message of the user keeps its ends when it alone is too long, and so does a text among parts', () => {
  const content = [
    { type: 'text', text: `BEGIN ${words(400_000, 'part')} END` },
    { type: 'text', text: 'What is that?' },
  ];
  const { messages } = new UnstoredCuts().fit([{ role: 'user', content }], {
    chatId: 'a',
    room,
    weigh,
  });
  const [message] = messages as unknown as readonly { readonly content: typeof content }[];
  expect(message?.content[0]?.text).toMatch(/^BEGIN .*kept nowhere.* END$/s);
  expect(message?.content[1]).toBe(content[1]);
  expect(sizeOf(messages as readonly Message[])).toBeLessThan(room.highBytes);
});
