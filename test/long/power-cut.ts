import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../src/bench/random.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { powerRound, recordStory } from '../faults/power-rounds.ts';

/**
 * `node test/long/power-cut.ts [ROUNDS] [SEED]`: cuts the power of a recorded store at random
 * moments, 500 times by default.
 */
const rounds = Number(process.argv[2] ?? 500);
const seed = Number(process.argv[3] ?? Date.now() % 1e9);
const folder = await mkdtemp(join(tmpdir(), 'rlm-power-'));
await using engine = openSearchEngine({ clock: systemClock });
const story = await recordStory(join(folder, 'recorded'));
let indexed = 0;
for (let round = 0; round < rounds; round += 1) {
  try {
    const random = new Random(seed, round);
    const seen = await powerRound(story, join(folder, 'cut'), random, engine);
    if (seen.indexed) indexed += 1;
  } catch (error) {
    process.stdout.write(`\nround ${round} of seed ${seed}; what it met is in ${folder}\n`);
    throw error;
  }
  process.stdout.write(`\r${round + 1}/${rounds} power cuts`);
}
await rm(folder, { recursive: true });
process.stdout.write(`\n${JSON.stringify({ seed, rounds, indexed })}\n`);
