import { expect, it } from 'vitest';
import { chatBody, readRequestJson } from './request-body.ts';

async function* pieces(json: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(json);
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

const request = {
  model: 'm',
  input: [{ type: 'message', content: 'ä"]\\,' }, 5, null, [{ input: [] }]],
  tools: [{ input: ['{'] }],
};

it.each([1, 2, 7, 1_000])('a request is the same object, cut every %i bytes', async (size) => {
  const read = await readRequestJson(pieces(JSON.stringify(request), size), 'input');
  expect(JSON.stringify(read)).toBe(JSON.stringify(request));
});

it.each<[string, unknown]>([
  ['a text', { model: 'm', input: 'hi' }],
  ['an empty list', { input: [] }],
  ['nothing', { model: 'm' }],
])('where the list should be may be %s', async (_name, value) => {
  expect(await readRequestJson(pieces(JSON.stringify(value), 4), 'input')).toEqual(value);
});

it.each([
  ['no object', '[1]'],
  ['no JSON', '{"input":[1,}'],
  ['no JSON in an element', '{"input":[{"a":nope}]}'],
  ['a list that stands twice', '{"input":[1],"input":[2]}'],
  ['what is nested too deep', `{"input":[${'['.repeat(2_000)}${']'.repeat(2_000)}]}`],
])('%s is refused as the request’s own fault', async (_name, json) => {
  await expect(readRequestJson(pieces(json, 5), 'input')).rejects.toMatchObject({
    code: 'invalid_request',
  });
});

it('while a long request is read and written, others get their turn', async () => {
  const message = { role: 'user' as const, content: 'a line\n'.repeat(10_000) };
  const messages = Array.from({ length: 100 }, () => message);
  let turns = 0;
  let next = setImmediate(function count() {
    turns += 1;
    next = setImmediate(count);
  });
  try {
    const read = await readRequestJson(pieces(JSON.stringify({ messages }), 65_536));
    expect(read['messages']).toHaveLength(100);
    const whileRead = turns;
    expect(whileRead).toBeGreaterThan(5);
    let sizeBytes = 0;
    for await (const { length } of chatBody({ model: 'm' }, messages)) sizeBytes += length;
    expect(sizeBytes).toBeGreaterThan(7_000_000);
    expect(turns - whileRead).toBeGreaterThan(5);
  } finally {
    clearImmediate(next);
  }
});
