import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Random } from '../../src/bench/random.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { damageRound, makeSoundStore } from '../faults/damage-rounds.ts';

/**
 * `node test/long/store-damage.ts [ROUNDS] [SEED]`: damages a file of a store at random and asks
 * it, 2,000 times by default. Stops at an answer that is wrong without a word, and says in which
 * round of which seed.
 */
const rounds = Number(process.argv[2] ?? 2_000);
const seed = Number(process.argv[3] ?? Date.now() % 1e9);
const folder = await mkdtemp(join(tmpdir(), 'rlm-damage-'));
await using engine = openSearchEngine({ clock: systemClock });
const sound = await makeSoundStore(join(folder, 'sound'), engine);
const sums = { exact: 0, said: 0, refused: 0 };
const byFile = new Map<string, number>();
for (let round = 0; round < rounds; round += 1) {
  try {
    // A sequence of its own, so that a round can be done again alone.
    const seen = await damageRound(sound, join(folder, 'copy'), new Random(seed, round), engine);
    const name = basename(seen.file).replace(/^sess_[0-9a-f]+/, '');
    byFile.set(name, (byFile.get(name) ?? 0) + 1);
    sums.exact += seen.exact;
    sums.said += seen.said;
    sums.refused += seen.refused;
  } catch (error) {
    process.stdout.write(`\nround ${round} of seed ${seed}; what it met is in ${folder}\n`);
    throw error;
  }
  process.stdout.write(`\r${round + 1}/${rounds} rounds`);
}
await rm(folder, { recursive: true });
process.stdout.write(`\n${JSON.stringify({ seed, ...sums, files: Object.fromEntries(byFile) })}\n`);
