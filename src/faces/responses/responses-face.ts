import { membersThatName } from '../../clients/known-clients.ts';
import type { Clock } from '../../clock.ts';
import type { ProxyError } from '../../errors.ts';
import type { ChatCall, ChatHandler, Face } from '../../http/handlers.ts';
import { errorBody } from '../../wire/error-body.ts';
import { nonEmptyText, type JsonObject } from '../../wire/json.ts';
import { formOf } from '../answer-form.ts';
import { chatBody, readRequestJson } from '../request-body.ts';
import { isCodex, wantsEvent } from './codex.ts';
import { codexModels } from './codex-models.ts';
import { messagesOf } from './input-messages.ts';
import { responseId } from './item-ids.ts';
import { membersOf, type RequestMembers } from './request-members.ts';
import { ResponseWriter } from './response-writer.ts';

/** `POST /v1/responses`: OpenAI's Responses API over the turn of chat completions. */
export function responsesFace(chat: ChatHandler, clock: Pick<Clock, 'now'>): Face {
  return {
    path: '/v1/responses',
    models: codexModels,
    chat: { handle: async (call) => answer(chat, call, clock) },
  };
}

async function answer(
  chat: ChatHandler,
  call: ChatCall,
  clock: Pick<Clock, 'now'>,
): ReturnType<ChatHandler['handle']> {
  const request = await readRequestJson(call.body, 'input');
  const members = membersOf(request);
  const messages = messagesOf(nonEmptyText(request['instructions']), request['input']);
  const now = (): number => Math.floor(clock.now() / 1000);
  const writer = new ResponseWriter({
    requestId: call.requestId,
    base: baseOf(request, members, { id: responseId(call.requestId), created_at: now() }),
    tools: members.tools,
    refusesInText: isCodex(call.headers),
    now,
  });
  const failing = {
    heartbeat: () => writer.heartbeat(),
    errorFrame: (error: ProxyError) => {
      const { message, code } = errorBody(error, call.headers['user-agent']).error;
      return writer.fail(error, { message, code: code ?? error.code });
    },
    ...(isCodex(call.headers) ? { failsInStream: wantsEvent } : {}),
  };
  try {
    const reply = await chat.handle({
      ...call,
      body: chatBody(members.envelope, messages),
      ownMembers: membersThatName(request),
      form: formOf(writer),
    });
    return reply.kind === 'json' ? reply : { ...reply, ...failing };
  } catch (error) {
    if (members.envelope.stream !== true || failing.failsInStream === undefined) throw error;
    return { kind: 'stream', frames: throwing(error), ...failing };
  }
}

// eslint-disable-next-line require-yield
async function* throwing(error: unknown): AsyncGenerator<string, void, void> {
  throw error;
}

/** The response object's members that say again what was asked for, with OpenAI's defaults. */
function baseOf(request: JsonObject, { envelope }: RequestMembers, own: JsonObject): JsonObject {
  const { reasoning, text } = request;
  return {
    ...own,
    object: 'response',
    background: false,
    instructions: request['instructions'] ?? null,
    max_output_tokens: request['max_output_tokens'] ?? null,
    max_tool_calls: request['max_tool_calls'] ?? null,
    metadata: request['metadata'] ?? {},
    model: envelope.model,
    parallel_tool_calls: request['parallel_tool_calls'] ?? true,
    previous_response_id: null,
    prompt_cache_key: request['prompt_cache_key'] ?? null,
    reasoning: { effort: null, summary: null, ...(reasoning as JsonObject | undefined) },
    safety_identifier: request['safety_identifier'] ?? null,
    service_tier: 'default',
    store: false,
    temperature: request['temperature'] ?? 1,
    text: { format: { type: 'text' }, ...(text as JsonObject | undefined) },
    tool_choice: request['tool_choice'] ?? 'auto',
    tools: request['tools'] ?? [],
    top_logprobs: request['top_logprobs'] ?? 0,
    top_p: request['top_p'] ?? 1,
    truncation: request['truncation'] ?? 'disabled',
    ...(request['user'] === undefined ? {} : { user: request['user'] }),
  };
}
