import type { AnswerForm } from '../http/handlers.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Chunk } from '../wire/types.ts';

/** Writes one answer down in another protocol. */
export interface AnswerWriter {
  /** The events for these chunks; empty while they hold nothing for a client. */
  add(chunks: readonly Chunk[]): string;
  /** The last events. To be called once, after the last chunk. */
  end(): string;
  /** The object of a whole answer, after {@link AnswerWriter.end}. */
  response(): JsonObject;
}

/** How a writer's protocol answers, streamed and whole. */
export function formOf(writer: AnswerWriter): AnswerForm {
  return {
    frames: async function* (chunks) {
      for await (const batch of chunks) {
        const events = writer.add(batch);
        if (events !== '') yield events;
      }
      yield writer.end();
    },
    whole: async (chunks) => {
      for await (const batch of chunks) writer.add(batch);
      writer.end();
      return JSON.stringify(writer.response());
    },
  };
}
