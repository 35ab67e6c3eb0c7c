import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Random } from '../../src/bench/random.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { powerRound, recordStory } from './power-rounds.ts';

test('after a power cut at any moment what was reported is there, and no search is wrong', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-power-'));
  await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
  const story = await recordStory(join(folder, 'recorded'));
  const random = new Random(3);
  const entries = new Set<number>();
  let indexed = 0;
  // test/long/power-cut.ts does 500 of them.
  for (let round = 0; round < 20; round += 1) {
    const seen = await powerRound(story, join(folder, 'cut'), random, engine);
    entries.add(seen.entries);
    if (seen.indexed) indexed += 1;
  }
  expect(entries.size).toBeGreaterThan(6);
  expect(indexed).toBeGreaterThan(3);
  await rm(folder, { recursive: true });
}, 120_000);
