import type { IncomingHttpHeaders } from 'node:http';

/**
 * OpenCode's environment block, as its 1.x and 2.x write it into the first system message. The first match counts: an AGENTS.md
 * with a block of its own comes after the real one. Indented by two spaces, the path raw and unquoted.
 */
const environmentBlock =
  /Here is some useful information about the environment you are running in:\r?\n<env>\r?\n {2}Working directory: ([^\r\n]+)\r?\n/;

/** The working directory that a system prompt names in OpenCode's form, if it does. */
export function workingDirectoryOf(systemText: string): string | undefined {
  return environmentBlock.exec(systemText)?.[1];
}

/** The first value of a header, trimmed; absent when empty. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const first = (Array.isArray(value) ? value[0] : value)?.trim();
  return first === undefined || first === '' ? undefined : first;
}

/** Headers in which clients name their conversation, the first one that is there counts. */
export const chatIdHeaders = ['x-session-id', 'x-session-affinity', 'x-opencode-session'] as const;

/** The header in which a subagent names the conversation that started it. */
export const parentChatIdHeader = 'x-parent-session-id';

/** What a request's headers say about whose it is. */
export interface Origin {
  /** `x-rlm-session`: a session id, chosen by hand. */
  readonly sessionId?: string;
  /** `x-rlm-directory`, percent-decoded. */
  readonly directory?: string;
  /** The client's own name for its conversation: `x-session-id`, `x-session-affinity` or `x-opencode-session`. */
  readonly chatId?: string;
  /** `x-parent-session-id`: the conversation that started this one (subagents). */
  readonly parentChatId?: string;
}

/** Reads {@link Origin} from headers. A directory that is not valid percent-encoding is taken as it is. */
export function originOf(headers: IncomingHttpHeaders): Origin {
  const sessionId = headerOf(headers, 'x-rlm-session');
  const encoded = headerOf(headers, 'x-rlm-directory');
  const chatId = chatIdHeaders
    .map((name) => headerOf(headers, name))
    .find((value) => value !== undefined);
  const parentChatId = headerOf(headers, parentChatIdHeader);
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(encoded === undefined ? {} : { directory: percentDecode(encoded) }),
    ...(chatId === undefined ? {} : { chatId }),
    ...(parentChatId === undefined ? {} : { parentChatId }),
  };
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A bare `%` in a path is legal; only well-formed escapes are escapes.
    return text;
  }
}
