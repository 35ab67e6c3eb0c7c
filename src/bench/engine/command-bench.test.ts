import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchCommands, commandBenchTable } from './command-bench.ts';

/**
 * A program that only does what is measured of one: it ends, or it says that it listens and is
 * ended.
 */
const program = `
  if (process.argv[2] === 'serve') { console.log('listening on x'); setInterval(() => {}, 1000); }
`;

it('starts every command once a round, beside a Node that does nothing, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rlm-command-bench-'));
  const path = join(folder, 'program.cjs');
  writeFileSync(path, program);
  const steps: string[] = [];
  const onStep = (step: string): unknown => steps.push(step);
  const bench = await benchCommands({ program: path, chars: 10_000, rounds: 1, onStep });
  rmSync(folder, { recursive: true });
  expect(steps).toEqual([expect.any(String), 'round 0 of 1', 'round 1 of 1']);
  expect(bench.times.map(({ name }) => name)).toEqual([
    'node -e 0',
    '`--version`',
    '`config`, a server runs',
    '`sessions`, through it',
    '`search -c`, through it',
    '`search -c`, no server',
    '`serve`, until it listens',
  ]);
  for (const { medianMs, timesNode } of bench.times) {
    expect(medianMs).toBeGreaterThan(0);
    expect(timesNode).toBeGreaterThan(0);
  }
});

it('shows each time beside what is wanted of it', () => {
  const times = [
    { name: 'node -e 0', medianMs: 40, timesNode: 1 },
    { name: '`config`', medianMs: 100.4, timesNode: 2.51, wantedTimes: 4 },
  ];
  const table = commandBenchTable({ machine: 'a machine', chars: 1_000_000, times });
  const lines = table.split('\n');
  expect(lines[0]).toBe('a machine; 1,000,000 characters stored');
  expect(lines).toContain('| node -e 0 | 40 ms | 1.0x |  |');
  expect(lines).toContain('| `config` | 100 ms | 2.5x | at most 4x |');
});
