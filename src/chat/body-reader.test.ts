import * as fc from 'fast-check';
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BodyReader } from './body-reader.ts';
import type { RawMessage } from './body-block.ts';
import { BodySplitter } from './body.ts';
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

/** Pieces in buffers of their own, as from a socket. */
function piecesOf(bytes: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const ends = [...cuts.map((at) => at % bytes.length).sort((a, b) => a - b), bytes.length];
  return ends.map((end, at) => bytes.slice(ends[at - 1] ?? 0, end));
}

describe('the pieces of a long body', () => {
  it('are freed when nobody needs them, and never before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(150_000), { minLength: 30, maxLength: 60 }),
        fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
        fc.array(fc.nat(10_000_000), { minLength: 40, maxLength: 80 }),
        (sizes, isHeld, cuts) => {
          const messages = sizes.map((size, at) => ({
            role: 'user',
            content: `${at}`.repeat(size),
          }));
          const body = bodyOf(messages, 'the end');
          const known = new KnownBlocks(10_000);
          for (let round = 0; round < 2; round += 1) {
            const reader = new BodyReader(known);
            const held = new Set<ArrayBufferLike>();
            const kept: RawMessage[] = [];
            let seen = 0;
            const take = (found: readonly RawMessage[]): void => {
              for (const { pieces, sizeBytes, hash } of found) {
                seen += 1;
                if (isHeld[seen % isHeld.length] === false) continue;
                kept.push({ pieces, sizeBytes, hash });
                for (const { buffer } of pieces) held.add(buffer);
              }
            };
            const pieces = piecesOf(body, cuts);
            for (const piece of pieces) {
              take(reader.feed(piece));
              reader.free(held);
            }
            take(reader.end());
            expect(String(reader.envelope())).toBe('{"model":"m","messages":[],"tail":"the end"}');
            expect(seen).toBe(messages.length);
            for (const { pieces: own, sizeBytes, hash } of kept) {
              const bytes = Buffer.concat(own);
              expect(bytes.length).toBe(sizeBytes);
              expect(createHash('sha256').update(bytes).digest('base64url')).toBe(hash);
            }
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('are not missed by a message that goes over the end of a block which cannot be told from its bytes', () => {
    const text = (letter: string) => ({ role: 'user', content: letter.repeat(30_000) });
    const long = ['a', 'b', 'c', 'd'].map(text);
    const known = new KnownBlocks(1_000);
    for (let length = 16_355; length < 16_375; length += 1) {
      const first = `{"messages":["${'x'.repeat(length)}",1`;
      const json = `${first},${long.map((each) => JSON.stringify(each)).join()}]}`;
      const body = Uint8Array.from(Buffer.from(json));
      for (let round = 0; round < 3; round += 1) {
        const reader = new BodyReader(known);
        const texts: string[] = [];
        const cuts = Array.from({ length: 7 }, (_, at) => (at + 1) * 16_384);
        for (const piece of piecesOf(body, cuts)) {
          for (const { pieces } of reader.feed(piece)) texts.push(String(Buffer.concat(pieces)));
          reader.free(new Set());
        }
        for (const { pieces } of reader.end()) texts.push(String(Buffer.concat(pieces)));
        expect(texts.slice(2).map((each) => JSON.parse(each) as unknown)).toEqual(long);
      }
    }
  });

  it('of a known history that nobody holds are all freed but the first and the last', () => {
    const known = new KnownBlocks(10_000);
    const long = Array.from({ length: 400 }, (_, at) => ({
      role: 'user',
      content: `${at} `.repeat(3_000),
    }));
    const body = bodyOf(long, 0);
    const cuts = Array.from({ length: Math.floor(body.length / 65_536) }, (_, at) => at * 65_536);
    let pieces: readonly Uint8Array[] = [];
    for (let round = 0; round < 2; round += 1) {
      pieces = piecesOf(body, cuts);
      const reader = new BodyReader(known);
      for (const piece of pieces) {
        reader.feed(piece);
        reader.free(new Set());
      }
      reader.end();
      reader.envelope();
    }
    expect(body.length).toBeGreaterThan(4_000_000);
    expect(pieces.filter(({ length }) => length > 0).length).toBeLessThanOrEqual(4);
  });
});

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
