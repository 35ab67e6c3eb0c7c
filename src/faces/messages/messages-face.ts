import type { IncomingHttpHeaders } from 'node:http';
import { membersThatName } from '../../clients/known-clients.ts';
import { headerOf } from '../../clients/origin.ts';
import { ProxyError } from '../../errors.ts';
import type { ChatCall, ChatHandler, Face } from '../../http/handlers.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { ChatRequest, Message } from '../../wire/types.ts';
import { formOf } from '../answer-form.ts';
import { chatBody, readRequestJson } from '../request-body.ts';
import { messagesOf } from './input-messages.ts';
import { messagesError } from './message-errors.ts';
import { event, MessageWriter } from './message-writer.ts';
import { messagesModel, messagesModelList, speaksMessages } from './model-list.ts';
import { type AnswerSchema, membersOf, type MessagesMembers } from './request-members.ts';

/** What is known of a model before it is asked. */
interface ModelFacts {
  /** Longest answer, tokens. */
  readonly maxOutputTokens?: number | undefined;
  /** Whether its provider is known to take a JSON schema for the answer. */
  readonly takesJsonSchema: boolean;
  /** An estimate, by what its provider has counted of prompts before. */
  readonly countTokens: (request: ChatRequest) => number;
}

/** The facts of a client's model name. @throws ProxyError `unknown_model` */
export type FactsOf = (model: string, signal: AbortSignal) => Promise<ModelFacts>;

/** `POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API over our turn. */
export function messagesFaces(chat: ChatHandler, factsOf: FactsOf): readonly Face[] {
  const own = { errorBody: messagesError, requestIdHeader: 'request-id' };
  return [
    {
      ...own,
      models: { isFor: speaksMessages, one: messagesModel, list: messagesModelList },
      path: '/v1/messages',
      chat: { handle: async (call) => answer(chat, factsOf, call) },
    },
    {
      ...own,
      path: '/v1/messages/count_tokens',
      hasNoTurn: true,
      chat: { handle: async (call) => count(factsOf, call) },
    },
  ];
}

async function answer(
  chat: ChatHandler,
  factsOf: FactsOf,
  call: ChatCall,
): ReturnType<ChatHandler['handle']> {
  const request = await readRequestJson(call.body);
  const asked = translated(request);
  const facts = await factsOf(asked.envelope.model, call.signal);
  const { messages, ...members } = fitting(asked, facts);
  const { envelope } = members;
  const writer = new MessageWriter({
    ...members,
    id: `msg_${call.requestId.slice(call.requestId.indexOf('_') + 1)}`,
    model: envelope.model,
    nameOf: members.tools.nameOf,
  });
  const reply = await chat.handle({
    ...call,
    body: chatBody(envelope, messages),
    headers: withKey(call.headers),
    ownMembers: membersThatName(request),
    form: formOf(writer),
  });
  if (reply.kind === 'json') return reply;
  const { requestId, headers } = call;
  return {
    ...reply,
    heartbeat: () => event('ping', {}),
    errorFrame: (error) => {
      const body = messagesError(error, { requestId, userAgent: headers['user-agent'] });
      return `event: error\ndata: ${JSON.stringify(body)}\n\n`;
    },
  };
}

/** The request's headers, with the key that this protocol's clients send in one of their own. */
function withKey(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const key = headerOf(headers, 'x-api-key');
  return headers.authorization !== undefined || key === undefined
    ? headers
    : { ...headers, authorization: `Bearer ${key}` };
}

async function count(factsOf: FactsOf, call: ChatCall): ReturnType<ChatHandler['handle']> {
  const asked = translated(await readRequestJson(call.body));
  const facts = await factsOf(asked.envelope.model, call.signal);
  const { envelope, messages } = fitting(asked, facts);
  const tokens = facts.countTokens({ ...envelope, messages });
  return { kind: 'json', status: 200, body: JSON.stringify({ input_tokens: tokens }) };
}

/** A request for a chat completion, in its parts. */
interface Translated extends MessagesMembers {
  readonly messages: readonly Message[];
}

/** @throws ProxyError `invalid_request` */
function translated(request: JsonObject): Translated {
  const members = membersOf(request);
  const messages = messagesOf(request['system'], request['messages']);
  if (messages.length === 0)
    throw new ProxyError('invalid_request', '`messages` must hold at least one message.', {
      param: 'messages',
    });
  return { ...members, messages: withAbsentTools(messages, members.tools) };
}

/**
 * A request whose only tools run at Anthropic is not refused, which would make the client try again
 * and again; but a model that is asked to search the web with no tool for it must not make up what
 * it has found.
 */
function withAbsentTools(
  messages: readonly Message[],
  { definitions, leftOut }: MessagesMembers['tools'],
): readonly Message[] {
  if (definitions.length > 0 || leftOut.length === 0) return messages;
  const content = `These tools are not available here: ${leftOut.join(', ')}. Where one of them would be needed, say that it is not available, and make nothing up in its place.`;
  return withInstruction(messages, content);
}

/** The messages with something more for the model to keep to, at their beginning. */
function withInstruction(messages: readonly Message[], text: string): readonly Message[] {
  const [first] = messages;
  return first?.role === 'system' && typeof first.content === 'string'
    ? [{ ...first, content: `${first.content}\n\n${text}` }, ...messages.slice(1)]
    : [{ role: 'system', content: text }, ...messages];
}

/** The request as the model that is going to answer can take it. */
function fitting(asked: Translated, facts: ModelFacts): Translated {
  const { schema, messages } = asked;
  const envelope = withLimit(asked.envelope, facts);
  if (schema === undefined) return { ...asked, envelope };
  if (facts.takesJsonSchema) return { ...asked, envelope: { ...envelope, ...formatFor(schema) } };
  // A refusal would make the client try again, up to six times; words do not bind a model, but such
  // clients read what they get.
  const words = `Answer with one JSON value that fits this JSON schema, and with nothing around it: ${JSON.stringify(schema.schema)}`;
  return { ...asked, envelope, messages: withInstruction(messages, words) };
}

function formatFor({ name, schema }: AnswerSchema): JsonObject {
  return { response_format: { type: 'json_schema', json_schema: { name, schema, strict: true } } };
}

/** Clients ask for as much as their own models can write, which most providers refuse. */
function withLimit(
  envelope: MessagesMembers['envelope'],
  { maxOutputTokens }: ModelFacts,
): MessagesMembers['envelope'] {
  const asked = envelope['max_tokens'];
  return maxOutputTokens === undefined || typeof asked !== 'number' || asked <= maxOutputTokens
    ? envelope
    : { ...envelope, max_tokens: maxOutputTokens };
}
