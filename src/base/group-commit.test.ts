import { expect, test } from 'vitest';
import { GroupCommit } from './group-commit.ts';

/** A commit that waits for its gate, and the groups that it was given. */
function gated(countFitting?: (waiting: readonly { readonly job: number }[]) => number) {
  const groups: number[][] = [];
  const gates: (() => void)[] = [];
  const commits = new GroupCommit<number, string>(async (group) => {
    groups.push(group.map(({ job }) => job));
    await new Promise<void>((open) => gates.push(open));
    for (const { job, resolve, reject } of group) {
      if (job < 0) reject(new Error(`job ${job}`));
      else resolve(`done ${job}`);
    }
  }, countFitting);
  return { commits, groups, gates };
}

/** Lets everything that can go on go on. */
async function settle(): Promise<void> {
  await new Promise((done) => setImmediate(done));
}

test('what comes together goes together, what comes meanwhile goes in the next group', async () => {
  const { commits, groups, gates } = gated();
  const first = [commits.add(1), commits.add(2)];
  await settle();
  const second = [commits.add(3), commits.add(4), commits.add(5)];
  await settle();
  expect(groups).toEqual([[1, 2]]);
  gates[0]?.();
  expect(await Promise.all(first)).toEqual(['done 1', 'done 2']);
  await settle();
  expect(groups).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
  gates[1]?.();
  expect(await Promise.all(second)).toEqual(['done 3', 'done 4', 'done 5']);
});

test('a group is no larger than what fits, and the order is kept', async () => {
  const { commits, groups, gates } = gated((waiting) => Math.min(2, waiting.length));
  const all = [1, 2, 3, 4, 5].map(async (job) => commits.add(job));
  for (let group = 0; group < 3; group++) {
    await settle();
    gates[group]?.();
  }
  await Promise.all(all);
  expect(groups).toEqual([[1, 2], [3, 4], [5]]);
});

test('a job that fails is told so, the others and those behind it are done', async () => {
  const { commits, gates } = gated();
  const all = [commits.add(1), commits.add(-2), commits.add(3)];
  const outcome = Promise.allSettled(all);
  await settle();
  gates[0]?.();
  expect((await outcome).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
  const later = commits.add(4);
  await settle();
  gates[1]?.();
  expect(await later).toBe('done 4');
});

test('idle waits for what is at work and for what came meanwhile, and for nothing where there is nothing', async () => {
  const { commits, gates } = gated();
  await commits.idle();
  const first = commits.add(1);
  await settle();
  let isIdle = false;
  const idle = commits.idle().then(() => (isIdle = true));
  const second = commits.add(2);
  gates[0]?.();
  await first;
  await settle();
  expect(isIdle).toBe(false);
  gates[1]?.();
  await second;
  await idle;
  expect(isIdle).toBe(true);
});
