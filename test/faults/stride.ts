import { onTestFailed } from 'vitest';

/** How the calls of an operation are gone through: the first, and how far it is to the next one. */
export interface Stride {
  readonly first: number;
  readonly step: number;
}

/** Where this process begins; `RLM_FAULTS_FROM` says it instead of chance. */
const drawn = Number(process.env['RLM_FAULTS_FROM'] ?? Math.floor(Math.random() * 1_000));

/**
 * At which calls a test lets something fail: every `step`th one, from a place that chance draws for
 * each run; with `RLM_FAULTS=all` at every one. Of tests that let the same calls fail in several
 * ways, `which` (0, 1, ...) is another one for each: as many as `step` meet every call between
 * them, another one of them in each run. A test that fails says what was drawn.
 */
export function strideOf(step: number, which = 0): Stride {
  if (process.env['RLM_FAULTS'] === 'all') return { first: 0, step: 1 };
  onTestFailed(() => {
    console.error(`RLM_FAULTS_FROM=${drawn} lets the same calls fail, RLM_FAULTS=all each of them`);
  });
  return { first: (drawn + which) % step, step };
}
