import { createHash } from 'node:crypto';
import { exactNumbers, type WithExactNumbers } from '../wire/envelope-json.ts';
import type { ChatRequest, Message, UpstreamMessage } from '../wire/types.ts';
import { type MessageShape, UnparsedMessage } from '../wire/unparsed-message.ts';
import type { Profile } from './profile.ts';

/** A request in a provider's own spelling, and what had to be left out for it. */
export interface Rewritten {
  readonly body: Readonly<Body>;
  /** Names of members, for the log. */
  readonly dropped: readonly string[];
}

type Body = Record<string, unknown> & { messages: readonly UpstreamMessage[] };

const reasoningMembers = ['reasoning_content', 'reasoning', 'reasoning_text', 'reasoning_details'];

/** Members about streaming that a model may refuse, whatever its provider's profile says. */
export type StreamMember = 'stream' | 'stream_options';

const noneRefused: ReadonlySet<StreamMember> = new Set();

/**
 * The request as the provider wants it, streamed unless `refused` says that it may not be. Members
 * keep their order, and whatever the profile does not speak of goes as it came. Pure and stable:
 * the same messages give the same bytes in every turn, or the provider's cache is lost.
 */
export function rewriteRequest(
  request: ChatRequest,
  profile: Profile,
  refused: ReadonlySet<StreamMember> = noneRefused,
): Rewritten {
  const dropped: string[] = [];
  // Filled with the request's members in their order, the messages among them.
  const body = {} as Body & { [exactNumbers]?: WithExactNumbers[typeof exactNumbers] };
  const numbers = (request as WithExactNumbers)[exactNumbers];
  if (numbers !== undefined) body[exactNumbers] = numbers;
  for (const [member, value] of Object.entries(request)) {
    if (profile.droppedMembers?.includes(member)) dropped.push(member);
    else body[member] = value;
  }
  body.messages = rewriteMessages(request.messages, profile);
  body['stream'] = !refused.has('stream');
  if (profile.refusesStreamOptions === true || refused.size > 0) delete body['stream_options'];
  else body['stream_options'] = { ...request.stream_options, include_usage: true };
  chooseTool(request, profile, body, dropped);
  if (profile.maxTokensMember !== undefined) nameLimit(body, profile.maxTokensMember);
  raiseTemperature(body, profile);
  if (profile.withTools !== undefined && (request.tools?.length ?? 0) > 0) {
    for (const [member, value] of Object.entries(profile.withTools)) body[member] ??= value;
  }
  return { body, dropped };
}

/** Said to a model that must not call tools and has no other way to be told. */
const noToolsNotice = 'Answer now in plain text. Do not call any tool in this answer.';

function chooseTool(request: ChatRequest, profile: Profile, body: Body, dropped: string[]): void {
  const choice = request.tool_choice;
  if (choice === undefined || choice === null) return;
  const isForced = choice !== 'auto' && choice !== 'none';
  const isRefused =
    (profile.toolChoices === 'auto' && choice !== 'auto') ||
    (profile.toolChoices === 'unforced' && isForced);
  if (!isRefused) return;
  delete body['tool_choice'];
  dropped.push('tool_choice');
  if (choice !== 'none') return;
  // Leaving the tools out instead would change the prompt's beginning and cost its whole cache.
  body.messages = [...body.messages, { role: 'system', content: noToolsNotice }];
}

/** One limit under one name; of two the smaller. */
function nameLimit(body: Record<string, unknown>, member: 'max_tokens'): void {
  const limits = [body['max_tokens'], body['max_completion_tokens']].filter(
    (limit): limit is number => typeof limit === 'number',
  );
  delete body['max_completion_tokens'];
  if (limits.length > 0) body[member] = Math.min(...limits);
}

function raiseTemperature(body: Record<string, unknown>, profile: Profile): void {
  const { temperature } = body;
  if (profile.minTemperature === undefined || typeof temperature !== 'number') return;
  body['temperature'] = Math.max(temperature, profile.minTemperature);
}

/** The same list where nothing has to change, so that a long history costs a walk and no copy. */
function rewriteMessages(
  messages: readonly UpstreamMessage[],
  profile: Profile,
): readonly UpstreamMessage[] {
  if (!hasMessageRules(profile)) return messages;
  const rewritten = messages.map((message) => rewriteMessage(message, profile));
  if (profile.bridgesToolToUser !== true) return rewritten;
  return rewritten.flatMap((message, at) =>
    message.role === 'user' && rewritten[at - 1]?.role === 'tool'
      ? [{ role: 'assistant', content: 'Done.' } as const, message]
      : [message],
  );
}

/** Whether there is anything that a message could break. */
function hasMessageRules(profile: Profile): boolean {
  return (
    (profile.reasoning ?? 'keep') !== 'keep' ||
    profile.systemOnly === true ||
    profile.droppedMessageMembers !== undefined ||
    profile.shortCallIds === true ||
    profile.bridgesToolToUser === true
  );
}

function rewriteMessage(message: UpstreamMessage, profile: Profile): UpstreamMessage {
  if (!(message instanceof UnparsedMessage)) return rewriteParsed(message, profile);
  return isTouched(message.shape, profile) ? rewriteParsed(message.parse(), profile) : message;
}

/** Whether a rule of the profile can change messages of this shape. */
function isTouched(shape: MessageShape, profile: Profile): boolean {
  const { role, members, hasCalls, hasReasoningText } = shape;
  const touchesReasoning =
    role === 'assistant' &&
    ((profile.reasoning === 'strip' && reasoningMembers.some((member) => members.has(member))) ||
      (profile.reasoning === 'keep-or-empty' && hasCalls && !hasReasoningText));
  return (
    touchesReasoning ||
    (profile.systemOnly === true && role === 'developer') ||
    profile.droppedMessageMembers?.some((member) => members.has(member)) === true ||
    (profile.shortCallIds === true && (hasCalls || members.has('tool_call_id')))
  );
}

function rewriteParsed(message: Message, profile: Profile): Message {
  let changed = message;
  if (profile.systemOnly === true && message.role === 'developer') {
    changed = { ...changed, role: 'system' };
  }
  if (message.role === 'assistant') changed = applyReasoningPolicy(changed, profile.reasoning);
  if (profile.droppedMessageMembers?.some((member) => member in message)) {
    changed = without(changed, profile.droppedMessageMembers);
  }
  return profile.shortCallIds === true ? shortenCallIds(changed) : changed;
}

/**
 * An assistant message with its reasoning as the policy wants it; the same object where nothing
 * changes.
 */
export function applyReasoningPolicy(message: Message, policy: Profile['reasoning']): Message {
  const has = reasoningMembers.some((member) => member in message);
  if (policy === 'strip') return has ? without(message, reasoningMembers) : message;
  const lacksIt = typeof message['reasoning_content'] !== 'string';
  const hasCalls = (message.tool_calls?.length ?? 0) > 0;
  if (policy !== 'keep-or-empty' || !hasCalls || !lacksIt) return message;
  const other = message['reasoning'];
  return { ...message, reasoning_content: typeof other === 'string' ? other : '' };
}

function without(message: Message, members: readonly string[]): Message {
  const kept = Object.entries(message).filter(([member]) => !members.includes(member));
  // The members left out are optional ones.
  return Object.fromEntries(kept) as unknown as Message;
}

function shortenCallIds(message: Message): Message {
  const { tool_call_id: answered, tool_calls: calls } = message;
  if (calls === undefined && answered === undefined) return message;
  return {
    ...message,
    ...(answered === undefined ? {} : { tool_call_id: shortCallId(answered) }),
    ...(calls === undefined
      ? {}
      : { tool_calls: calls.map((call) => Object.assign({}, call, { id: shortCallId(call.id) })) }),
  };
}

/** Nine letters and digits for any id; an id that is so already is kept. */
function shortCallId(id: string): string {
  if (/^[A-Za-z0-9]{9}$/.test(id)) return id;
  return createHash('sha256').update(id).digest('hex').slice(0, 9);
}
