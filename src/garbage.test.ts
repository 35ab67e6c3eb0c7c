import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/**
 * Plays requests of 100 KB, 64 of them alive at once, in a process of its own: what is set holds for
 * the whole of one. Tells the size of the young generation, bytes: with and without a bound.
 */
async function youngBytesAfter(requests: number, setUp: string): Promise<number> {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { boundHeap, tuneForBody } from ${JSON.stringify(new URL('./garbage.ts', import.meta.url).href)};
    ${setUp}
    const live = [];
    for (let n = 0; n < ${requests}; n += 1) {
      live[n % 64] = Array.from({ length: 1000 }, (_, at) => ({ at, text: [n, at] }));
      tuneForBody(2000);
    }
    const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
    console.log(young.space_size);`;
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  return Number(stdout);
}

const mib = 1_048_576;

it('lets the young generation grow as far as many small requests need it, and no further', async () => {
  const [bound, unbound] = await Promise.all([
    youngBytesAfter(8000, 'boundHeap();'),
    youngBytesAfter(8000, ''),
  ]);
  expect(bound).toBeGreaterThanOrEqual(16 * mib);
  expect(bound).toBeLessThanOrEqual(48 * mib);
  expect(unbound).toBeGreaterThan(bound);
});
