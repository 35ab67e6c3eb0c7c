import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cases, putAside, type RecallCase } from './cases.ts';
import { recall } from './recall.ts';

test.each([
  ['those the outliner was written with', cases],
  ['those put aside until it was done', putAside],
])('stubs of real outputs say what they are and where to look: %s', async (_, half) => {
  const found = await Promise.all(half.map(recall));
  const shareOf = (right: readonly RecallCase[], of: readonly RecallCase[]): number =>
    right.length / of.length;
  const isRight = new Map(found.map((each) => [each.name, each]));
  const marked = half.filter(({ lines, says }) => (lines ?? says) !== undefined);
  const kinds = shareOf(
    half.filter(({ name }) => isRight.get(name)?.isKindRight),
    half,
  );
  const landmarks = shareOf(
    marked.filter(({ name }) => isRight.get(name)?.isUsable),
    marked,
  );
  expect(kinds, 'kinds').toBeGreaterThanOrEqual(0.95);
  expect(landmarks, 'landmarks').toBeGreaterThanOrEqual(0.9);
});

test('every output is a case', () => {
  const outputs = readdirSync(join(import.meta.dirname, 'outputs'));
  const named = [...cases, ...putAside].map(({ name }) => `${name}.txt`);
  expect(named.sort()).toEqual(outputs.sort());
});

test('a change of the outlines is a change of this file', async () => {
  const all = [...cases, ...putAside];
  const found = await Promise.all(all.map(recall));
  const kinds = found.filter(({ isKindRight }) => isKindRight).length;
  const landmarks = found.filter(({ isUsable }) => isUsable).length;
  const head = `kind right: ${kinds} of ${all.length}; landmarks right: ${landmarks}`;
  const text = found.map(({ name, outline }) =>
    [`${name}: ${outline.kind}`, ...outline.items.map((item) => `  ${item}`)].join('\n'),
  );
  await expect(`${head}\n${text.join('\n')}\n`).toMatchFileSnapshot('outlines.txt');
});
