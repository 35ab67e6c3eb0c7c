import { describe, expect, test } from 'vitest';
import { parsePattern } from '../pattern/pattern.ts';
import { openScanMemory } from '../text/scan-memory.ts';
import { TimeGuard, type GuardedRun } from './time-guard.ts';
import { V8Matcher } from './v8-matcher.ts';

const memory = openScanMemory();
const line = Buffer.from('payment user=7 status=declined\n');
const text = Buffer.concat(Array.from({ length: 50 }, () => line));

/**
 * A guard on a machine that is busy with other things: every so many runs are stopped with `cpuMs`
 * used, wherever they were.
 */
class UnluckyGuard {
  /** How long each run was given, and whether it was stopped. */
  readonly runs: { readonly timeoutMs: number; readonly stopped: boolean }[] = [];
  readonly #inner = new TimeGuard();
  readonly #stops: (run: number) => boolean;
  readonly #cpuMs: number;
  /** Whether some of the work has been done when it is stopped. */
  readonly #getsOn: boolean;

  constructor(stops: (run: number) => boolean, cpuMs: number, getsOn: boolean) {
    this.#stops = stops;
    this.#getsOn = getsOn;
    this.#cpuMs = cpuMs;
  }

  run(work: () => void, timeoutMs: number): GuardedRun {
    const stopped = this.#stops(this.runs.length);
    this.runs.push({ timeoutMs, stopped });
    if (!stopped) return this.#inner.run(work, timeoutMs);
    if (this.#getsOn) this.#inner.run(work, 1_000);
    return { ended: false, cpuMs: this.#cpuMs };
  }
}

function open(guard: UnluckyGuard): V8Matcher {
  const read = parsePattern('user=(\\d)(?= status)', false);
  if (!('pattern' in read)) throw new Error(read.problem);
  return new V8Matcher(read.pattern, guard);
}

function linesAt(base: number): number[] {
  return Array.from({ length: 50 }, (_, i) => base + i * line.length).flatMap((start) => [
    start,
    start + line.length - 1,
  ]);
}

describe('a guard that ends because the machine is busy', () => {
  test('loses no line: what was interrupted is tried again alone, for as long as it takes', () => {
    const guard = new UnluckyGuard((run) => run < 4, 0.1, false);
    const matcher = open(guard);
    memory.bytes.set(text, memory.textAt);
    expect(matcher.scan(memory, linesAt(memory.textAt), () => false)).toBe(50);
    expect(matcher.takeSkippedLines()).toBe(0);
    expect(guard.runs.filter(({ stopped }) => stopped)).toHaveLength(4);
  });

  test('gives every occurrence once, whatever had been found when it was interrupted', () => {
    const guard = new UnluckyGuard((run) => run % 2 === 0, 0.1, true);
    const matcher = open(guard);
    const values: (string | undefined)[] = [];
    matcher.each(text, linesAt(0), 0, [1], (_start, _end, held) => values.push(held.text(0)));
    expect([values.length, new Set(values)]).toEqual([50, new Set(['7'])]);
    expect(matcher.takeSkippedLines()).toBe(0);
  });
});

test('a line is given up only when it has had a far longer time alone, in time of the processor', () => {
  const guard = new UnluckyGuard(() => true, 1_000, false);
  const matcher = open(guard);
  memory.bytes.set(text, memory.textAt);
  matcher.scan(memory, linesAt(memory.textAt).slice(0, 2), () => false);
  expect(matcher.takeSkippedLines()).toBe(1);
  const [batch, alone] = guard.runs.map(({ timeoutMs }) => timeoutMs);
  expect(guard.runs).toHaveLength(2);
  expect(alone).toBeGreaterThan(5 * batch!);
});
