import { ProxyError } from '../../errors.ts';
import type { StoreBounds } from '../types.ts';
import { startShare } from './tidy-plan.ts';

/**
 * Sees to it that no store, nor all of them together, hold more than they may: what would be too
 * much is refused, as by a full disk, and room is asked for.
 */
export class StoreRoom {
  /** For what there was no room since that was last taken: the most at once, by session. */
  #wantedBytes = new Map<string, number>();
  readonly #bounds: StoreBounds;
  readonly #measure: () => Promise<ReadonlyMap<string, number>>;
  readonly #wanted: () => void;
  /** What each session holds in its own file, as far as it is known. */
  readonly #keptBytes = new Map<string, number>();
  #allBytes = 0;
  #measuring: Promise<void> | undefined;

  constructor(
    bounds: StoreBounds,
    ports: {
      /** What every session holds in its own file, bytes. */
      readonly measure: () => Promise<ReadonlyMap<string, number>>;
      /** Hears that there is, or will soon be, too little room. */
      readonly wanted: () => void;
    },
  ) {
    this.#bounds = bounds;
    this.#measure = ports.measure;
    this.#wanted = ports.wanted;
  }

  /** A text is to be added to a session that holds so much. @throws ProxyError `store_full` */
  async take(sessionId: string, keptBytes: number, lengthBytes: number): Promise<void> {
    const { storeBytes, allBytes } = this.#bounds;
    if (storeBytes !== undefined && keptBytes + lengthBytes > storeBytes) {
      throw this.#refused(
        sessionId,
        keptBytes + lengthBytes,
        `The store may hold ${storeBytes} bytes`,
      );
    }
    if (allBytes === undefined) return;
    this.#measuring ??= this.#measureAll();
    await this.#measuring;
    const others = this.#allBytes - (this.#keptBytes.get(sessionId) ?? 0);
    if (others + keptBytes + lengthBytes > allBytes) {
      throw this.#refused(
        sessionId,
        keptBytes + lengthBytes,
        `All stores together may hold ${allBytes} bytes`,
      );
    }
  }

  /** A session holds so much now. */
  noted(sessionId: string, keptBytes: number): void {
    this.#allBytes += keptBytes - (this.#keptBytes.get(sessionId) ?? 0);
    this.#keptBytes.set(sessionId, keptBytes);
    const { storeBytes = Infinity, allBytes = Infinity } = this.#bounds;
    if (keptBytes > storeBytes * startShare || this.#allBytes > allBytes * startShare) {
      this.#wanted();
    }
  }

  /** A session is no more. */
  removed(sessionId: string): void {
    this.#allBytes -= this.#keptBytes.get(sessionId) ?? 0;
    this.#keptBytes.delete(sessionId);
  }

  /** For what there was no room. */
  get wanted(): ReadonlyMap<string, number> {
    return this.#wantedBytes;
  }

  /** The same, and forgotten. */
  takeWanted(): ReadonlyMap<string, number> {
    const wanted = this.#wantedBytes;
    this.#wantedBytes = new Map();
    return wanted;
  }

  async #measureAll(): Promise<void> {
    try {
      for (const [id, bytes] of await this.#measure()) {
        // What was noted meanwhile is newer.
        if (!this.#keptBytes.has(id)) this.noted(id, bytes);
      }
    } catch (error) {
      this.#measuring = undefined;
      throw error;
    }
  }

  /** `endBytes`: what the session would hold with it. */
  #refused(sessionId: string, endBytes: number, limit: string): ProxyError {
    // With what was to be stored before it in the same commit.
    const lengthBytes = endBytes - (this.#keptBytes.get(sessionId) ?? 0);
    const wanted = Math.max(lengthBytes, this.#wantedBytes.get(sessionId) ?? 0);
    this.#wantedBytes.set(sessionId, wanted);
    this.#wanted();
    return new ProxyError('store_full', `${limit}, and ${lengthBytes} more do not fit.`, {
      hint: 'Old texts go by themselves where they may; `rlm-opencode sessions gc --dry-run` says what holds the room. See store.quotaBytes and store.quotaAllBytes.',
    });
  }
}
