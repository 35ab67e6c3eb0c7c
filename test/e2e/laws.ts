import assert from 'node:assert/strict';
import type { PlainRequest, Message } from '../../src/wire/types.ts';
import type { RecordedRequest } from '../support/scripted-upstream.ts';

/**
 * Every call is answered once and directly after its message, and nothing else is answered. @throws
 * AssertionError
 */
export function assertWellFormed(messages: readonly Message[]): void {
  let open: readonly string[] = [];
  for (const [index, message] of messages.entries()) {
    const where = `messages[${index}] (${message.role})`;
    if (message.role === 'tool') {
      const id = message.tool_call_id ?? '';
      assert.ok(open.includes(id), `${where} answers ${id}, which is not open`);
      open = open.filter((each) => each !== id);
      continue;
    }
    assert.deepEqual(open, [], `${where} comes before these calls were answered`);
    open = (message.tool_calls ?? []).map((call) => call.id);
    assert.equal(new Set(open).size, open.length, `${where} has the same call id twice`);
  }
  assert.deepEqual(open, [], 'calls at the end are not answered');
}

/**
 * Each request's bytes begin with those of the one before, up to the end of its message list.
 * @throws AssertionError
 */
export function assertExtends(before: RecordedRequest, after: RecordedRequest): void {
  const open = withoutEnd(before.rawBody.toString());
  const longer = after.rawBody.toString();
  if (longer.startsWith(open)) return;
  let at = 0;
  while (open[at] === longer[at]) at += 1;
  const around = (text: string): string => text.slice(Math.max(0, at - 200), at + 200);
  assert.fail(
    `the same for ${at} of ${open.length} characters, then\n  was ${around(open)}\n  is  ${around(longer)}`,
  );
}

/** A body whose last member is the list of messages, without the brackets that close it. */
function withoutEnd(body: string): string {
  assert.ok(body.endsWith(']}'), `the body ends in ${body.slice(-20)}`);
  return body.slice(0, -2);
}

/** The upstream got what OpenCode sent, but for the model's name. @throws AssertionError */
export function assertUntouched(sent: PlainRequest, got: PlainRequest): void {
  assert.deepEqual({ ...got, model: sent.model }, sent);
}
