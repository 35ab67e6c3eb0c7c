import { SseDecoder } from './sse.ts';
import type { Message, Usage } from './types.ts';

/** One frame of a streamed answer as a client reads it, so far as our own clients look at it. */
export interface ClientFrame {
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
    };
  }[];
  readonly usage?: Usage | null;
  readonly error?: { readonly message?: string };
}

/** The body of a request for a streamed answer that says what it cost. */
export function streamedRequestBody(model: string, messages: readonly Message[]): string {
  return JSON.stringify({
    model,
    stream: true,
    stream_options: { include_usage: true },
    messages,
  });
}

/**
 * The frames of a streamed answer's bytes, without the end mark. @throws SyntaxError for a frame
 * that is not JSON
 */
export async function* readClientFrames(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<ClientFrame, void, void> {
  const decoder = new SseDecoder();
  for await (const bytes of body)
    for (const { data } of decoder.push(bytes))
      if (data !== '[DONE]') yield JSON.parse(data) as ClientFrame;
}
