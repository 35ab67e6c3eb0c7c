import { ProxyError } from '../../errors.ts';
import { copyName, isDirectory } from '../disk/directory-map.ts';
import { sessionPaths } from '../disk/session-paths.ts';
import { toStoreFailure } from '../disk/store-failure.ts';
import { changeBases, copyRanges, createBranchFiles } from '../session/branch.ts';
import { pinnedIn } from '../session/pins.ts';
import { checkUntil, recordsIn } from '../session/replay.ts';
import type { OpenSession } from '../session/session-handle.ts';
import { writeMetadata } from '../session/session-metadata.ts';
import type { FileSessionStore } from '../session/session-store.ts';
import { rememberedUntil } from '../session/chat-memory.ts';
import type {
  BaseRange,
  BranchStart,
  ChatRecord,
  Moment,
  Session,
  SnapshotEvent,
  StoreEvent,
  Totals,
} from '../types.ts';
import type { SessionCatalog } from './session-catalog.ts';

/** A branch reads from so many files of others at most: each costs a descriptor and an opening. */
const maxBases = 8;

/** Begins the name of a branch that is being made. */
const makingName = 'key:making-';

/** Names moments of sessions, branches off from them, and deletes what others go on from. */
export class Versions {
  readonly #catalog: SessionCatalog;

  constructor(catalog: SessionCatalog) {
    this.#catalog = catalog;
  }

  /** See `Sessions.nameMoment`. */
  async nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    await this.#catalog.byId(sessionId);
    return this.#catalog.alone(async () => {
      const session = await this.#catalog.open.get(sessionId);
      return session.use(async ({ store, events }) => {
        if (events.all.some((event) => event.type === 'snapshot' && event.name === name)) {
          throw new ProxyError('invalid_request', `${sessionId} has a snapshot ${name} already.`);
        }
        const { ranges } = store;
        const timeMs = this.#catalog.clock.now();
        const event: SnapshotEvent = { type: 'snapshot', timeMs, name, ranges };
        await events.add(event);
        return event;
      });
    });
  }

  /** See `Sessions.branch`. */
  async branch(
    sessionId: string,
    moment: Moment = { seq: Infinity },
    name?: string,
  ): Promise<Session> {
    await this.#catalog.byId(sessionId);
    const id = await this.#catalog.alone(async () => {
      const source = await this.#catalog.open.get(sessionId);
      return source.use(async (open) => this.#branchOff(open, moment, name));
    });
    return this.#catalog.byId(id);
  }

  /** What a branch of a session's moment begins with, its chats' memory apart. */
  async branchStart(sessionId: string, moment: Moment, ownName?: string): Promise<BranchStart> {
    await this.#catalog.byId(sessionId);
    const source = await this.#catalog.open.get(sessionId);
    return source.use(async ({ store, events }) => {
      const { ranges, index } = await store.past(moment);
      const inherited = inheritedEvents(events.all, recordsIn(ranges), index.totals);
      const timeMs = this.#catalog.clock.now();
      const named: readonly StoreEvent[] =
        ownName === undefined ? [] : [{ type: 'name', timeMs, name: ownName }];
      return { ranges, untilMs: index.untilMs, events: [...inherited, ...named] };
    });
  }

  /** What a session's chats remembered at a moment. */
  async *remembered(sessionId: string, moment: Moment): AsyncGenerator<ChatRecord> {
    const { files, dataDir, open } = this.#catalog;
    const untilMs = await (
      await open.get(sessionId)
    ).use(
      async ({ store }) => chatsUntil(moment, store).timeMs ?? (await store.past(moment)).timeMs,
    );
    yield* rememberedUntil(files, sessionPaths(dataDir, sessionId).chats, untilMs);
  }

  /**
   * Makes a branch with an id that it has elsewhere: the same start gives the same files,
   * wherever it is made. @param fromId The session of the last of its ranges, or one that goes on
   * from that. Of chats it remembers nothing
   */
  async branchAs(
    fromId: string,
    { ranges, untilMs, events }: BranchStart,
    header: { readonly sessionId: string; readonly createdMs: number; readonly name: string },
  ): Promise<void> {
    const { files, dataDir, map, open } = this.#catalog;
    await this.#catalog.byId(fromId);
    await this.#catalog.alone(async () => {
      const source = await open.get(fromId);
      const { sessionId, createdMs, name } = header;
      const paths = sessionPaths(dataDir, sessionId);
      try {
        await source.use(async ({ store }) => {
          await map.set(name, sessionId);
          const past = { ...(await store.past({ ranges })), timeMs: -Infinity };
          checkUntil(paths.journal, { untilMs }, past.index);
          const from = { store, paths: sessionPaths(dataDir, store.sessionId), past };
          await createBranchFiles(files, paths, from, { sessionId, createdMs });
          await writeMetadata(files, dataDir, { id: sessionId, name, createdMs });
        });
        const branch = await open.get(sessionId);
        await branch.use(async (made) => {
          for (const event of events) await made.events.add(event);
        });
      } catch (error) {
        await this.#catalog.delete(sessionId);
        throw toStoreFailure(error, paths.journal);
      }
    });
  }

  /** See `Sessions.restore`. */
  async restore(fromId: string, toId: string): Promise<void> {
    const { map, open, places } = this.#catalog;
    await this.#catalog.byId(fromId);
    await this.#catalog.byId(toId);
    await this.#catalog.alone(async () => {
      const [name] = map.namesOf(fromId);
      if (name === undefined || fromId === toId) return;
      const to = await open.get(toId);
      const from = await open.get(fromId);
      await places.renamed(toId, name, to.createdMs);
      await map.handOver(fromId, toId, name);
      const earlier = `key:earlier-${fromId}`;
      await places.renamed(fromId, earlier, from.createdMs);
      await map.set(earlier, fromId);
      if (isDirectory(name)) places.made(toId, name);
    });
  }

  /** See `Sessions.remove`. */
  async remove(sessionId: string, branches: 'keep' | 'remove' | 'detach'): Promise<void> {
    await this.#catalog.expect(sessionId);
    await this.#catalog.alone(async () => {
      const others = await this.#catalog.branchesOf(sessionId);
      if (others.length > 0 && branches === 'keep') throw hasBranches(sessionId, others);
      for (const other of others) {
        if (branches === 'remove') await this.#catalog.delete(other);
        else await this.#detach(other);
      }
      await this.#catalog.delete(sessionId);
      await this.#deleteUnusedCopies();
    });
  }

  /** Deletes what is left of branches whose making was broken off, and copies made for them. */
  async deleteUnfinished(): Promise<void> {
    const { map } = this.#catalog;
    const names = [...map.names()].filter((name) => name.startsWith(makingName));
    if (names.length === 0) return;
    await this.#catalog.alone(async () => {
      for (const name of names) await this.#catalog.delete(map.get(name)!);
      await this.#deleteUnusedCopies();
    });
  }

  /** Makes a session that goes on from a moment of one that is open; its id. */
  async #branchOff(
    { store, events }: OpenSession,
    moment: Moment,
    ownName: string | undefined,
  ): Promise<string> {
    const { files, dataDir, clock, map, open } = this.#catalog;
    const sessionId = this.#catalog.ids.next('sess_');
    const name = `key:branch-${sessionId}`;
    const making = `${makingName}${sessionId}`;
    const header = { sessionId, createdMs: clock.now() };
    const paths = sessionPaths(dataDir, sessionId);
    try {
      // First of all, so that nothing of the attempt is ever without a name.
      await map.set(making, sessionId);
      const past = { ...(await store.past(moment)), ...chatsUntil(moment, store) };
      const ranges = await this.#withinFiles(past.ranges);
      const from = { store, paths: sessionPaths(dataDir, store.sessionId) };
      await createBranchFiles(files, paths, { ...from, past: { ...past, ranges } }, header);
      const branch = await open.get(sessionId);
      const end = past.index.totals;
      for (const event of inheritedEvents(events.all, recordsIn(past.ranges), end))
        await branch.events.add(event);
      if (ownName !== undefined)
        await branch.events.add({ type: 'name', timeMs: header.createdMs, name: ownName });
      await writeMetadata(files, dataDir, { id: sessionId, name, createdMs: header.createdMs });
      // Last of all: what has the other name at an opening is not whole, and nobody was told of it.
      await map.rename(sessionId, [name]);
      return sessionId;
    } catch (error) {
      await this.#catalog.delete(sessionId);
      throw toStoreFailure(error, paths.journal);
    }
  }

  /** The same ranges in no more files than a branch may have: of the oldest a copy is made. */
  async #withinFiles(ranges: readonly BaseRange[]): Promise<readonly BaseRange[]> {
    const surplus = ranges.length - maxBases;
    if (surplus <= 0) return ranges;
    return [await this.#copied(ranges.slice(0, surplus + 1)), ...ranges.slice(surplus + 1)];
  }

  /** A session that holds a copy of what `ranges` name, as a base for others. */
  async #copied(ranges: readonly BaseRange[]): Promise<BaseRange> {
    const { files, dataDir, clock, ids, map } = this.#catalog;
    const id = ids.next('sess_');
    const name = `${copyName}${id}`;
    const createdMs = clock.now();
    await map.set(name, id);
    const paths = sessionPaths(dataDir, id);
    const range = await copyRanges(files, paths, ranges, { sessionId: id, createdMs });
    await writeMetadata(files, dataDir, { id, name, createdMs, copyOf: ranges });
    return range;
  }

  /** Gives a branch a copy of its bases' texts. */
  async #detach(sessionId: string): Promise<void> {
    const { files, dataDir, open } = this.#catalog;
    const handle = await open.get(sessionId);
    const copy = await this.#copied(handle.last.store.bases);
    const paths = sessionPaths(dataDir, sessionId);
    await open.whileClosed([sessionId], async () => changeBases(files, paths, [copy]));
  }

  /** Copies that were made as bases of branches, of which none is left. */
  async #deleteUnusedCopies(): Promise<void> {
    const sessions = await this.#catalog.list();
    const used = new Set(sessions.flatMap(({ bases = [] }) => bases.map((base) => base.sessionId)));
    for (const id of this.#catalog.copies()) if (!used.has(id)) await this.#catalog.delete(id);
  }
}

function hasBranches(sessionId: string, branches: readonly string[]): ProxyError {
  return new ProxyError(
    'invalid_request',
    `${sessionId} was not deleted: ${branches.join(', ')} read${branches.length === 1 ? 's' : ''} texts of it.`,
    {
      hint: 'Add --with-branches to delete them, too, or --detach to give them copies of what they read.',
    },
  );
}

/**
 * Of what chats remembered all goes along that a moment had: more than up to its last text, where
 * more is known of it than that.
 */
function chatsUntil(moment: Moment, { totals }: FileSessionStore): { readonly timeMs?: number } {
  if ('ranges' in moment) return moment.takenMs === undefined ? {} : { timeMs: moment.takenMs };
  if ('timeMs' in moment) return { timeMs: moment.timeMs };
  return moment.seq > totals.entries ? { timeMs: Infinity } : {};
}

/**
 * What goes along to a branch that begins with so many lines and texts: links, with when they were
 * made and ended, for questions of the past; pins that have not been taken back; and the moments
 * that it holds.
 */
function inheritedEvents(
  events: readonly StoreEvent[],
  records: number,
  { entries }: Pick<Totals, 'entries'>,
): readonly StoreEvent[] {
  const links = events.filter(({ type }) => type === 'link' || type === 'unlink');
  const moments = events.filter(
    (event) => event.type === 'snapshot' && recordsIn(event.ranges) <= records,
  );
  const whole = [...pinnedIn(events)].filter((seq) => seq <= entries);
  const timeMs = events.findLast(({ type }) => type === 'pin')?.timeMs ?? 0;
  const pins: readonly StoreEvent[] = whole.length === 0 ? [] : [{ type: 'pin', timeMs, whole }];
  return [...links, ...moments, ...pins];
}
