import type { IncomingHttpHeaders } from 'node:http';
import { knownClients } from './known-clients.ts';

/** The first value of a header, trimmed; absent when empty. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const first = (Array.isArray(value) ? value[0] : value)?.trim();
  return first === undefined || first === '' ? undefined : first;
}

/** Headers in which clients name their conversation, the first one that is there counts. */
const chatIdHeaders = [...new Set(knownClients.flatMap((client) => client.chatIdHeaders))];

/** Headers in which a subagent names the conversation that started it. */
const parentChatIdHeaders = [...new Set(knownClients.map((client) => client.parentChatIdHeader))];

/** All headers that name a conversation. */
export const conversationHeaders: readonly string[] = [...chatIdHeaders, ...parentChatIdHeaders];

/**
 * With `always` a request asks for what the setting of that name does, for its conversation: all of
 * our tools from the start. For those who ask about what is stored.
 */
export const injectHeader = 'x-rlm-inject';

/** What a request's headers say about whose it is. */
export interface Origin {
  /** `x-rlm-session`: a session id, chosen by hand. */
  readonly sessionId?: string | undefined;
  /** `x-rlm-directory`, percent-decoded. */
  readonly directory?: string | undefined;
  /** The client's own name for its conversation, such as `x-session-id`. */
  readonly chatId?: string | undefined;
  /** The conversation that started this one (subagents), such as `x-parent-session-id`. */
  readonly parentChatId?: string | undefined;
}

/**
 * Reads {@link Origin} from headers. A directory that is not valid percent-encoding is taken as it
 * is.
 */
export function originOf(headers: IncomingHttpHeaders): Origin {
  const encoded = headerOf(headers, 'x-rlm-directory');
  return {
    sessionId: headerOf(headers, 'x-rlm-session'),
    directory: encoded === undefined ? undefined : percentDecode(encoded),
    chatId: firstOf(headers, chatIdHeaders),
    parentChatId: firstOf(headers, parentChatIdHeaders),
  };
}

/** The value of the first of these headers that is there. */
function firstOf(headers: IncomingHttpHeaders, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = headerOf(headers, name);
    if (value !== undefined) return value;
  }
  return undefined;
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A bare `%` in a path is legal; only well-formed escapes are escapes.
    return text;
  }
}
