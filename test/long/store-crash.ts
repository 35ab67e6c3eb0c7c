import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crashRound, removeCaches } from '../faults/crash-rounds.ts';

/**
 * `node test/long/store-crash.ts [ROUNDS]`: kills a writer at random moments, 200 times by default;
 * a new store every 20, the caches deleted every second time.
 */
const rounds = Number(process.argv[2] ?? 200);
let dataDir = '';
let unreported = 0;
for (let round = 0; round < rounds; round += 1) {
  if (round % 20 === 0) {
    if (dataDir !== '') await rm(dataDir, { recursive: true });
    dataDir = await mkdtemp(join(tmpdir(), 'rlm-crash-'));
  }
  if (round % 2 === 1) await removeCaches(dataDir);
  const afterReports = 1 + Math.floor(Math.random() * 40);
  const { reported, found } = await crashRound(dataDir, afterReports, Math.random() * 8);
  if (found > reported) unreported += 1;
  process.stdout.write(`\r${round + 1}/${rounds} rounds, ${found} entries in this store`);
}
await rm(dataDir, { recursive: true });
process.stdout.write(
  `\nall committed texts intact; in ${unreported} rounds a commit was done but not reported yet\n`,
);
