import { expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import { parseEnvelope, parseMessage } from './request.ts';

/** A whole request through both checks, as the intake puts it together. */
function check(body: unknown): unknown {
  const { messages, ...rest } = body as { messages: unknown[] };
  return { ...parseEnvelope(rest), messages: messages.map(parseMessage) };
}

const ask = { role: 'user', content: 'hi' };

it.each<[string, unknown]>([
  ['the least', { model: 'm', messages: [ask] }],
  [
    'unknown members in their order',
    { zzz: 1, model: 'm', temperature: 0, messages: [{ cache_control: {}, ...ask }], seed: 7 },
  ],
  [
    'content null, empty, missing, in parts',
    {
      model: 'm',
      messages: [
        { role: 'assistant', content: null },
        { role: 'user', content: '' },
        { role: 'assistant' },
        {
          role: 'user',
          content: [
            { type: 'text', text: '' },
            { type: 'image_url', image_url: { url: 'data:' } },
          ],
        },
      ],
    },
  ],
  [
    'every role',
    {
      model: 'm',
      messages: [
        { role: 'system', content: 's' },
        { role: 'developer', content: 'd' },
        { role: 'function', name: 'f', content: '1' },
        ask,
      ],
    },
  ],
  [
    'a tool loop',
    {
      model: 'm',
      messages: [
        ask,
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'x', name: 'f' },
      ],
    },
  ],
  [
    'tools of all kinds',
    {
      model: 'm',
      messages: [ask],
      tools: [
        { type: 'function', function: { name: 'f', parameters: {}, strict: true } },
        { type: 'web_search' },
      ],
      tool_choice: 'auto',
    },
  ],
  [
    'a custom call',
    {
      model: 'm',
      messages: [
        ask,
        {
          role: 'assistant',
          tool_calls: [{ id: 'a', type: 'custom', custom: { name: 'f', input: 'x' } }],
        },
      ],
    },
  ],
  [
    'stream options and nulls',
    {
      model: 'm',
      messages: [ask],
      stream: null,
      stream_options: { include_usage: true, x: 1 },
      n: 1,
    },
  ],
])('accepts %s and hands back the same', (_name, body) => {
  const { messages, ...rest } = body as { messages: unknown[] };
  expect(JSON.stringify(check(body))).toBe(JSON.stringify({ ...rest, messages }));
});

it('leaves out a null where a list may stand', () => {
  const body = {
    model: 'm',
    tools: null,
    messages: [ask, { role: 'assistant', content: 'a', tool_calls: null }],
  };
  expect(check(body)).toEqual({
    model: 'm',
    messages: [ask, { role: 'assistant', content: 'a' }],
  });
});

it.each<[unknown, string | undefined, RegExp]>([
  [{ messages: [ask] }, 'model', /model must be a string/],
  [{ model: '', messages: [ask] }, 'model', /must not be empty/],
  [{ model: 'm', messages: ['hi'] }, 'messages[0]', /must be an object/],
  [
    { model: 'm', messages: [ask, { role: 'robot', content: '' }] },
    'messages[1].role',
    /must be one of system, developer/,
  ],
  [
    { model: 'm', messages: [{ role: 'user', content: 7 }] },
    'messages[0].content',
    /a string, a list/,
  ],
  [
    { model: 'm', messages: [{ role: 'user', content: ['hi'] }] },
    'messages[0].content[0]',
    /must be an object/,
  ],
  [
    { model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: 7 }] }] },
    'messages[0].content[0].text',
    /must be a string/,
  ],
  [
    { model: 'm', messages: [{ role: 'assistant', tool_calls: {} }] },
    'messages[0].tool_calls',
    /must be a list/,
  ],
  [
    {
      model: 'm',
      messages: [
        { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: {} } }] },
      ],
    },
    'messages[0].tool_calls[0].function.arguments',
    /must be a string/,
  ],
  [
    { model: 'm', messages: [{ role: 'tool', content: 'x' }] },
    'messages[0].tool_call_id',
    /answers a call/,
  ],
  [
    { model: 'm', messages: [ask], tools: [{ type: 'function', function: {} }] },
    'tools[0].function.name',
    /must be a string/,
  ],
  [{ model: 'm', messages: [ask], stream: 'yes' }, 'stream', /true or false/],
  [{ model: 'm', messages: [ask], n: 0 }, 'n', /at least 1/],
])('refuses %j', (body, param, message) => {
  let caught: unknown;
  try {
    check(body);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(ProxyError);
  const fault = caught as ProxyError;
  expect([fault.code, fault.parts.param]).toEqual(['invalid_request', param]);
  expect(fault.message).toMatch(message);
});
