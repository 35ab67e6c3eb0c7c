import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyReader } from './body-reader.ts';
import { BodySplitter, type RawMessage } from './split-body.ts';
import { PrefixTree } from './prefix-tree.ts';
import { anyText } from '../../test/support/any-text.ts';

const anyPart = fc.oneof(
  fc.record({
    role: fc.constantFrom('user', 'assistant'),
    // Long enough that a few make a run, with everything that a string can hold.
    content: fc
      .tuple(anyText({ maxLength: 40 }), fc.nat(3_000))
      .map(([text, times]) => `${text}"\\`.repeat(times)),
  }),
  fc.jsonValue(),
);

interface Seen {
  readonly text: string;
  readonly sizeBytes: number;
  readonly hash: string;
}

/**
 * Reads a body as a request does: what passes is looked at before the next piece, and what it lay
 * in is gone then.
 */
function read(tree: PrefixTree, bytes: Uint8Array, cuts: readonly number[] = []) {
  const reader = new BodyReader(tree);
  const seen: (() => Seen)[] = [];
  const take = (found: readonly RawMessage[]): void => {
    for (const message of found) {
      const { sizeBytes, hash, pieces, isPassing } = message;
      if (isPassing === true) {
        const text = Buffer.concat(pieces).toString();
        seen.push(() => ({ text, sizeBytes, hash }));
      } else seen.push(() => ({ text: Buffer.concat(pieces).toString(), sizeBytes, hash }));
    }
  };
  for (const piece of piecesOf(bytes, cuts)) {
    take(reader.feed(piece));
    reader.free();
  }
  take(reader.end());
  const messages = seen.map((look) => look());
  return { messages, envelope: String(reader.envelope()) };
}

/** What a body is made of, without any memory. */
function walked(bytes: Uint8Array) {
  const splitter = new BodySplitter();
  const listAt = splitter.feedHead(bytes);
  if (listAt === undefined) return { messages: [], envelope: String(splitter.end()) };
  splitter.resume(false);
  const messages = splitter.feed(bytes.subarray(listAt)).map(({ pieces, sizeBytes, hash }) => ({
    text: Buffer.concat(pieces).toString(),
    sizeBytes,
    hash,
  }));
  return { messages, envelope: String(splitter.end()) };
}

function bodyOf(messages: readonly unknown[], tail: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(JSON.stringify({ model: 'm', messages, tail })));
}

/** Pieces in buffers of their own, as from a socket. */
function piecesOf(bytes: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const ends = [...cuts.map((at) => at % bytes.length).sort((a, b) => a - b), bytes.length];
  return ends.map((end, at) => bytes.slice(ends[at - 1] ?? 0, end));
}

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
          const tree = new PrefixTree(10_000);
          const first = bodyOf(messages, text);
          const longer = bodyOf([...messages, ...more], text);
          const changed = bodyOf(messages.with(edited % messages.length, text), text);
          for (const bytes of [first, first, longer, changed, longer, first, changed])
            expect(read(tree, bytes, cuts)).toMatchObject(walked(bytes));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is so when it is long, and only its tags are known', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(100_000), { minLength: 20, maxLength: 30 }),
        fc.array(fc.nat(10_000_000), { minLength: 20, maxLength: 40 }),
        fc.nat(),
        (sizes, cuts, edited) => {
          const messages = sizes.map((size, at) => ({
            role: 'user',
            content: `${at}`.repeat(size),
          }));
          const tree = new PrefixTree(10_000);
          const longer = [...messages, { role: 'user', content: 'and now?' }];
          const changed = longer.with(edited % longer.length, { role: 'user', content: 'changed' });
          for (const list of [messages, messages, longer, changed, longer]) {
            const bytes = bodyOf(list, 'the end');
            const { messages: seen, envelope } = read(tree, bytes, cuts);
            expect(envelope).toBe('{"model":"m","messages":[],"tail":"the end"}');
            expect(seen.map(({ text }) => JSON.parse(text) as unknown)).toEqual(list);
            for (const { text, sizeBytes, hash } of seen) {
              expect(Buffer.byteLength(text)).toBe(sizeBytes);
              expect(createHash('sha256').update(text).digest('base64url')).toBe(hash);
            }
          }
        },
      ),
      { numRuns: 6 },
    );
  });

  it('has the very messages that it had, and those that came behind them in later ones', () => {
    const tree = new PrefixTree(1_000);
    const list = Array.from({ length: 60 }, (_, at) => ({
      content: `${at} ${'word '.repeat(400)}`,
    }));
    const messagesOf = (count: number): readonly RawMessage[] => {
      const reader = new BodyReader(tree);
      return [...reader.feed(bodyOf(list.slice(0, count), '')), ...reader.end()];
    };
    messagesOf(10);
    const first = messagesOf(10);
    let before = first;
    for (let count = 12; count <= list.length; count += 2) {
      const now = messagesOf(count);
      expect(now.every((message, at) => at >= before.length || message === before[at])).toBe(true);
      expect(now.map(({ pieces }) => String(Buffer.concat(pieces)))).toEqual(
        list.slice(0, count).map((message) => JSON.stringify(message)),
      );
      before = messagesOf(count);
    }
    // A request that is still being answered has its messages, though the chat went on.
    expect(first.map(({ pieces }) => String(Buffer.concat(pieces)))).toEqual(
      list.slice(0, 10).map((message) => JSON.stringify(message)),
    );
  });

  it('is known as far as it ever went, after some of it was taken back', () => {
    const list = Array.from({ length: 14 }, (_, at) => ({
      content: `${at} ${'word '.repeat(600)}`,
    }));
    const tree = new PrefixTree(1_000);
    const messagesOf = (ofList: readonly unknown[], cuts: readonly number[] = []): RawMessage[] => {
      const reader = new BodyReader(tree);
      const pieces = piecesOf(bodyOf(ofList, ''), cuts);
      return [...pieces.flatMap((piece) => reader.feed(piece)), ...reader.end()];
    };
    messagesOf(list.slice(0, 12));
    const whole = messagesOf(list.slice(0, 12));
    messagesOf(list.slice(0, 8));
    const begun = messagesOf(list.slice(0, 8));
    expect(begun.every(({ kept }) => kept !== undefined)).toBe(true);
    // In one piece, and so that the shorter list is there while the longer one may still come.
    expect(messagesOf(list.slice(0, 12))).toEqual(whole);
    expect(messagesOf(list, [26_000]).slice(0, 12)).toEqual(whole);
    const other = [...list.slice(0, 8), { content: 'something else' }, ...list.slice(9)];
    expect(messagesOf(other).slice(0, 8)).toEqual(begun);
    messagesOf(other);
    expect(messagesOf(other).every(({ kept }) => kept !== undefined)).toBe(true);
    expect(messagesOf(list).slice(0, 12)).toEqual(whole);
  });

  it('is found among hundreds that begin alike', () => {
    const tree = new PrefixTree(10_000);
    const chats = Array.from({ length: 200 }, (_, n) =>
      ['You help.'.repeat(300), `Question ${n}?`, `Answer ${n}.`, 'Go on.'].map((content) => ({
        content,
      })),
    );
    const isKnown = (chat: readonly unknown[]): boolean => {
      const reader = new BodyReader(tree);
      return [...reader.feed(bodyOf(chat, '')), ...reader.end()].every(
        ({ kept }) => kept !== undefined,
      );
    };
    for (const chat of chats) expect(isKnown(chat)).toBe(false);
    for (const chat of chats) expect(isKnown(chat)).toBe(true);
    for (const chat of chats.toReversed())
      expect(isKnown([...chat, { content: 'More' }])).toBe(false);
    for (const chat of chats) expect(isKnown([...chat, { content: 'More' }])).toBe(true);
  });

  it('is so with another head, with its list first, and where elements end in nothing of their own', () => {
    const tree = new PrefixTree(1_000);
    const long = 'x'.repeat(70_000);
    for (const body of [
      `{"a":"${long}","messages":[1,2.5,true,{"role":"user"}],"b":1}`,
      `{"messages":[{"role":"user","content":"${long}"},1],"messages2":1}`,
      `{"messages":[{"role":"user","content":"${long}"},12],"messages2":1}`,
      `{"model":"other","messages" : [ {"role":"user","content":"${long}"} , {"b":[]},null ],"c":{}}`,
      `{"model":"other","messages" : [ {"role":"user","content":"${long}"} ]}`,
      `{"messages":[]}`,
      `{"messages":[{}]}`,
      `{"messages":[{},{}]}`,
    ]) {
      const bytes = Uint8Array.from(Buffer.from(body));
      for (let round = 0; round < 3; round += 1)
        expect(read(tree, bytes, [17, 70_010])).toMatchObject(walked(bytes));
    }
  });
});
