import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BodyReader } from './body-reader.ts';
import { BodySplitter, type RawMessage } from './body.ts';
import { KnownBlocks } from './known-blocks.ts';

const anyPart = fc.oneof(
  fc.record({
    role: fc.constantFrom('user', 'assistant'),
    // Long enough that a few make a block of 16 KiB, with everything that a string can hold.
    content: fc
      .tuple(fc.string({ unit: 'binary', maxLength: 40 }), fc.nat(3_000))
      .map(([text, times]) => `${text}"\\`.repeat(times)),
  }),
  fc.jsonValue(),
);

function read(known: KnownBlocks, bytes: Uint8Array, cuts: readonly number[] = []) {
  const reader = new BodyReader(known);
  const messages: RawMessage[] = [];
  let from = 0;
  for (const cut of [...cuts.map((at) => at % bytes.length).sort((a, b) => a - b), bytes.length]) {
    messages.push(...reader.feed(bytes.subarray(from, cut)));
    from = cut;
  }
  messages.push(...reader.end());
  return { messages: messages.map(plain), envelope: String(reader.envelope()) };
}

function plain({ pieces, sizeBytes, hash }: RawMessage) {
  return { text: Buffer.concat(pieces).toString(), sizeBytes, hash };
}

function walked(bytes: Uint8Array) {
  const splitter = new BodySplitter();
  const messages = splitter.feed(bytes).map(plain);
  return { messages, envelope: String(splitter.end()) };
}

function bodyOf(messages: readonly unknown[], tail: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(JSON.stringify({ model: 'm', messages, tail })));
}

afterEach(() => vi.restoreAllMocks());

describe('a body that was seen before', () => {
  it('is cut up as it was, whatever came before and however it arrives', () => {
    fc.assert(
      fc.property(
        fc.array(anyPart, { minLength: 1, maxLength: 12 }),
        fc.array(anyPart, { maxLength: 4 }),
        fc.nat(11),
        fc.string({ maxLength: 20 }),
        fc.array(fc.nat(400_000), { maxLength: 8 }),
        (messages, more, edited, text, cuts) => {
          const known = new KnownBlocks(10_000);
          const first = bodyOf(messages, text);
          const longer = bodyOf([...messages, ...more], text);
          const changed = bodyOf(messages.with(edited % messages.length, text), text);
          for (const bytes of [first, first, longer, changed, longer, first, changed])
            expect(read(known, bytes, cuts)).toEqual(walked(bytes));
        },
      ),
      { numRuns: 60 },
    );
  });

  const turn = (at: number) => ({ role: 'user', content: `${at} `.repeat(3_000) });
  const history = Array.from({ length: 60 }, (_, at) => turn(at));

  it('is not looked at again, but for its last block and what is new', () => {
    const known = new KnownBlocks(10_000);
    read(known, bodyOf(history, 0));
    const walk = vi.spyOn(BodySplitter.prototype, 'walk');
    const feed = vi.spyOn(BodySplitter.prototype, 'feed');
    read(known, bodyOf([...history, turn(60)], 0));
    expect(walk.mock.calls.length).toBeLessThanOrEqual(1);
    const fedBytes = feed.mock.calls.reduce((total, [piece]) => total + piece.length, 0);
    expect(fedBytes).toBeLessThan(3 * 16_384);
  });

  it('is walked again when other blocks have taken its place', () => {
    const known = new KnownBlocks(5);
    const bytes = bodyOf(history, 0);
    read(known, bytes);
    const walk = vi.spyOn(BodySplitter.prototype, 'walk');
    expect(read(known, bytes)).toEqual(walked(bytes));
    expect(walk.mock.calls.length).toBeGreaterThan(3);
  });

  it('that ends in a number or in a name at the end of a block is understood', () => {
    const known = new KnownBlocks(1_000);
    for (let length = 16_350; length < 16_390; length += 1) {
      const text = 'x'.repeat(length);
      for (const body of [
        `{"a":"${text}","messages":[1,2.5,true,{"role":"user"}],"b":1}`,
        `{"messages":["${text}",1,{"b":[]},null],"messages2":1}`,
      ]) {
        const bytes = Uint8Array.from(Buffer.from(body));
        expect(read(known, bytes)).toEqual(walked(bytes));
        expect(read(known, bytes)).toEqual(walked(bytes));
      }
    }
  });
});
