import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const script = resolve(import.meta.dirname, '../../test/support/sandbox-memory.ts');

interface Report {
  readonly limitBytes: number;
  readonly peakBytes: number;
  readonly afterBytes: number;
  readonly errors: readonly string[];
}

async function measure(programs: readonly string[], computeMs = 3_000): Promise<Report> {
  const env = { ...process.env, RLM_TEST_COMPUTE_MS: String(computeMs) };
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...programs], { env });
  return JSON.parse(stdout) as Report;
}

const slackBytes = 64 * 1_048_576;

test.each([
  ['arrays', 'let a = []; for (;;) a.push(new Array(1000).fill(1))', 3_000],
  ['strings', 'let a = []; for (;;) a.push(("x" + a.length).repeat(100000))', 3_000],
  ['texts that are read', 'let a = []; for (;;) a.push(context.read(0, 1000000))', 3_000],
  [
    'sizes that leave gaps',
    'for (let n = 1e3; ; n = Math.floor(n * 2.3)) { let a = []; try { for (;;) a.push("x".repeat(n) + a.length) } catch {} }',
    // It never ends by itself: within that it has been through all sizes some times.
    1_000,
  ],
])(
  'a program cannot take more memory than it has, and gives it back: %s',
  async (_, code, computeMs) => {
    const { limitBytes, peakBytes, afterBytes, errors } = await measure([code], computeMs);
    expect(errors[0]).toMatch(/out of memory|stopped after [13] s/);
    const mostBytes = 2 * limitBytes + slackBytes;
    expect(peakBytes).toBeLessThanOrEqual(mostBytes);
    // A program that is stopped between two operations keeps its thread and its variables: a matter
    // of timing.
    const isKept = errors[0]?.includes('variables are kept') === true;
    expect(afterBytes).toBeLessThanOrEqual(isKept ? mostBytes : slackBytes);
  },
);

test('three at once take three times as much at most', async () => {
  const code = 'const m = new Map(); for (let i = 0; ; i++) m.set(i, new Array(1000).fill(i))';
  const { limitBytes, peakBytes, afterBytes, errors } = await measure([code, code, code]);
  expect(errors.filter((error) => error.includes('out of memory'))).toHaveLength(3);
  expect(peakBytes).toBeLessThanOrEqual(3 * (2 * limitBytes + slackBytes));
  expect(afterBytes).toBeLessThanOrEqual(slackBytes);
});
