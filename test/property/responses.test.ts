import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { messagesOf } from '../../src/faces/responses/input-messages.ts';
import { ResponseWriter } from '../../src/faces/responses/response-writer.ts';
import { ToolNames } from '../../src/faces/responses/tool-names.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { Chunk, Message } from '../../src/wire/types.ts';
import { answerChunks, fewWords } from './answer-chunks.ts';
import { readResponseEvents } from '../support/response-events.ts';

const answered = answerChunks(
  fc.json({ maxDepth: 2 }),
  fewWords.map((refusal): Chunk => ({ refusal })),
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
    fc.property(answered, (chunks) => {
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
  question: fewWords,
  images: fc.nat(2),
  chunks: answered,
});

it('a conversation becomes the same messages again, whatever has come behind it', () => {
  fc.assert(
    fc.property(fewWords, fc.array(turn, { maxLength: 5 }), (instructions, turns) => {
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
