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
    const unparsed = new UnparsedMessage(shapeOf(message), {
      json: pieces,
      sizeBytes: bytes.length,
    });
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

it('writes messages that lie among others, whatever lies between them and wherever they lie by now', () => {
  const texts = ['{"role":"user","content":"ä"}', '{"role":"user"}', '{"role":"user","n":1}'];
  for (const between of [',', ' ,', '', 'x']) {
    const memory = { bytes: Buffer.from(`[${texts.join(between)}]`) };
    let from = 1;
    const messages = texts.map((text) => {
      const range = { within: memory, from, sizeBytes: Buffer.byteLength(text) };
      from += range.sizeBytes + between.length;
      return new UnparsedMessage(shapeOf({ role: 'user' }), { json: range, ...range });
    });
    // Elsewhere, and with more behind it: as memory is when it has grown.
    memory.bytes = Buffer.concat([memory.bytes, Buffer.from('more')]);
    const [first, second, third] = messages as [UnparsedMessage, UnparsedMessage, UnparsedMessage];
    for (const list of [messages, [first, third], [second, second], [third, second, first]]) {
      const expected = list.map((message) => texts[messages.indexOf(message)]).join(',');
      expect(String(requestBody({ messages: list }))).toBe(`{"messages":[${expected}]}`);
    }
    expect(third.parse()).toEqual({ role: 'user', n: 1 });
    expect(String(Buffer.concat(first.pieces))).toBe(texts[0]);
    expect(first.hasBytes).toBe(true);
  }
});

it('writes a message that is kept as text to the byte, and never sends one that is not there', () => {
  const message: Message = { role: 'user', content: 'ä 🙂 \uFEFF"x"' };
  const json = JSON.stringify(message);
  const sizeBytes = Buffer.byteLength(json);
  const kept = new UnparsedMessage(shapeOf(message), { json, sizeBytes });
  expect(String(requestBody({ messages: [kept] }))).toBe(`{"messages":[${json}]}`);
  expect(kept.parse()).toEqual(message);
  const gone = new UnparsedMessage(shapeOf(message), { json: '', sizeBytes });
  expect(() => requestBody({ messages: [message, gone] })).toThrow(
    'The bytes of a message are gone',
  );
});

it('writes messages kept as text, whatever lies behind them in the memory that small buffers share', () => {
  const messages = Array.from({ length: 40 }, (_, at): Message => {
    return { role: 'user', content: 'x'.repeat(at) };
  });
  const kept = messages.map((message) => {
    const json = JSON.stringify(message);
    return new UnparsedMessage(shapeOf(message), { json, sizeBytes: Buffer.byteLength(json) });
  });
  // All that is free of the pool looks as if a comma followed.
  const { buffer, byteOffset } = Buffer.from('y');
  new Uint8Array(buffer).fill(0x2c, byteOffset + 1);
  expect(String(requestBody({ messages: kept }))).toBe(JSON.stringify({ messages }));
});
