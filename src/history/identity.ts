import { hash } from 'node:crypto';
import { callName, callText, isFunctionCall } from '../wire/calls.ts';
import type { ContentPart, Message, ToolCall } from '../wire/types.ts';
import type { LargeMessage } from './large-message.ts';
import { BareHash } from './bare-hash.ts';

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
}

/**
 * Pure. A tool message is identified by the call it answers and not by its text: clients prune old
 * outputs. `large` holds the texts that are not in the message because they are too long.
 */
export function identityOf(message: Message, large: LargeMessage['texts'] = new Map()): Identity {
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
      const textLength = visibleLength(message, large);
      const key = hashOf(`t\0${toolCallId}`);
      return { role, key, textHash: '', textLength, callIds, callHashes, toolCallId };
    }
    case 'assistant':
    case 'user': {
      const textHash =
        large.size === 0 ? hashText(visibleText(message)) : hashLarge(message, large);
      const textLength = visibleLength(message, large);
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
  const known = links.get(identity);
  if (known?.before === chain) return known.after;
  const after = hashOf(`${chain}\0${identity.key}`);
  links.set(identity, { before: chain, after });
  return after;
}

/**
 * The last link of each identity: a history is linked anew in every turn, and is mostly that of the
 * turn before.
 */
const links = new WeakMap<Identity, { readonly before: string; readonly after: string }>();

/** The chain's beginning. */
export const emptyChain = '';

/**
 * Text of a message; a user's without the reminders that a client adds to its newest message and
 * takes away later.
 */
export function visibleText(message: Message): string {
  return visibleParts(message)
    .map(([, text]) => text)
    .filter((text) => text !== '')
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
  return texts.flatMap((text) => text.match(reminder) ?? []).join('\n');
}

const reminder = /<system-reminder>[\s\S]*?(?:<\/system-reminder>|$)/g;

function visibleParts({ content, role }: Message): readonly (readonly [number, string])[] {
  const bare = role === 'user' ? withoutReminders : (text: string): string => text;
  if (typeof content === 'string') return [[-1, bare(content)]];
  if (!Array.isArray(content)) return [];
  return (content as readonly ContentPart[]).flatMap((part, index) =>
    part.type === 'text' ? [[index, bare(part.text ?? '')] as const] : [],
  );
}

function visibleLength(message: Message, large: LargeMessage['texts']): number {
  return visibleParts(message).reduce(
    (total, [index, text]) => total + (large.get(index) ?? text).length,
    0,
  );
}

/** The same for a message with large texts; of several parts, each counts for itself. */
function hashLarge(message: Message, large: LargeMessage['texts']): string {
  const hashes = visibleParts(message)
    .map(([index, text]) => large.get(index)?.bareHash ?? hashText(text))
    .filter((each) => each !== '');
  return hashes.length === 1 ? (hashes[0] as string) : hashOf(hashes.join('\0'));
}

/**
 * Hash of a text without its white space, so that trimming, joining and splitting do not matter.
 */
export function hashText(text: string): string {
  if (text.length <= hashedAtOnce) {
    const bare = text.replace(/\s+/g, '');
    return bare === '' ? '' : hashOf(bare);
  }
  const sum = new BareHash();
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = Math.min(start + hashedAtOnce, text.length);
    // A pair that was cut in two would become two replacement characters.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    sum.add(text.slice(start, end));
  }
  return sum.digest();
}

/**
 * Code units that are freed of white space at once: done in one go, 60 million characters take 600
 * MB for a moment.
 */
const hashedAtOnce = 65_536;

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

/** A reminder is a part of its own, or stands behind a text that a client has joined it to. */
function withoutReminders(text: string): string {
  if (!text.includes('<system-reminder>')) return text;
  return text.replace(reminder, '').trimEnd();
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
