import type { ProxyError } from '../../errors.ts';
import type { Files } from './files.ts';
import type { SessionPaths } from './session-paths.ts';
import { lostStore, toStoreFailure } from './store-failure.ts';

/** What a {@link StorePlace} needs. */
export interface StorePlaceOptions {
  readonly files: Files;
  readonly paths: SessionPaths;
  /** Called once, when it is seen that a file was deleted or replaced. */
  readonly onLost?: (error: ProxyError) => void;
}

/**
 * Knows whether the files that a store has open are still what stands under their names: a look at
 * each costs some microseconds.
 */
export class StorePlace {
  readonly #options: StorePlaceOptions;
  /** By path; only those that can be looked at. */
  readonly #inodes = new Map<string, string>();
  #lost: ProxyError | undefined;

  /** Of files that have just been opened. */
  constructor(options: StorePlaceOptions) {
    this.#options = options;
    const { journal, text } = options.paths;
    for (const path of [journal, text]) {
      const inode = this.#inodeOf(path);
      if (inode !== undefined) this.#inodes.set(path, inode);
    }
  }

  /**
   * Looks, and says what is wrong. Once a store is lost it stays so, whatever comes to stand in its
   * place.
   */
  lost(): ProxyError | undefined {
    if (this.#lost !== undefined) return this.#lost;
    const found = [...this.#inodes].find(([path, inode]) => this.#inodeOf(path) !== inode);
    if (found === undefined) return undefined;
    this.#lost = lostStore(found[0]);
    this.#options.onLost?.(this.#lost);
    return this.#lost;
  }

  /** @throws ProxyError `store_corrupt` where it is lost */
  check(): void {
    const lost = this.lost();
    if (lost !== undefined) throw lost;
  }

  /**
   * Names what kept a large text from being taken in: that the store is lost, or what the file
   * system said.
   */
  failure(caught: unknown): ProxyError {
    const { path = this.#options.paths.incomingDir } = caught as NodeJS.ErrnoException;
    return this.lost() ?? toStoreFailure(caught, path);
  }

  #inodeOf(path: string): string | undefined {
    return this.#options.files.identifyNow(path)?.split(':')[0];
  }
}
