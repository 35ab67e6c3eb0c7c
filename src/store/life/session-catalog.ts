import { basename, join } from 'node:path';
import type { Clock, Ids } from '../../clock.ts';
import type { Logger } from '../../log.ts';
import { filesWithRoom } from '../disk/descriptor-room.ts';
import { copyName, directoryName, isDirectory, type DirectoryMap } from '../disk/directory-map.ts';
import { isErrno, type Files } from '../disk/files.ts';
import { mainTreeOf } from '../disk/git-checkout.ts';
import { RealNames } from '../disk/real-names.ts';
import { isSessionId, sessionPaths, sessionsDir, unknownSession } from '../disk/session-paths.ts';
import { corruptStore, namedFailure, toStoreFailure } from '../disk/store-failure.ts';
import { linksOf } from '../session/links.ts';
import { createSessionFiles } from '../session/recover.ts';
import { readableLinks } from '../session/session-events.ts';
import type { OpenSession, SessionHandle } from '../session/session-handle.ts';
import { copiedRanges, readMetadata, writeMetadata } from '../session/session-metadata.ts';
import { summarizeSession } from '../session/session-summary.ts';
import type { BaseRange, Session, Sessions } from '../types.ts';
import { OpenSessions } from './open-sessions.ts';
import { ProjectPlaces } from './project-places.ts';
import { Relations, type SessionCopy } from './relations.ts';

/** What {@link SessionCatalog} needs. */
interface SessionCatalogParts {
  readonly files: Files;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly map: DirectoryMap;
  /** Sessions whose files are open at once, at most, as long as no more are in use. */
  readonly maxOpen: number;
  /** A session's files are closed after so long without use, milliseconds. */
  readonly idleMs: number;
  /** Whether linked worktrees have a store of their own, or that of their main tree (`own`). */
  readonly worktrees?: 'own' | 'shared' | undefined;
  /** Where git is looked for, as in `PATH`; absent: nowhere. */
  readonly searchPath?: string | undefined;
  /** Whether what a directory is known again by is looked at in the first use of each session. */
  readonly notesPlaces?: boolean | undefined;
  /** Opens the files of a session. Rejects with `ENOENT` where it has no journal. */
  readonly open: (sessionId: string) => Promise<OpenSession>;
  /** Hears of a session that is closed and is going to be deleted. */
  readonly deleting: (sessionId: string) => Promise<void>;
}

/**
 * The sessions of a data directory: which there are, under which names they are found, and whose
 * files are open. Whatever is done to whole sessions (`versions.ts`, `forgetting.ts`, …) asks here,
 * and does it {@link alone}.
 */
export class SessionCatalog {
  readonly files: Files;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly map: DirectoryMap;
  readonly open: OpenSessions;
  readonly places: ProjectPlaces;
  /** How often texts have gone from files: who copies some compares it before and after. */
  forgettings = 0;
  readonly #parts: SessionCatalogParts;
  readonly #realNames: RealNames;
  /** What whoever asks for a session waits for, by its id. */
  readonly #awaited = new Map<string, Promise<unknown>>();
  /** Finding and making sessions by name, one at a time. */
  #naming: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionCatalogParts) {
    this.#parts = parts;
    ({
      dataDir: this.dataDir,
      clock: this.clock,
      ids: this.ids,
      log: this.log,
      map: this.map,
    } = parts);
    this.files = filesWithRoom(parts.files, async () => this.open.makeRoom());
    this.#realNames = new RealNames(this.map);
    this.places = new ProjectPlaces({
      files: this.files,
      dataDir: this.dataDir,
      log: this.log,
      searchPath: parts.searchPath ?? '',
      notesKnown: parts.notesPlaces ?? false,
      map: this.map,
      alone: async (work) => this.alone(work),
      rename: async (sessionId, name) => this.rename(sessionId, name),
    });
    this.open = new OpenSessions({
      maxOpen: parts.maxOpen,
      idleMs: parts.idleMs,
      clock: this.clock,
      log: this.log,
      open: async (sessionId) => this.#openFiles(sessionId),
      directoryOf: (sessionId) => this.directoryOf(sessionId),
    });
  }

  /** See `Sessions.forDirectory`. */
  async forDirectory(
    directory: string,
    { create, part }: Parameters<Sessions['forDirectory']>[1],
  ): Promise<Session | undefined> {
    const name = await this.#nameOf(directory);
    const session = await this.#forName(name, create);
    if (session === undefined) return undefined;
    this.places.seen(session.id, name);
    if (part !== undefined) await this.addDirectory(session.id, part);
    return session;
  }

  /** See `Sessions.forKey`. */
  async forKey(key: string, options: { readonly create: boolean }): Promise<Session | undefined> {
    return this.#forName(`key:${key}`, options.create);
  }

  /** See `Sessions.byId`. */
  async byId(sessionId: string): Promise<SessionHandle> {
    if (!isSessionId(sessionId)) throw unknownSession(sessionId);
    await this.settled(sessionId);
    return this.open.get(sessionId);
  }

  /** See `ReplicaSessions.hold`. */
  async hold<T>(sessionId: string, ask: (open: OpenSession) => T | Promise<T>): Promise<T> {
    if (!isSessionId(sessionId)) throw unknownSession(sessionId);
    await this.settled(sessionId);
    return this.open.use(sessionId, ask);
  }

  /** See `Sessions.list`. */
  async list(): ReturnType<Sessions['list']> {
    const listed = [];
    const places = await this.places.listed();
    const names = await this.files.list(sessionsDir(this.dataDir));
    const haveEvents = new Set(names.filter((name) => name.endsWith('_events.jsonl')));
    for (const name of names) {
      const id = name.replace(/_entries\.jsonl$/, '');
      if (id === name || !isSessionId(id)) continue;
      const paths = sessionPaths(this.dataDir, id);
      const summary = await summarizeSession(this.files, paths);
      const directory = this.directoryOf(id);
      const role = directory === undefined ? await this.#roleOf(id) : { directory };
      const hasEvents = haveEvents.has(basename(paths.events));
      const links = hasEvents ? linksOf(await readableLinks(this.files, paths)) : [];
      const linked = links.length === 0 ? {} : { links };
      listed.push({ id, ...role, ...places.get(id), ...summary, ...linked });
    }
    return listed.sort((a, b) => b.updatedMs - a.updatedMs);
  }

  /** See `Sessions.branchesOf`. */
  async branchesOf(sessionId: string): Promise<readonly string[]> {
    const sessions = await this.list();
    const isBase = ({ sessionId: base }: BaseRange): boolean => base === sessionId;
    return sessions.filter(({ bases }) => bases?.some(isBase)).map(({ id }) => id);
  }

  /** Who reads whose texts, and who holds copies of them. */
  async relations(): Promise<Relations> {
    const copies: SessionCopy[] = [];
    for (const id of this.copies()) {
      const copyOf = await copiedRanges(this.files, this.dataDir, id);
      if (copyOf !== undefined) copies.push({ id, copyOf });
    }
    return new Relations(await this.list(), copies);
  }

  /** Sessions that were made as copies of others' texts. */
  copies(): readonly string[] {
    return [...this.map.names()].flatMap((name) => {
      const id = name.startsWith(copyName) ? this.map.get(name) : undefined;
      return id ?? [];
    });
  }

  /**
   * Runs `work` after all earlier ones, so that one name never gets two sessions.
   * @throws What `work` throws; ProxyError `store_full`, `internal` for the system's errors
   */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#naming.then(work).catch((error: unknown) => {
      throw namedFailure(error, this.dataDir);
    });
    this.#naming = result.catch(() => undefined);
    return result;
  }

  /** Whoever asks for a session until `work` is done waits for it. */
  async whileAwaited<T>(sessionId: string, work: Promise<T>): Promise<T> {
    this.#awaited.set(sessionId, work);
    try {
      return await work;
    } finally {
      this.#awaited.delete(sessionId);
    }
  }

  /** Resolves when nothing is under way that {@link whileAwaited} was told of. */
  async settled(sessionId: string): Promise<void> {
    const work = this.#awaited.get(sessionId);
    if (work !== undefined) await Promise.allSettled([work]);
  }

  /** @throws ProxyError `unknown_session` where there is no file of it */
  async expect(sessionId: string): Promise<void> {
    if (!isSessionId(sessionId) || !(await this.hasFiles(sessionId))) {
      throw unknownSession(sessionId);
    }
  }

  /** Whether a session has any file; a damaged one may have lost some. */
  async hasFiles(sessionId: string): Promise<boolean> {
    // By their names: with thousands of sessions the folder is long. An index alone says nothing:
    // it can be made again, and a search may have left it where all else was deleted.
    const { indexDir: _, ...paths } = sessionPaths(this.dataDir, sessionId);
    for (const path of Object.values(paths)) {
      if (await this.files.exists(path)) return true;
    }
    return false;
  }

  /** What is known of a session without opening it. */
  async summary(sessionId: string): ReturnType<typeof summarizeSession> {
    return summarizeSession(this.files, sessionPaths(this.dataDir, sessionId));
  }

  /** The directory that a session has, if any. */
  directoryOf(sessionId: string): string | undefined {
    return this.map.namesOf(sessionId).find(isDirectory);
  }

  /** Gives a session a further directory, unless that has a session. */
  async addDirectory(sessionId: string, directory: string): Promise<void> {
    const name = await this.#nameOf(directory);
    if (this.map.get(name) !== undefined) return;
    await this.alone(async () => {
      if (this.map.get(name) !== undefined) return;
      try {
        await this.map.set(name, sessionId);
      } catch (error) {
        throw toStoreFailure(error, this.dataDir);
      }
    });
  }

  /** Gives a session a directory, whoever has it until then; who had it knows that it did. */
  async takeDirectory(sessionId: string, directory: string): Promise<void> {
    const name = await this.#nameOf(directory);
    await this.alone(async () => {
      const holder = this.map.get(name);
      if (holder === sessionId) return;
      const { createdMs } = await this.summary(sessionId);
      await this.places.renamed(sessionId, name, createdMs);
      if (holder !== undefined && (await this.hasFiles(holder))) {
        const before = await this.summary(holder);
        await this.places.renamed(holder, name, before.createdMs);
        await this.places.renamed(holder, `key:earlier-${holder}`, before.createdMs);
      }
      await this.map.set(name, sessionId);
    });
  }

  /** The sessions whose texts one reads. */
  async basesOf(sessionId: string): Promise<readonly string[]> {
    if (!(await this.hasFiles(sessionId))) return [];
    return ((await this.summary(sessionId)).bases ?? []).map((base) => base.sessionId);
  }

  /** One name for a directory, wherever links lead. */
  async realName(directory: string): Promise<string> {
    return this.#realNames.of(directory);
  }

  /** Makes an empty session that is found under a name; its id. Within {@link alone}. */
  async create(
    name: string,
    id = this.ids.next('sess_'),
    createdMs = this.clock.now(),
  ): Promise<string> {
    const paths = sessionPaths(this.dataDir, id);
    try {
      // Of one that had the id, and was deleted but for that.
      await this.files.remove(paths.indexDir);
      await createSessionFiles(this.files, paths, { sessionId: id, createdMs });
      await writeMetadata(this.files, this.dataDir, { id, name, createdMs });
      await this.map.set(name, id);
      this.places.made(id, name);
    } catch (error) {
      throw toStoreFailure(error, paths.metadata);
    }
    return id;
  }

  /**
   * Gives a session a name in place of its directory, whose folders lose it, too; a key by which a
   * chat finds it stays. The metadata come first: where the map is made anew from them, the session
   * is where it was to go. Within {@link alone}.
   */
  async rename(sessionId: string, name: string): Promise<void> {
    const { createdMs } = await this.summary(sessionId);
    const directory = this.directoryOf(sessionId);
    const others = this.map
      .namesOf(sessionId)
      .filter((each) => each !== directory && !each.startsWith(`${directory}/`));
    await this.places.renamed(sessionId, name, createdMs);
    await this.map.rename(sessionId, [...others, name]);
  }

  /**
   * Closes a session and deletes all its files; who asks for it meanwhile waits, and finds none of
   * them: files that were opened before the last had gone would be there for who has them, and for
   * nobody else. Within {@link alone}.
   */
  async delete(sessionId: string): Promise<void> {
    await this.open.forget(sessionId);
    await this.open.whileClosed([sessionId], async () => {
      await this.#parts.deleting(sessionId);
      const isForgotten = await this.#forgetNames(sessionId);
      await this.places.removed(sessionId);
      await this.#removeFiles(sessionId);
      if (!isForgotten) await this.#forgetNames(sessionId);
      await this.open.forget(sessionId);
    });
  }

  /**
   * False where there was no room to write that down. There should be when the files are gone, and
   * a name without files is as good as none: on a full disk, deleting is what helps.
   */
  async #forgetNames(sessionId: string): Promise<boolean> {
    try {
      await this.map.forget(sessionId);
      return true;
    } catch (error) {
      if (toStoreFailure(error, this.dataDir).code !== 'store_full') throw error;
      return false;
    }
  }

  async #removeFiles(sessionId: string): Promise<void> {
    const folder = sessionsDir(this.dataDir);
    for (const name of await this.files.list(folder)) {
      const belongs = name.startsWith(`${sessionId}.`) || name.startsWith(`${sessionId}_`);
      if (belongs) await this.files.remove(join(folder, name));
    }
    await this.files.syncDirectory(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.places[Symbol.asyncDispose]();
    await this.#naming;
    await this.open[Symbol.asyncDispose]();
    await this.map[Symbol.asyncDispose]();
  }

  /** The name under which a directory's session is found. */
  async #nameOf(directory: string): Promise<string> {
    const asked = directoryName(directory);
    const main = this.#parts.worktrees === 'shared' ? await mainTreeOf(asked) : undefined;
    return this.places.nameFor(await this.realName(main ?? asked));
  }

  async #forName(name: string, create: boolean): Promise<Session | undefined> {
    for (;;) {
      const mapped = this.map.get(name);
      // Most chats never need a session: their requests do not stand in line for the answer.
      if (!create && mapped === undefined) return undefined;
      if (mapped !== undefined) await this.settled(mapped);
      const id = await this.alone(async () => {
        const known = this.map.get(name);
        if (known !== undefined && (this.open.has(known) || (await this.hasFiles(known)))) {
          return known;
        }
        if (known !== undefined && create)
          this.log.warn(
            { session: known },
            'the store that this directory had is not there any more: it gets a new one',
          );
        return create ? this.create(name) : undefined;
      });
      if (id === undefined) return undefined;
      const session = await this.byId(id);
      // A salvage that came between has given the name to another.
      if (this.map.get(name) === id) return session;
    }
  }

  async #openFiles(sessionId: string): Promise<OpenSession> {
    try {
      return await this.#parts.open(sessionId);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw await this.#missing(sessionId);
      throw toStoreFailure(error, sessionPaths(this.dataDir, sessionId).journal);
    }
  }

  /** A session without a journal: none at all, or one that has lost it. */
  async #missing(sessionId: string): Promise<Error> {
    if (!(await this.hasFiles(sessionId))) return unknownSession(sessionId);
    const { journal } = sessionPaths(this.dataDir, sessionId);
    return corruptStore(journal, 'it is missing, though the session has other files');
  }

  /** What a session is there for that no directory has. */
  async #roleOf(
    sessionId: string,
  ): Promise<Pick<Awaited<ReturnType<Sessions['list']>>[number], 'copyOf' | 'earlierDirectory'>> {
    const metadata = await readMetadata(this.files, this.dataDir, sessionId);
    const { copyOf, earlierName } = metadata ?? {};
    return {
      ...(copyOf === undefined ? {} : { copyOf }),
      ...(earlierName !== undefined && isDirectory(earlierName)
        ? { earlierDirectory: earlierName }
        : {}),
    };
  }
}
