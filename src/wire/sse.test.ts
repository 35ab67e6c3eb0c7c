import { expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import { SseDecoder, type SseEvent } from './sse.ts';

function decode(text: string | Uint8Array): SseEvent[] {
  const decoder = new SseDecoder();
  return [...decoder.push(Buffer.from(text)), ...decoder.end()];
}

it.each<[string, string, SseEvent[]]>([
  ['one event', 'data: a\n\n', [{ name: '', data: 'a' }]],
  ['no space after the colon', 'data:a\n\n', [{ name: '', data: 'a' }]],
  ['only one space is taken off', 'data:  a \n\n', [{ name: '', data: ' a ' }]],
  [
    'CRLF',
    'data: a\r\n\r\ndata: b\r\n\r\n',
    [
      { name: '', data: 'a' },
      { name: '', data: 'b' },
    ],
  ],
  [
    'CR alone',
    'data: a\r\rdata: b\r\r',
    [
      { name: '', data: 'a' },
      { name: '', data: 'b' },
    ],
  ],
  ['several data lines', 'data: a\ndata: b\n\n', [{ name: '', data: 'a\nb' }]],
  ['comments', ': PROCESSING\n\n:\ndata: a\n: x\n\n', [{ name: '', data: 'a' }]],
  [
    'a named event',
    'event: error\ndata: a\n\ndata: b\n\n',
    [
      { name: 'error', data: 'a' },
      { name: '', data: 'b' },
    ],
  ],
  ['an error field', 'error: {"message":"x"}\n\n', [{ name: 'error', data: '{"message":"x"}' }]],
  ['other fields', 'id: 7\nretry: 10\ndata: a\n\n', [{ name: '', data: 'a' }]],
  ['an event without data', 'event: ping\n\ndata: a\n\n', [{ name: '', data: 'a' }]],
  ['a data field without colon', 'data\n\n', [{ name: '', data: '' }]],
  [
    'empty data',
    'data:\n\ndata: \n\n',
    [
      { name: '', data: '' },
      { name: '', data: '' },
    ],
  ],
  ['no blank line at the end', 'data: a', [{ name: '', data: 'a' }]],
  ['a byte order mark', '\uFEFFdata: a\n\n', [{ name: '', data: 'a' }]],
  ['nothing', '', []],
])('reads %s', (_name, text, events) => {
  expect(decode(text)).toEqual(events);
});

it('takes a CR LF that is cut in the middle for one line end', () => {
  const decoder = new SseDecoder();
  const events = ['data: a\r', '\ndata: b\r', '', '\n\r', '\n'].flatMap((piece) =>
    decoder.push(Buffer.from(piece)),
  );
  expect(events).toEqual([{ name: '', data: 'a\nb' }]);
});

it('reads an event of 28 MiB in small pieces, joining it once', () => {
  const data = 'x'.repeat(28 * 1024 * 1024);
  const bytes = Buffer.from(`data: ${data}\n\n`);
  const decoder = new SseDecoder();
  const events: SseEvent[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) {
    events.push(...decoder.push(bytes.subarray(at, at + 16_384)));
  }
  expect(events.length).toBe(1);
  expect(events[0]?.data === data).toBe(true);
});

it('refuses an event beyond its limit, in one line or in many', () => {
  const inOneLine = new SseDecoder(100);
  inOneLine.push(Buffer.from(`data: ${'x'.repeat(90)}`));
  expect(() => inOneLine.push(Buffer.from('x'.repeat(20)))).toThrow(ProxyError);
  const inMany = new SseDecoder(100);
  expect(() => inMany.push(Buffer.from(`data: ${'x'.repeat(20)}\n`.repeat(5)))).toThrow(
    /100 bytes/,
  );
});
