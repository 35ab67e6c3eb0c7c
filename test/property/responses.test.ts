import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { messagesOf } from '../../src/faces/responses/input-messages.ts';
import { ResponseWriter } from '../../src/faces/responses/response-writer.ts';
import { ToolNames } from '../../src/faces/responses/tool-names.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { Chunk, Message, ToolCallDelta } from '../../src/wire/types.ts';
import { readResponseEvents } from '../support/response-events.ts';

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
const json = fc.json({ maxDepth: 2 });

/** The pieces of some calls: one call after the other, or mixed. */
const callPieces = fc
  .array(fc.record({ args: json, extra: fc.option(words), cutAt: fc.nat(20) }), { maxLength: 3 })
  .chain((calls) => {
    const pieces = calls.flatMap(({ args, extra, cutAt }, index): ToolCallDelta[] => [
      {
        index,
        id: `call_${index}`,
        name: `tool${index}`,
        arguments: args.slice(0, cutAt),
        ...(extra === null ? {} : { extra: { extra_content: { signature: extra } } }),
      },
      { index, arguments: args.slice(cutAt) },
    ]);
    const firsts = pieces.filter((piece) => piece.id !== undefined);
    const rests = pieces.filter((piece) => piece.id === undefined);
    return fc.constantFrom(pieces, [...firsts, ...rests]);
  });

const said = fc.oneof(
  words.map((content): Chunk => ({ content })),
  words.map((reasoning): Chunk => ({ reasoning, reasoningField: 'reasoning' })),
  words.map((text): Chunk => ({ reasoningDetails: [{ type: 'reasoning.text', index: 0, text }] })),
  words.map((refusal): Chunk => ({ refusal })),
);

const answerChunks = fc
  .tuple(fc.array(said, { maxLength: 8 }), callPieces, fc.array(said, { maxLength: 2 }))
  .map(([before, calls, after]): readonly Chunk[] =>
    before.concat(
      calls.map((delta) => ({ toolCalls: [delta] })),
      after,
      { finishReason: calls.length > 0 ? 'tool_calls' : 'stop' },
    ),
  );

function writerOf(number: number): ResponseWriter {
  return new ResponseWriter({
    requestId: `req_${number}`,
    base: { id: `resp_${number}` },
    tools: new ToolNames(),
    refusesInText: false,
    now: () => 1,
  });
}

/** The events of an answer, with a heartbeat in each silence. */
function eventsOf(number: number, chunks: readonly Chunk[]): string {
  const writer = writerOf(number);
  const events = chunks.map((chunk) => writer.add([chunk]) + writer.heartbeat());
  return events.join('') + writer.end();
}

it('the events of any answer are in order, and it comes back as the message it was', () => {
  fc.assert(
    fc.property(answerChunks, (chunks) => {
      const { response } = readResponseEvents(eventsOf(1, chunks));
      const whole = writerOf(1);
      whole.add(chunks);
      whole.end();
      expect(whole.response()['output']).toEqual(response.output);
      const { message } = foldChunks(chunks);
      const isEmpty = message.content === '' && message['refusal'] === undefined;
      // Nobody takes an answer of nothing but reasoning.
      expect(messagesOf(undefined, response.output)).toEqual(isEmpty ? [] : [message]);
    }),
  );
});

interface Turn {
  readonly question: string;
  readonly images: number;
  readonly chunks: readonly Chunk[];
}

const turn: fc.Arbitrary<Turn> = fc.record({
  question: words,
  images: fc.nat(2),
  chunks: answerChunks,
});

it('a conversation becomes the same messages again, whatever has come behind it', () => {
  fc.assert(
    fc.property(words, fc.array(turn, { maxLength: 5 }), (instructions, turns) => {
      const input: unknown[] = [];
      let before: readonly Message[] = [];
      for (const [at, { question, images, chunks }] of turns.entries()) {
        input.push({ role: 'user', content: [{ type: 'input_text', text: question }] });
        const { response } = readResponseEvents(eventsOf(at, chunks));
        input.push(...response.output);
        for (const item of response.output) {
          if (item.type !== 'function_call') continue;
          const image = { type: 'input_image', image_url: 'data:image/png;base64,AAAA' };
          const output = [
            { type: 'input_text', text: 'out' },
            ...Array.from({ length: images }, () => image),
          ];
          input.push({ type: 'function_call_output', call_id: item.call_id, output });
        }
        // As JSON, as it comes over the wire.
        const sent = JSON.parse(JSON.stringify(input)) as unknown[];
        const messages = messagesOf(instructions, sent);
        expect(JSON.stringify(messages.slice(0, before.length))).toBe(JSON.stringify(before));
        before = messages;
      }
    }),
  );
});
