import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Message } from '../wire/types.ts';
import { readLargeMessage } from './large-text.ts';
import { withoutLargeTexts } from './message-texts.ts';
import { sizeOfMessage } from './message-size.ts';

/** Base64 of bytes as random as a file's. */
function base64(lengthChars: number): string {
  const parts: string[] = [];
  for (let at = 0; at * 43 < lengthChars; at += 1)
    parts.push(createHash('sha256').update(String(at)).digest('base64').slice(0, 43));
  return parts.join('').slice(0, lengthChars);
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

function user(content: unknown): Message {
  return { role: 'user', content } as Message;
}

describe('a part that is no text', () => {
  const data = base64(4_000);
  const url = `data:application/octet-stream;base64,${data}`;

  it.each([
    ['OpenAI’s image', { type: 'image_url', image_url: { url } }, 'image'],
    ['an image of the newer form', { type: 'input_image', image_url: url }, 'image'],
    ['Anthropic’s image', { type: 'image', source: { type: 'base64', data } }, 'image'],
    ['a recording', { type: 'input_audio', input_audio: { data, format: 'wav' } }, 'audio'],
    ['a file', { type: 'file', file: { filename: 'a.pdf', file_data: url } }, 'file'],
    ['a document', { type: 'document', source: { data } }, 'file'],
    ['a film', { type: 'video_url', video_url: { url } }, 'video'],
  ])('is known by its kind, and its data are no text: %s', (_, part, kind) => {
    const text = { type: 'text', text: 'Look.' };
    const { textBytes, parts } = sizeOfMessage(user([text, part]));
    expect(textBytes).toBe(jsonBytes(user([text])));
    expect(parts).toMatchObject([{ kind, isLow: false }]);
    expect(parts[0]?.dataBytes).toBeGreaterThanOrEqual(3_000);
    expect(parts[0]?.dataBytes).toBeLessThan(3_050);
  });

  it('that is only an address has no data', () => {
    const part = { type: 'image_url', image_url: { url: `https://h/${'x'.repeat(900)}` } };
    const { parts } = sizeOfMessage(user([part]));
    expect(parts).toMatchObject([{ kind: 'image' }]);
    expect(parts[0]?.dataBytes).toBeLessThan(20);
  });

  it.each([
    { type: 'image_url', image_url: { url, detail: 'low' } },
    { type: 'input_image', image_url: url, detail: 'low' },
  ])('is coarse where the client says so', (part) => {
    expect(sizeOfMessage(user([part])).parts).toMatchObject([{ kind: 'image', isLow: true }]);
  });

  it('of another kind is counted as text while it is short, and as a file when it is long', () => {
    const short = user([{ type: 'refusal', refusal: 'No.' }]);
    expect(sizeOfMessage(short)).toEqual({ textBytes: jsonBytes(short), parts: [] });
    const { parts } = sizeOfMessage(user([{ type: 'odd', odd: 'x'.repeat(30_000) }]));
    expect(parts).toMatchObject([{ kind: 'file' }]);
  });
});

describe('text', () => {
  it('is counted as UTF-8, however the client spells it', () => {
    const message = user('第一个问题 é 🙂');
    expect(sizeOfMessage(message)).toEqual({ textBytes: jsonBytes(message), parts: [] });
  });

  it('that is base64 counts by characters, and the words around it do not', () => {
    const data = base64(6_000);
    for (const content of [
      `Here: ${data} end`,
      [
        { type: 'text', text: 'a' },
        { type: 'text', text: `Here: ${data} end` },
      ],
    ]) {
      const message = user(content);
      expect(sizeOfMessage(message)).toEqual({
        textBytes: jsonBytes(message) - 6_000,
        parts: [{ kind: 'dense', dataBytes: 6_000, isLow: false }],
      });
    }
  });

  it('that is base64 is found wherever it stands, and how long it is', () => {
    for (let before = 0; before < 130; before += 1) {
      for (const length of [59, 60, 61, 119, 120, 200]) {
        const data = base64(length);
        const words = 'word '.repeat(30).slice(0, before).replace(/\w$/, '.');
        const text = `${words}${data} ${data}`;
        const found = length < 60 ? [] : [{ kind: 'dense', dataBytes: 2 * length, isLow: false }];
        expect(sizeOfMessage(user(text)).parts).toEqual(found);
      }
    }
  });

  it.each([
    ['a path', `/home/${'someDirectory/'.repeat(20)}file.ts`],
    ['a ruler', '-'.repeat(500)],
    ['hexadecimal digits', createHash('sha512').update('x').digest('hex').repeat(4)],
    ['a number', '1234567890'.repeat(40)],
    ['a long word', 'Donaudampfschifffahrtsgesellschaft'.repeat(5)],
    ['a short token', base64(59)],
    ['code', 'const exampleValueOfSomething = computeTheValueOfSomething(otherValue);\n'.repeat(9)],
  ])('that is none is counted as text: %s', (_, content) => {
    expect(sizeOfMessage(user(content))).toEqual({
      textBytes: jsonBytes(user(content)),
      parts: [],
    });
  });

  it('of megabytes is told by its ends, without its ever being a string', async () => {
    for (const [text, isDense] of [
      [base64(400_000), true],
      ['words and more words\n'.repeat(20_000), false],
    ] as const) {
      const bytes = Buffer.from(JSON.stringify(user(text)));
      const large = await readLargeMessage([bytes], bytes.length);
      if (large === undefined) throw new Error('not read');
      const { textBytes, parts } = sizeOfMessage(withoutLargeTexts(large.frame, large.texts));
      const dense = isDense ? [{ kind: 'dense', dataBytes: text.length, isLow: false }] : [];
      expect(parts).toEqual(dense);
      expect(textBytes).toBe(jsonBytes(user('')) + (isDense ? 0 : text.length));
    }
  });
});
