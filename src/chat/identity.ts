import { hash } from 'node:crypto';
import type { ContentPart, Message } from '../wire/types.ts';

/**
 * Who a message is, whatever a client did to its copy. Clients re-serialise arguments, drop or merge reasoning, turn null into
 * "", trim, and take out reminders that they had put in themselves (facts: OpenCode's plan mode). None of that changes an
 * identity; other words or other calls do.
 */
export interface Identity {
  readonly role: Message['role'];
  /** Identifies the message for the chain hash; empty for system messages, which do not take part. */
  readonly key: string;
  /** Hash of the visible text with white space folded; empty text gives an empty string. */
  readonly textHash: string;
  /** Code units of the visible text. */
  readonly textLength: number;
  /** Ids of the calls an assistant message makes, in order. */
  readonly callIds: readonly string[];
  /** The call a tool message answers. */
  readonly toolCallId?: string;
}

/** Pure. A tool message is identified by the call it answers and not by its text: clients prune old outputs. */
export function identityOf(message: Message): Identity {
  const callIds = (message.tool_calls ?? []).map((call) => call.id);
  const text = visibleText(message);
  const textHash = hashText(text);
  const base = { role: message.role, textHash, textLength: text.length, callIds };
  switch (message.role) {
    case 'system':
    case 'developer':
      return { ...base, key: '' };
    case 'tool':
    case 'function': {
      const toolCallId = message.tool_call_id ?? message.name ?? '';
      return { ...base, key: shortHash(`t\0${toolCallId}`), toolCallId };
    }
    case 'assistant':
      return { ...base, key: shortHash(`a\0${textHash}\0${callIds.join('\0')}`) };
    case 'user':
      return { ...base, key: shortHash(`u\0${textHash}\0${otherParts(message)}`) };
  }
}

/** The hash of all messages up to and including one: the next link of the chain. System messages leave it as it is. */
export function chainAfter(chain: string, identity: Identity): string {
  return identity.key === '' ? chain : shortHash(`${chain}\0${identity.key}`);
}

/** The chain's beginning. */
export const emptyChain = '';

/** Text of a message without the reminders that a client adds to its newest message and takes away later. */
export function visibleText(message: Message): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .filter((part: ContentPart) => part.type === 'text' && !isReminder(part.text ?? ''))
    .map((part: ContentPart) => part.text ?? '')
    .join('\n');
}

/** Hash of a text with its white space folded, so that trimming and joining do not matter. */
export function hashText(text: string): string {
  const folded = text.replace(/\s+/g, ' ').trim();
  return folded === '' ? '' : shortHash(folded);
}

function isReminder(text: string): boolean {
  return text.startsWith('<system-reminder>');
}

function otherParts(message: Message): string {
  if (!Array.isArray(message.content)) return '';
  const others = message.content.filter((part: ContentPart) => part.type !== 'text');
  return others.length === 0 ? '' : shortHash(JSON.stringify(others));
}

/** 128 bits are plenty for keys within one project, and half the memory. */
function shortHash(text: string): string {
  return hash('sha256', text).slice(0, 32);
}
