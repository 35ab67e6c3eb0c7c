import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { estimateRun } from './bench-estimate.ts';
import { shortSize, summarize, tableOf } from './bench-summary.ts';
import { cellKey, CellLog, type BenchCell } from './cells.ts';
import { plotOf } from './plot.ts';
import { openCases, type BenchPlan } from './rlm-bench.ts';

const cell: BenchCell = {
  kind: 'niah',
  sizeChars: 20_000,
  seed: 1,
  question: 'single',
  system: 'rlm',
  model: 'scripted',
  score: 1,
  answer: 'x',
  elapsedMs: 100,
  upstreamCalls: 2,
  toolCalls: 1,
  promptTokens: 1000,
  cachedTokens: 500,
  completionTokens: 10,
  peakMemoryBytes: 2e8,
  diskBytes: 21_000,
  storedChars: 20_000,
  ingestMs: 10,
};

const plan: BenchPlan = {
  kind: 'niah',
  sizesChars: [20_000],
  seeds: [1, 2],
  scriptedOnly: true,
  model: 'scripted',
};

async function withLog(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-cells-'));
  try {
    await use(join(folder, 'deep', 'niah.jsonl'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a run goes on where an earlier one stopped, even in the middle of a line', async () => {
  await withLog(async (path) => {
    const first = await CellLog.open(path);
    expect([...openCases(plan, first, false)].map((one) => one.questions.length)).toEqual([4, 4]);
    await first.add(cell);
    await first.add({ ...cell, question: 'multi-key', error: 'server gone', score: 0 });
    await writeFile(path, `${await readFile(path, 'utf8')}{"kind":"ni`);
    const again = await CellLog.open(path);
    expect(again.cells.length).toBe(2);
    // Answered ones are left alone, failed ones asked again.
    const [open] = openCases(plan, again, false);
    expect(open?.questions.map((one) => one.id)).toEqual([
      'multi-key',
      'multi-value',
      'distractors',
    ]);
    await again.add({ ...cell, question: 'multi-key' });
    const last = await CellLog.open(path);
    expect(last.cells.length).toBe(2);
    expect(last.has(cellKey({ ...cell, question: 'multi-key' }))).toBe(true);
  });
});

test('an estimate counts what is open and learns from what was answered', async () => {
  await withLog(async (path) => {
    const log = await CellLog.open(path);
    const guessed = estimateRun(plan, log, { prices: { input: 1, output: 2 } });
    expect(guessed.questions).toBe(8);
    expect(guessed.sentence).toContain('guessed; about 0.13 in the currency');
    await log.add(cell);
    const known = estimateRun(plan, log, {});
    expect(known).toMatchObject({ questions: 7, promptTokens: 7000, completionTokens: 70 });
    expect(known.sentence).toContain('no prices are configured');
    const bare = { target: { baseUrl: '', model: '', headers: {} }, windowChars: 1e6 };
    expect(estimateRun(plan, log, { bare }).promptTokens).toBeGreaterThan(40_000);
  });
});

test('cells become rows by size and system, a table and a picture', () => {
  const cells: readonly BenchCell[] = [
    { ...cell, sizeChars: 1_000_000, elapsedMs: 3000 },
    { ...cell, sizeChars: 1_000_000, question: 'multi-key', score: 0.5, elapsedMs: 1000 },
    { ...cell, score: 0, system: 'bare', error: 'too long' },
    cell,
  ];
  const rows = summarize(cells);
  expect(rows.map((row) => [row.sizeChars, row.system, row.trials, row.accuracy.share])).toEqual([
    [20_000, 'rlm', 1, 1],
    [20_000, 'bare', 1, 0],
    [1_000_000, 'rlm', 2, 0.75],
  ]);
  expect(rows[1]).toMatchObject({ failures: 1, diskBytesPerChar: 1.05, ingestCharsPerSecond: 2e6 });
  expect(rows[2]).toMatchObject({
    p50Ms: 1000,
    p95Ms: 3000,
    byQuestion: { single: 1, 'multi-key': 0.5 },
  });
  const lines = tableOf(rows).split('\n');
  expect(lines.length).toBe(5);
  expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  expect(lines[4]).toMatch(/^\| +1M \| +rlm \| +75\.0 \|/);
  const picture = plotOf('a < b', rows);
  expect(picture).toContain('a &lt; b');
  expect(picture.match(/<polyline/g)?.length).toBe(4);
  expect(picture).not.toMatch(/NaN|Infinity/);
  expect(plotOf('one size', summarize([cell]))).not.toMatch(/NaN|Infinity/);
});

test.each([
  [999, '999'],
  [20_000, '20K'],
  [1_500_000, '1.5M'],
  [1e9, '1G'],
])('%i is written %s', (chars, short) => {
  expect(shortSize(chars)).toBe(short);
});
