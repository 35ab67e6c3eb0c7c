import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stubOf } from '../../src/capture/stub.ts';
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

test('a stub is at most 2,000 characters, however long the call was', async () => {
  for (const { text, outline } of await Promise.all([...cases, ...putAside].map(recall))) {
    const lengthChars = Array.from(text).length;
    const stub = stubOf(
      {
        id: 'e12345',
        seq: 12_345,
        kind: 'tool_result',
        tool: 'bash',
        args: JSON.stringify({ command: `npm test -- ${'x'.repeat(500)}` }),
        timeMs: 1,
        offsetBytes: 0,
        lengthBytes: Buffer.byteLength(text),
        offsetChars: 1_000_000_000,
        lengthChars,
        lineNumber: 1,
        lineCount: text.split('\n').length,
        sha256: '',
        outline,
      },
      { head: text.slice(0, 100_000), tail: text.slice(-4_000) },
    );
    expect(Array.from(stub).length).toBeLessThanOrEqual(2_000);
    for (const item of outline.items) expect(stub).toContain(item.slice(0, 40));
  }
});
