/**
 * What OpenAI's published description (its OpenAPI document) demands of the four objects that this
 * program answers with, in the terms of zod: required members, types, the closed sets of words.
 * Unknown members are allowed, as there.
 */
import { z } from 'zod';

const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter', 'function_call']);

const usage = z.looseObject({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.looseObject({ cached_tokens: z.int().optional() }).optional(),
  completion_tokens_details: z.looseObject({ reasoning_tokens: z.int().optional() }).optional(),
});

const logprobs = z.looseObject({ content: z.array(z.unknown()).nullable().optional() }).nullable();

const callPiece = z.looseObject({
  index: z.int(),
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.looseObject({ name: z.string().optional(), arguments: z.string().optional() }),
});

/** `CreateChatCompletionStreamResponse`. */
export const chunkSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal('chat.completion.chunk'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.looseObject({
      index: z.int(),
      delta: z.looseObject({
        role: z.literal('assistant').optional(),
        content: z.string().nullable().optional(),
        refusal: z.string().nullable().optional(),
        tool_calls: z.array(callPiece).min(1).optional(),
      }),
      logprobs: logprobs.optional(),
      finish_reason: finishReason.nullable(),
    }),
  ),
  usage: usage.nullable().optional(),
});

/** `CreateChatCompletionResponse`. */
export const completionSchema = z.looseObject({
  id: z.string().min(1),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z
    .array(
      z.looseObject({
        index: z.int(),
        finish_reason: finishReason,
        logprobs,
        message: z.looseObject({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.string().nullable(),
          tool_calls: z
            .array(
              z.looseObject({
                id: z.string().min(1),
                type: z.literal('function'),
                function: z.looseObject({ name: z.string().min(1), arguments: z.string() }),
              }),
            )
            .min(1)
            .optional(),
        }),
      }),
    )
    .length(1),
  usage: usage.optional(),
});

/** `ErrorResponse`: all four members, two of which may be null. */
export const errorSchema = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

/**
 * Reads a streamed answer as the strictest client does, and fails at the first offence: only JSON
 * frames and comments, and at the very end either one `[DONE]` or the frame of an error; every
 * chunk valid, with one id, created and model; the role first; call indexes from 0 without gaps,
 * each call begun with id, type and name; one finish reason and nothing behind it but the usage.
 */
export function readStrictly(stream: string): {
  readonly chunks: readonly z.output<typeof chunkSchema>[];
  readonly error: z.output<typeof errorSchema>['error'] | undefined;
} {
  const events = stream.split('\n\n');
  if (events.pop() !== '') throw new Error('The stream ends inside an event.');
  const frames = events.filter((event) => !event.startsWith(':'));
  const isDone = frames.at(-1) === 'data: [DONE]';
  if (isDone) frames.pop();
  const values = frames.map((frame): unknown => {
    if (!frame.startsWith('data: ') || frame.includes('\n')) throw new Error(`No frame: ${frame}`);
    return JSON.parse(frame.slice(6));
  });
  const last = errorSchema.safeParse(values.at(-1));
  if (isDone === last.success) throw new Error('The stream must end with [DONE] or an error.');
  const chunks = values
    .slice(0, last.success ? -1 : undefined)
    .map((value) => chunkSchema.parse(value));
  checkOrder(chunks, last.success);
  return { chunks, error: last.data?.error };
}

function checkOrder(chunks: readonly z.output<typeof chunkSchema>[], failed: boolean): void {
  if (new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size > 1) {
    throw new Error('The chunks have different heads.');
  }
  let hasRole = false;
  let finishes = 0;
  const calls = new Set<number>();
  for (const { choices, usage: counts } of chunks) {
    const [choice] = choices;
    if (choice === undefined) {
      if (finishes === 0 || !counts) throw new Error('An empty chunk that is no usage at the end.');
      continue;
    }
    if (finishes > 0) throw new Error('Something comes after the finish reason.');
    hasRole ||= choice.delta.role === 'assistant';
    if (!hasRole) throw new Error('The role does not come first.');
    for (const piece of choice.delta.tool_calls ?? []) {
      if (calls.has(piece.index)) continue;
      if (piece.index !== calls.size) throw new Error('Call indexes have a gap.');
      if (!piece.id || piece.type !== 'function' || !piece.function.name) {
        throw new Error('A call begins without id, type or name.');
      }
      calls.add(piece.index);
    }
    if (choice.finish_reason === null) continue;
    finishes += 1;
    const hasCalls = calls.size > 0;
    if (!hasCalls && choice.finish_reason === 'tool_calls') throw new Error('No call was made.');
    if (hasCalls && choice.finish_reason === 'stop') throw new Error('The calls are not named.');
  }
  if (finishes !== (failed ? 0 : 1)) throw new Error(`${finishes} finish reasons.`);
}
