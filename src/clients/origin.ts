import type { IncomingHttpHeaders } from 'node:http';
import type { ClientKind, HelperForm } from './client.ts';
import { allClients, conversationIn, knownClients, rootIn } from './known-clients.ts';
import { unknownClient } from './unknown.ts';

/** The first value of a header, trimmed; absent when empty. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const first = (Array.isArray(value) ? value[0] : value)?.trim();
  return first === undefined || first === '' ? undefined : first;
}

/** All headers that name a conversation and that providers know, too. */
const affinityHeaders: readonly string[] = [
  ...new Set(
    allClients
      .filter(({ conversation }) => conversation.affinity === 'its headers')
      .flatMap(({ conversation }) => conversation.headers.concat(conversation.parentHeaders)),
  ),
];

/**
 * What tells a provider whose cache a request wants, as headers; everything else about the client
 * stays here. Which of them a provider gets, its profile says.
 * @param client The one that sends it, where it is known
 * @param chatId The client's own name for the conversation
 */
export function affinityOf(
  headers: IncomingHttpHeaders,
  client: ClientKind | undefined,
  chatId: string | undefined,
): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const name of affinityHeaders) {
    const value = headerOf(headers, name);
    if (value !== undefined) passed[name] = value;
  }
  const isNamed = Object.keys(passed).length > 0;
  if (isNamed || chatId === undefined || client?.conversation.affinity !== 'x-session-id')
    return passed;
  return { 'x-session-id': chatId };
}

/**
 * With `always` a request asks for what the setting of that name does, for its conversation: all of
 * our tools from the start. For those who ask about what is stored.
 */
export const injectHeader = 'x-rlm-inject';

/** What a request's headers say about whose it is. */
export interface Origin {
  /** The client, where its headers show which. */
  readonly client?: ClientKind | undefined;
  /** `x-rlm-session`: a session id, chosen by hand. */
  readonly sessionId?: string | undefined;
  /** `x-rlm-directory`, percent-decoded. */
  readonly directory?: string | undefined;
  /** `x-rlm-project`, percent-decoded: what the project is called where stores are shared. */
  readonly project?: string | undefined;
  /** The root of the project, where the client names it in a header. */
  readonly root?: string | undefined;
  /** The client's own name for its conversation, such as `x-session-id`. */
  readonly chatId?: string | undefined;
  /** The conversation that started this one (subagents), such as `x-parent-session-id`. */
  readonly parentChatId?: string | undefined;
  /** Set where the headers show that it is no turn of a chat. */
  readonly helper?: HelperForm | undefined;
}

/**
 * Reads {@link Origin} from headers. What is not valid percent-encoding is taken as it is.
 * @param members Of the body, where they are known by then: a client that its headers show may name
 * its conversation there
 */
export function originOf(
  headers: IncomingHttpHeaders,
  members: Readonly<Record<string, unknown>> = {},
): Origin {
  const directory = headerOf(headers, 'x-rlm-directory');
  const project = headerOf(headers, 'x-rlm-project');
  const client = clientOfHeaders(headers);
  const own = (client ?? unknownClient).conversation;
  const shared = unknownClient.conversation;
  const conversation =
    firstOf(headers, [...own.headers, ...shared.headers]) ??
    (client === undefined ? undefined : conversationIn(client, members));
  const agent = own.agentHeader === undefined ? undefined : headerOf(headers, own.agentHeader);
  const isAgent = conversation !== undefined && agent !== undefined;
  const parent = firstOf(headers, [...own.parentHeaders, ...shared.parentHeaders]);
  return {
    client,
    sessionId: headerOf(headers, 'x-rlm-session'),
    directory: directory === undefined ? undefined : percentDecode(directory),
    project: project === undefined ? undefined : percentDecode(project),
    root: client === undefined ? undefined : rootIn(client, (name) => headerOf(headers, name)),
    chatId: isAgent ? `${conversation}/${agent}` : conversation,
    parentChatId: isAgent ? conversation : parent,
    helper: client?.helpers.find(
      ({ stands, form }) =>
        typeof stands === 'object' && form.test(headerOf(headers, stands.header) ?? ''),
    ),
  };
}

/** The client that a request's headers show; `undefined` where they show none that is known. */
function clientOfHeaders(headers: IncomingHttpHeaders): ClientKind | undefined {
  const userAgent = headerOf(headers, 'user-agent');
  const named = knownClients.find(
    ({ known }) => userAgent !== undefined && known.userAgent?.test(userAgent) === true,
  );
  if (named !== undefined) return named;
  return knownClients.find(({ known }) =>
    known.headers?.some((name) => headerOf(headers, name) !== undefined),
  );
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
