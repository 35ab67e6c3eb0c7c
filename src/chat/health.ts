import type { TurnTotals } from './turn-stats.ts';

/** What is told of a shared store. */
export interface SharedHealth {
  readonly isAway: boolean;
  readonly waiting: { readonly rows: number; readonly bytes: number };
}

/**
 * Whether texts are stored, and why not, by its code: the stores as a whole cannot be used, or the
 * last text could not be stored.
 */
export function storeState({
  storeFault,
  totals,
}: {
  readonly storeFault: string | undefined;
  readonly totals: TurnTotals;
}): { readonly status: 'ok' | 'degraded'; readonly lastStoreFault: string | undefined } {
  const lastStoreFault = storeFault ?? totals.lastStoreFault;
  return { status: lastStoreFault === undefined ? 'ok' : 'degraded', lastStoreFault };
}

/** What `/health` says. */
export function healthOf(parts: {
  readonly version: string;
  /** Names of the configured providers. */
  readonly upstreams: readonly string[];
  readonly totals: TurnTotals;
  /** Why the stores as a whole cannot be used, if so. */
  readonly storeFault: string | undefined;
  /** What was done last to keep the stores in their bounds. */
  readonly lastTidying: object | undefined;
  /** How the store is that machines share; absent where they do not. */
  readonly shared: SharedHealth | undefined;
  /** Models that have refused our tools. */
  readonly modelsWithoutTools: readonly string[];
  /** Requests that are being answered. */
  readonly live: number;
}): { readonly status: 'ok' | 'degraded'; readonly [member: string]: unknown } {
  const { totals, storeFault, shared, ...others } = parts;
  const { status, lastStoreFault } = storeState({ storeFault, totals });
  return {
    status,
    ...others,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    ...totals,
    lastStoreFault,
    // Without its address: anybody may ask.
    ...(shared && {
      sharedStore: {
        isAway: shared.isAway,
        waitingRows: shared.waiting.rows,
        waitingBytes: shared.waiting.bytes,
      },
    }),
  };
}
