import type { Clock } from '../clock.ts';
import { toProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { sizesOnDisk } from '../store/disk/sizes-on-disk.ts';
import type { ReplicaSessions } from '../store/sessions.ts';
import type {
  PushOptions,
  PushProgress,
  PushReport,
  SharedElsewhere,
  SharedProject,
  SharedSide,
  SharedState,
  SharedStatus,
  SharedStore,
} from '../store/shared-side.ts';
import type { Availability } from './database/availability.ts';
import type { Database } from './database/database.ts';
import type { Evictions } from './eviction.ts';
import type { LogTable } from './database/log-table.ts';
import { isOfChats } from './project-name.ts';
import { push, type PushParts } from './push.ts';
import { notedPosition } from './replica.ts';
import type { ReplicaFiles } from './replica-files.ts';
import type { FetchProgress, SharedLog } from './shared-log.ts';
import type { Spool } from './spool.ts';

/** What {@link Side} needs. */
export interface SideParts {
  readonly dataDir: string;
  readonly database: Database;
  readonly availability: Availability;
  readonly table: LogTable;
  readonly spool: Spool;
  readonly replicas: ReplicaSessions;
  readonly disk: Pick<ReplicaFiles, 'isSound'>;
  readonly evictions: Evictions;
  readonly push: PushParts;
  /** Stores that are open here, by id. */
  readonly open: ReadonlyMap<string, SharedLog>;
  /** Ids by the names of projects, as far as they are known here. */
  readonly ids: ReadonlyMap<string, string>;
}

/** What people ask of a shared store beside what all stores answer. */
export class Side implements SharedSide {
  readonly #parts: SideParts;

  constructor(parts: SideParts) {
    this.#parts = parts;
  }

  get state(): SharedState {
    const { database, availability, spool } = this.#parts;
    return {
      store: database.shown,
      isAway: availability.isAway,
      ...availability.told,
      waiting: { rows: spool.rows, bytes: spool.bytes },
    };
  }

  async status(): Promise<SharedStatus> {
    const { table, dataDir } = this.#parts;
    const here = await this.#positions();
    const sizes = await sizesOnDisk(dataDir);
    const storeOf = (
      store: Pick<SharedStore, 'session' | 'project' | 'rows' | 'writers'>,
    ): SharedStore => {
      const pos = here.get(store.session);
      const hereBytes = pos === undefined ? undefined : sizes.get(store.session);
      return { ...store, here: pos, hereBytes };
    };
    try {
      const heads = (await table.heads()).filter(({ project }) => !isOfChats(project));
      const written = Map.groupBy(await table.writers(), ({ session }) => session);
      const stores = heads.map(({ id: session, project, head: rows }) => {
        const writers = (written.get(session) ?? []).map(({ machine, rows: count, lastMs }) => ({
          machine,
          rows: count,
          lastMs,
        }));
        return storeOf({ session, project, rows, writers });
      });
      return { ...this.state, stores };
    } catch (error) {
      if (toProxyError(error).code !== 'store_away') throw error;
      const names = this.#knownNames();
      const stores = [...here.keys()]
        .map((session) => ({ session, project: names.get(session) ?? '' }))
        .filter(({ project }) => !isOfChats(project))
        .map((store) => storeOf({ ...store, rows: undefined, writers: [] }));
      return { ...this.state, stores };
    }
  }

  async projects(sessionIds?: readonly string[]): Promise<ReadonlyMap<string, SharedProject>> {
    const { table, replicas, availability } = this.#parts;
    const ids = sessionIds ?? (await replicas.list()).map(({ id }) => id);
    const names = this.#knownNames();
    const known = ids.flatMap((id) => {
      const project = names.get(id);
      return project === undefined ? [] : [[id, { project }] as const];
    });
    if (availability.isAway) return new Map(known);
    try {
      const told = await table.lastWriters(ids);
      return new Map(told.map(({ session, ...project }) => [session, project]));
    } catch (error) {
      if (toProxyError(error).code !== 'store_away') throw error;
      return new Map(known);
    }
  }

  async elsewhere(): Promise<readonly SharedElsewhere[]> {
    const { table, replicas, availability } = this.#parts;
    if (availability.isAway) return [];
    try {
      const here = new Set((await replicas.list()).map(({ id }) => id));
      const away = (await table.heads()).filter(
        ({ id, project }) => !here.has(id) && !isOfChats(project),
      );
      const last = await this.projects(away.map(({ id }) => id));
      return away.map(({ id: session, project, head: rows }) =>
        Object.assign({ session, project, rows }, last.get(session)),
      );
    } catch (error) {
      if (toProxyError(error).code !== 'store_away') throw error;
      return [];
    }
  }

  async *push(options: PushOptions): AsyncGenerator<PushProgress, PushReport> {
    return yield* push(this.#parts.push, options);
  }

  async evict(): Promise<readonly string[]> {
    return this.#parts.evictions.run();
  }

  async use(day: string, writer: string, used: string): Promise<readonly string[]> {
    return this.#parts.table.use(day, writer, used);
  }

  /** The row up to which each replica has come. */
  async #positions(): Promise<ReadonlyMap<string, number>> {
    const { replicas, disk, open } = this.#parts;
    const found = new Map<string, number>();
    for (const { id } of await replicas.list()) {
      if (!disk.isSound(id)) continue;
      const pos = open.get(id)?.pos ?? (await notedPosition(replicas, id));
      if (pos !== undefined) found.set(id, pos);
    }
    return found;
  }

  #knownNames(): ReadonlyMap<string, string> {
    return new Map([...this.#parts.ids].map(([name, id]) => [id, name]));
  }
}

/** Between two lines of the log about one store, milliseconds. */
const sayEveryMs = 5_000;

/** Tells the log, now and then, how far a store is that is being fetched. */
export function loggedProgress(
  log: Logger,
  clock: Clock,
): (id: string, progress: FetchProgress) => void {
  const saidMs = new Map<string, number>();
  return (id, { pos, head }) => {
    const lastMs = saidMs.get(id);
    if (pos >= head) {
      saidMs.delete(id);
      // What was over before it was spoken of is not worth a line.
      if (lastMs !== undefined) log.info({ session: id, rows: pos }, 'a shared store is here');
      return;
    }
    const nowMs = clock.elapsedMs();
    if (lastMs !== undefined && nowMs - lastMs < sayEveryMs) return;
    saidMs.set(id, nowMs);
    log.info({ session: id, rows: pos, of: head }, 'a shared store is being fetched');
  };
}
