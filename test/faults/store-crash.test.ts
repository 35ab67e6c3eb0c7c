import { expect, test } from 'vitest';
import { crashRound, removeCaches } from './crash-rounds.ts';
import { temporaryData } from './store-harness.ts';

test('a writer that is killed at any moment loses nothing that was committed', async () => {
  await using data = await temporaryData();
  // Chance says where the first one is killed: each run kills at other places.
  const from = Math.floor(Math.random() * 13);
  let before = 0;
  for (let round = 0; round < 5; round += 1) {
    if (round % 2 === 1) await removeCaches(data.dataDir);
    // Another place in the writer's cycle each time; test/long/store-crash.ts does 200 of them.
    const { reported, found } = await crashRound(
      data.dataDir,
      1 + ((round * 5 + from) % 13),
      round % 4,
    );
    expect(found).toBeGreaterThanOrEqual(reported);
    expect(found).toBeGreaterThan(before);
    before = found;
  }
});
