import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { sizesOnDisk } from '../store/disk/sizes-on-disk.ts';
import type { Sessions } from '../store/types.ts';
import type { SessionView } from './page-protocol.ts';

/** A list is good for so long, milliseconds: it reads both ends of each store's journal. */
const listMs = 1_000;

/** Sizes on the disk are good for so long, milliseconds: each file of each store is asked. */
const sizesMs = 30_000;

/** What there is beside the stores' own journals. */
interface SlowFacts {
  readonly atMs: number;
  readonly bytes: ReadonlyMap<string, number>;
  readonly projects: ReadonlyMap<string, { readonly project: string }>;
}

/** What {@link SessionViews} needs. */
interface SessionViewsParts {
  readonly sessions: Sessions;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The list of stores, however many pages ask for it: it is made once a second at most, and opens no
 * store.
 */
export class SessionViews {
  readonly #parts: SessionViewsParts;
  #made: { readonly atMs: number; readonly views: Promise<readonly SessionView[]> } | undefined;
  #slow: Promise<SlowFacts> | undefined;

  constructor(parts: SessionViewsParts) {
    this.#parts = parts;
  }

  /** The one that was used last first. @throws ProxyError where the data directory is not there */
  async list(): Promise<readonly SessionView[]> {
    const nowMs = this.#parts.clock.elapsedMs();
    if (this.#made === undefined || nowMs - this.#made.atMs >= listMs) {
      const made = { atMs: nowMs, views: this.#make() };
      this.#made = made;
      // A failure is nothing to be kept.
      made.views.catch(() => {
        if (this.#made === made) this.#made = undefined;
      });
    }
    return this.#made.views;
  }

  async #make(): Promise<readonly SessionView[]> {
    const listed = await this.#parts.sessions.list();
    const { bytes, projects } = await this.#slowFacts();
    return listed
      .filter(({ copyOf }) => copyOf === undefined)
      .map((one) =>
        sessionView(one, {
          bytes: bytes.get(one.id),
          project: projects.get(one.id)?.project,
        }),
      );
  }

  async #slowFacts(): Promise<SlowFacts> {
    const known = await this.#slow;
    const nowMs = this.#parts.clock.elapsedMs();
    if (known !== undefined && nowMs - known.atMs < sizesMs) return known;
    this.#slow = this.#readSlowFacts(nowMs);
    return this.#slow;
  }

  async #readSlowFacts(atMs: number): Promise<SlowFacts> {
    const { sessions, dataDir, log } = this.#parts;
    const nothing = new Map<string, never>();
    const failed = (error: unknown): ReadonlyMap<string, never> => {
      // The list is worth showing without it.
      log.debug({ err: toProxyError(error) }, 'the page has no sizes or names of stores');
      return nothing;
    };
    const [bytes, projects] = await Promise.all([
      sizesOnDisk(dataDir).catch(failed),
      sessions.shared?.projects().catch(failed) ?? nothing,
    ]);
    return { atMs, bytes, projects };
  }
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
  {
    bytes = 0,
    project,
  }: { readonly bytes: number | undefined; readonly project: string | undefined },
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
