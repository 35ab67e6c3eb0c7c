import type { FinishReason } from './types.ts';

/**
 * What an upstream's finish reason means: one of the five standard ones, a failure, or a prompt
 * that did not fit.
 */
export type FinishMeaning = FinishReason | 'failed' | 'overflow';

const meanings: Readonly<Record<string, FinishMeaning>> = {
  stop: 'stop',
  end: 'stop',
  eos: 'stop',
  eos_token: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  complete: 'stop',
  completed: 'stop',
  done: 'stop',
  length: 'length',
  max_tokens: 'length',
  max_output_tokens: 'length',
  // Mistral: the model's own limit, not the request's.
  model_length: 'length',
  tool_calls: 'tool_calls',
  tool_call: 'tool_calls',
  tool_use: 'tool_calls',
  function_call: 'function_call',
  content_filter: 'content_filter',
  content_filtered: 'content_filter',
  // GLM's moderation.
  sensitive: 'content_filter',
  refusal: 'content_filter',
  // Gemini's reasons, which leak through compatible endpoints.
  safety: 'content_filter',
  recitation: 'content_filter',
  blocklist: 'content_filter',
  prohibited_content: 'content_filter',
  spii: 'content_filter',
  malformed_function_call: 'failed',
  // GLM: inference failed. OpenRouter and others: error.
  network_error: 'failed',
  error: 'failed',
  abort: 'failed',
  aborted: 'failed',
  cancelled: 'failed',
  // DeepSeek: the cluster ran out of resources in the middle.
  insufficient_system_resource: 'failed',
  // GLM, as the only chunk of a 200 stream.
  model_context_window_exceeded: 'overflow',
  context_length_exceeded: 'overflow',
};

/**
 * The meaning of an upstream's finish reason. A reason nobody knows is a normal end: the answer is
 * there, and a client that meets a strange word may repeat the whole request for ever.
 */
export function readFinishReason(reason: string): FinishMeaning {
  return meanings[reason.toLowerCase()] ?? 'stop';
}
