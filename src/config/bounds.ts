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

/** A shared store as it is opened; undefined where none is set. */
export function sharedStoreOf(store: Settings['store']):
  | {
      readonly url: string;
      readonly project: string | undefined;
      readonly teamKey: string | undefined;
      readonly waitMs: number;
      readonly spoolBytes: number;
      readonly replicaBounds: {
        readonly maxBytes: number | undefined;
        readonly maxAgeMs: number | undefined;
      };
    }
  | undefined {
  const { url, project, key, waitMs, spoolBytes, replicaMaxBytes, replicaMaxAgeDays } = store;
  if (url === undefined) return undefined;
  const maxAgeMs = replicaMaxAgeDays === undefined ? undefined : replicaMaxAgeDays * dayMs;
  const replicaBounds = { maxBytes: replicaMaxBytes, maxAgeMs };
  return { url, project, teamKey: key, waitMs, spoolBytes, replicaBounds };
}
