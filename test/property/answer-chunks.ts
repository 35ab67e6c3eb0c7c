import * as fc from 'fast-check';
import type { Chunk, ToolCallDelta } from '../../src/wire/types.ts';

/** A few characters that somebody says. */
export const fewWords: fc.Arbitrary<string> = fc.string({
  unit: 'grapheme',
  minLength: 1,
  maxLength: 12,
});

/** The pieces of some calls with these arguments: one call after the other, or mixed. */
function callPieces(args: fc.Arbitrary<string>): fc.Arbitrary<readonly ToolCallDelta[]> {
  const call = fc.record({ args, extra: fc.option(fewWords), cutAt: fc.nat(20) });
  return fc.array(call, { maxLength: 3 }).chain((calls) => {
    const pieces = calls.flatMap(({ args: text, extra, cutAt }, index): ToolCallDelta[] => [
      {
        index,
        id: `call_${index}`,
        name: `tool${index}`,
        arguments: text.slice(0, cutAt),
        ...(extra === null ? {} : { extra: { extra_content: { signature: extra } } }),
      },
      { index, arguments: text.slice(cutAt) },
    ]);
    const firsts = pieces.filter((piece) => piece.id !== undefined);
    const rests = pieces.filter((piece) => piece.id === undefined);
    return fc.constantFrom(pieces, firsts.concat(rests), firsts.concat(rests.toReversed()));
  });
}

/**
 * The chunks of an answer: words, reasoning of both kinds, calls, and words again.
 * @param args Of the calls, JSON or what a model takes for it
 * @param alsoSaid What else comes between
 */
export function answerChunks(
  args: fc.Arbitrary<string>,
  ...alsoSaid: readonly fc.Arbitrary<Chunk>[]
): fc.Arbitrary<readonly Chunk[]> {
  const said = fc.oneof(
    fewWords.map((content): Chunk => ({ content })),
    fewWords.map((reasoning): Chunk => ({ reasoning, reasoningField: 'reasoning' })),
    fewWords.map((text): Chunk => ({
      reasoningDetails: [{ type: 'reasoning.text', index: 0, text }],
    })),
    ...alsoSaid,
  );
  return fc
    .tuple(fc.array(said, { maxLength: 8 }), callPieces(args), fc.array(said, { maxLength: 2 }))
    .map(([before, calls, after]) =>
      before.concat(
        calls.map((delta) => ({ toolCalls: [delta] })),
        after,
        { finishReason: calls.length > 0 ? 'tool_calls' : 'stop' },
      ),
    );
}
