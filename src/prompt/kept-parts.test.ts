import { describe, expect, it } from 'vitest';
import type { Entry, NewStream, SessionStore } from '../store/types.ts';
import type { ContentPart, Message } from '../wire/types.ts';
import { countParts, keepParts, partText } from './kept-parts.ts';

interface Kept {
  readonly text: string;
  readonly original: Buffer;
  readonly stream: NewStream;
}

/** Keeps the parts of one message; what came into the store, and the part's place in a text. */
async function keep(part: ContentPart): Promise<{ kept: readonly Kept[]; text: string }> {
  const kept: Kept[] = [];
  const all = async (pieces: AsyncIterable<Uint8Array> | undefined): Promise<Buffer> =>
    Buffer.concat(pieces === undefined ? [] : await Array.fromAsync(pieces));
  const store = {
    appendStream: async (stream: NewStream) => {
      const original = await all(stream.original);
      kept.push({ stream, original, text: (await all(stream.chunks)).toString() });
      return { id: `e${kept.length}` } as Entry;
    },
  } as unknown as SessionStore;
  const messages: readonly Message[] = [
    { role: 'user', content: [{ type: 'text', text: 'Look.' }, part] },
    { role: 'assistant', content: 'Well.' },
  ];
  const byPart = await keepParts(messages, { store, chatId: 'chat' });
  return { kept, text: partText(part, byPart) };
}

const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, at) => (at * 7) % 256));
const base64 = bytes.toString('base64');

describe('a part that leaves a prompt', () => {
  it.each([
    [
      'a picture',
      'An image (image/png)',
      { type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } },
    ],
    [
      'a document',
      'A file (application/pdf)',
      { type: 'file', file: { file_data: `data:application/pdf;base64,${base64}` } },
    ],
  ])('is kept as its own bytes, and no search meets them: %s', async (_, media, part) => {
    const { kept, text } = await keep(part);
    expect(kept).toHaveLength(1);
    expect(kept[0]?.original).toEqual(bytes);
    expect(kept[0]?.stream).toMatchObject({ kind: 'attachment', chatId: 'chat' });
    expect(kept[0]?.text).toBe(
      `[${media} of 3000 bytes, kept beside the texts of this store as it came; it cannot be read as text.]`,
    );
    expect(text).toBe(`[${part.type}: entry e1]`);
  });

  it.each([
    [
      'a recording, whose data have no address',
      { type: 'input_audio', input_audio: { data: base64, format: 'wav' } },
    ],
    [
      'data that would not be spelled the same again',
      { type: 'image_url', image_url: { url: `data:image/png;base64,${base64}\n` } },
    ],
    [
      'data that are no base64',
      { type: 'image_url', image_url: { url: `data:image/svg+xml,${'%3C'.repeat(1_000)}` } },
    ],
    ['an unknown kind', { type: 'odd', odd: { list: Array.from({ length: 900 }, () => 'x') } }],
  ])('is kept as it came where that says more: %s', async (_, part) => {
    const { kept } = await keep(part);
    expect(JSON.parse(String(kept[0]?.original))).toEqual(part);
  });

  it('stands in the text itself while it is short: an address says all', async () => {
    const part = { type: 'image_url', image_url: { url: 'https://h/a.png' } };
    const { kept, text } = await keep(part);
    expect(kept).toEqual([]);
    expect(text).toBe(`[image_url ${JSON.stringify(part)}]`);
  });
});

it('parts are counted in a few words', () => {
  expect(countParts([])).toBe('');
  expect(countParts(['image'])).toBe('1 image');
  expect(countParts(['image', 'file', 'image', 'audio', 'audio'])).toBe(
    '2 images, 1 file, 2 audio recordings',
  );
});
