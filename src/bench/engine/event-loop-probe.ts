/**
 * Loaded with `--import` into a process that is to be measured: tells its parent, when asked, how
 * late timers have been since it was last asked. How late they are is how long everything else in
 * that process has to wait.
 */
import { createHistogram } from 'node:perf_hooks';

/** Between two looks, milliseconds. */
const intervalMs = 5;

/** What the parent is told. */
export interface LoopLag {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const lateness = createHistogram();
let expectedMs = performance.now() + intervalMs;

function look(): void {
  const nowMs = performance.now();
  // The histogram takes whole numbers from 1: microseconds.
  lateness.record(Math.max(1, Math.round((nowMs - expectedMs) * 1000)));
  expectedMs = nowMs + intervalMs;
  setTimeout(look, intervalMs).unref();
}

setTimeout(look, intervalMs).unref();

process.on('message', (message) => {
  if (message !== 'loop-lag') return;
  const lag: LoopLag = {
    p50Ms: lateness.percentile(50) / 1000,
    p99Ms: lateness.percentile(99) / 1000,
    maxMs: lateness.max / 1000,
  };
  lateness.reset();
  process.send?.(lag);
});
// Measuring must not keep a process alive that is done.
process.channel?.unref();
