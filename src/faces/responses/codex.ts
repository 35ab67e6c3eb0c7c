import type { IncomingHttpHeaders } from 'node:http';
import type { ProxyError } from '../../errors.ts';
import { conversationHeaders, headerOf } from '../../clients/origin.ts';
import { isObject, parseJson, type JsonObject } from '../../wire/json.ts';

/** Whether the client is Codex, which names itself in two headers. */
export function isCodex(headers: IncomingHttpHeaders): boolean {
  const names = [headerOf(headers, 'originator'), headerOf(headers, 'user-agent')];
  return names.some((name) => name?.toLowerCase().startsWith('codex') === true);
}

/**
 * Whether Codex does better with a failure as an event than with its status. A status other than
 * 400 and 429 makes it ask 6 to 30 times, and of a 400 its user gets to see the JSON; only with 429
 * does it wait as long as it is told to.
 */
export function wantsEvent({ status }: ProxyError): boolean {
  return status !== 429;
}

/**
 * The request's headers, with what Codex says of its conversation and its directory elsewhere in
 * the words of ours. What another client says there may be shared by many conversations, so it
 * counts for nothing: `prompt_cache_key` is often a user's or a program's.
 */
export function withOrigin(headers: IncomingHttpHeaders, request: JsonObject): IncomingHttpHeaders {
  if (!isCodex(headers)) return headers;
  const added: IncomingHttpHeaders = {};
  const session = headerOf(headers, 'session-id') ?? headerOf(headers, 'session_id');
  const thread = headerOf(headers, 'thread-id') ?? session ?? textOf(request['prompt_cache_key']);
  const isNamed = conversationHeaders.some((name) => headerOf(headers, name) !== undefined);
  if (!isNamed && thread !== undefined) {
    added['x-session-id'] = thread;
    if (session !== undefined && session !== thread) added['x-parent-session-id'] = session;
  }
  const facts = turnFacts(headers);
  // A summary for the client itself is answered as it is asked for, with nothing of ours in it.
  if (facts['request_kind'] === 'compaction') return { ...headers, ...added };
  const directory = directoryIn(request['input']);
  if (headerOf(headers, 'x-rlm-directory') === undefined && directory !== undefined)
    added['x-rlm-directory'] = encodeURIComponent(directory);
  return { ...headers, ...added };
}

function turnFacts(headers: IncomingHttpHeaders): JsonObject {
  const parsed = parseJson(headerOf(headers, 'x-codex-turn-metadata') ?? '');
  return isObject(parsed) ? parsed : {};
}

const environment = /^\s*<environment_context>[\s\S]*?<cwd>([^<]+)<\/cwd>/;

/**
 * The directory that Codex's own message names. The last one counts: after a resume another can
 * come, which may say less.
 */
function directoryIn(input: unknown): string | undefined {
  if (!Array.isArray(input)) return undefined;
  let found: string | undefined;
  for (const item of input as readonly unknown[]) {
    if (!isObject(item) || item['role'] !== 'user') continue;
    const content: unknown = item['content'];
    const parts = Array.isArray(content) ? (content as readonly unknown[]) : [{ text: content }];
    for (const part of parts) {
      const text = isObject(part) ? textOf(part['text']) : undefined;
      found = environment.exec(text ?? '')?.[1] ?? found;
    }
  }
  return found;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
