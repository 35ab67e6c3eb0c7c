import { basename, join } from 'node:path';
import type { Clock, Ids } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Archives, copyName } from './archive/archives.ts';
import { finishImports } from './archive/landing.ts';
import { RealNames } from './disk/real-names.ts';
import { FileChatMemory, type ChatMemoryLimits } from './session/chat-memory.ts';
import { filesWithRoom } from './disk/descriptor-room.ts';
import { DirectoryMap, directoryName } from './disk/directory-map.ts';
import { isErrno, realFiles, type Files } from './disk/files.ts';
import { mainTreeOf } from './disk/git-checkout.ts';
import { OpenSessions } from './life/open-sessions.ts';
import { lockOwner, type OwnerLock } from './disk/owner.ts';
import { copiedRanges } from './session/session-metadata.ts';
import {
  carryOut,
  countMade,
  dropKey,
  finishForgetting,
  isForRoom,
  keysOf,
  passagesOf,
  ordersPath,
  readHashKey,
  writeOrders,
  type ForgetEntry,
  type ForgetOrder,
} from './session/forget.ts';
import type { Passages } from './session/passages.ts';
import { BoundsKeeper } from './life/bounds-keeper.ts';
import { Relations, type SessionCopy } from './life/relations.ts';
import { readPending, SpaceFreer } from './life/space-freer.ts';
import { StoreRoom } from './life/store-room.ts';
import { Tidying } from './life/tidying.ts';
import { changeBases, copyRanges, createBranchFiles } from './session/branch.ts';
import { ProjectPlaces } from './life/project-places.ts';
import { linksOf } from './session/links.ts';
import { pinnedIn } from './session/pins.ts';
import { createSessionFiles } from './session/recover.ts';
import { checkStore, checkStoreDeeply, damageHealth } from './session/session-check.ts';
import { namesInMetadata, readMetadata, writeMetadata } from './session/session-metadata.ts';
import { isSessionId, sessionPaths, sessionsDir, unknownSession } from './disk/session-paths.ts';
import type { OpenSession } from './session/session-handle.ts';
import { FileSessionStore, type OwnText } from './session/session-store.ts';
import { recordsIn } from './session/replay.ts';
import { readableLinks, SessionEvents } from './session/session-events.ts';
import { salvageSession } from './session/salvage.ts';
import { summarizeSession } from './session/session-summary.ts';
import { corruptStore, toStoreFailure } from './disk/store-failure.ts';
import type {
  BaseRange,
  CheckProgress,
  ForgetOutcome,
  ForgetWanted,
  LastTidying,
  Moment,
  MovedSession,
  Salvage,
  Session,
  SessionHealth,
  Sessions,
  SnapshotEvent,
  StoreBounds,
  StoreEvent,
  TidyOutcome,
  Totals,
} from './types.ts';

/** What {@link openSessions} needs; limits have defaults. */
export interface SessionsOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly files?: Files | undefined;
  /** Largest text of one session, bytes (64 GiB). */
  readonly maxSessionBytes?: number;
  /** How much of a text that comes in pieces is held in memory, bytes (8 MiB). */
  readonly heldTextBytes?: number;
  /**
   * Sessions whose files are open at once, at most, as long as no more are in use (64); each has
   * three descriptors.
   */
  readonly maxOpen?: number;
  /** A session's files are closed after so long without use, milliseconds (ten minutes). */
  readonly idleMs?: number;
  /** Bounds of each session's chat memory (256 MiB, 90 days). */
  readonly chatMemory?: ChatMemoryLimits;
  /** Whether linked worktrees have a store of their own, or that of their main tree (`own`). */
  readonly worktrees?: 'own' | 'shared';
  /** Where git is looked for, as in `PATH`; absent: nowhere. */
  readonly searchPath?: string | undefined;
  /**
   * Whether what a directory is known again by is looked at in the first use of each session, and
   * not only when one is made (false).
   */
  readonly notesPlaces?: boolean;
  /** How much may be stored, for how long (no bounds). */
  readonly bounds?: StoreBounds;
  /** Whether the bounds are kept in the background (false): a server does it. */
  readonly keepsBounds?: boolean;
}

/**
 * A line a chat, and one for each answer to a conversation without a name: 40,000 of some 200
 * bytes; the oldest half goes first.
 */
const maxChatsBytes = 8 * 1024 ** 2;

/** A branch reads from so many files of others at most: each costs a descriptor and an opening. */
const maxBases = 8;

const defaultMaxOpen = 64;
const defaultIdleMs = 600_000;

const defaultMaxSessionBytes = 64 * 1024 ** 3;
const defaultChatMemory = { maxBytes: 256 * 1024 ** 2, maxAgeMs: 90 * 24 * 3600 * 1000 };

/**
 * Takes the owner lock of a data directory, made if it is missing (0700), and opens it. Sessions
 * are opened when they are asked for. @throws ProxyError `store_locked`, `store_full`, `internal`
 */
export async function openSessions(options: SessionsOptions): Promise<Sessions> {
  const { dataDir, files = realFiles } = options;
  try {
    await files.makeDirectory(sessionsDir(dataDir));
    await files.makeDirectory(join(dataDir, 'mappings'));
    const lock = await lockOwner(dataDir, { ...options, files });
    try {
      await finishForgetting(files, dataDir);
      const mapPath = join(dataDir, 'mappings', 'directory_to_rlm.json');
      const map = await DirectoryMap.open(files, mapPath, {
        fromMetadata: () => namesInMetadata(files, dataDir),
        log: options.log,
      });
      await finishImports(files, dataDir, { map, log: options.log });
      const pending = await readPending(files, dataDir);
      const chats = await openChats(options, files);
      return new FileSessions(options, { map, lock, chats, pending });
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw toStoreFailure(error, dataDir);
  }
}

class FileSessions implements Sessions {
  readonly #options: SessionsOptions;
  readonly #files: Files;
  readonly #map: DirectoryMap;
  readonly #realNames: RealNames;
  readonly #places: ProjectPlaces;
  readonly #lock: OwnerLock;
  readonly chats: FileChatMemory;
  readonly #open: OpenSessions;
  readonly bounds: StoreBounds;
  readonly #room: StoreRoom;
  readonly #space: SpaceFreer;
  readonly #tidying: Tidying;
  readonly #keeper: BoundsKeeper | undefined;
  /** One run at a time. */
  #tidied: Promise<unknown> = Promise.resolve();
  #secret: Buffer | undefined;
  readonly #archives: Archives;
  /** Sessions that are being copied, by the damaged one's id. */
  readonly #salvaging = new Map<string, Promise<Salvage>>();
  /** Finding and making sessions by name, one at a time. */
  #naming: Promise<unknown> = Promise.resolve();

  constructor(
    options: SessionsOptions,
    {
      map,
      lock,
      chats,
      pending,
    }: {
      readonly map: DirectoryMap;
      readonly lock: OwnerLock;
      readonly chats: FileChatMemory;
      /** Sessions whose gone texts still take room. */
      readonly pending: readonly string[];
    },
  ) {
    this.#options = options;
    this.chats = chats;
    this.#files = filesWithRoom(options.files ?? realFiles, async () => this.#open.makeRoom());
    this.#map = map;
    this.#realNames = new RealNames(map);
    this.#places = new ProjectPlaces({
      files: this.#files,
      dataDir: options.dataDir,
      log: options.log,
      searchPath: options.searchPath ?? '',
      notesKnown: options.notesPlaces ?? false,
      map,
      alone: async (work) => this.#named(work),
      rename: async (sessionId, name) => this.#rename(sessionId, name),
    });
    this.#lock = lock;
    const { clock, log, maxOpen = defaultMaxOpen, idleMs = defaultIdleMs } = options;
    this.#open = new OpenSessions({
      maxOpen,
      idleMs,
      clock,
      log,
      open: async (sessionId) => this.#openFiles(sessionId),
      directoryOf: (sessionId) => this.#directoryOf(sessionId),
    });
    this.#archives = new Archives({
      ...options,
      files: this.#files,
      map,
      chats,
      nameOf: async (directory) => this.#realNames.of(directory),
      hasFiles: async (sessionId) => this.#hasFiles(sessionId),
      hold: async (sessionId, ask) => {
        await this.byId(sessionId);
        return (await this.#open.get(sessionId)).use(ask);
      },
      checkDeeply: (sessionId) => this.checkDeeply(sessionId),
      landed: (sessionId, directory) => this.#places.made(sessionId, directory),
      alone: async (work) => this.#named(work),
    });
    const { dataDir, bounds = {}, keepsBounds = false } = options;
    this.bounds = bounds;
    this.#room = new StoreRoom(bounds, {
      measure: async () => this.#tidying.measure(),
      wanted: () => this.#keeper?.soon(),
    });
    this.#space = new SpaceFreer(
      {
        files: this.#files,
        dataDir,
        ownText: async (sessionId) => this.#ownText(sessionId),
        whileClosed: async (sessionId, work) => this.#withTextClosed(sessionId, work),
      },
      pending,
    );
    this.#tidying = new Tidying({
      files: this.#files,
      dataDir,
      clock,
      log,
      bounds,
      sessionIds: async () => (await this.list()).map(({ id }) => id),
      directoryOf: (sessionId) => this.#directoryOf(sessionId),
      relations: async () => this.#relations(),
      known: (sessionId) => this.#open.known(sessionId),
      forget: async (sessionId, wanted) => this.#forget(sessionId, wanted),
      free: async () => this.#space.free(),
    });
    const isBounded = Object.values(bounds).some((bound) => bound !== undefined);
    if (keepsBounds && (isBounded || this.#space.isPending)) {
      this.#keeper = new BoundsKeeper({
        clock,
        log,
        run: async () => this.tidy({ isTrial: false }),
      });
    }
  }

  get lastTidying(): LastTidying | undefined {
    return this.#keeper?.last;
  }

  async tidy({ isTrial }: { readonly isTrial: boolean }): Promise<TidyOutcome> {
    const run = this.#tidied.then(async () =>
      this.#tidying.run(isTrial ? this.#room.wanted : this.#room.takeWanted(), { isTrial }),
    );
    this.#tidied = run.catch(() => undefined);
    return run;
  }

  /** What is known of a session's own text; undefined where there is no such session any more. */
  async #ownText(sessionId: string): Promise<OwnText | undefined> {
    if (!(await this.#hasFiles(sessionId))) return undefined;
    const handle = await this.#open.get(sessionId);
    return handle.use(({ store }) => store.ownText);
  }

  /** Runs `work` while nobody has a session's text open: itself, and who reads it. */
  async #withTextClosed(sessionId: string, work: () => Promise<void>): Promise<void> {
    await this.#named(async () => {
      const readers = (await this.#relations()).readersOf(sessionId);
      await this.#open.whileClosed([sessionId, ...readers], work);
    });
  }

  async forDirectory(
    directory: string,
    { create, part }: Parameters<Sessions['forDirectory']>[1],
  ): Promise<Session | undefined> {
    const name = await this.#nameOf(directory);
    const session = await this.#forName(name, create);
    if (session === undefined) return undefined;
    this.#places.seen(session.id, name);
    if (part !== undefined) await this.#addName(session.id, part);
    return session;
  }

  /** The name under which a directory's session is found. */
  async #nameOf(directory: string): Promise<string> {
    const asked = directoryName(directory);
    const main = this.#options.worktrees === 'shared' ? await mainTreeOf(asked) : undefined;
    return this.#places.nameFor(await this.#realNames.of(main ?? asked));
  }

  /** Gives a session a further directory, unless that has a session. */
  async #addName(sessionId: string, directory: string): Promise<void> {
    const name = await this.#nameOf(directory);
    if (this.#map.get(name) !== undefined) return;
    await this.#named(async () => {
      if (this.#map.get(name) !== undefined) return;
      try {
        await this.#map.set(name, sessionId);
      } catch (error) {
        throw toStoreFailure(error, this.#options.dataDir);
      }
    });
  }

  async forKey(key: string, options: { readonly create: boolean }): Promise<Session | undefined> {
    return this.#forName(`key:${key}`, options.create);
  }

  async byId(sessionId: string): Promise<Session> {
    if (!isSessionId(sessionId)) throw unknownSession(sessionId);
    await this.#salvaged(sessionId);
    return this.#open.get(sessionId);
  }

  async list(): ReturnType<Sessions['list']> {
    const { dataDir } = this.#options;
    const listed = [];
    const places = await this.#places.listed();
    const names = await this.#files.list(sessionsDir(dataDir));
    const haveEvents = new Set(names.filter((name) => name.endsWith('_events.jsonl')));
    for (const name of names) {
      const id = name.replace(/_entries\.jsonl$/, '');
      if (id === name || !isSessionId(id)) continue;
      const paths = sessionPaths(dataDir, id);
      const summary = await summarizeSession(this.#files, paths);
      const directory = this.#directoryOf(id);
      const role = directory === undefined ? await this.#roleOf(id) : { directory };
      const hasEvents = haveEvents.has(basename(paths.events));
      const links = hasEvents ? linksOf(await readableLinks(this.#files, paths)) : [];
      const linked = links.length === 0 ? {} : { links };
      listed.push({ id, ...role, ...places.get(id), ...summary, ...linked });
    }
    return listed.sort((a, b) => b.updatedMs - a.updatedMs);
  }

  async check(sessionId: string): Promise<SessionHealth> {
    try {
      await this.byId(sessionId);
      const handle = await this.#open.get(sessionId);
      return await handle.use(async ({ store }) => checkStore(store));
    } catch (error) {
      return damageHealth(error);
    }
  }

  async *checkDeeply(sessionId: string): AsyncGenerator<CheckProgress, SessionHealth> {
    try {
      await this.byId(sessionId);
      const handle = await this.#open.get(sessionId);
      handle.begin();
      try {
        const { store } = await handle.opened();
        return yield* checkStoreDeeply(store);
      } finally {
        handle.end();
      }
    } catch (error) {
      return damageHealth(error);
    }
  }

  async salvage(sessionId: string): Promise<Salvage> {
    if (!isSessionId(sessionId) || !(await this.#hasFiles(sessionId))) {
      throw unknownSession(sessionId);
    }
    await this.#salvaged(sessionId);
    const salvage = this.#salvage(sessionId);
    this.#salvaging.set(sessionId, salvage);
    try {
      return await salvage;
    } finally {
      this.#salvaging.delete(sessionId);
    }
  }

  /** Resolves when no salvage of a session is under way. */
  async #salvaged(sessionId: string): Promise<void> {
    const salvage = this.#salvaging.get(sessionId);
    if (salvage !== undefined) await Promise.allSettled([salvage]);
  }

  async #salvage(sessionId: string): Promise<Salvage> {
    const paths = sessionPaths(this.#options.dataDir, sessionId);
    const id = await this.#named(async () => {
      await this.#open.close(sessionId);
      // Under this name what an earlier attempt has left is found again.
      const name = `key:salvage-of-${sessionId}`;
      const half = this.#map.get(name);
      if (half !== undefined) await this.#delete(half);
      const fresh = this.#options.ids.next('sess_');
      // First of all, so that nothing of the attempt is ever without it.
      await this.#map.set(name, fresh);
      return this.#createSession(name, fresh);
    });
    try {
      const fresh = await this.#open.get(id);
      const outcome = await fresh.use(async ({ store, events }) => {
        for (const link of await readableLinks(this.#files, paths)) await events.add(link);
        return salvageSession(this.#files, paths, store);
      });
      await this.#named(async () => {
        const [name = `key:salvaged-${sessionId}`] = this.#map.namesOf(sessionId);
        const { createdMs } = fresh;
        await writeMetadata(this.#files, this.#options.dataDir, { id, name, createdMs });
        await this.#map.handOver(sessionId, id, name);
      });
      // Opened under the name of the attempt; now it has a directory.
      await this.#open.forget(id);
      return { session: await this.byId(id), ...outcome };
    } catch (error) {
      if (this.#map.get(`key:salvage-of-${sessionId}`) === id) {
        await this.#named(async () => this.#delete(id));
      }
      throw error;
    }
  }

  async move(
    sessionId: string,
    directory: string,
    { replace }: { readonly replace: boolean },
  ): Promise<MovedSession> {
    if (!isSessionId(sessionId) || !(await this.#hasFiles(sessionId))) {
      throw unknownSession(sessionId);
    }
    const name = await this.#realNames.of(directoryName(directory));
    await this.#salvaged(sessionId);
    return this.#named(async () => {
      const from = this.#directoryOf(sessionId);
      const { entries } = (await this.#summary(sessionId)).totals;
      const moved = {
        session: sessionId,
        ...(from === undefined ? {} : { from }),
        to: name,
        entries,
      };
      if (this.#map.get(name) === sessionId) return moved;
      const cleared = await this.#clear(name, replace);
      await this.#rename(sessionId, name);
      this.#places.made(sessionId, name);
      return { ...moved, ...cleared };
    });
  }

  /** Takes the session away that a directory has. */
  async #clear(
    name: string,
    replace: boolean,
  ): Promise<Pick<MovedSession, 'putAside' | 'removed'>> {
    const id = this.#map.get(name);
    if (id === undefined || !(await this.#hasFiles(id))) return {};
    const { totals, damage } = await this.#summary(id);
    const isEmpty = totals.entries === 0 && damage === undefined;
    if (isEmpty && (await this.branchesOf(id)).length === 0) {
      await this.#delete(id);
      return { removed: id };
    }
    if (!replace) {
      throw new ProxyError(
        'invalid_request',
        `${name} has a store already: ${id}, ${totals.entries === 1 ? '1 entry' : `${totals.entries} entries`}.`,
        { hint: 'With --replace that is put aside: it stays, and is reached by its id alone.' },
      );
    }
    await this.#rename(id, `key:put-aside-${id}`);
    return { putAside: id };
  }

  async #summary(sessionId: string): ReturnType<typeof summarizeSession> {
    return summarizeSession(this.#files, sessionPaths(this.#options.dataDir, sessionId));
  }

  /**
   * Gives a session a name in place of its directory, whose folders lose it, too; a key by which a
   * chat finds it stays. The metadata come first: where the map is made anew from them, the session
   * is where it was to go.
   */
  async #rename(sessionId: string, name: string): Promise<void> {
    const { createdMs } = await this.#summary(sessionId);
    const directory = this.#directoryOf(sessionId);
    const others = this.#map
      .namesOf(sessionId)
      .filter((each) => each !== directory && !each.startsWith(`${directory}/`));
    await this.#places.renamed(sessionId, name, createdMs);
    await this.#map.rename(sessionId, [...others, name]);
  }

  async nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    await this.byId(sessionId);
    return this.#named(async () => {
      const session = await this.#open.get(sessionId);
      return session.use(async ({ store, events }) => {
        if (events.all.some((event) => event.type === 'snapshot' && event.name === name)) {
          throw new ProxyError('invalid_request', `${sessionId} has a snapshot ${name} already.`);
        }
        const { ranges } = store;
        const timeMs = this.#options.clock.now();
        const event: SnapshotEvent = { type: 'snapshot', timeMs, name, ranges };
        await events.add(event);
        return event;
      });
    });
  }

  async branch(
    sessionId: string,
    moment: Moment = { seq: Infinity },
    name?: string,
  ): Promise<Session> {
    await this.byId(sessionId);
    const id = await this.#named(async () => {
      const source = await this.#open.get(sessionId);
      return source.use(async (open) => this.#branchOff(open, moment, name));
    });
    return this.byId(id);
  }

  /** Makes a session that goes on from a moment of one that is open; its id. */
  async #branchOff(
    { store, events }: OpenSession,
    moment: Moment,
    ownName: string | undefined,
  ): Promise<string> {
    const { dataDir, clock } = this.#options;
    const sessionId = this.#options.ids.next('sess_');
    const name = `key:branch-${sessionId}`;
    const header = { sessionId, createdMs: clock.now() };
    const paths = sessionPaths(dataDir, sessionId);
    try {
      // First of all, so that nothing of the attempt is ever without a name.
      await this.#map.set(name, sessionId);
      const past = { ...(await store.past(moment)), ...chatsUntil(moment, store) };
      const ranges = await this.#withinFiles(past.ranges);
      const from = { store, paths: sessionPaths(dataDir, store.sessionId) };
      await createBranchFiles(this.#files, paths, { ...from, past: { ...past, ranges } }, header);
      await writeMetadata(this.#files, dataDir, {
        id: sessionId,
        name,
        createdMs: header.createdMs,
      });
      const branch = await this.#open.get(sessionId);
      const end = past.index.totals;
      for (const event of inheritedEvents(events.all, recordsIn(past.ranges), end))
        await branch.events.add(event);
      if (ownName !== undefined)
        await branch.events.add({ type: 'name', timeMs: header.createdMs, name: ownName });
      return sessionId;
    } catch (error) {
      await this.#delete(sessionId);
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
    const { dataDir, clock, ids } = this.#options;
    const id = ids.next('sess_');
    const name = `${copyName}${id}`;
    const createdMs = clock.now();
    await this.#map.set(name, id);
    const paths = sessionPaths(dataDir, id);
    const range = await copyRanges(this.#files, paths, ranges, { sessionId: id, createdMs });
    await writeMetadata(this.#files, dataDir, { id, name, createdMs, copyOf: ranges });
    return range;
  }

  async restore(fromId: string, toId: string): Promise<void> {
    await this.byId(fromId);
    await this.byId(toId);
    await this.#named(async () => {
      const [name] = this.#map.namesOf(fromId);
      if (name === undefined || fromId === toId) return;
      const to = await this.#open.get(toId);
      const from = await this.#open.get(fromId);
      await this.#places.renamed(toId, name, to.createdMs);
      await this.#map.handOver(fromId, toId, name);
      const earlier = `key:earlier-${fromId}`;
      await this.#places.renamed(fromId, earlier, from.createdMs);
      await this.#map.set(earlier, fromId);
      if (isDirectory(name)) this.#places.made(toId, name);
    });
  }

  async forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    const outcome = await this.#forget(sessionId, wanted);
    if (isForRoom(wanted) && wanted.isTrial !== true) await this.#space.free();
    return outcome;
  }

  /** The same, and what goes for want of room still takes it. */
  async #forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    await this.byId(sessionId);
    return this.#named(async () => {
      const { orders, madeTexts } = await this.#ordersOf(sessionId, wanted);
      const owners = orders.map((order) => order.sessionId);
      const readers = [...new Set(orders.flatMap((order) => order.readers))];
      const { bytes } = await this.#sizeOf(sessionId, wanted);
      const pinned = pinnedIn((await this.#open.get(sessionId)).last.events.all);
      const named = [...wanted.whole, ...(wanted.parts ?? []).map(({ seq }) => seq)];
      const told = {
        owners,
        readers,
        entries: wanted.whole.length,
        masked: wanted.parts?.length ?? 0,
        bytes,
        madeTexts,
        pinned: named.filter((seq) => pinned.has(seq)).length,
      };
      if (wanted.isTrial === true) {
        return { ...told, chatRecords: await this.#madeBy(orders, countMade) };
      }
      const users = [...new Set([...owners, ...readers])];
      if (isForRoom(wanted)) await this.#space.note(owners);
      const chatRecords = await this.#open.whileClosed(users, async () => {
        await this.#space.stop();
        await writeOrders(this.#files, this.#ordersPath, orders);
        const records = await this.#madeBy(orders, carryOut);
        await this.#files.remove(this.#ordersPath);
        return records;
      });
      for (const { sessionId: id, timeMs, why, ...order } of orders) {
        const whole = order.whole.map(({ seq }) => seq);
        const parts = order.parts.map(({ seq }) => seq);
        await (await this.byId(id)).events.add({ type: 'forget', timeMs, why, whole, parts });
      }
      return { ...told, chatRecords };
    });
  }

  get #ordersPath(): string {
    return ordersPath(this.#options.dataDir);
  }

  async #madeBy(orders: readonly ForgetOrder[], work: typeof carryOut): Promise<number> {
    let records = 0;
    for (const order of orders) {
      const paths = sessionPaths(this.#options.dataDir, order.sessionId);
      try {
        records += (await work(this.#files, paths, order)).chatRecords;
      } catch (error) {
        throw toStoreFailure(error, paths.text);
      }
    }
    return records;
  }

  /** What is to be done in which session's files, so that the bytes are gone from all. */
  async #ordersOf(
    sessionId: string,
    wanted: ForgetWanted,
  ): Promise<{ readonly orders: readonly ForgetOrder[]; readonly madeTexts: number }> {
    const handle = await this.#open.get(sessionId);
    const { ranges, keys } = await handle.use(async ({ store }) => {
      const secret = wanted.mayComeAgain ? undefined : await this.#hashKey(true);
      return { ranges: store.ranges, keys: keysOf(store.entries, secret) };
    });
    const relations = await this.#relations();
    const orders = new Map<string, ForgetOrder>();
    const timeMs = this.#options.clock.now();
    const orderFor = (ownerId: string): ForgetOrder => {
      const known = orders.get(ownerId);
      if (known !== undefined) return known;
      const readers = relations.readersOf(ownerId);
      const order = { sessionId: ownerId, readers, whole: [], parts: [], timeMs, why: wanted.why };
      orders.set(ownerId, order);
      return order;
    };
    for (const seq of [...wanted.whole].sort((a, b) => a - b)) {
      for (const ownerId of relations.ownersOf(ranges, seq)) {
        (orderFor(ownerId).whole as ForgetEntry[]).push({ seq, ...keys(seq) });
      }
    }
    for (const part of wanted.parts ?? []) {
      for (const ownerId of relations.ownersOf(ranges, part.seq)) {
        (orderFor(ownerId).parts as ForgetOrder['parts'][number][]).push({
          ...part,
          ...keys(part.seq),
        });
      }
    }
    let madeTexts = 0;
    // What goes for want of room is no secret.
    const asked = isForRoom(wanted) ? [] : [...orders.values()];
    for (const order of asked) {
      const paths = sessionPaths(this.#options.dataDir, order.sessionId);
      const passages = await passagesOf(this.#files, paths, order);
      if (passages.isEmpty) continue;
      for (const userId of [order.sessionId, ...order.readers]) {
        for (const part of await this.#quotesIn(userId, passages)) {
          const ownerIds = relations.ownersOf(part.ranges, part.seq);
          if (ownerIds.some((id) => isOrdered(orders.get(id), part.seq))) continue;
          madeTexts += 1;
          for (const ownerId of ownerIds) {
            const { seq, lines } = part;
            (orderFor(ownerId).parts as ForgetOrder['parts'][number][]).push({
              seq,
              ranges: lines,
            });
          }
        }
      }
    }
    return { orders: [...orders.values()], madeTexts };
  }

  /**
   * Lines of texts of our own making (transcripts, answers) that quote what is to go, in the
   * session's own file: those of its bases are looked at as theirs.
   */
  async #quotesIn(
    sessionId: string,
    passages: Passages,
  ): Promise<
    readonly {
      readonly seq: number;
      readonly ranges: readonly BaseRange[];
      readonly lines: readonly (readonly [number, number])[];
    }[]
  > {
    await this.byId(sessionId);
    const handle = await this.#open.get(sessionId);
    return handle.use(async ({ store }) => {
      const found = [];
      for (const entry of store.entries.slice(store.bases.at(-1)?.end.entries ?? 0)) {
        if (entry.kind !== 'message' || entry.forgotten !== undefined) continue;
        const lines = passages.linesIn(await store.readEntry(entry));
        if (lines.length > 0) found.push({ seq: entry.seq, ranges: store.ranges, lines });
      }
      return found;
    });
  }

  async #sizeOf(sessionId: string, wanted: ForgetWanted): Promise<{ readonly bytes: number }> {
    const { entries } = (await this.#open.get(sessionId)).last.store;
    let bytes = 0;
    for (const seq of wanted.whole) bytes += entries[seq - 1]?.lengthBytes ?? 0;
    for (const { ranges } of wanted.parts ?? []) {
      for (const [start, end] of ranges) bytes += end - start;
    }
    return { bytes };
  }

  /** Who reads whose texts, and who holds copies of them. */
  async #relations(): Promise<Relations> {
    const copies: SessionCopy[] = [];
    for (const name of this.#map.names()) {
      const id = name.startsWith(copyName) ? this.#map.get(name) : undefined;
      if (id === undefined) continue;
      const copyOf = await copiedRanges(this.#files, this.#options.dataDir, id);
      if (copyOf !== undefined) copies.push({ id, copyOf });
    }
    return new Relations(await this.list(), copies);
  }

  /** The key of the hashes of forgotten texts; made where there is none and one is wanted. */
  async #hashKey(isWanted: boolean): Promise<Buffer | undefined> {
    this.#secret ??= await readHashKey(this.#files, this.#options.dataDir, isWanted);
    return this.#secret;
  }

  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    await this.byId(sessionId);
    return this.#named(async () => {
      const handle = await this.#open.get(sessionId);
      const { ranges, entries } = handle.last.store;
      const gone = entries[seq - 1]?.forgotten ?? entries[seq - 1]?.masked;
      if (gone?.key === undefined) return false;
      const relations = await this.#relations();
      for (const ownerId of relations.ownersOf(ranges, seq)) {
        const users = [ownerId, ...relations.readersOf(ownerId)];
        const paths = sessionPaths(this.#options.dataDir, ownerId);
        await this.#open.whileClosed(users, () => dropKey(this.#files, paths, ownerId, seq));
      }
      return true;
    });
  }

  export(...args: Parameters<Sessions['export']>): ReturnType<Sessions['export']> {
    return this.#archives.export(...args);
  }

  import(...args: Parameters<Sessions['import']>): ReturnType<Sessions['import']> {
    return this.#archives.import(...args);
  }

  async branchesOf(sessionId: string): Promise<readonly string[]> {
    const sessions = await this.list();
    const isBase = ({ sessionId: base }: BaseRange): boolean => base === sessionId;
    return sessions.filter(({ bases }) => bases?.some(isBase)).map(({ id }) => id);
  }

  async remove(sessionId: string, branches: 'keep' | 'remove' | 'detach' = 'keep'): Promise<void> {
    if (!isSessionId(sessionId) || !(await this.#hasFiles(sessionId))) {
      throw unknownSession(sessionId);
    }
    await this.#named(async () => {
      const others = await this.branchesOf(sessionId);
      if (others.length > 0 && branches === 'keep') throw hasBranches(sessionId, others);
      for (const other of others) {
        if (branches === 'remove') await this.#delete(other);
        else await this.#detach(other);
      }
      await this.#delete(sessionId);
      await this.#deleteUnusedCopies();
    });
  }

  /** Gives a branch a copy of its bases' texts. */
  async #detach(sessionId: string): Promise<void> {
    const handle = await this.#open.get(sessionId);
    const copy = await this.#copied(handle.last.store.bases);
    const paths = sessionPaths(this.#options.dataDir, sessionId);
    await this.#open.whileClosed([sessionId], async () => changeBases(this.#files, paths, [copy]));
  }

  /** Copies that were made as bases of branches, of which none is left. */
  async #deleteUnusedCopies(): Promise<void> {
    const sessions = await this.list();
    const used = new Set(sessions.flatMap(({ bases = [] }) => bases.map((base) => base.sessionId)));
    for (const name of this.#map.names()) {
      const id = name.startsWith(copyName) ? this.#map.get(name) : undefined;
      if (id !== undefined && !used.has(id)) await this.#delete(id);
    }
  }

  /** Closes a session and deletes all its files. */
  async #delete(sessionId: string): Promise<void> {
    const folder = sessionsDir(this.#options.dataDir);
    await this.#open.forget(sessionId);
    await this.#space.stop();
    this.#room.removed(sessionId);
    await this.#map.forget(sessionId);
    await this.#places.removed(sessionId);
    for (const name of await this.#files.list(folder)) {
      const belongs = name.startsWith(`${sessionId}.`) || name.startsWith(`${sessionId}_`);
      if (belongs) await this.#files.remove(join(folder, name));
    }
    await this.#files.syncDirectory(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const kept = this.#keeper?.[Symbol.asyncDispose]();
    await this.#space[Symbol.asyncDispose]();
    await kept;
    await this.#tidied;
    await this.#places[Symbol.asyncDispose]();
    await this.#naming;
    await this.#open[Symbol.asyncDispose]();
    await this.#map[Symbol.asyncDispose]();
    await this.chats[Symbol.asyncDispose]();
    await this.#lock.release();
  }

  async #forName(name: string, create: boolean): Promise<Session | undefined> {
    for (;;) {
      const mapped = this.#map.get(name);
      // Most chats never need a session: their requests do not stand in line for the answer.
      if (!create && mapped === undefined) return undefined;
      if (mapped !== undefined) await this.#salvaged(mapped);
      const id = await this.#named(async () => {
        const known = this.#map.get(name);
        if (known !== undefined && (this.#open.has(known) || (await this.#hasFiles(known)))) {
          return known;
        }
        if (known !== undefined && create)
          this.#options.log.warn(
            { session: known },
            'the store that this directory had is not there any more: it gets a new one',
          );
        return create ? this.#createSession(name) : undefined;
      });
      if (id === undefined) return undefined;
      const session = await this.byId(id);
      // A salvage that came between has given the name to another.
      if (this.#map.get(name) === id) return session;
    }
  }

  /** Runs `work` after all earlier ones, so that one name never gets two sessions. */
  async #named<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#naming.then(work);
    this.#naming = result.catch(() => undefined);
    return result;
  }

  async #createSession(name: string, id = this.#options.ids.next('sess_')): Promise<string> {
    const { dataDir, clock } = this.#options;
    const paths = sessionPaths(dataDir, id);
    const createdMs = clock.now();
    try {
      await createSessionFiles(this.#files, paths, { sessionId: id, createdMs });
      await writeMetadata(this.#files, dataDir, { id, name, createdMs });
      await this.#map.set(name, id);
      this.#places.made(id, name);
    } catch (error) {
      throw toStoreFailure(error, paths.metadata);
    }
    return id;
  }

  async #openFiles(sessionId: string): Promise<OpenSession> {
    const { dataDir, clock, log } = this.#options;
    const { maxSessionBytes = defaultMaxSessionBytes, chatMemory = defaultChatMemory } =
      this.#options;
    const paths = sessionPaths(dataDir, sessionId);
    const common = { sessionId, files: this.#files, clock, log };
    let store: FileSessionStore | undefined;
    try {
      const { heldTextBytes } = this.#options;
      const onLost = (error: ProxyError): void => {
        log.warn(
          { session: sessionId, code: error.code, reason: error.message },
          'the files of a store are gone; the next request begins anew',
        );
        this.#open.retire(sessionId);
      };
      const room = {
        take: async (keptBytes: number, lengthBytes: number) =>
          this.#room.take(sessionId, keptBytes, lengthBytes),
        noted: (keptBytes: number) => this.#room.noted(sessionId, keptBytes),
      };
      const limits = { maxSessionBytes, heldTextBytes, hashKey: await this.#hashKey(false), room };
      const events = await SessionEvents.open({ ...common, paths });
      store = await FileSessionStore.open({ ...common, paths, ...limits, onLost });
      const path = paths.chats;
      const memory = await FileChatMemory.open({ ...common, path, limits: chatMemory });
      return { store, memory, events };
    } catch (error) {
      await store?.[Symbol.asyncDispose]();
      if (isErrno(error, 'ENOENT')) throw await this.#missing(sessionId);
      throw toStoreFailure(error, paths.journal);
    }
  }

  /** A session without a journal: none at all, or one that has lost it. */
  async #missing(sessionId: string): Promise<Error> {
    if (!(await this.#hasFiles(sessionId))) return unknownSession(sessionId);
    const { journal } = sessionPaths(this.#options.dataDir, sessionId);
    return corruptStore(journal, 'it is missing, though the session has other files');
  }

  async #hasFiles(sessionId: string): Promise<boolean> {
    // By their names: with thousands of sessions the folder is long. An index alone says nothing:
    // it can be made again, and a search may have left it where all else was deleted.
    const { indexDir: _, ...paths } = sessionPaths(this.#options.dataDir, sessionId);
    for (const path of Object.values(paths)) {
      if (await this.#files.exists(path)) return true;
    }
    return false;
  }

  #directoryOf(sessionId: string): string | undefined {
    return this.#map.namesOf(sessionId).find(isDirectory);
  }

  /** What a session is there for that no directory has. */
  async #roleOf(
    sessionId: string,
  ): Promise<Pick<Awaited<ReturnType<Sessions['list']>>[number], 'copyOf' | 'earlierDirectory'>> {
    const metadata = await readMetadata(this.#files, this.#options.dataDir, sessionId);
    const { copyOf, earlierName } = metadata ?? {};
    return {
      ...(copyOf === undefined ? {} : { copyOf }),
      ...(earlierName !== undefined && isDirectory(earlierName)
        ? { earlierDirectory: earlierName }
        : {}),
    };
  }
}

function isDirectory(name: string): boolean {
  return !name.startsWith('key:');
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

/** Whether a text, or parts of it, are to go already. */
function isOrdered(order: ForgetOrder | undefined, seq: number): boolean {
  return order !== undefined && [...order.whole, ...order.parts].some((each) => each.seq === seq);
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
 * What goes along to a branch that begins with so many lines and texts: the links and pins that
 * have not been taken back, and the moments that it holds.
 */
function inheritedEvents(
  events: readonly StoreEvent[],
  records: number,
  { entries }: Pick<Totals, 'entries'>,
): readonly StoreEvent[] {
  const links = new Map<string, StoreEvent>();
  for (const event of events) {
    if (event.type === 'link') links.set(event.as, event);
    else if (event.type === 'unlink') links.delete(event.as);
  }
  const moments = events.filter(
    (event) => event.type === 'snapshot' && recordsIn(event.ranges) <= records,
  );
  const whole = [...pinnedIn(events)].filter((seq) => seq <= entries);
  const timeMs = events.findLast(({ type }) => type === 'pin')?.timeMs ?? 0;
  const pins: readonly StoreEvent[] = whole.length === 0 ? [] : [{ type: 'pin', timeMs, whole }];
  return [...links.values(), ...moments, ...pins];
}

/** `mappings/chats.jsonl`. */
async function openChats(
  { dataDir, clock, log }: SessionsOptions,
  files: Files,
): Promise<FileChatMemory> {
  const path = join(dataDir, 'mappings', 'chats.jsonl');
  const limits = { ...defaultChatMemory, maxBytes: maxChatsBytes };
  return FileChatMemory.open({ path, sessionId: 'all', files, clock, log, limits });
}
