/** Which store is meant, as operations take it. */
export interface StoreChoice {
  readonly session?: string;
  /** Absolute. */
  readonly directory?: string;
  /** What the project is called where stores are shared. */
  readonly project?: string;
  /** Whether a directory above may answer for one that has no store. */
  readonly climb?: boolean;
}

/**
 * Runs an operation on the stores, wherever they are open. @throws ProxyError what the operation
 * throws, `cancelled` where the signal aborts
 */
export type AskStores = (
  operation: string,
  args: object,
  how: {
    readonly signal: AbortSignal;
    readonly onProgress?: (said: unknown) => void | Promise<void>;
  },
) => Promise<unknown>;
