import { expect, it } from 'vitest';
import { messageJson, rememberJson, requestJson } from './message-json.ts';
import type { Message } from './types.ts';

it('writes what JSON.stringify writes', () => {
  const messages: Message[] = [
    { role: 'user', content: 'ä "x" \u2028' },
    { role: 'assistant', content: null },
  ];
  for (const body of [
    { model: 'm', messages, tools: [], 'odd "name"': undefined, temperature: 0 },
    { messages: [], stream: true },
  ]) {
    expect(requestJson(body)).toBe(JSON.stringify(body));
  }
});

it('writes a message as it came', () => {
  const json = '{ "role":"user", "content":"\\u00e4", "x": 1.0 }';
  const message = JSON.parse(json) as Message;
  rememberJson(message, json);
  expect(messageJson(message)).toBe(json);
  expect(requestJson({ model: 'm', messages: [message] })).toBe(
    `{"model":"m","messages":[${json}]}`,
  );
  // A copy is another message.
  expect(messageJson({ ...message })).toBe('{"role":"user","content":"ä","x":1}');
});
