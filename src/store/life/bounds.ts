import type { SessionRoom } from '../session/session-store.ts';
import type { LastTidying, StoreBounds, TidyOutcome } from '../types.ts';
import { BoundsKeeper } from './bounds-keeper.ts';
import type { SessionCatalog } from './session-catalog.ts';
import type { Forgetter } from './forgetting.ts';
import { StoreRoom } from './store-room.ts';
import { Tidying } from './tidying.ts';

/** Sees to it that the sessions hold no more, and nothing longer, than they may. */
export class Bounds {
  readonly #room: StoreRoom;
  readonly #tidying: Tidying;
  readonly #keeper: BoundsKeeper | undefined;
  /** One run at a time. */
  #tidied: Promise<unknown> = Promise.resolve();

  /** `keeps`: whether that is done in the background. */
  constructor(
    catalog: SessionCatalog,
    forgetting: Forgetter,
    { bounds, keeps }: { readonly bounds: StoreBounds; readonly keeps: boolean },
  ) {
    const { files, dataDir, clock, log } = catalog;
    this.#room = new StoreRoom(bounds, {
      measure: async () => this.#tidying.measure(),
      wanted: () => this.#keeper?.soon(),
    });
    this.#tidying = new Tidying({
      files,
      dataDir,
      clock,
      log,
      bounds,
      sessionIds: async () => (await catalog.list()).map(({ id }) => id),
      directoryOf: (sessionId) => catalog.directoryOf(sessionId),
      relations: async () => catalog.relations(),
      known: (sessionId) => catalog.open.known(sessionId),
      forget: async (sessionId, wanted) => forgetting.forgetWithoutFreeing(sessionId, wanted),
      free: async () => forgetting.free(),
    });
    const isBounded = Object.values(bounds).some((bound) => bound !== undefined);
    if (keeps && (isBounded || forgetting.hasToFree)) {
      this.#keeper = new BoundsKeeper({
        clock,
        log,
        run: async () => this.tidy({ isTrial: false }),
      });
    }
  }

  /** See `Sessions.lastTidying`. */
  get last(): LastTidying | undefined {
    return this.#keeper?.last;
  }

  /** See `Sessions.tidy`. */
  async tidy({ isTrial }: { readonly isTrial: boolean }): Promise<TidyOutcome> {
    const run = this.#tidied.then(async () =>
      this.#tidying.run(isTrial ? this.#room.wanted : this.#room.takeWanted(), { isTrial }),
    );
    this.#tidied = run.catch(() => undefined);
    return run;
  }

  /** What is to go by other bounds; see `Tidying.plan`. */
  async plan(...args: Parameters<Tidying['plan']>): ReturnType<Tidying['plan']> {
    return this.#tidying.plan(...args);
  }

  /** What a session asks before it stores. */
  roomOf(sessionId: string): SessionRoom {
    return {
      take: async (keptBytes, lengthBytes) => this.#room.take(sessionId, keptBytes, lengthBytes),
      noted: (keptBytes) => this.#room.noted(sessionId, keptBytes),
    };
  }

  /** A session is no more. */
  removed(sessionId: string): void {
    this.#room.removed(sessionId);
  }

  /** Begins nothing more in the background; resolves when nothing is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper?.[Symbol.asyncDispose]();
    await this.#tidied;
  }
}
