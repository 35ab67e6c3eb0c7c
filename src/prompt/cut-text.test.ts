import { expect, it, test } from 'vitest';
import { memorySession } from '../../test/support/memory-session.ts';
import { cutTextOf, cutTexts, cutUnstoredText, type Cuttable } from './cut-text.ts';

it('shows the two ends of a stored text, and names the gap and where all of it is', async () => {
  const text = `é${'a'.repeat(99)}${'b'.repeat(5_000)}${'c'.repeat(99)}🙂\n`;
  const { store } = memorySession([{ text: 'before\n' }, { text }]);
  const [, entry] = store.entries;
  const cut = await cutTextOf(entry!, { headChars: 100, tailChars: 101 }, store);
  const [head, gap, tail] = cut.split(/\n(\[rlm\] .*)\n(?=c)/) as [string, string, string];
  expect(head).toBe(text.slice(0, 100));
  expect(tail).toBe(`${'c'.repeat(99)}🙂\n`);
  expect(gap).toContain('5000 characters of this text are left out here');
  expect(gap).toContain('from character 100 to 5100 of its 5201');
  expect(gap).toContain(`entry e2 (offset ${'before\n'.length + 100} is where the gap begins)`);
  expect(await cutTextOf(entry!, { headChars: 100, tailChars: 101 }, store)).toBe(cut);
});

it('never says that a text is stored which is not', () => {
  const gap = cutUnstoredText('x'.repeat(100), 10, 10);
  expect(gap).toMatch(/80 characters .* kept nowhere/);
  expect(gap).not.toContain('entry');
});

function cuttable(index: number, sizeBytes: number, part = -1): Cuttable {
  return { index, part, sizeBytes, lengthChars: sizeBytes / 2 };
}

/** What is left of the texts, bytes. */
function leftBytes(texts: readonly Cuttable[], excessBytes: number): number {
  const cuts = cutTexts(texts, excessBytes);
  return texts.reduce((total, { index, part, sizeBytes }) => {
    const cut = cuts.get(index)?.find(([at]) => at === part);
    return total + (cut === undefined ? sizeBytes : (cut[1] + cut[2]) * 2 + 500);
  }, 0);
}

test('the longest are cut, all to one size, and no more of them than has to go', () => {
  const texts = [
    cuttable(0, 100_000),
    cuttable(1, 8_000),
    cuttable(2, 60_000),
    cuttable(3, 20_000),
  ];
  const cuts = cutTexts(texts, 80_000);
  expect([...cuts.keys()]).toEqual([0, 2]);
  const kept = [...cuts.values()].map(([[, head, tail] = [0, 0, 0]]) => head + tail);
  expect(Math.abs(kept[0]! - kept[1]!)).toBeLessThan(10);
  expect(leftBytes(texts, 80_000)).toBeLessThanOrEqual(188_000 - 80_000);
  expect(leftBytes(texts, 80_000)).toBeGreaterThan(188_000 - 80_000 - 2_000);
});

test('both ends keep the same, and several texts of one message each their own', () => {
  const cuts = cutTexts([cuttable(4, 50_000, 0), cuttable(4, 50_000, 2)], 60_000);
  expect(cuts.get(4)?.map(([part]) => part)).toEqual([0, 2]);
  for (const [, head, tail] of cuts.get(4) ?? []) expect(head - tail).toBeLessThanOrEqual(1);
});

test('of what cannot get smaller nothing is cut: two thousand characters stay of each', () => {
  expect(cutTexts([cuttable(0, 3_000), cuttable(1, 4_000)], 7_000).size).toBe(0);
  const cuts = cutTexts([cuttable(0, 100_000), cuttable(1, 3_000)], 1_000_000);
  expect([...cuts]).toEqual([[0, [[-1, 1_000, 1_000]]]]);
});

test('nothing is cut where everything fits', () => {
  expect(cutTexts([cuttable(0, 100_000)], 0).size).toBe(0);
  expect(cutTexts([], 10).size).toBe(0);
});
