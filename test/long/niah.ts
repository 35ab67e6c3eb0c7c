/**
 * Needles of every kind that a script can look for, at sizes up to 300 million characters, through
 * the real server in a process of its own: `node test/long/niah.ts [sizes] [seeds]`. Each must be
 * found, in memory that does not grow with the size.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summarize, tableOf } from '../../src/bench/questions/bench-summary.ts';
import { benchKinds, type BenchKind } from '../../src/bench/questions/cases.ts';
import { CellLog } from '../../src/bench/questions/cells.ts';
import { runBench } from '../../src/bench/questions/rlm-bench.ts';
import { openBenchServer } from '../../src/cli/bench/world.ts';
import { charCount } from '../../src/cli/numbers.ts';
import { loadConfig } from '../../src/config/load.ts';

/** Bound of the server's memory at any size (the contract's, for its largest request). */
const maxServerBytes = 600e6;

const [sizes = '1M,10M,100M,300M', seeds = '1', kind = 'niah'] = process.argv.slice(2);
assert.ok(benchKinds.includes(kind as BenchKind), `no such benchmark: ${kind}`);
const folder = await mkdtemp(join(tmpdir(), 'rlm-niah-'));
try {
  const { config } = loadConfig({ env: {}, homeDir: folder });
  const log = await CellLog.open(join(folder, 'cells.jsonl'));
  await runBench(
    {
      kind: kind as BenchKind,
      sizesChars: sizes.split(',').map(charCount),
      seeds: Array.from({ length: Number(seeds) }, (_, index) => index + 1),
      scriptedOnly: true,
      model: 'scripted policy, not a model',
    },
    log,
    {
      openServer: async (documents) => openBenchServer(config, folder, documents),
      onStored: () => undefined,
      onCell: ({ sizeChars, question, score, elapsedMs }) =>
        console.log(sizeChars, question, score, `${Math.round(elapsedMs)} ms`),
      signal: new AbortController().signal,
    },
  );
  const rows = summarize(log.cells);
  console.log(tableOf(rows));
  for (const { sizeChars, accuracy, peakMemoryBytes } of rows) {
    assert.equal(accuracy.share, 1, `a needle was missed at ${sizeChars} characters`);
    assert.ok(peakMemoryBytes < maxServerBytes, `the server took ${peakMemoryBytes} bytes`);
  }
} finally {
  await rm(folder, { recursive: true });
}
