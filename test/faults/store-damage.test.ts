import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../src/bench/random.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { damageRound, makeSoundStore } from './damage-rounds.ts';

test('with any file of a store damaged, each answer is exact, or says that it may not be and shows the sound hits', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-damage-'));
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  const sound = await makeSoundStore(join(folder, 'sound'), engine);
  const random = new Random(11);
  const sums = { exact: 0, said: 0, refused: 0 };
  const files = new Set<string>();
  // test/long/store-damage.ts does 2,000 of them.
  for (let round = 0; round < 25; round += 1) {
    const seen = await damageRound(sound, join(folder, 'copy'), random, engine);
    files.add(seen.file);
    sums.exact += seen.exact;
    sums.said += seen.said;
    sums.refused += seen.refused;
  }
  expect(files.size).toBeGreaterThan(4);
  expect(sums.exact).toBeGreaterThan(20);
  expect(sums.said).toBeGreaterThan(5);
  expect(sums.refused).toBeGreaterThan(0);
  await rm(folder, { recursive: true });
}, 120_000);
