import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { messagesOf } from '../../src/faces/messages/input-messages.ts';
import { MessageWriter } from '../../src/faces/messages/message-writer.ts';
import { inputOf, isRespelled } from '../../src/faces/messages/tool-input.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { Chunk, Message } from '../../src/wire/types.ts';
import { answerChunks, fewWords } from './answer-chunks.ts';
import { readMessageEvents } from '../support/message-events.ts';

/** Objects as models write them, and now and then something else. */
const json = fc.oneof(
  { weight: 4, arbitrary: fc.dictionary(fewWords, fc.jsonValue({ maxDepth: 1 })).map(plain) },
  { weight: 1, arbitrary: fc.oneof(fc.json({ maxDepth: 1 }), fc.constant('')) },
  {
    weight: 1,
    arbitrary: fc.bigInt({ min: 10n ** 15n }).map((id) => `{ "_id": ${id}, "in": [${id}] }`),
  },
  { weight: 1, arbitrary: fc.constant(JSON.stringify('{"a":1}')) },
);

/** Without keys that every parser of JSON puts in front of the others. */
function plain(value: object): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(value).map(([key, each]) => [`_${key}`, each])),
  );
}

function writer(): MessageWriter {
  return new MessageWriter({
    id: 'msg_1',
    model: 'm',
    nameOf: (name) => name,
    showsThinking: true,
    stopSequences: [],
  });
}

function eventsOf(chunks: readonly Chunk[]): string {
  const written = writer();
  return chunks.map((chunk) => written.add([chunk])).join('') + written.end();
}

/** As JSON, as it goes over the wire and through a client. */
function sent<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

/** The message with arguments as a client hands them back: those of an object are spelled anew. */
function respelled(message: Message): Message {
  const { tool_calls: calls } = message;
  if (calls === undefined) return message;
  return {
    ...message,
    tool_calls: calls.map((call) => {
      const { arguments: args = '' } = call.function ?? {};
      if (isRespelled(args)) return call;
      const input = inputOf(args);
      const spelled = 'arguments_text' in input ? args : JSON.stringify(input);
      const own = { name: call.function?.name ?? '', arguments: spelled };
      return Object.assign({}, call, { function: own });
    }),
  };
}

it('the events of any answer are in order, and it comes back as the message it was', () => {
  fc.assert(
    fc.property(answerChunks(json), (chunks) => {
      const { message } = readMessageEvents(eventsOf(chunks));
      const whole = writer();
      whole.add(chunks);
      whole.end();
      const { content } = whole.response();
      expect(sent(content)).toEqual(message.content);
      const { message: folded } = foldChunks(chunks);
      const isEmpty = folded.content === '';
      const back = messagesOf(undefined, sent([{ role: 'assistant', content }]));
      // Nobody takes an answer of nothing but reasoning.
      expect(back).toEqual(isEmpty ? [] : [respelled(folded)]);
    }),
  );
});

interface Turn {
  readonly question: string;
  readonly notice: string | null;
  readonly images: number;
  readonly chunks: readonly Chunk[];
}

const turn: fc.Arbitrary<Turn> = fc.record({
  question: fewWords,
  notice: fc.option(fewWords),
  images: fc.nat(2),
  chunks: answerChunks(json),
});

it('a conversation becomes the same messages again, whatever has come behind it', () => {
  fc.assert(
    fc.property(fewWords, fc.array(turn, { maxLength: 5 }), (system, turns) => {
      const messages: { role: string; content: unknown }[] = [];
      let before: readonly Message[] = [];
      const cached = { cache_control: { type: 'ephemeral' } };
      /** The newest message carries the client's mark, and is then a list. */
      const marked = (): unknown =>
        messages.map((message, at) =>
          at === messages.length - 1 && typeof message.content === 'string'
            ? { ...message, content: [{ type: 'text', text: message.content, ...cached }] }
            : message,
        );
      const translate = (): void => {
        const translated = messagesOf([{ type: 'text', text: system }], sent(marked()));
        expect(JSON.stringify(translated.slice(0, before.length))).toBe(JSON.stringify(before));
        before = translated;
      };
      for (const { question, notice, images, chunks } of turns) {
        messages.push({ role: 'user', content: question });
        if (notice !== null) messages.push({ role: 'system', content: notice });
        translate();
        const { content } = readMessageEvents(eventsOf(chunks)).message;
        messages.push({ role: 'assistant', content });
        const image = {
          type: 'image',
          source: { type: 'base64', media_type: 'image/png', data: 'AAAA' },
        };
        const results = content.flatMap((block) =>
          block.type === 'tool_use'
            ? [
                {
                  type: 'tool_result',
                  tool_use_id: block.id,
                  content: [
                    { type: 'text', text: 'out' },
                    ...Array.from({ length: images }, () => image),
                  ],
                },
              ]
            : [],
        );
        if (results.length === 0) continue;
        messages.push({ role: 'user', content: results });
        translate();
      }
    }),
  );
});
