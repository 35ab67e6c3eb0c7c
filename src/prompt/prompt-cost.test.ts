import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { requestBytes } from '../wire/message-json.ts';
import type { ChatRequest, Message } from '../wire/types.ts';
import { promptSize, scalesFor } from './prompt-cost.ts';

const bytesPerToken = 4;

/** Tokens that a message costs, beyond its text. */
function partCost(message: Message, model: string, partScale = 1): number {
  const { weigh } = scalesFor(model, { bytesPerToken, partScale });
  const { textBytes } = promptSize({ model, messages: [message] }, model);
  const { textBytes: bare } = promptSize({ model, messages: [] }, model);
  return Math.round((weigh(message) - (textBytes - bare)) / bytesPerToken);
}

function image(lengthChars: number, detail?: string): Message {
  const url = `data:image/png;base64,${'QUJDRA=='.repeat(lengthChars / 8)}`;
  const image_url = detail === undefined ? { url } : { url, detail };
  return { role: 'user', content: [{ type: 'image_url', image_url }] };
}

function file(dataBytes: number): Message {
  const file_data = `data:application/pdf;base64,${'A'.repeat((dataBytes * 4) / 3)}`;
  return { role: 'user', content: [{ type: 'file', file: { file_data } }] };
}

function audio(dataBytes: number): Message {
  const data = 'A'.repeat((dataBytes * 4) / 3);
  return { role: 'user', content: [{ type: 'input_audio', input_audio: { data } }] };
}

/** A message that holds so many characters of base64 in its text. */
function dense(lengthChars: number): Message {
  const parts = Array.from({ length: Math.ceil(lengthChars / 43) }, (_, at) =>
    createHash('sha256').update(String(at)).digest('base64').slice(0, 43),
  );
  return { role: 'user', content: parts.join('').slice(0, lengthChars) };
}

describe('a picture', () => {
  it.each([
    ['openai.gpt-5', 1_105, 85],
    ['o4-mini', 1_105, 85],
    ['google.gemini-3-pro', 1_120, 280],
    ['qwen3-vl', 2_700, 700],
    ['zai.glm-5v', 1_600, 1_600],
    ['foo4', 1_600, 1_600],
  ])('costs by the family of %s and never by its bytes', (model, tokens, low) => {
    for (const length of [800, 80_000, 800_000])
      expect(partCost(image(length), model)).toBeCloseTo(tokens, -2);
    expect(partCost(image(8_000, 'low'), model)).toBeCloseTo(low, -2);
  });
});

it.each([
  [10_000, 2_000],
  [599_400, 20_000],
  [9_000_000, 200_000],
])('a file of %i bytes costs by its pages, up to a hundred: %i tokens', (bytes, tokens) => {
  expect(partCost(file(bytes), 'm')).toBe(tokens);
});

it.each([
  [3_000, 100],
  [3_000_000, 6_000],
])('a recording of %i bytes costs by its length: %i tokens', (bytes, tokens) => {
  expect(partCost(audio(bytes), 'm') / tokens).toBeCloseTo(1, 1);
});

it('base64 in a text costs a token a character, which no count of pictures corrects', () => {
  for (const partScale of [1, 0.25, 4]) expect(partCost(dense(6_000), 'm', partScale)).toBe(6_000);
});

it('what counts have shown of parts corrects pictures, files and sound', () => {
  for (const message of [image(8_000), file(600_000), audio(3_000_000)])
    expect(partCost(message, 'm', 0.25)).toBeCloseTo(partCost(message, 'm') / 4, 0);
});

it('a request is its text, and what the rest of it costs', () => {
  const messages: readonly Message[] = [
    { role: 'user', content: 'é' },
    image(80_000),
    image(8_000),
  ];
  const request: ChatRequest = { model: 'gpt-5', tools: [], messages };
  const { textBytes, partTokens } = promptSize(request, 'gpt-5');
  expect(partTokens).toBe(2 * 1_105);
  expect(textBytes).toBeLessThan(requestBytes(request) - 88_000);
  const { weighRequest } = scalesFor('gpt-5', { bytesPerToken, partScale: 0.5 });
  expect(weighRequest(request)).toBe(textBytes + 1_105 * bytesPerToken);
  const plain = { ...request, messages: messages.slice(0, 1) };
  expect(weighRequest(plain)).toBe(requestBytes(plain));
});
