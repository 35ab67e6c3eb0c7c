import type { Chunk } from '../wire/types.ts';
import type { AnswerReader } from './answer-reader.ts';

/** The answer's batches. Ending the iteration in any way, or aborting without ever beginning it, frees the connection and the place. */
export function batchesOf(parts: {
  readonly answer: AnswerReader;
  readonly first: readonly Chunk[] | undefined;
  readonly release: () => void;
  readonly signal: AbortSignal;
}): AsyncIterable<readonly Chunk[]> {
  const { answer, first, release, signal } = parts;
  const close = (): void => {
    signal.removeEventListener('abort', close);
    answer.close();
    release();
  };
  signal.addEventListener('abort', close);
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let batch = first; batch !== undefined; batch = await answer.next()) yield batch;
      } finally {
        close();
      }
    },
  };
}
