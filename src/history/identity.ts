import { hash } from 'node:crypto';
import { remindersIn, withoutReminders } from '../clients/known-clients.ts';
import { callName, callText, isFunctionCall } from '../wire/calls.ts';
import type { ContentPart, Message, ToolCall } from '../wire/types.ts';
import { hashTexts, textsOf, type Text } from './message-texts.ts';

/**
 * Who a message is, whatever a client did to its copy. Clients re-serialise arguments, drop or
 * merge reasoning, turn null into "", trim, and take out reminders that they had put in themselves
 * (facts: OpenCode's plan mode). None of that changes an identity; other words or other calls do.
 */
export interface Identity {
  readonly role: Message['role'];
  /**
   * Identifies the message for the chain hash; empty for system messages, which do not take part.
   */
  readonly key: string;
  /**
   * Hash of a user's or an assistant's visible text without its white space; empty where there is
   * none.
   */
  readonly textHash: string;
  /** Code units of the visible text. */
  readonly textLength: number;
  /** Ids of the calls an assistant message makes, in order. */
  readonly callIds: readonly string[];
  /** Hash of what each of those calls is: name and arguments, however they are spelled. */
  readonly callHashes: readonly string[];
  /** The call a tool message answers. */
  readonly toolCallId?: string;
  /**
   * Its last link in a chain hash: a history is linked anew in every turn, and is mostly that of
   * the turn before.
   */
  link?: { readonly before: string; readonly after: string };
  /** The same of its name among the answers of a conversation; see {@link Trail}. */
  named?: { readonly chain: string; readonly keyHash: string; readonly key: string | undefined };
}

/**
 * Pure. A tool message is identified by the call it answers and not by its text: clients prune old
 * outputs.
 */
export function identityOf(message: Message): Identity {
  const { role } = message;
  const calls = message.tool_calls ?? [];
  // Most messages have none, and identities are kept by the ten thousand.
  const callIds = calls.length === 0 ? none : calls.map((call) => call.id);
  const callHashes = calls.length === 0 ? none : calls.map(hashCall);
  switch (role) {
    case 'system':
    case 'developer': {
      const textLength = visibleText(message).length;
      return { role, key: '', textHash: '', textLength, callIds, callHashes };
    }
    case 'tool':
    case 'function': {
      const toolCallId = message.tool_call_id ?? message.name ?? '';
      const textLength = lengthOf(visibleTexts(message));
      const key = hashOf(`t\0${toolCallId}`);
      return { role, key, textHash: '', textLength, callIds, callHashes, toolCallId };
    }
    case 'assistant':
    case 'user': {
      const texts = visibleTexts(message);
      const textHash = hashTexts(texts);
      const textLength = lengthOf(texts);
      const key =
        role === 'assistant'
          ? `a\0${textHash}\0${callHashes.join('')}\0${callIds.join('\0')}`
          : `u\0${textHash}\0${otherParts(message)}`;
      return { role, key: hashOf(key), textHash, textLength, callIds, callHashes };
    }
  }
}

const none: readonly string[] = [];

/**
 * The hash of all messages up to and including one: the next link of the chain. System messages
 * leave it as it is.
 */
export function chainAfter(chain: string, identity: Identity): string {
  if (identity.key === '') return chain;
  if (identity.link?.before === chain) return identity.link.after;
  const after = hashOf(`${chain}\0${identity.key}`);
  identity.link = { before: chain, after };
  return after;
}

/** The chain's beginning. */
export const emptyChain = '';

/**
 * Text of a message; a user's without the reminders that a client adds to its newest message and
 * takes away later.
 */
export function visibleText(message: Message): string {
  return visibleTexts(message)
    .flatMap(({ content }) => (typeof content === 'string' && content !== '' ? [content] : []))
    .join('\n');
}

/**
 * What a client itself says in a message: its system prompt, and the reminders that it puts into a
 * user's message.
 */
export function clientText({ content, role }: Message): string {
  const texts =
    typeof content === 'string'
      ? [content]
      : Array.isArray(content)
        ? (content as readonly ContentPart[]).map(({ text }) =>
            typeof text === 'string' ? text : '',
          )
        : [];
  if (role === 'system' || role === 'developer') return texts.join('\n');
  if (role !== 'user') return '';
  return texts.flatMap(remindersIn).join('\n');
}

function visibleTexts(message: Message): readonly Text[] {
  const texts = message.role === 'user' ? textsOf(message, withoutReminders) : textsOf(message);
  return [...texts.values()];
}

function lengthOf(texts: readonly Text[]): number {
  return texts.reduce((total, { length }) => total + length, 0);
}

/**
 * Hash of a call by name and arguments. Providers that number their calls anew in every turn make
 * all turns alike but for this.
 */
export function hashCall(call: ToolCall): string {
  return hashOf(
    `${callName(call)}\0${isFunctionCall(call) ? plainArguments(call) : callText(call)}`,
  );
}

/**
 * Arguments as the JSON value they are, members in order; broken ones without their white space.
 */
function plainArguments(call: ToolCall): string {
  const text = callText(call).trim();
  try {
    return text === '' ? '{}' : sortedJson(text);
  } catch {
    // The model wrote broken arguments, and clients hand them back as they are.
    return text.replace(/\s+/g, '');
  }
}

/** Digits in a row from which on a number may be another one once it has been read. */
const longNumber = /\d{16}/;

/**
 * JSON text as it is spelled by us: the same for the same value. @throws SyntaxError, RangeError
 * for one nested too deep
 */
function sortedJson(text: string): string {
  const value: unknown = longNumber.test(text)
    ? JSON.parse(text, (_, each: unknown, { source }: { source?: string } = {}) =>
        typeof each === 'number' && longNumber.test(source ?? '') ? `${source}n` : each,
      )
    : JSON.parse(text);
  return JSON.stringify(value, (_, each: unknown) =>
    each === null || typeof each !== 'object' || Array.isArray(each)
      ? each
      : Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))),
  );
}

function otherParts(message: Message): string {
  if (!Array.isArray(message.content)) return '';
  const others = message.content.filter((part: ContentPart) => part.type !== 'text');
  return others.length === 0 ? '' : hashOf(JSON.stringify(others));
}

/**
 * A part of a digest would keep the whole one in memory beside it: V8 does not copy what it slices.
 */
function hashOf(text: string): string {
  return hash('sha256', text, 'base64url');
}
