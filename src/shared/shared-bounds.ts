import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { BoundsKeeper } from '../store/life/bounds-keeper.ts';
import type { ReplicaSessions } from '../store/sessions.ts';
import type { LastTidying, StoreBounds, TidyOutcome } from '../store/types.ts';
import type { LogTable } from './database/log-table.ts';
import type { SharedLog } from './shared-log.ts';

/**
 * In the background one machine looks after a store so often, milliseconds: an hour less than the
 * day after which each asks.
 */
const claimMs = 23 * 3_600_000;
/**
 * An archive takes the place of a store's rows when so much of what these hold is gone. Writing it
 * costs about what the store holds; at a quarter the database never keeps more than a third above
 * what is there, for three times the gone bytes written.
 */
const sealShare = 0.25;

/** What {@link SharedBounds} needs. */
interface SharedBoundsParts {
  readonly table: LogTable;
  readonly replicas: ReplicaSessions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: StoreBounds;
  /** Whether they are kept in the background: a server does it. */
  readonly keeps: boolean;
  /** Brings in branches of what is here: what is pinned in one of them stays. */
  readonly bringBranches: () => Promise<void>;
  readonly logOf: (sessionId: string) => Promise<SharedLog>;
  readonly seal: (log: SharedLog) => Promise<void>;
}

/**
 * Keeps the shared stores that are on this machine in their bounds. What goes is decided here, by
 * number, and is a row that every machine carries out: so it is the same everywhere, whatever
 * bounds others have and whatever their clocks say. The texts count, not what their files take on
 * any machine. In the background only one machine at a time does it for a store.
 */
export class SharedBounds {
  readonly #parts: SharedBoundsParts;
  readonly #keeper: BoundsKeeper | undefined;
  /** One run at a time. */
  #running: Promise<unknown> = Promise.resolve();

  constructor(parts: SharedBoundsParts) {
    this.#parts = parts;
    const { clock, log, bounds, keeps } = parts;
    const isBounded = Object.values(bounds).some((bound) => bound !== undefined);
    if (keeps && isBounded) {
      const run = async (): Promise<TidyOutcome> =>
        this.tidy({ isTrial: false, isInBackground: true });
      this.#keeper = new BoundsKeeper({ clock, log, run });
    }
  }

  /** See `Sessions.lastTidying`. */
  get last(): LastTidying | undefined {
    return this.#keeper?.last;
  }

  /** See `Sessions.tidy`. @throws ProxyError `store_away` */
  async tidy(options: {
    readonly isTrial: boolean;
    readonly isInBackground?: boolean;
  }): Promise<TidyOutcome> {
    const run = this.#running.then(async () => this.#run(options));
    this.#running = run.catch(() => undefined);
    return run;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper?.[Symbol.asyncDispose]();
    await this.#running;
  }

  async #run({
    isTrial,
    isInBackground = false,
  }: Parameters<SharedBounds['tidy']>[0]): Promise<TidyOutcome> {
    const { table, replicas, bounds, bringBranches, logOf } = this.#parts;
    await bringBranches();
    const here = new Set((await replicas.list()).map(({ id }) => id));
    const known = (await table.heads()).map(({ id }) => id).filter((id) => here.has(id));
    const meant = isInBackground ? await table.claimTidying(known, claimMs) : new Set(known);
    for (const id of known) await (await logOf(id)).catchUp();
    // Together they may be too much, whoever looks after which of them.
    const { outcome, orders } = await replicas.tidyPlan(bounds, (id) => known.includes(id));
    const own = orders.filter(({ sessionId }) => meant.has(sessionId));
    if (isTrial) return outcome;
    for (const { sessionId, wanted } of own) {
      const log = await logOf(sessionId);
      await log.decide({ op: 'forget', wanted: { ...wanted, isOwnOnly: true } });
    }
    for (const id of new Set(own.map(({ sessionId }) => sessionId))) await this.#sealIfWorthIt(id);
    if (own.length === orders.length) return outcome;
    const texts = own.reduce((sum, { wanted }) => sum + wanted.whole.length, 0);
    const stores = outcome.stores.filter(({ session }) => meant.has(session));
    return { ...outcome, stores, texts, bytes: stores.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  async #sealIfWorthIt(sessionId: string): Promise<void> {
    const { table, logOf, seal, log } = this.#parts;
    const shared = await logOf(sessionId);
    const sealedMs = await table.sealedMs(sessionId);
    let goneBytes = 0;
    let allBytes = 0;
    for (const { lengthBytes, forgotten } of shared.replica.session.store.entries) {
      const isSealed = forgotten !== undefined && forgotten.timeMs <= sealedMs;
      if (isSealed) continue;
      allBytes += lengthBytes;
      if (forgotten !== undefined) goneBytes += lengthBytes;
    }
    if (goneBytes <= allBytes * sealShare) return;
    log.debug({ session: sessionId, goneBytes }, 'an archive takes the place of rows');
    await seal(shared);
    await table.vacuum();
  }
}
