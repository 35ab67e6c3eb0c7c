import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ProxyError } from '../../src/errors.ts';
import { ChunkReader } from '../../src/wire/chunk.ts';
import { encodeCompletion, StreamEncoder } from '../../src/wire/encode.ts';
import { errorBody, readFault } from '../../src/wire/error-body.ts';
import { foldChunks } from '../../src/wire/fold.ts';
import type { Chunk } from '../../src/wire/types.ts';
import { completionSchema, errorSchema, readStrictly } from '../support/openai-schema.ts';

/** Anything JSON can hold where something else was expected. */
const junk = fc.oneof(
  fc.constantFrom(null, '', 0, -1, true, 'x', 'null', 1.5, [], {}),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
);

/** The good value most of the time, else junk, else nothing. */
function mostly(good: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: junk });
}

const words = fc.string({ maxLength: 6 });

const callPiece = fc.record(
  {
    index: mostly(fc.integer({ min: 0, max: 3 })),
    id: mostly(fc.constantFrom('a', 'b', 'c', '')),
    type: mostly(fc.constant('function')),
    function: mostly(
      fc.record(
        { name: mostly(fc.constantFrom('f', 'g', '')), arguments: mostly(words) },
        { requiredKeys: [] },
      ),
    ),
    extra_content: junk,
  },
  { requiredKeys: [] },
);

const delta = fc.record(
  {
    role: mostly(fc.constantFrom('assistant', '')),
    content: mostly(words),
    reasoning_content: mostly(words),
    reasoning: mostly(words),
    reasoning_details: mostly(fc.array(junk, { maxLength: 2 })),
    refusal: mostly(words),
    tool_calls: mostly(fc.array(mostly(callPiece), { maxLength: 2 })),
    function_call: mostly(fc.record({ name: words, arguments: words })),
    annotations: junk,
  },
  { requiredKeys: [] },
);

const frame = fc.record(
  {
    id: junk,
    object: junk,
    choices: mostly(
      fc.array(
        mostly(
          fc.record(
            {
              index: mostly(fc.constant(0)),
              delta: mostly(delta),
              finish_reason: mostly(fc.constantFrom(null, 'stop', 'length', 'tool_calls')),
              logprobs: mostly(fc.constant(null)),
            },
            { requiredKeys: [] },
          ),
        ),
        { maxLength: 2 },
      ),
    ),
    usage: mostly(fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat() })),
  },
  { requiredKeys: [] },
);

/** The chunks of these frames, or the error they end in. @throws whatever else goes wrong */
function read(frames: readonly unknown[]): Chunk[] | ProxyError {
  const reader = new ChunkReader({
    makeId: () => `made-${Math.random()}`,
    toError: (fault) => new ProxyError('upstream_failed', fault.message),
  });
  const chunks: Chunk[] = [];
  try {
    for (const value of frames) {
      reader.read({ name: '', data: JSON.stringify(value) ?? '' }, chunks);
    }
    // Most random lists have no end; give them one, or nothing would be looked at.
    reader.read({ name: '', data: '{"choices":[{"delta":{},"finish_reason":"stop"}]}' }, chunks);
    return [...chunks, reader.end()];
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
}

it('makes of any dirt either an answer for the strictest client or an error with a name', () => {
  const outcomes = { answers: 0, errors: 0 };
  fc.assert(
    fc.property(fc.array(fc.oneof(frame, junk), { maxLength: 6 }), (frames) => {
      const outcome = read(frames);
      if (outcome instanceof ProxyError) {
        outcomes.errors += 1;
        return;
      }
      const head = { id: 'chatcmpl-1', created: 1, model: 'm' };
      const encoder = new StreamEncoder(head, { includeUsage: true });
      readStrictly(encoder.encode(outcome) + encoder.done());
      completionSchema.parse(JSON.parse(encodeCompletion(head, foldChunks(outcome))));
      outcomes.answers += 1;
    }),
    { numRuns: 3000 },
  );
  // Both must really have been tried.
  expect(outcomes.answers).toBeGreaterThan(300);
  expect(outcomes.errors).toBeGreaterThan(100);
});

it('finds words in any error body, and answers in OpenAI’s form', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
      const { message, code, type, param } = readFault(body);
      expect(typeof message).toBe('string');
      const parts = {
        ...(code === undefined ? {} : { wireCode: code }),
        ...(type === undefined ? {} : { wireType: type }),
        ...(param === undefined ? {} : { param }),
      };
      errorSchema.parse(errorBody(new ProxyError('upstream_rejected', message, parts)));
    }),
    { numRuns: 1000 },
  );
});
