import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { sizesOnDisk } from '../store/disk/sizes-on-disk.ts';
import type { Sessions } from '../store/types.ts';
import type { SessionView } from './page-protocol.ts';

/** A list is good for so long, milliseconds: it reads both ends of each store's journal. */
const listMs = 1_000;

/** Sizes on the disk are good for so long, milliseconds: each file of each store is asked. */
const besideMs = 30_000;

/** What there is beside a store's own journal. */
interface BesideFacts {
  /** All that it takes on this machine's disk, bytes. */
  readonly bytes?: number | undefined;
  /** Its name for others, where machines share it. */
  readonly project?: string | undefined;
}

/** What takes long to make is good for so many times as long: it costs a twentieth of a core. */
const goodForTimes = 20;

/** What {@link SessionViews} needs. */
interface SessionViewsParts {
  readonly sessions: Sessions;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The list of stores, however many there are and however many pages ask for it: it is made once a
 * second at most, and opens no store.
 */
export class SessionViews {
  readonly #parts: SessionViewsParts;
  readonly #views: Renewed<readonly SessionView[]>;
  readonly #beside: Renewed<ReadonlyMap<string, BesideFacts>>;

  constructor(parts: SessionViewsParts) {
    this.#parts = parts;
    this.#views = new Renewed(parts.clock, listMs, async () => this.#make());
    this.#beside = new Renewed(parts.clock, besideMs, async () => besideFacts(parts));
  }

  /** The one that was used last first. @throws ProxyError where the data directory is not there */
  async list(): Promise<readonly SessionView[]> {
    return this.#views.get();
  }

  async #make(): Promise<readonly SessionView[]> {
    const [listed, beside] = await Promise.all([
      this.#parts.sessions.list(),
      this.#orNone(this.#beside.get()),
    ]);
    return listed
      .filter(({ copyOf }) => copyOf === undefined)
      .map((one) => sessionView(one, beside?.get(one.id)));
  }

  /** The list is worth showing without it. */
  async #orNone<T>(wanted: Promise<T>): Promise<T | undefined> {
    try {
      return await wanted;
    } catch (error) {
      this.#parts.log.debug(
        { err: toProxyError(error) },
        'the page lacks sizes or names of stores',
      );
      return undefined;
    }
  }
}

/** A value that is made anew when it is asked for and is too old; never twice at once. */
class Renewed<Value> {
  readonly #clock: Clock;
  readonly #goodMs: number;
  readonly #make: () => Promise<Value>;
  #made: { readonly value: Promise<Value>; untilMs: number } | undefined;

  /** @param goodMs For how long it is good, at least */
  constructor(clock: Clock, goodMs: number, make: () => Promise<Value>) {
    this.#clock = clock;
    this.#goodMs = goodMs;
    this.#make = make;
  }

  async get(): Promise<Value> {
    const startMs = this.#clock.elapsedMs();
    if (this.#made !== undefined && startMs < this.#made.untilMs) return this.#made.value;
    const made = { value: this.#make(), untilMs: Infinity };
    this.#made = made;
    try {
      return await made.value;
    } catch (error) {
      // A failure is nothing to be kept.
      if (this.#made === made) this.#made = undefined;
      throw error;
    } finally {
      const endMs = this.#clock.elapsedMs();
      made.untilMs = endMs + Math.max(this.#goodMs, goodForTimes * (endMs - startMs));
    }
  }
}

async function besideFacts({
  sessions: { shared },
  dataDir,
}: SessionViewsParts): Promise<ReadonlyMap<string, BesideFacts>> {
  if (shared === undefined) {
    const sizes = await sizesOnDisk(dataDir);
    return new Map(Array.from(sizes, ([id, bytes]) => [id, { bytes }]));
  }
  const { stores } = await shared.status();
  return new Map(
    stores.map(({ session, hereBytes: bytes, project }) => [session, { bytes, project }]),
  );
}

function sessionView(
  {
    id,
    directory,
    totals,
    createdMs,
    updatedMs,
    damage,
  }: Awaited<ReturnType<Sessions['list']>>[number],
  { bytes = 0, project }: BesideFacts = {},
): SessionView {
  return {
    id,
    ...(directory === undefined ? {} : { directory }),
    ...(project === undefined ? {} : { project }),
    entries: totals.entries,
    chars: totals.chars,
    // A store that has grown since is not smaller than its text.
    bytes: Math.max(bytes, totals.bytes),
    createdAtMs: createdMs,
    updatedAtMs: updatedMs,
    ...(damage === undefined ? {} : { damage }),
  };
}
