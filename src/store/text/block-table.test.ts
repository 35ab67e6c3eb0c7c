import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockMaxBytes, BlockTable, lastAtMost } from './block-table.ts';

/** The rule of `TextBlocks` in `src/search/types.ts`, said the plain way. */
function naiveStarts(text: Buffer): number[] {
  const starts = text.length > 0 ? [0] : [];
  let start = 0;
  while (text.length - start > blockMaxBytes) {
    const newline = text.subarray(start, start + blockMaxBytes).lastIndexOf(10);
    let end = start + (newline >= 0 ? newline + 1 : blockMaxBytes);
    // Behind a newline there is never a continuation byte.
    while ((text[end]! & 0xc0) === 0x80) end -= 1;
    starts.push(end);
    start = end;
  }
  return starts;
}

const line = fc
  .tuple(
    fc.constantFrom('a', 'é', '日本', '🙂', '\r\n', 'word '),
    fc.oneof(fc.nat(60), fc.nat(30_000)),
    fc.constantFrom('\n', '', '\r\n'),
  )
  .map(([unit, count, end]) => unit.repeat(count) + end);

test('the table is a pure function of the text, however it arrives and whatever is rolled back', () => {
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 }),
      fc.nat(40_000),
      (lines, cuts, strayBytes) => {
        const text = Buffer.from(lines.join(''));
        const table = new BlockTable();
        let at = 0;
        for (let turn = 0; at < text.length; turn += 1) {
          const end = Math.min(text.length, at + cuts[turn % cuts.length]!);
          table.feed(text.subarray(at, end));
          at = end;
          if (turn % 3 !== 0) continue;
          table.commit();
          table.feed(Buffer.alloc(strayBytes, 'stray\n'));
          table.rollBack(text.subarray(...table.lastCommittedBlock));
        }
        table.commit();
        const { count, byteStart, charStart, lineStart, crc, lastCrc, endBytes } = table.committed;
        const starts = naiveStarts(text);
        expect([...byteStart.subarray(0, count)]).toEqual(starts);
        expect(endBytes).toBe(text.length);
        for (const [block, start] of starts.entries()) {
          const before = text.toString('utf8', 0, start);
          expect(charStart[block]).toBe(Array.from(before).length);
          expect(lineStart[block]).toBe(before.split('\n').length);
          const bytes = text.subarray(start, starts[block + 1] ?? text.length);
          expect(block === count - 1 ? lastCrc : crc[block]).toBe(crc32(bytes));
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a committed table stays as it is while more text is fed', () => {
  const table = new BlockTable();
  table.feed(Buffer.from('one\n'));
  table.commit();
  const before = table.committed;
  const shown = JSON.stringify([before.count, before.endBytes, before.lastCrc]);
  table.feed(Buffer.alloc(blockMaxBytes * 200, 'more\n'));
  table.commit();
  expect(JSON.stringify([before.count, before.endBytes, before.lastCrc])).toBe(shown);
  expect([before.byteStart[0], before.charStart[0], before.lineStart[0]]).toEqual([0, 0, 1]);
  expect(table.committed.count).toBeGreaterThan(200);
});

test('a table goes on from a kept one', () => {
  const text = Buffer.from('some line of text\n'.repeat(20_000));
  const whole = new BlockTable();
  whole.feed(text);
  whole.commit();
  const { count, byteStart } = whole.committed;
  const restored = new BlockTable();
  restored.restore(whole.committed, count);
  restored.feed(text.subarray(byteStart[count - 1]));
  restored.commit();
  expect(restored.committed.lastCrc).toBe(whole.committed.lastCrc);
  expect([...restored.committed.lineStart.subarray(0, count)]).toEqual([
    ...whole.committed.lineStart.subarray(0, count),
  ]);
});

test.each([
  [-1, -1],
  [0, 0],
  [4, 0],
  [5, 2],
  [8, 2],
  [100, 3],
])('the last value at most %i is number %i', (value, expected) => {
  expect(lastAtMost(Float64Array.of(0, 5, 5, 9, 1), 4, value)).toBe(expected);
});
