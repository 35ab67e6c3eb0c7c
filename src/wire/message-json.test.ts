import { expect, it } from 'vitest';
import { messageBytes, requestBody, requestBytes } from './message-json.ts';
import type { Message } from './types.ts';
import { shapeOf, UnparsedMessage } from './unparsed-message.ts';

it('writes what JSON.stringify writes, the messages last', () => {
  const messages: Message[] = [
    { role: 'user', content: 'ä "x" \u2028' },
    { role: 'assistant', content: null },
  ];
  for (const body of [
    { model: 'm', tools: [], 'odd "name"': undefined, temperature: 0, messages },
    { stream: true, messages: [] },
    { tools: null, messages },
    { messages },
  ]) {
    expect(String(requestBody(body))).toBe(JSON.stringify(body));
  }
  expect(String(requestBody({ messages, model: 'm' }))).toBe(
    JSON.stringify({ model: 'm', messages }),
  );
  const request = { model: 'm', tools: [{ type: 'function' }], messages };
  expect(requestBytes(request)).toBe(requestBody(request).length + 1);
});

it('writes a message that was not parsed as it came, in one piece or in many', () => {
  const json = '{ "role":"user", "content":"\\u00e4", "x": 1.0 }';
  const message = JSON.parse(json) as Message;
  const bytes = Buffer.from(json);
  for (const pieces of [[bytes], [bytes.subarray(0, 7), bytes.subarray(7)]]) {
    const unparsed = new UnparsedMessage(shapeOf(message), { pieces, sizeBytes: bytes.length });
    expect(String(requestBody({ model: 'm', messages: [unparsed, unparsed] }))).toBe(
      `{"model":"m","messages":[${json},${json}]}`,
    );
    expect(messageBytes(unparsed)).toBe(bytes.length);
    expect(unparsed.parse()).toEqual(message);
  }
  // A copy is another message.
  expect(String(requestBody({ messages: [{ ...message }] }))).toBe(
    '{"messages":[{"role":"user","content":"ä","x":1}]}',
  );
});
