import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodySplitter } from './split-body.ts';
import { anyText } from '../../test/support/any-text.ts';

function split(text: string, cuts: readonly number[] = []) {
  const bytes = Buffer.from(text, 'utf8');
  const splitter = new BodySplitter();
  const messages = [];
  let from = 0;
  for (const cut of [
    ...cuts.map((at) => at % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ]) {
    messages.push(...splitter.feed(Uint8Array.from(bytes.subarray(from, cut))));
    from = cut;
  }
  const envelope = JSON.parse(String(splitter.end())) as unknown;
  const raw = messages.map((message) => Buffer.concat(message.pieces));
  return { envelope, raw, messages };
}

describe('BodySplitter', () => {
  it('gives back every message and the rest, whatever the pieces', () => {
    fc.assert(
      fc.property(
        fc.dictionary(anyText(), fc.jsonValue()),
        fc.array(fc.jsonValue(), { maxLength: 6 }),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(fc.nat(5_000), { maxLength: 12 }),
        fc.constantFrom(0, 1, 3),
        (before, list, after, cuts, indent) => {
          const request = { ...before, messages: list, ...after };
          request.messages = list;
          const { envelope, raw } = split(JSON.stringify(request, null, indent), cuts);
          expect(raw.map((bytes) => JSON.parse(bytes.toString()) as unknown)).toEqual(
            JSON.parse(JSON.stringify(list)),
          );
          expect(envelope).toEqual(JSON.parse(JSON.stringify({ ...request, messages: [] })));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('hashes the raw bytes of a message, in one piece or in many', () => {
    const message = '{"role":"user","content":"a \\"quoted\\" \\\\ text é 🙂"}';
    const wanted = createHash('sha256').update(message).digest('base64url');
    const body = `{"messages":[${message}]}`;
    expect(split(body).messages[0]?.hash).toBe(wanted);
    const everyByte = Array.from({ length: Buffer.byteLength(body) }, (_, at) => at);
    expect(split(body, everyByte).messages[0]?.hash).toBe(wanted);
  });

  it('knows `messages` spelled in escapes, and only at the top', () => {
    const { raw } = split(
      '{"a":{"messages":[1]},"x":["messages",[2]],"m\\u0065ssages":[{"role":"user"}]}',
    );
    expect(raw.map(String)).toEqual(['{"role":"user"}']);
  });

  it.each([
    ['', 'JSON'],
    ['[]', 'must be a JSON object'],
    ['"x"', 'must be a JSON object'],
    ['{"model":"m"}', 'needs `messages`'],
    ['{"messages":"x"}', 'needs `messages`'],
    ['{"messages":[{}', 'JSON'],
    ['{"messages":[{} {}]}', 'comma'],
    ['{"messages":[,{}]}', 'comma'],
    ['{"messages":[{},]}', 'comma'],
    ['{"messages":[]}}', 'goes on after its end'],
    ['{"messages":[]} x', 'goes on after its end'],
    ['{"messages":[],"messages":[]}', 'stands twice'],
    ['{"messages":[],}', 'JSON'],
  ])('refuses %s', (body, reason) => {
    expect(() => split(body)).toThrow(reason);
  });
});
