import type { Settings } from './schema.ts';

const dayMs = 86_400_000;

/** The bounds of the stores, as the stores take them. */
export function boundsOf({ quotaBytes, quotaAllBytes, maxAgeDays }: Settings['store']): {
  readonly storeBytes: number | undefined;
  readonly allBytes: number | undefined;
  readonly maxAgeMs: number | undefined;
} {
  const maxAgeMs = maxAgeDays === undefined ? undefined : maxAgeDays * dayMs;
  return { storeBytes: quotaBytes, allBytes: quotaAllBytes, maxAgeMs };
}
