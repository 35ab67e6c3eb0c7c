import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { SearchEngine } from '../search/types.ts';
import type { Session, Sessions } from '../store/types.ts';

/**
 * After a failure the index is left alone for so long: on a full disk each turn would read text for
 * nothing.
 */
const retryAfterMs = 30_000;

/**
 * A store into which nothing has come for so long has come to rest: what lies behind the last whole
 * group of its blocks gets an index, too.
 */
const quietAfterMs = 60_000;

/** What {@link IndexKeeper} needs. */
interface IndexKeeperOptions {
  readonly search: SearchEngine;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Keeps the search indexes of sessions up to date in the background, one session at a time each. An
 * index is a cache: what fails here is logged, searches go on without it.
 */
export class IndexKeeper {
  readonly #options: IndexKeeperOptions;
  readonly #stop = new AbortController();
  /** Sessions being indexed; true when more text has come meanwhile. */
  readonly #running = new Map<string, { again: boolean; done: Promise<void> }>();
  /** When the last try failed, by session. */
  readonly #failedAtMs = new Map<string, number>();

  constructor(options: IndexKeeperOptions) {
    this.#options = options;
  }

  /**
   * Call when a session has grown, or is about to be searched: also one that others are linked to.
   * Returns at once.
   */
  keep(session: Session): void {
    const running = this.#running.get(session.id);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#stop.signal.aborted || this.#hasJustFailed(session.id)) return;
    const state = { again: false, done: Promise.resolve() };
    this.#running.set(session.id, state);
    state.done = this.#run(session, state);
  }

  /** The same sessions; one that is opened from here is about to be searched. */
  keeping(sessions: Pick<Sessions, 'byId'>): Pick<Sessions, 'byId'> {
    return {
      byId: async (id) => {
        const session = await sessions.byId(id);
        this.keep(session);
        return session;
      },
    };
  }

  /** Stops and waits for what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#running.values()].map(async (state) => state.done));
  }

  async #run(session: Session, state: { again: boolean }): Promise<void> {
    try {
      do {
        state.again = false;
        const isQuiet = this.#isQuiet(session);
        const corpus = await session.store.snapshot();
        await this.#options.search.index(corpus, this.#stop.signal, isQuiet);
      } while (state.again && !this.#stop.signal.aborted);
    } catch (error) {
      const { code, message } = toProxyError(error);
      if (!this.#stop.signal.aborted) {
        this.#failedAtMs.set(session.id, this.#options.clock.elapsedMs());
        this.#options.log.warn(
          { session: session.id, code, message },
          'the search index could not be brought up to date',
        );
      }
    } finally {
      this.#running.delete(session.id);
    }
  }

  #isQuiet({ store }: Session): boolean {
    const last = store.entries.at(-1);
    const lastMs = last?.storedMs ?? last?.timeMs ?? 0;
    return this.#options.clock.now() - lastMs >= quietAfterMs;
  }

  #hasJustFailed(sessionId: string): boolean {
    const failedAtMs = this.#failedAtMs.get(sessionId);
    if (failedAtMs === undefined) return false;
    if (this.#options.clock.elapsedMs() - failedAtMs < retryAfterMs) return true;
    this.#failedAtMs.delete(sessionId);
    return false;
  }
}
