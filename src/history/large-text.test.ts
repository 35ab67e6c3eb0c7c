import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityOf } from './identity.ts';
import { readLargeMessage } from './large-text.ts';
import { withoutLargeTexts } from './message-texts.ts';

/** Bytes in pieces of random sizes. */
function cut(bytes: Buffer, sizes: readonly number[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] as number;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const large = 'Zeile "eins"\n\tπ 🙂 \\ \u0001'.repeat(9_000);

async function read(json: string, sizes: readonly number[] = [65_536]) {
  const bytes = Buffer.from(json);
  return readLargeMessage(cut(bytes, sizes), bytes.length);
}

describe('a message of megabytes', () => {
  it('is read as JSON.parse reads it, whatever the pieces and however it is escaped', async () => {
    const unit = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.constantFrom('"', '\\', '\n', '🙂', '\u2028', '/', '\u0007'),
    );
    const sizes = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(unit, sizes, fc.boolean(), async (mark, pieces, escapesAll) => {
        fc.pre(mark.isWellFormed());
        const text = `${mark}${large}${mark.repeat(3)}`;
        const plain = {
          role: 'user',
          content: [
            { type: 'text', text: 'Look: "' },
            { type: 'text', text },
          ],
        };
        const json = JSON.stringify(plain);
        const escaped = json.replace(
          /[\u0080-\uffff]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        );
        const message = await read(escapesAll ? escaped : json, [...pieces, 30_000]);
        const found = message?.texts.get(1);
        expect(Buffer.from(found?.content ?? []).toString()).toBe(text);
        expect(found?.length).toBe(text.length);
        expect(message?.frame).toEqual({
          ...plain,
          content: [plain.content[0], { type: 'text', text: '' }],
        });
      }),
      { numRuns: 30 },
    );
  });

  it('has the identity that it has when it is parsed', async () => {
    const message = { role: 'user' as const, content: `  ${large}\n` };
    const found = await read(JSON.stringify(message));
    expect(found?.frame.content).toBe('');
    const own = identityOf(
      withoutLargeTexts({ role: 'user', content: '' }, found?.texts ?? new Map()),
    );
    expect(own).toEqual(identityOf(message));
  });

  it.each([
    ['a lone surrogate', `{"role":"user","content":"${'x'.repeat(200_000)}\\ud800"}`],
    [
      'large arguments',
      JSON.stringify({
        role: 'assistant',
        content: 'x',
        tool_calls: [{ id: 'a', function: { name: 'w', arguments: large } }],
      }),
    ],
    ['an escape that there is not', `{"role":"user","content":"${'x'.repeat(200_000)}\\x"}`],
    ['a cut end', `{"role":"user","content":"${'x'.repeat(200_000)}`],
    ['no JSON around it', `{"role":user,"content":"${'x'.repeat(200_000)}"}`],
  ])('is left to the plain parser: %s', async (_, json) => {
    expect(await read(json)).toBeUndefined();
  });

  it('that is not UTF-8 is left to the plain parser', async () => {
    const bytes = Buffer.concat([
      Buffer.from(`{"role":"user","content":"${'x'.repeat(200_000)}`),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    expect(await readLargeMessage([bytes], bytes.length)).toBeUndefined();
  });
});
