import { join } from 'node:path';
import type { Clock, Ids } from '../clock.ts';
import type { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Archives, type ReplicaImport, type Still } from './archive/archives.ts';
import { finishImports } from './archive/landing.ts';
import { DirectoryMap } from './disk/directory-map.ts';
import { realFiles, type Files } from './disk/files.ts';
import { lockOwner, type OwnerLock } from './disk/owner.ts';
import { sessionPaths, sessionsDir } from './disk/session-paths.ts';
import { noRoomToOpen, toStoreFailure } from './disk/store-failure.ts';
import { Bounds } from './life/bounds.ts';
import { SessionCatalog } from './life/session-catalog.ts';
import { Forgetter } from './life/forgetting.ts';
import { moveSession } from './life/moving.ts';
import { salvage } from './life/salvaging.ts';
import { readPending } from './life/space-freer.ts';
import type { TidyOrder } from './life/tidying.ts';
import { Versions } from './life/versions.ts';
import { FileChatMemory, type ChatMemoryLimits } from './session/chat-memory.ts';
import { finishForgetting } from './session/forget.ts';
import { checkStore, checkStoreDeeply, damageHealth } from './session/session-check.ts';
import { SessionEvents } from './session/session-events.ts';
import type { OpenSession } from './session/session-handle.ts';
import { namesInMetadata } from './session/session-metadata.ts';
import { PastViews } from './session/past-views.ts';
import { FileSessionStore } from './session/session-store.ts';
import { rewindSession } from './session/rewind.ts';
import type {
  BranchStart,
  ChatRecord,
  CheckProgress,
  ForgetOutcome,
  ForgetWanted,
  ImportOptions,
  LastTidying,
  Moment,
  MovedSession,
  Salvage,
  Session,
  SessionHealth,
  Sessions,
  SnapshotEvent,
  StoreBounds,
  TextHolder,
  TidyOutcome,
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
  /** Whether this process gives them back by itself in a moment, so that others wait (false). */
  readonly isBrief?: boolean;
  /** Whether the bounds are kept in the background (false): a server does it. */
  readonly keepsBounds?: boolean;
  /** What holds texts beside the stores; may grow after they were opened. */
  readonly holders?: readonly TextHolder[];
}

/**
 * A line a chat, and one for each answer to a conversation without a name: 40,000 of some 200
 * bytes; the oldest half goes first.
 */
const maxChatsBytes = 8 * 1024 ** 2;

const defaultMaxOpen = 64;
const defaultIdleMs = 600_000;

const defaultMaxSessionBytes = 64 * 1024 ** 3;
const defaultChatMemory = { maxBytes: 256 * 1024 ** 2, maxAgeMs: 90 * 24 * 3600 * 1000 };

/**
 * Takes the owner lock of a data directory, made if it is missing (0700), and opens it. Sessions
 * are opened when they are asked for. @throws ProxyError `store_locked`, `store_full`, `internal`
 */
export async function openSessions(options: SessionsOptions): Promise<Sessions> {
  return openFiles(options);
}

/** Who looks after the files of a data directory while one process has it. */
export interface FilesKeeper {
  /** This process has it from now on. */
  locked(): Promise<void>;
  /** False where what stands in a session's files may not be what was written. */
  isSound(sessionId: string): boolean;
  /** It is about to be given back; does not reject. */
  release(): Promise<void>;
}

async function openFiles(options: SessionsOptions, keeper?: FilesKeeper): Promise<FileSessions> {
  const { dataDir, files = realFiles } = options;
  try {
    await files.makeDirectory(sessionsDir(dataDir));
    await files.makeDirectory(join(dataDir, 'mappings'));
    const lock = await lockOwner(dataDir, { ...options, files });
    try {
      await keeper?.locked();
      await finishForgetting(files, dataDir, (sessionId) => keeper?.isSound(sessionId) ?? true);
      const mapPath = join(dataDir, 'mappings', 'directory_to_rlm.json');
      const map = await DirectoryMap.open(files, mapPath, {
        fromMetadata: () => namesInMetadata(files, dataDir),
        log: options.log,
      });
      await finishImports(files, dataDir, { map, log: options.log });
      const pending = await readPending(files, dataDir);
      const chats = await openChats(options, files);
      const sessions = new FileSessions(options, { map, lock, keeper, chats, pending });
      await sessions.deleteUnfinished();
      return sessions;
    } catch (error) {
      await keeper?.release();
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw noRoomToOpen(toStoreFailure(error, dataDir));
  }
}

/**
 * Sessions whose files follow what stands elsewhere: what keeps them so does beside what everybody
 * may.
 */
export interface ReplicaSessions extends Sessions {
  /** Makes an empty session with an id that it has elsewhere, found under `key:` and a key. */
  createAs(id: string, key: string, createdMs: number): Promise<void>;
  /** Gives a session a directory on this machine, unless that has a session. */
  addDirectory(sessionId: string, directory: string): Promise<void>;
  /** The same, whichever session has it until then. */
  takeDirectory(sessionId: string, directory: string): Promise<void>;
  /** What a branch of a session's moment begins with. */
  branchStart(sessionId: string, moment: Moment, name?: string): Promise<BranchStart>;
  /** What a session's chats remembered at a moment. */
  remembered(sessionId: string, moment: Moment): AsyncGenerator<ChatRecord>;
  /**
   * Makes a branch with an id that it has elsewhere, found under `key:` and a key; of chats it
   * remembers nothing. The same start gives the same files.
   * @param fromId The session of the last of its ranges, or one that goes on from that
   */
  branchAs(
    fromId: string,
    start: BranchStart,
    branch: { readonly id: string; readonly key: string; readonly createdMs: number },
  ): Promise<void>;
  /** What is to be forgotten of each session that shares texts with one, each for itself. */
  forgetPlan(sessionId: string, wanted: ForgetWanted): Promise<ReadonlyMap<string, ForgetWanted>>;
  /** What is to go of some sessions to keep them in bounds; nothing is changed. */
  tidyPlan(
    bounds: StoreBounds,
    isMeant: (sessionId: string) => boolean,
  ): Promise<{ readonly outcome: TidyOutcome; readonly orders: readonly TidyOrder[] }>;
  /** The sessions whose texts one reads; none for one that is not here. */
  basesOf(sessionId: string): Promise<readonly string[]>;
  /**
   * As `export` of one session, without anything of this machine, and without what it goes on from.
   * @param still Runs what looks how far it is, for who wants to know that, too
   */
  exportReplica(sessionId: string, still?: Still): ReturnType<Sessions['export']>;
  /**
   * As `import`. @param options.claim Whether a store may have an id; called once for each that is
   * chosen, and the ids of those that were refused are not used
   */
  importWith(
    packed: AsyncIterable<Uint8Array>,
    options: ImportOptions & { readonly claim: (id: string) => Promise<boolean> },
  ): ReturnType<Sessions['import']>;
  /**
   * Puts the store of such an archive in the place of what there is of it, under its own id; what
   * it goes on from must be here.
   */
  importReplica(
    packed: AsyncIterable<Uint8Array>,
    replica: ReplicaImport,
  ): ReturnType<Sessions['import']>;
  /** Asks a session's files something; they stay open until it is answered. */
  hold<T>(sessionId: string, ask: (open: OpenSession) => T | Promise<T>): Promise<T>;
  /**
   * Cuts a session back to its first journal lines (`rewindSession`). @returns Whether it had so
   * many
   */
  rewind(sessionId: string, records: number): Promise<boolean>;
  /** Keys of what is remembered beside all sessions. */
  chatKeys(): readonly string[];
}

/** As {@link openSessions}. @param keeper Absent: the files are as those of any session */
export async function openReplicas(
  options: SessionsOptions,
  keeper?: FilesKeeper,
): Promise<ReplicaSessions> {
  return openFiles(options, keeper);
}

class FileSessions implements ReplicaSessions {
  readonly #options: SessionsOptions;
  readonly #lock: OwnerLock;
  readonly #keeper: FilesKeeper | undefined;
  readonly chats: FileChatMemory;
  readonly bounds: StoreBounds;
  readonly #catalog: SessionCatalog;
  readonly #versions: Versions;
  readonly #forgetting: Forgetter;
  readonly #bounds: Bounds;
  readonly #archives: Archives;
  readonly #pastViews = new PastViews();

  /** Once, before anybody asks for anything. */
  async deleteUnfinished(): Promise<void> {
    try {
      await this.#versions.deleteUnfinished();
    } catch (error) {
      // They are in nobody's way, and found again at the next opening.
      this.#options.log.warn(
        { err: error },
        'what is left of an unfinished branch was not deleted',
      );
    }
  }

  constructor(
    options: SessionsOptions,
    {
      map,
      lock,
      keeper,
      chats,
      pending,
    }: {
      readonly map: DirectoryMap;
      readonly lock: OwnerLock;
      readonly keeper: FilesKeeper | undefined;
      readonly chats: FileChatMemory;
      /** Sessions whose gone texts still take room. */
      readonly pending: readonly string[];
    },
  ) {
    const { maxOpen = defaultMaxOpen, idleMs = defaultIdleMs, files = realFiles } = options;
    const { bounds = {}, keepsBounds = false } = options;
    this.#options = options;
    this.#lock = lock;
    this.#keeper = keeper;
    this.chats = chats;
    this.bounds = bounds;
    this.#catalog = new SessionCatalog({
      ...options,
      files,
      map,
      maxOpen,
      idleMs,
      open: async (sessionId) => this.#openFiles(sessionId),
      deleting: async (sessionId) => {
        await this.#forgetting.deleting();
        this.#bounds.removed(sessionId);
      },
    });
    this.#versions = new Versions(this.#catalog);
    this.#forgetting = new Forgetter(this.#catalog, { pending, holders: options.holders ?? [] });
    this.#bounds = new Bounds(this.#catalog, this.#forgetting, { bounds, keeps: keepsBounds });
    this.#archives = new Archives({
      ...options,
      files: this.#catalog.files,
      map,
      chats,
      nameOf: async (directory) => this.#catalog.realName(directory),
      hasFiles: async (sessionId) => this.#catalog.hasFiles(sessionId),
      hold: async (sessionId, ask) => this.#catalog.hold(sessionId, ask),
      checkDeeply: (sessionId) => this.checkDeeply(sessionId),
      landed: (sessionId, directory) => this.#catalog.places.made(sessionId, directory),
      replacing: async (sessionId, work) => this.#replacing(sessionId, work),
      alone: async (work) => this.#catalog.alone(work),
      chatLimits: options.chatMemory ?? defaultChatMemory,
      forgetKeys: async () => this.#forgetting.hashKeys(),
      takeForgetKeys: async (keys) => this.#forgetting.takeKeys(keys),
    });
  }

  async forDirectory(
    ...args: Parameters<Sessions['forDirectory']>
  ): ReturnType<Sessions['forDirectory']> {
    return this.#catalog.forDirectory(...args);
  }

  async forKey(...args: Parameters<Sessions['forKey']>): ReturnType<Sessions['forKey']> {
    return this.#catalog.forKey(...args);
  }

  async byId(sessionId: string): Promise<Session> {
    return this.#catalog.byId(sessionId);
  }

  async list(): ReturnType<Sessions['list']> {
    return this.#catalog.list();
  }

  async branchesOf(sessionId: string): Promise<readonly string[]> {
    return this.#catalog.branchesOf(sessionId);
  }

  async check(sessionId: string): Promise<SessionHealth> {
    try {
      return await this.#catalog.hold(sessionId, async ({ store }) => checkStore(store));
    } catch (error) {
      return damageHealth(error);
    }
  }

  async *checkDeeply(sessionId: string): AsyncGenerator<CheckProgress, SessionHealth> {
    try {
      const handle = await this.#catalog.byId(sessionId);
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
    return salvage(this.#catalog, sessionId);
  }

  async move(
    sessionId: string,
    directory: string,
    options: { readonly replace: boolean },
  ): Promise<MovedSession> {
    return moveSession(this.#catalog, sessionId, directory, options);
  }

  async nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    return this.#versions.nameMoment(sessionId, name);
  }

  async branch(...args: Parameters<Sessions['branch']>): Promise<Session> {
    return this.#versions.branch(...args);
  }

  async restore(fromId: string, toId: string): Promise<void> {
    await this.#versions.restore(fromId, toId);
  }

  async remove(sessionId: string, branches: 'keep' | 'remove' | 'detach' = 'keep'): Promise<void> {
    await this.#versions.remove(sessionId, branches);
  }

  async forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    return this.#forgetting.forget(sessionId, wanted);
  }

  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    return this.#forgetting.allowAgain(sessionId, seq);
  }

  async createAs(id: string, key: string, createdMs: number): Promise<void> {
    await this.#catalog.alone(async () => this.#catalog.create(`key:${key}`, id, createdMs));
  }

  async addDirectory(sessionId: string, directory: string): Promise<void> {
    await this.#catalog.addDirectory(sessionId, directory);
  }

  async takeDirectory(sessionId: string, directory: string): Promise<void> {
    await this.#catalog.takeDirectory(sessionId, directory);
  }

  async branchStart(...args: Parameters<Versions['branchStart']>): Promise<BranchStart> {
    return this.#versions.branchStart(...args);
  }

  remembered(...args: Parameters<Versions['remembered']>): AsyncGenerator<ChatRecord> {
    return this.#versions.remembered(...args);
  }

  async branchAs(
    fromId: string,
    start: BranchStart,
    { id, key, createdMs }: Parameters<ReplicaSessions['branchAs']>[2],
  ): Promise<void> {
    const header = { sessionId: id, createdMs, name: `key:${key}` };
    await this.#versions.branchAs(fromId, start, header);
  }

  async forgetPlan(
    ...args: Parameters<ReplicaSessions['forgetPlan']>
  ): ReturnType<ReplicaSessions['forgetPlan']> {
    return this.#forgetting.plan(...args);
  }

  async tidyPlan(
    ...args: Parameters<ReplicaSessions['tidyPlan']>
  ): ReturnType<ReplicaSessions['tidyPlan']> {
    return this.#bounds.plan(...args);
  }

  async basesOf(sessionId: string): Promise<readonly string[]> {
    return this.#catalog.basesOf(sessionId);
  }

  exportReplica(sessionId: string, still?: Still): ReturnType<Sessions['export']> {
    return this.#archives.export([sessionId], { isForReplica: true, still });
  }

  importWith(...args: Parameters<ReplicaSessions['importWith']>): ReturnType<Sessions['import']> {
    return this.#archives.import(...args);
  }

  importReplica(...args: Parameters<Archives['importReplica']>): ReturnType<Sessions['import']> {
    return this.#archives.importReplica(...args);
  }

  async hold<T>(sessionId: string, ask: (open: OpenSession) => T | Promise<T>): Promise<T> {
    return this.#catalog.hold(sessionId, ask);
  }

  async rewind(sessionId: string, records: number): Promise<boolean> {
    const { files, dataDir, open } = this.#catalog;
    return open.whileClosed([sessionId], async () =>
      rewindSession(files, sessionPaths(dataDir, sessionId), records),
    );
  }

  chatKeys(): readonly string[] {
    return this.chats.keys();
  }

  get openCount(): number {
    return this.#catalog.open.count;
  }

  get lastTidying(): LastTidying | undefined {
    return this.#bounds.last;
  }

  async tidy(options: { readonly isTrial: boolean }): Promise<TidyOutcome> {
    return this.#bounds.tidy(options);
  }

  export(...args: Parameters<Sessions['export']>): ReturnType<Sessions['export']> {
    return this.#archives.export(...args);
  }

  import(...args: Parameters<Sessions['import']>): ReturnType<Sessions['import']> {
    return this.#archives.import(...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const kept = this.#bounds[Symbol.asyncDispose]();
    // Without waiting for it: it may be waiting for room that is given back.
    await this.#forgetting[Symbol.asyncDispose]();
    await kept;
    await this.#catalog[Symbol.asyncDispose]();
    await this.chats[Symbol.asyncDispose]();
    await this.#keeper?.release();
    await this.#lock.release();
  }

  async #replacing(sessionId: string, work: () => Promise<void>): Promise<void> {
    const { files, dataDir, open } = this.#catalog;
    const readers = (await this.#catalog.relations()).readersOf(sessionId);
    await open.whileClosed([sessionId, ...readers], async () => {
      await this.#forgetting.deleting();
      // What is remembered of it is of what it was.
      await open.forget(sessionId);
      // What was made from the text as it was.
      for (const id of readers) await files.remove(sessionPaths(dataDir, id).indexDir);
      await work();
    });
  }

  async #openFiles(sessionId: string): Promise<OpenSession> {
    const { dataDir, clock, log, heldTextBytes } = this.#options;
    const { maxSessionBytes = defaultMaxSessionBytes, chatMemory = defaultChatMemory } =
      this.#options;
    const paths = sessionPaths(dataDir, sessionId);
    const common = { sessionId, files: this.#catalog.files, clock, log };
    let store: FileSessionStore | undefined;
    try {
      const onLost = (error: ProxyError): void => {
        log.warn(
          { session: sessionId, code: error.code, reason: error.message },
          'the files of a store are gone; the next request begins anew',
        );
        this.#catalog.open.retire(sessionId);
      };
      const room = this.#bounds.roomOf(sessionId);
      const hashKeys = await this.#forgetting.hashKeys();
      const pastViews = this.#pastViews;
      const limits = { maxSessionBytes, heldTextBytes, hashKeys, room, pastViews };
      const events = await SessionEvents.open({ ...common, paths });
      store = await FileSessionStore.open({ ...common, paths, ...limits, onLost });
      const path = paths.chats;
      const memory = await FileChatMemory.open({ ...common, path, limits: chatMemory });
      return { store, memory, events };
    } catch (error) {
      await store?.[Symbol.asyncDispose]();
      throw error;
    }
  }
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
