import { expect, test } from 'vitest';
import { SecretFilter } from './tapped-answer.ts';

const secret = 'sk-0123456789abcdef';

function filtered(text: string, pieceBytes: number, secrets = [secret]): string {
  const filter = new SecretFilter(secrets);
  const bytes = Buffer.from(text);
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    out.push(filter.push(bytes.subarray(at, at + pieceBytes)));
  out.push(filter.end());
  return Buffer.concat(out).toString();
}

test('a secret is masked wherever the pieces are cut, and everything else stays to the byte', () => {
  const text = `${secret} größer 🙂 ${secret}${secret} x sk-0123456789 ${secret}`;
  const masked = '[key] größer 🙂 [key][key] x sk-0123456789 [key]';
  for (let size = 1; size <= Buffer.byteLength(text); size += 1)
    expect([size, filtered(text, size)]).toEqual([size, masked]);
});

test('without a secret the pieces are those that came', () => {
  const piece = Buffer.from('data: {}\n\n');
  expect(new SecretFilter([]).push(piece)).toBe(piece);
});
