import { expect, it } from 'vitest';
import { boundaryOf, findModel } from './form-model.ts';

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const part = (head: string, value: string): string =>
  `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${value}\r\n`;

const file = part('name="file"; filename="a"', 'name="model"\r\n\r\n--c name="model"');

it.each([1, 3, 11, 64, 10_000])(
  'the model is found behind a file, cut every %i bytes',
  async (size) => {
    const bytes = Buffer.from(`${file}${part('name="model"', 'm/ä')}${file}--b--\r\n`);
    const rest = pieces(bytes, size);
    const { held, found } = await findModel(rest, 'b');
    expect(found === undefined ? '' : held.toString('utf8', found.from, found.to)).toBe('m/ä');
    const behind = Buffer.concat(await Array.fromAsync(rest));
    expect(Buffer.concat([held, behind]).equals(bytes)).toBe(true);
  },
);

it('what stands behind the model is not waited for', async () => {
  const before = Buffer.from(part('name="model"', 'm') + '--b\r\n');
  let asked = 0;
  async function* endless(): AsyncGenerator<Buffer, void, void> {
    yield before;
    for (;;) {
      asked += 1;
      yield Buffer.alloc(1_000);
    }
  }
  const { held } = await findModel(endless(), 'b');
  expect([held.length, asked]).toEqual([before.length, 0]);
});

it('a form without a model is held whole', async () => {
  const bytes = Buffer.from(`${file}--b--\r\n`);
  expect(await findModel(pieces(bytes, 7), 'b')).toEqual({ held: bytes });
});

it.each([
  ['multipart/form-data; boundary=abc', 'abc'],
  ['Multipart/Form-Data; charset=utf-8; boundary="a b"', 'a b'],
  ['application/json; boundary=abc', undefined],
])('the boundary of %s is %s', (type, boundary) => {
  expect(boundaryOf(type)).toBe(boundary);
});
