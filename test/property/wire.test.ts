import { callName, callText } from '../../src/wire/calls.ts';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { ChunkReader } from '../../src/wire/chunk.ts';
import { encodeCompletion, StreamEncoder } from '../../src/wire/encode.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import { SseDecoder } from '../../src/wire/sse.ts';
import type { Chunk, Message, ToolCall, ToolCallDelta } from '../../src/wire/types.ts';
import { completionSchema, readStrictly } from '../support/openai-schema.ts';
import { split } from '../support/splits.ts';

const words = fc.string({ unit: 'grapheme', maxLength: 20 });

const toolCall: fc.Arbitrary<ToolCall> = fc.record({
  id: fc.string({ minLength: 1, maxLength: 9 }),
  type: fc.constant('function' as const),
  function: fc.record({ name: fc.string({ minLength: 1, maxLength: 9 }), arguments: words }),
});

interface TurnParts {
  readonly content: string;
  readonly reasoning: string | null;
  readonly calls: readonly ToolCall[];
}

function toMessage({ content, reasoning, calls }: TurnParts): Message {
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    ...(reasoning === null ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** An assistant turn as a provider may make it. */
const message: fc.Arbitrary<Message> = fc
  .record({
    content: words,
    reasoning: fc.option(words),
    calls: fc.uniqueArray(toolCall, { maxLength: 3, selector: (call) => call.id }),
  })
  .map(toMessage);

function pieces(text: string, cuts: readonly number[]): string[] {
  const units = Array.from(text);
  const at = [...new Set(cuts.map((cut) => cut % (units.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, n) => units.slice(from, at[n] ?? units.length).join(''));
}

/**
 * The message as deltas, its texts cut at the given places and the pieces of its calls interleaved.
 */
function deltas(turn: Message, cuts: readonly number[]): Chunk[] {
  const chunks: Chunk[] = [];
  const reasoning = turn['reasoning_content'];
  if (typeof reasoning === 'string') {
    for (const piece of pieces(reasoning, cuts)) {
      chunks.push({ reasoning: piece, reasoningField: 'reasoning_content' });
    }
  }
  if (typeof turn.content === 'string') {
    for (const content of pieces(turn.content, cuts)) chunks.push({ content });
  }
  const queues = (turn.tool_calls ?? []).map((call, index) =>
    pieces(callText(call), cuts).map((text, n): ToolCallDelta =>
      n === 0
        ? { index, id: call.id, name: callName(call), arguments: text }
        : { index, arguments: text },
    ),
  );
  while (queues.some((queue) => queue.length > 0)) {
    const toolCalls = queues.flatMap((queue) => queue.splice(0, 1));
    chunks.push({ toolCalls });
  }
  return chunks;
}

const finishOf = (turn: Message): Chunk => ({
  finishReason: turn.tool_calls === undefined ? 'stop' : 'tool_calls',
});

it('folds any split of a message back into the message', () => {
  fc.assert(
    fc.property(message, fc.array(fc.nat(), { maxLength: 5 }), (turn, cuts) => {
      expect(foldChunks([...deltas(turn, cuts), finishOf(turn)]).message).toEqual(turn);
    }),
    { numRuns: 500 },
  );
});

it('encodes what a reader of our own frames decodes to the same message, valid for the strictest client', () => {
  fc.assert(
    fc.property(
      message,
      fc.array(fc.nat(), { maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (turn, cuts, byteCuts) => {
        const head = { id: 'chatcmpl-1', created: 1, model: 'm' };
        const encoder = new StreamEncoder(head, { includeUsage: true });
        const sent = [...deltas(turn, cuts), finishOf(turn)];
        const frames = encoder.encode(sent) + encoder.done();
        readStrictly(frames);
        const decoder = new SseDecoder();
        const reader = new ChunkReader({
          makeId: () => 'never needed',
          toError: (fault) => new ProxyError('upstream_failed', fault.message),
        });
        const got: Chunk[] = [];
        for (const piece of split(Buffer.from(frames), byteCuts)) {
          for (const event of decoder.push(piece)) reader.read(event, got);
        }
        got.push(reader.end());
        const folded = foldChunks(got);
        // An empty reasoning is nothing a client can see; all else survives both ways.
        const { reasoning_content: reasoning, ...rest } = turn;
        expect(folded.message).toEqual(reasoning === '' ? rest : turn);
        completionSchema.parse(JSON.parse(encodeCompletion(head, folded)));
      },
    ),
    { numRuns: 300 },
  );
});
