import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { benchStore, storeBenchTable } from './store-bench.ts';

test('the store bench measures every figure, makes a table and cleans up', async () => {
  const workDir = mkdtempSync(join(tmpdir(), 'rlm-bench-'));
  const { signal } = new AbortController();
  const rows = await benchStore({ sizesChars: [200_000], workDir, seed: 1, signal });
  expect(readdirSync(workDir)).toEqual([]);
  rmSync(workDir, { recursive: true });
  const [row] = rows;
  expect(row!.chars).toBeGreaterThan(200_000);
  const { append, appendOf16, reads } = row!;
  for (const spread of [append, appendOf16, ...Object.values(reads)]) {
    expect(spread.medianUs).toBeGreaterThan(0);
    expect(spread.p99Us).toBeGreaterThanOrEqual(spread.medianUs);
  }
  expect(row!.branchMs).toBeGreaterThan(0);
  expect(row!.branchTextBytes).toBe(0);
  const lines = storeBenchTable(rows).trimEnd().split('\n');
  expect(lines).toHaveLength(15);
  expect(new Set(lines.map((line) => line.length)).size).toBe(1);
});
