import { ProxyError } from '../errors.ts';
import { readClientFrames, streamedRequestBody } from '../wire/client-frames.ts';
import { isObject, parseJson } from '../wire/json.ts';
import type { Message, Usage } from '../wire/types.ts';

/** A request to a running proxy. */
export interface StreamedRequest {
  /** With `/v1`. */
  readonly baseURL: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly messages: readonly Message[];
}

/** What to do while it comes. */
export interface StreamListeners {
  /** A hidden step in a short text, and what it has found. */
  readonly onStep?: (step: string) => void;
  /** A piece of the answer. */
  readonly onText?: (text: string) => void;
}

/** The whole of it. */
export interface StreamedAnswer {
  readonly text: string;
  readonly steps: readonly string[];
  readonly usage?: Usage | undefined;
}

/** The proxy marks the end of its own lines in the reasoning with U+034F; most are bold. */
const markedStep = /^(?:\*\*)?([^\n]*?)\u034f(?:\*\*)?$/gm;

/** What a step has found begins so; it is no step itself. */
const foundSign = '→';

/** An error's own words, out of the object that carries them. */
function messageOf(body: string): string {
  const value = parseJson(body);
  const error = isObject(value) && isObject(value['error']) ? value['error']['message'] : undefined;
  return typeof error === 'string' ? error : body;
}

/** Asks the proxy and reads its stream. @throws ProxyError `upstream_failed` with what it said */
export async function streamChat(
  request: StreamedRequest,
  listeners: StreamListeners,
  signal?: AbortSignal,
): Promise<StreamedAnswer> {
  const { baseURL, headers, model, messages } = request;
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: streamedRequestBody(model, messages),
    signal: signal ?? null,
  });
  if (!response.ok || response.body === null)
    throw new ProxyError('upstream_failed', messageOf(await response.text()));
  const steps: string[] = [];
  let text = '';
  let usage: Usage | undefined;
  for await (const frame of readClientFrames(response.body)) {
    if (frame.error !== undefined)
      throw new ProxyError('upstream_failed', frame.error.message ?? JSON.stringify(frame));
    usage = frame.usage ?? usage;
    const { content, reasoning_content: reasoning } = frame.choices?.[0]?.delta ?? {};
    for (const [, step = ''] of (reasoning ?? '').matchAll(markedStep)) {
      if (!step.startsWith(foundSign)) steps.push(step);
      listeners.onStep?.(step);
    }
    if (content === undefined || content === null || content === '') continue;
    text += content;
    listeners.onText?.(content);
  }
  return { text, steps, usage };
}
