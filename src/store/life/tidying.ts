import type { Clock } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import type { Files } from '../disk/files.ts';
import { sessionPaths } from '../disk/session-paths.ts';
import type {
  BaseRange,
  Entry,
  ForgetWanted,
  StoreBounds,
  StoreEvent,
  TidyOutcome,
} from '../types.ts';
import { pinnedIn } from '../session/pins.ts';
import type { Relations } from './relations.ts';
import { replayPast } from '../session/replay.ts';
import { readablePins } from '../session/session-events.ts';
import type { OpenSession } from '../session/session-handle.ts';
import type { FreedSpace } from './space-freer.ts';
import { planTidying, type HeldText, type TidyPlan } from './tidy-plan.ts';

/** What {@link Tidying} needs. */
interface TidyingPorts {
  readonly files: Files;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: StoreBounds;
  readonly sessionIds: () => Promise<readonly string[]>;
  readonly directoryOf: (sessionId: string) => string | undefined;
  readonly relations: () => Promise<Relations>;
  /** A session as it is known without asking its files, where it was ever opened. */
  readonly known: (sessionId: string) => OpenSession | undefined;
  readonly forget: (sessionId: string, wanted: ForgetWanted) => Promise<unknown>;
  readonly free: () => Promise<FreedSpace>;
}

/** What a session holds, as far as it counts for the bounds. */
interface Holding {
  readonly entries: readonly Entry[];
  readonly endBytes: number;
  readonly bases: readonly BaseRange[];
  readonly ranges: readonly BaseRange[];
  /** When texts came again. */
  readonly cameAgainMs: ReadonlyMap<Entry, number>;
  readonly events: readonly StoreEvent[];
}

/** Keeps the stores in their bounds: reads what they hold, one by one, and has the oldest go. */
export class Tidying {
  readonly #ports: TidyingPorts;

  constructor(ports: TidyingPorts) {
    this.#ports = ports;
  }

  /** What each session holds in its own file, bytes. */
  async measure(): Promise<ReadonlyMap<string, number>> {
    const keptBytes = new Map<string, number>();
    for (const { holders, bytes } of await this.#texts()) {
      for (const id of holders) keptBytes.set(id, (keptBytes.get(id) ?? 0) + bytes);
    }
    return keptBytes;
  }

  /**
   * What is to go of some sessions alone, by other bounds than the own ones: nothing is changed.
   */
  async plan(
    bounds: StoreBounds,
    isMeant: (sessionId: string) => boolean,
  ): Promise<{ readonly outcome: TidyOutcome; readonly orders: readonly TidyOrder[] }> {
    const texts = (await this.#texts()).filter(({ holders }) => holders.every(isMeant));
    const nowMs = this.#ports.clock.now();
    const plan = planTidying(texts, bounds, { nowMs, wantedBytes: new Map() });
    const outcome = { ...this.#outcomeOf(plan, texts), copiedBytes: 0, closedBytes: 0 };
    return { outcome, orders: ordersOf(plan) };
  }

  /** @throws ProxyError as forgetting does */
  async run(
    wantedBytes: ReadonlyMap<string, number>,
    { isTrial }: { readonly isTrial: boolean },
  ): Promise<TidyOutcome> {
    const { clock, bounds, forget, free } = this.#ports;
    const texts = await this.#texts();
    const plan = planTidying(texts, bounds, { nowMs: clock.now(), wantedBytes });
    const freed = { copiedBytes: 0, closedBytes: 0 };
    if (!isTrial) {
      for (const { sessionId, wanted } of ordersOf(plan)) await forget(sessionId, wanted);
      Object.assign(freed, await free());
    }
    return { ...this.#outcomeOf(plan, texts), ...freed };
  }

  #outcomeOf({ toGo, keptBytes, full, isAllFull }: TidyPlan, texts: readonly HeldText[]) {
    const stores = new Map<string, Store>();
    const storeOf = (id: string): Store => {
      const directory = this.#ports.directoryOf(id);
      const none = {
        quota: 0,
        age: 0,
        bytes: 0,
        keptBytes: keptBytes.get(id) ?? 0,
        pinnedBytes: 0,
      };
      const found = stores.get(id) ?? {
        session: id,
        ...(directory === undefined ? {} : { directory }),
        ...none,
        ...(full.includes(id) ? { isFull: true as const } : {}),
      };
      stores.set(id, found);
      return found;
    };
    for (const id of full) storeOf(id);
    let bytes = 0;
    for (const { text, why } of toGo) {
      for (const id of text.holders) {
        const store = storeOf(id);
        store[why] += 1;
        store.bytes += text.bytes;
        bytes += text.bytes;
      }
    }
    for (const text of texts) {
      if (!text.isPinned) continue;
      for (const id of text.holders) {
        const store = stores.get(id);
        if (store !== undefined) store.pinnedBytes += text.bytes;
      }
    }
    const all = [...keptBytes.values()].reduce((sum, each) => sum + each, 0);
    return { stores: [...stores.values()], texts: toGo.length, bytes, keptBytes: all, isAllFull };
  }

  /** All texts that are there, each once. */
  async #texts(): Promise<readonly HeldText[]> {
    const relations = await this.#ports.relations();
    const found = new Map<string, HeldText>();
    /** By the key of a text: when it came again in a branch. */
    const later = new Map<string, number>();
    const pinned = new Set<string>();
    for (const id of await this.#ports.sessionIds()) {
      const holding = await this.#holding(id);
      if (holding === undefined) continue;
      const { entries, bases, ranges, cameAgainMs } = holding;
      const keyOf = (
        seq: number,
      ): { readonly key: string; readonly holders: readonly string[] } => {
        const holders = relations.ownersOf(ranges, seq).toSorted();
        return { key: `${holders[0]} ${seq}`, holders };
      };
      const first = bases.at(-1)?.end.entries ?? 0;
      for (const entry of entries.slice(first)) {
        if (entry.forgotten !== undefined) continue;
        const { seq } = entry;
        const end = entries[seq]?.offsetBytes ?? holding.endBytes;
        const { key, holders } = relations.hasCopies
          ? keyOf(seq)
          : { key: `${id} ${seq}`, holders: [id] };
        const timeMs = entry.storedMs ?? entry.timeMs;
        found.set(key, { holders, seq, bytes: end - entry.offsetBytes, timeMs, isPinned: false });
      }
      for (const [{ seq }, timeMs] of cameAgainMs) {
        const { key } = keyOf(seq);
        later.set(key, Math.max(timeMs, later.get(key) ?? 0));
      }
      for (const seq of pinnedIn(holding.events)) pinned.add(keyOf(seq).key);
    }
    return [...found].map(([key, { holders, seq, bytes, timeMs }]) => ({
      holders,
      seq,
      bytes,
      timeMs: Math.max(timeMs, later.get(key) ?? 0),
      isPinned: pinned.has(key),
    }));
  }

  /** Undefined, and in the log, for one that is damaged: nothing is taken from it. */
  async #holding(id: string): Promise<Holding | undefined> {
    const { files, dataDir, log, known } = this.#ports;
    const open = known(id);
    if (open !== undefined) {
      const { entries, totals, bases, ranges, cameAgainMs } = open.store;
      // A live list: what comes from here on is looked at the next time.
      const taken = entries.slice(0, totals.entries);
      return {
        entries: taken,
        endBytes: totals.bytes,
        bases,
        ranges,
        cameAgainMs,
        events: open.events.all,
      };
    }
    const paths = sessionPaths(dataDir, id);
    try {
      const of = { paths, sessionId: id };
      const { index, head, ranges } = await replayPast(files, of);
      const { entries, totals, cameAgainMs } = index;
      const events = await readablePins(files, paths);
      return { entries, endBytes: totals.bytes, bases: head.bases, ranges, cameAgainMs, events };
    } catch (error) {
      log.warn({ err: error, session: id }, 'a store that cannot be read is left out of tidying');
      return undefined;
    }
  }
}

type Store = {
  -readonly [Member in keyof TidyOutcome['stores'][number]]: TidyOutcome['stores'][number][Member];
};

/** What is to be forgotten of a session. */
export interface TidyOrder {
  readonly sessionId: string;
  readonly wanted: ForgetWanted;
}

/** The texts to be forgotten, by session and reason. */
function ordersOf({ toGo }: TidyPlan): readonly TidyOrder[] {
  const orders = new Map<string, { readonly whole: number[]; readonly order: TidyOrder }>();
  for (const { text, why } of toGo) {
    const sessionId = text.holders[0]!;
    const key = `${sessionId} ${why}`;
    const known = orders.get(key);
    if (known !== undefined) known.whole.push(text.seq);
    else {
      const whole = [text.seq];
      const wanted: ForgetWanted = { whole, why, mayComeAgain: true };
      orders.set(key, { whole, order: { sessionId, wanted } });
    }
  }
  return [...orders.values()].map(({ order }) => order);
}
