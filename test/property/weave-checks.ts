import { deepEqual, equal, notEqual } from 'node:assert/strict';
import type { Message } from '../../src/wire/types.ts';

/**
 * Every call is answered exactly once and directly behind its message, and nothing answers no call.
 */
export function expectWellFormed(messages: readonly Message[]): void {
  for (let at = 0; at < messages.length;) {
    const message = messages[at] as Message;
    notEqual(message.role, 'tool', `orphan at ${at}: ${shape(messages)}`);
    const ids = (message.tool_calls ?? []).map((call) => call.id);
    const answers = messages.slice(at + 1, at + 1 + ids.length);
    const answered = answers.map(({ role, tool_call_id: id }) => (role === 'tool' ? id : role));
    deepEqual(answered, ids, shape(messages));
    at += 1 + ids.length;
  }
}

/** The list without its closing bracket, as it stands in a body. */
export function bytesOf(messages: readonly Message[]): string {
  return JSON.stringify(messages).slice(0, -1);
}

/** The list begins with what was sent before. Says where it does not. */
export function expectPrefix(messages: readonly Message[], before: string): void {
  const bytes = bytesOf(messages);
  if (bytes.startsWith(before)) return;
  let at = 0;
  while (bytes[at] === before[at]) at += 1;
  const around = (text: string): string => text.slice(Math.max(0, at - 200), at + 200);
  equal(around(bytes), around(before), `differs at ${at} of ${before.length}`);
}

/** Roles and call ids, for the message of a failed check. */
function shape(messages: readonly Message[]): string {
  return messages
    .map(
      ({ role, tool_calls: calls, tool_call_id: id }) =>
        role[0] +
        (calls === undefined ? '' : `(${calls.map((call) => call.id).join(',')})`) +
        (id ?? ''),
    )
    .join(' ');
}

/** All text of a message. */
export function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('\n');
}
