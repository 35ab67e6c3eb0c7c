import type { IncomingHttpHeaders } from 'node:http';
import { conversationHeaders, headerOf } from '../../clients/origin.ts';
import { isObject, parseJson, type JsonObject } from '../../wire/json.ts';

/**
 * The request's headers, with what this protocol's clients say elsewhere in the words of ours: the
 * key, and the conversation, which a subagent has for itself. What another client than Claude Code
 * says in `metadata.user_id` names a user or a program and no conversation, so it counts for
 * nothing.
 */
export function withOrigin(headers: IncomingHttpHeaders, request: JsonObject): IncomingHttpHeaders {
  const added: IncomingHttpHeaders = {};
  const key = headerOf(headers, 'x-api-key');
  if (headers.authorization === undefined && key !== undefined)
    added.authorization = `Bearer ${key}`;
  const session = headerOf(headers, 'x-claude-code-session-id') ?? sessionIn(request['metadata']);
  const isNamed = conversationHeaders.some((name) => headerOf(headers, name) !== undefined);
  if (!isNamed && session !== undefined) {
    const agent = headerOf(headers, 'x-claude-code-agent-id');
    added['x-session-id'] = agent === undefined ? session : `${session}/${agent}`;
    if (agent !== undefined) added['x-parent-session-id'] = session;
  }
  return { ...headers, ...added };
}

/** The session in Claude Code's `user_id`: JSON, or, before 2.1, `user_…_session_…`. */
function sessionIn(metadata: unknown): string | undefined {
  const userId = isObject(metadata) ? metadata['user_id'] : undefined;
  if (typeof userId !== 'string') return undefined;
  const parsed = parseJson(userId);
  const session = isObject(parsed) ? parsed['session_id'] : undefined;
  if (typeof session === 'string' && session !== '') return session;
  return /_session_([0-9a-f-]{36})$/.exec(userId)?.[1];
}
