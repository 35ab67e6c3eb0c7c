import { type CompletionHead, encodeCompletion, StreamEncoder } from '../wire/encode.ts';
import { TurnFold } from '../wire/fold.ts';
import type { Chunk, Envelope } from '../wire/types.ts';

/**
 * A streamed answer in the client's frames; several answers, where chunks say to which they belong.
 */
export async function* framesOf(
  chunks: AsyncIterable<readonly Chunk[]>,
  head: CompletionHead,
  envelope: Envelope,
): AsyncGenerator<string, void, void> {
  const includeUsage = envelope.stream_options?.include_usage === true;
  const first = new StreamEncoder(head, { includeUsage });
  const encoders = [first];
  const encode = (chunk: Chunk): string => {
    const { choiceIndex = 0 } = chunk;
    encoders[choiceIndex] ??= new StreamEncoder(head, { includeUsage, choiceIndex });
    return encoders[choiceIndex].encode([chunk]);
  };
  for await (const batch of chunks) {
    // Nearly always there is one answer.
    const isOne = batch.every((chunk) => chunk.choiceIndex === undefined);
    const frames = isOne ? first.encode(batch) : batch.map(encode).join('');
    if (frames !== '') yield frames;
  }
  yield first.done();
}

/** The JSON of a whole answer. @param count Answers in it */
export async function wholeOf(
  chunks: AsyncIterable<readonly Chunk[]>,
  head: CompletionHead,
  count: number,
): Promise<string> {
  const first = new TurnFold();
  const folds = [first, ...Array.from({ length: count - 1 }, () => new TurnFold())];
  for await (const batch of chunks)
    for (const chunk of batch) folds[chunk.choiceIndex ?? 0]?.add(chunk);
  const others = folds.slice(1).map((fold) => fold.turn());
  return encodeCompletion(head, first.turn(), others);
}
