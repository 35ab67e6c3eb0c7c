import { readClientFrames, streamedRequestBody } from '../../wire/client-frames.ts';
import type { Usage } from '../../wire/types.ts';

/** Where questions go. */
export interface AskTarget {
  /** With `/v1` where the server wants it: requests go to `<baseUrl>/chat/completions`. */
  readonly baseUrl: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What one question cost. Token counts are those that the server reported, over all its steps. */
export interface AskResult {
  readonly text: string;
  /** Why there is no answer; the text may still hold a part. */
  readonly error?: string | undefined;
  readonly elapsedMs: number;
  readonly firstTextMs?: number | undefined;
  readonly upstreamCalls: number;
  readonly toolCalls: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** What our own proxy adds to the usage. */
interface OwnUsage {
  readonly steps?: number;
  readonly tool_calls?: number;
  readonly sub_calls?: number;
  readonly prompt_tokens?: number;
  readonly cached_tokens?: number;
  readonly completion_tokens?: number;
}

/**
 * Asks one question in a conversation of its own and waits for the whole answer. A refusal is a
 * result, not a throw.
 */
export async function askServer(
  target: AskTarget,
  content: string,
  signal: AbortSignal,
): Promise<AskResult> {
  const startedMs = performance.now();
  const response = await fetch(`${target.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...target.headers },
    body: streamedRequestBody(target.model, [{ role: 'user', content }]),
    signal,
  });
  const elapsed = (): number => performance.now() - startedMs;
  if (!response.ok || response.body === null) {
    const reason = `${response.status} ${(await response.text()).slice(0, 300)}`;
    return { ...tokensOf(undefined), text: '', error: reason, elapsedMs: elapsed() };
  }
  let text = '';
  let firstTextMs: number | undefined;
  let usage: Usage | undefined;
  let error: string | undefined;
  for await (const frame of readClientFrames(response.body)) {
    error ??= frame.error?.message;
    usage = frame.usage ?? usage;
    const piece = frame.choices?.[0]?.delta?.content ?? '';
    if (piece !== '') firstTextMs ??= elapsed();
    text += piece;
  }
  return {
    ...tokensOf(usage),
    text,
    elapsedMs: elapsed(),
    firstTextMs,
    error,
  };
}

function tokensOf(usage: Usage | undefined) {
  const rlm = usage?.['rlm'] as OwnUsage | undefined;
  return {
    upstreamCalls: (rlm?.steps ?? 1) + (rlm?.sub_calls ?? 0),
    toolCalls: rlm?.tool_calls ?? 0,
    promptTokens: rlm?.prompt_tokens ?? usage?.prompt_tokens ?? 0,
    cachedTokens: rlm?.cached_tokens ?? usage?.prompt_tokens_details?.cached_tokens ?? 0,
    completionTokens: rlm?.completion_tokens ?? usage?.completion_tokens ?? 0,
  };
}
