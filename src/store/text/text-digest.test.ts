import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../clock.ts';
import { TextDigest } from './text-digest.ts';

const megabytes = 1_048_576;

function digestHere(pieces: readonly Uint8Array[]): string {
  const digest = createHash('sha256');
  for (const piece of pieces) digest.update(piece);
  return digest.digest('hex');
}

async function digestThere(pieces: readonly Uint8Array[]): Promise<string> {
  const digest = new TextDigest(systemClock);
  // Whoever makes the pieces makes them all in the same memory.
  const scratch = new Uint8Array(Math.max(0, ...pieces.map((piece) => piece.length)));
  for (const piece of pieces) {
    scratch.set(piece);
    await digest.update(scratch.subarray(0, piece.length));
    scratch.fill(0);
  }
  return digest.sha256();
}

test('pieces of any size give the hash that they give on the event loop, several texts at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(700_000), { maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      async (texts) => {
        const all = texts.map((sizes, text) =>
          sizes.map((size, at) => new Uint8Array(size).fill(1 + text * 16 + at)),
        );
        const found = await Promise.all(all.map((pieces) => digestThere(pieces)));
        expect(found).toEqual(all.map((pieces) => digestHere(pieces)));
      },
    ),
    { numRuns: 12 },
  );
});

test('a text that is abandoned keeps no other one waiting', async () => {
  const abandoned = new TextDigest(systemClock);
  await abandoned.update(new Uint8Array(megabytes));
  abandoned.abandon();
  const pieces = [new Uint8Array(5 * megabytes).fill(7)];
  expect(await digestThere(pieces)).toBe(digestHere(pieces));
});
