import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { GroupCommit } from '../base/group-commit.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { realFiles, replaceFile, type Files } from '../store/disk/files.ts';
import { unknownSession } from '../store/disk/session-paths.ts';
import { openReplicas, type ReplicaSessions, type SessionsOptions } from '../store/sessions.ts';
import type {
  ChatMemory,
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
  TidyOutcome,
} from '../store/types.ts';
import { readAddress } from './address.ts';
import { Availability } from './availability.ts';
import { Database } from './database.ts';
import { Branches, cannotDetach, refuseBranches } from './branches.ts';
import { Evictions, type ReplicaBounds } from './eviction.ts';
import { LogTable, type LogHead } from './log-table.ts';
import { encodePiece } from './log.ts';
import { ProjectNames } from './project-name.ts';
import { openedPieces, Replica } from './replica.ts';
import { schemaVersion } from './schema.ts';
import { noSeal, type Seal, sealWith } from './seal.ts';
import { evenPieces, type LogParts, missingRow, SharedLog, wentBack } from './shared-log.ts';
import { SharedBounds } from './shared-bounds.ts';
import { SharedSession } from './shared-session.ts';
import { loggedProgress, Side } from './side.ts';
import { Spool } from './spool.ts';

/** What {@link openSharedSessions} needs beside what local sessions do. */
export interface SharedOptions extends SessionsOptions {
  /** `postgres://...`; see `readAddress`. */
  readonly url: string;
  /** The one project of this proxy. */
  readonly project?: string | undefined;
  /** A secret of the team, with which the database cannot read what it holds. */
  readonly teamKey?: string | undefined;
  /** How long a turn waits for the database in an outage, once, milliseconds. */
  readonly waitMs: number;
  /** How much may wait on this machine for it, bytes. */
  readonly spoolBytes: number;
  /** How much of the stores stays on this machine; a server (`keepsBounds`) sees to it. */
  readonly replicaBounds?: ReplicaBounds | undefined;
  /** Hears how far the files of a store are that are fetched; the log does in any case. */
  readonly onProgress?: LogParts['onProgress'];
}

/** What the database has said of itself, for the next start without it. */
interface KnownStore {
  readonly role: string;
  readonly keyCheck?: string;
}

/**
 * The stores of a team: as local ones, over a log in PostgreSQL (`log.ts`) and a replica of it in
 * `dataDir`. @throws ProxyError `store_away` where the database cannot be reached and was never
 * before, or refuses; `store_newer`; `config_invalid`; as {@link openReplicas}
 */
export async function openSharedSessions(options: SharedOptions): Promise<SharedSessions> {
  const { dataDir, log, clock, files = realFiles, teamKey } = options;
  await using opened = new AsyncDisposableStack();
  const address = readAddress(options.url);
  const database = opened.use(new Database(address, { log, connectMs: options.waitMs }));
  const seal = teamKey === undefined ? noSeal : sealWith(teamKey);
  let sessions: SharedSessions | undefined;
  const availability = opened.use(
    new Availability({
      database,
      clock,
      log,
      waitMs: options.waitMs,
      onBack: () => void sessions?.drain(),
    }),
  );
  const machine = hostname();
  const table = new LogTable(database, availability, machine);
  const known = await knownStore({ table, availability, files, dataDir, seal });
  const replicas = opened.use(
    await openReplicas({ ...options, files: unsynced(files), bounds: {}, keepsBounds: false }),
  );
  const spool = await Spool.open(files, join(dataDir, 'spool'), options.spoolBytes);
  const names = new ProjectNames({ clock, machine, role: known.role, project: options.project });
  sessions = new SharedSessions(
    { ...options, files, database, availability, table, seal, replicas, spool, names },
    opened.move(),
  );
  await sessions.start();
  if (options.keepsBounds === true) sessions.evictions.start();
  return sessions;
}

/** Between two looks for what was left of uploads, milliseconds. */
const sweepMs = 86_400_000;

interface SharedSessionsParts extends SharedOptions {
  readonly files: Files;
  readonly database: Database;
  readonly availability: Availability;
  readonly table: LogTable;
  readonly seal: Seal;
  readonly replicas: ReplicaSessions;
  readonly spool: Spool;
  readonly names: ProjectNames;
}

/** The stores of a team as one machine has them; see `log.ts`. */
export class SharedSessions implements Sessions {
  readonly chats: ChatMemory;
  readonly shared: Side;
  readonly evictions: Evictions;
  readonly #parts: SharedSessionsParts;
  readonly #opened: AsyncDisposableStack;
  readonly #log: LogParts;
  readonly #branches: Branches;
  readonly #bounds: SharedBounds;
  #n = 0;
  readonly #logs = new Map<string, Promise<SharedLog>>();
  readonly #open = new Map<string, SharedLog>();
  readonly #sessions = new Map<string, SharedSession>();
  /** Stores whose files are being deleted here. */
  readonly #leaving = new Map<string, Promise<void>>();
  /** The store of each project that this process has asked for. */
  readonly #ids = new Map<string, string>();
  /** The same as it was known last, for a start without the database. */
  readonly #lastIds = new Map<string, string>();
  /** Directories and folders whose names are known to lead to their store. */
  readonly #placed = new Set<string>();
  readonly #catchingUp = new GroupCommit<void, void>(async (group) => {
    await this.#catchUpAll();
    for (const { resolve } of group) resolve();
  });
  #arrived: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** Something waits that a look at the spool may have missed. */
  #isToDrain = false;
  #chats: SharedSession | undefined;
  #swept: Promise<void> | undefined;
  #stopSweeping: (() => void) | undefined;

  constructor(parts: SharedSessionsParts, opened: AsyncDisposableStack) {
    this.#parts = parts;
    this.#opened = opened;
    const say = loggedProgress(parts.log, parts.clock);
    this.#log = {
      ...parts,
      onProgress: (id, progress) => {
        say(id, progress);
        parts.onProgress?.(id, progress);
      },
      sessions: parts.replicas,
      writer: randomUUID(),
      nextN: () => (this.#n += 1),
      uuid: randomUUID,
      rebase: async (id, behind) => this.#fromBase(id, behind),
      reopen: async (id) => (await Replica.open(parts.replicas, id)) ?? this.#begin(id),
      drain: () => void this.drain(),
      onRestored: (id) => this.#forgetNames(id),
      onDeleted: (id) => void this.#forgetDeleted(id),
    };
    this.#branches = new Branches({
      ...this.#log,
      logOf: async (id) => this.#logOf(id),
      newId: () => parts.ids.next('sess_'),
    });
    this.#bounds = new SharedBounds({
      ...parts,
      bounds: parts.bounds ?? {},
      keeps: parts.keepsBounds ?? false,
      bringBranches: async () => this.#bringBranches(),
      logOf: async (id) => this.#logOf(id),
      seal: async (log) => this.#seal(log),
    });
    this.chats = {
      has: (key) => this.#chatMemory.has(key),
      get: async (key) => this.#chatMemory.get(key),
      put: async (records) => this.#chatMemory.put(records),
    };
    this.evictions = new Evictions({
      ...parts,
      bounds: parts.replicaBounds ?? {},
      used: () => {
        const nowMs = parts.clock.now();
        // One that is being opened is in use, too.
        return new Map(
          [...this.#logs.keys()].map((id) => [id, this.#open.get(id)?.usedMs ?? nowMs]),
        );
      },
      hasWaiting: (id) => parts.spool.has(id),
      isKept: (id) => id === this.#chats?.id,
      drop: async (id) => this.#drop(id),
    });
    this.shared = new Side({
      ...parts,
      evictions: this.evictions,
      open: this.#open,
      ids: this.#lastIds,
      push: {
        options: parts,
        open: async (place, create) => {
          const found =
            'directory' in place
              ? await this.forDirectory(place.directory, { create })
              : await this.forKey(place.key, { create });
          return found && (await this.#logOf(found.id));
        },
        nameOf: async (place) =>
          'directory' in place
            ? parts.names.ofDirectory(place.directory, undefined)
            : parts.names.ofKey(place.key),
        isOneProject: parts.project !== undefined,
        chats: this.chats,
      },
    });
  }

  /** Brings in what is remembered beside all projects, and what has waited since the last time. */
  async start(): Promise<void> {
    await this.#readIds();
    await this.#openChats();
    const { spool } = this.#parts;
    for (const id of spool.sessions) {
      const log = await this.#logOf(id).catch(() => undefined);
      for await (const row of spool.all(id)) log?.recall(row);
    }
    if (spool.rows > 0) void this.drain();
    this.#swept = this.#sweep();
  }

  async #openChats(): Promise<void> {
    try {
      this.#chats = await this.#named(this.#parts.names.chats, true);
    } catch (error) {
      // Tried again when the database is back.
      if (toProxyError(error).code !== 'store_away') throw error;
    }
  }

  /** Where chats are remembered while the shared place for that is not known. */
  get #chatMemory(): ChatMemory {
    return this.#chats?.memory ?? this.#parts.replicas.chats;
  }

  /** A request has come: what others have stored until now is fetched while its body arrives. */
  arriving(): void {
    if (this.#open.size > 0) this.#arrived = this.#catchingUp.add();
  }

  async forDirectory(
    directory: string,
    { create, part, project }: Parameters<Sessions['forDirectory']>[1],
  ): Promise<Session | undefined> {
    const { names, replicas } = this.#parts;
    const session = await this.#named(await names.ofDirectory(directory, project), create);
    if (session === undefined) return undefined;
    for (const place of part === undefined ? [directory] : [directory, part]) {
      const key = `${session.id} ${place}`;
      if (this.#placed.has(key)) continue;
      if (place === directory) await replicas.takeDirectory(session.id, place);
      else await replicas.addDirectory(session.id, place);
      if (place === part) await this.#alias(await names.ofDirectory(part, project), session.id);
      this.#placed.add(key);
    }
    return session;
  }

  async forKey(
    key: string,
    { create }: { readonly create: boolean },
  ): Promise<Session | undefined> {
    return this.#named(this.#parts.names.ofKey(key), create);
  }

  readonly forProject = async (
    project: string,
    { create }: { readonly create: boolean },
  ): Promise<Session | undefined> => this.#named(this.#parts.names.ofProject(project), create);

  async byId(sessionId: string): Promise<Session> {
    const log = await this.#logOf(sessionId);
    await this.#arrived;
    return this.#asItIs(log);
  }

  async list(): ReturnType<Sessions['list']> {
    await this.#bringBranches();
    const chats = this.#chats?.id;
    return (await this.#parts.replicas.list()).filter(({ id }) => id !== chats);
  }

  async check(sessionId: string): Promise<SessionHealth> {
    return this.#parts.replicas.check(sessionId);
  }

  checkDeeply(sessionId: string): ReturnType<Sessions['checkDeeply']> {
    return this.#parts.replicas.checkDeeply(sessionId);
  }

  /** What is damaged here is fetched anew. */
  async salvage(sessionId: string): Promise<Salvage> {
    await this.#drop(sessionId);
    const session = await this.byId(sessionId);
    return {
      session,
      kept: session.store.entries.length,
      keptAliases: 0,
      lostEntries: [],
      lostRecords: 0,
    };
  }

  async move(sessionId: string, directory: string): Promise<MovedSession> {
    const log = await this.#logOf(sessionId);
    const name = await this.#parts.names.ofDirectory(directory, undefined);
    await this.#alias(name, sessionId);
    await this.#parts.replicas.addDirectory(sessionId, directory);
    return {
      session: sessionId,
      to: directory,
      entries: log.replica.session.store.totals.entries,
    };
  }

  async nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    const log = await this.#logOf(sessionId);
    await log.catchUp();
    const { events } = log.replica.session;
    const isName = (event: (typeof events.all)[number]): event is SnapshotEvent =>
      event.type === 'snapshot' && event.name === name;
    if (events.all.some(isName)) {
      throw new ProxyError('invalid_request', `${sessionId} has a snapshot ${name} already.`);
    }
    await log.decide({ op: 'snapshot', name });
    return events.all.find(isName)!;
  }

  async branch(
    sessionId: string,
    moment: Moment = { seq: Infinity },
    name?: string,
  ): Promise<Session> {
    const source = await this.#logOf(sessionId);
    return this.#sessionOf(await this.#branches.make(source, moment, name));
  }

  async restore(fromId: string, toId: string): Promise<void> {
    const from = await this.#logOf(fromId);
    const to = await this.#logOf(toId);
    if (fromId === toId) return;
    const { directory } = from.replica.session;
    await from.decide({ op: 'restored', to: toId });
    if (directory !== undefined) await this.#parts.replicas.takeDirectory(toId, directory);
    this.#sessionOf(to);
  }

  async forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    const { replicas } = this.#parts;
    // What waits here may be what is meant, or quote it.
    await this.drain();
    for (const id of await this.#lineOf(sessionId)) await (await this.#logOf(id)).catchUp();
    const outcome = await replicas.forget(sessionId, { ...wanted, isTrial: true });
    if (wanted.isTrial === true) return outcome;
    const plan = await replicas.forgetPlan(sessionId, wanted);
    // Those first that quote: where it ends in between, it is found again by what they quote.
    const inOrder = [...plan].toSorted(([, a], [, b]) => a.whole.length - b.whole.length);
    for (const [id, each] of inOrder) {
      await (await this.#logOf(id)).decide({ op: 'forget', wanted: each });
    }
    for (const id of plan.keys()) await this.#seal(await this.#logOf(id));
    void this.#parts.table.vacuum();
    return outcome;
  }

  /** A store, those that it goes on from, and all branches of these. */
  async #lineOf(sessionId: string): Promise<readonly string[]> {
    const { table } = this.#parts;
    const head = await table.head(sessionId);
    if (head === undefined) throw unknownSession(sessionId);
    const line = new Set([...head.bases, sessionId]);
    for (const id of line) for (const other of await table.branchesOf(id)) line.add(other);
    return [...line];
  }

  async tidy(options: { readonly isTrial: boolean }): Promise<TidyOutcome> {
    return this.#bounds.tidy(options);
  }

  get lastTidying(): LastTidying | undefined {
    return this.#bounds.last;
  }

  get bounds(): StoreBounds {
    return this.#parts.bounds ?? {};
  }

  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    const log = await this.#logOf(sessionId);
    const entry = log.replica.session.store.entries[seq - 1];
    if ((entry?.forgotten ?? entry?.masked)?.key === undefined) return false;
    await log.decide({ op: 'allow', seq });
    return true;
  }

  export(sessionIds: readonly string[]): ReturnType<Sessions['export']> {
    return this.#parts.replicas.export(sessionIds);
  }

  // oxlint-disable-next-line require-yield -- it brings nothing in
  async *import(): ReturnType<Sessions['import']> {
    throw new ProxyError(
      'invalid_request',
      'An archive cannot be imported into a shared store directly.',
      {
        hint: 'Import it without RLM_STORE_URL (into another --data-dir, if need be), then bring it over with `rlm-opencode store push`.',
      },
    );
  }

  async branchesOf(sessionId: string): Promise<readonly string[]> {
    return this.#parts.table.branchesOf(sessionId);
  }

  async remove(sessionId: string, branches: 'keep' | 'remove' | 'detach' = 'keep'): Promise<void> {
    const { table } = this.#parts;
    if ((await table.head(sessionId)) === undefined) throw unknownSession(sessionId);
    const others = await table.branchesOf(sessionId);
    if (branches === 'keep') refuseBranches(sessionId, others);
    if (branches === 'detach' && others.length > 0) throw cannotDetach(sessionId);
    // The branches first: whatever comes in between, none of them is left without its texts.
    for (const id of [...others.toReversed(), sessionId]) {
      await table.remove(id);
      await this.#forgetDeleted(id);
    }
  }

  /** Sends what has waited for the database. */
  async drain(): Promise<void> {
    this.#isToDrain = true;
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
    });
    await this.#draining;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arrived;
    await this.#draining;
    await this.evictions[Symbol.asyncDispose]();
    await this.#swept;
    this.#stopSweeping?.();
    await this.#bounds[Symbol.asyncDispose]();
    for (const log of this.#open.values()) await log.idle();
    await this.#opened.disposeAsync();
  }

  async #drain(): Promise<void> {
    while (this.#isToDrain) {
      this.#isToDrain = false;
      await this.#sendAll();
    }
  }

  async #sendAll(): Promise<void> {
    const { spool, log, availability } = this.#parts;
    try {
      if (this.#chats === undefined) await this.#openChats();
    } catch (error) {
      log.error({ err: error }, 'what is remembered beside all projects cannot be opened');
    }
    for (const id of spool.sessions) {
      try {
        const rows = await this.#sendOf(id);
        if (rows > 0) log.info({ session: id, rows }, 'what has waited is in the shared store now');
      } catch (error) {
        const { code, message } = toProxyError(error);
        if (code === 'store_away') {
          // When the database is back next it goes on; one that refuses is asked at the next text.
          if (!availability.isAway) {
            log.warn(
              { reason: message },
              'the shared store takes nothing: it waits on this machine',
            );
          }
          return;
        }
        log.error(
          { err: error, session: id, reason: message },
          'what waits for a shared store cannot be sent',
        );
      }
    }
  }

  /** @returns How many rows were sent */
  async #sendOf(sessionId: string): Promise<number> {
    const { spool, log } = this.#parts;
    let rows = 0;
    for (;;) {
      const row = await spool.first(sessionId);
      if (row === undefined) return rows;
      try {
        await (await this.#logOf(sessionId)).send(row);
        rows += 1;
      } catch (error) {
        if (toProxyError(error).code !== 'unknown_session') throw error;
        log.warn(
          { session: sessionId, texts: row.text.length },
          'what has waited for a store that was deleted meanwhile is gone with it',
        );
      }
      await spool.dropFirst(sessionId);
    }
  }

  /** Branches that other machines have made of stores that are here. */
  async #bringBranches(): Promise<void> {
    const { table, replicas, log } = this.#parts;
    try {
      const here = new Set((await replicas.list()).map(({ id }) => id));
      for (const { id, bases } of await table.heads()) {
        if (!here.has(id) && bases.some((base) => here.has(base))) await this.#logOf(id);
      }
    } catch (error) {
      log.debug({ err: error }, 'branches that others have made are not listed');
    }
  }

  /** Which store its names lead to is asked again. */
  #forgetNames(sessionId: string): void {
    for (const [name, id] of this.#ids) if (id === sessionId) this.#ids.delete(name);
    for (const key of this.#placed) if (key.startsWith(sessionId)) this.#placed.delete(key);
  }

  /** The next turn of its project begins anew. */
  async #forgetDeleted(sessionId: string): Promise<void> {
    this.#forgetNames(sessionId);
    try {
      await this.#writeIds();
      await this.#drop(sessionId);
    } catch (error) {
      this.#parts.log.warn({ err: error, session: sessionId }, 'a deleted store is still here');
    }
  }

  async #named(name: string, create: boolean): Promise<SharedSession | undefined> {
    const { table, ids, availability } = this.#parts;
    let id = this.#ids.get(name);
    if (id === undefined) {
      try {
        id = await table.sessionOf(name, create ? ids.next('sess_') : undefined);
      } catch (error) {
        // As it was when this machine was told last.
        id = this.#lastIds.get(name);
        if (toProxyError(error).code !== 'store_away' || (id === undefined && create)) throw error;
      }
      if (id === undefined) return undefined;
      if (!availability.isAway) {
        this.#ids.set(name, id);
        await this.#writeIds();
      }
    }
    try {
      const log = await this.#logOf(id);
      await this.#arrived;
      const isStale = !availability.isAway && this.#ids.get(name) !== id;
      // Another store was restored meanwhile.
      if (isStale) return await this.#named(name, create);
      return await this.#asItIs(log);
    } catch (error) {
      if (toProxyError(error).code !== 'unknown_session') throw error;
      // Deleted by somebody else: the project begins anew.
      this.#ids.delete(name);
      await this.#drop(id);
      return this.#named(name, create);
    }
  }

  async #alias(name: string, sessionId: string): Promise<void> {
    await this.#parts.table.alias(name, sessionId);
    this.#ids.set(name, sessionId);
    await this.#writeIds();
  }

  /** With what was forgotten elsewhere in the texts that it goes on from. */
  async #asItIs(log: SharedLog): Promise<SharedSession> {
    // Its files were closed for that: what is known without asking them is of before.
    await this.#parts.replicas.hold(log.id, () => undefined);
    return this.#sessionOf(log);
  }

  #sessionOf(log: SharedLog): SharedSession {
    let session = this.#sessions.get(log.id);
    if (session === undefined) this.#sessions.set(log.id, (session = new SharedSession(log)));
    return session;
  }

  async #logOf(sessionId: string): Promise<SharedLog> {
    await this.#leaving.get(sessionId);
    const known = this.#logs.get(sessionId);
    if (known !== undefined) return known;
    const opening = this.#openLog(sessionId);
    this.#logs.set(sessionId, opening);
    try {
      const log = await opening;
      this.#open.set(sessionId, log);
      return log;
    } catch (error) {
      this.#logs.delete(sessionId);
      throw error;
    }
  }

  /** The log of a store, and all of it here; what is here already where the database is away. */
  async #openLog(sessionId: string): Promise<SharedLog> {
    const { replicas, log } = this.#parts;
    // What is forgotten in the texts that it goes on from is to be forgotten here, too.
    for (const base of await replicas.basesOf(sessionId)) await this.#logOf(base);
    const replica = await this.#replicaOf(sessionId);
    const shared = new SharedLog(this.#log, sessionId, replica ?? (await this.#begin(sessionId)));
    try {
      await shared.catchUp();
      const head = await this.#parts.table.head(sessionId);
      if (head === undefined) throw unknownSession(sessionId);
      if (head.head < shared.replica.pos) {
        log.warn({ session: sessionId, reason: wentBack(sessionId).message }, 'fetched anew');
        await replicas.remove(sessionId, 'detach');
        return await this.#openLog(sessionId);
      }
      if ((head.base?.pos ?? 0) < shared.replica.forgotAt) await this.#seal(shared);
    } catch (error) {
      const isAway = toProxyError(error).code === 'store_away';
      if (shared.stopped === undefined && (replica === undefined || !isAway)) throw error;
      log.debug({ session: sessionId }, 'a shared store is used as it was here');
    }
    return shared;
  }

  /** What of a store is here; undefined for a branch that a crash has left half made. */
  async #replicaOf(sessionId: string): Promise<Replica | undefined> {
    const { replicas, table } = this.#parts;
    const replica = await Replica.open(replicas, sessionId);
    if (replica === undefined || replica.pos > 0) return replica;
    const head = await table.head(sessionId).catch(() => undefined);
    if (head === undefined || head.bases.length === 0) return replica;
    await replicas.remove(sessionId, 'remove');
    return undefined;
  }

  /** Files for a store of which there is nothing here yet. */
  async #begin(sessionId: string): Promise<Replica> {
    const head = await this.#parts.table.head(sessionId);
    if (head === undefined) throw unknownSession(sessionId);
    if (head.base !== undefined) return this.#fromBase(sessionId, 0);
    if (head.bases.length > 0) return this.#branches.begin(head);
    const { replicas } = this.#parts;
    await replicas.createAs(sessionId, `shared:${sessionId}`, head.createdMs);
    return (await Replica.open(replicas, sessionId))!;
  }

  /** The files of a store from its archive: what stood before it is not in the log any more. */
  async #fromBase(sessionId: string, behind: number): Promise<Replica> {
    const { table, replicas, seal } = this.#parts;
    const head: LogHead | undefined = await table.head(sessionId);
    if (head === undefined) throw unknownSession(sessionId);
    if (head.base === undefined || head.base.pos <= behind) throw missingRow(sessionId, behind);
    const { upload, pieces, pos } = head.base;
    for (const base of head.bases) await this.#logOf(base);
    const { onProgress } = this.#log;
    const packed = counted(openedPieces(table, seal, upload, pieces), (done) =>
      onProgress?.(sessionId, { pos: Math.floor((pos * done) / (pieces + 1)), head: pos }),
    );
    const importing = replicas.importReplica(packed, { id: sessionId, key: `shared:${sessionId}` });
    for (let step = await importing.next(); step.done !== true;) step = await importing.next();
    // Its names may have been given to another since.
    this.#forgetNames(sessionId);
    const replica = await Replica.open(replicas, sessionId);
    if (replica === undefined) throw unknownSession(sessionId);
    await replica.begin(pos);
    return replica;
  }

  /**
   * Puts an archive of a store in the place of its rows, so that what was forgotten is in none of
   * them. Where that fails it is done when the store is opened next.
   */
  async #seal(log: SharedLog): Promise<void> {
    const { table, replicas, seal } = this.#parts;
    const upload = this.#log.uuid();
    const pieces = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
      let at = 0;
      for await (const piece of evenPieces(stream)) {
        yield seal.close(await encodePiece(piece), `${upload}/${at}`);
        at += 1;
      }
    };
    await log.whileStill(async ({ pos }) => {
      const count = await table.putPieces(log.id, upload, pieces(archived(replicas, log.id)));
      await table.seal(log.id, { pos, upload, pieces: count });
    });
  }

  /** What is here of a store goes; who asks for the store meanwhile waits, and has it anew. */
  async #drop(sessionId: string): Promise<void> {
    const leaving = this.#dropNow(sessionId).finally(() => this.#leaving.delete(sessionId));
    this.#leaving.set(
      sessionId,
      leaving.catch(() => undefined),
    );
    await leaving;
  }

  async #dropNow(sessionId: string): Promise<void> {
    const opening = this.#logs.get(sessionId);
    this.#logs.delete(sessionId);
    this.#open.delete(sessionId);
    this.#sessions.delete(sessionId);
    const log = await opening?.catch(() => undefined);
    await log?.idle();
    for (const key of this.#placed) if (key.startsWith(sessionId)) this.#placed.delete(key);
    const { replicas } = this.#parts;
    if (!(await isHere(replicas, sessionId))) return;
    for (const branch of await replicas.branchesOf(sessionId)) await this.#drop(branch);
    await replicas.remove(sessionId, 'remove');
  }

  /** Texts that were uploaded and never came into a row go, a day later. */
  async #sweep(): Promise<void> {
    const { table, log, clock } = this.#parts;
    await table.sweep().catch((error: unknown) => {
      log.debug({ err: error }, 'what was left of uploads stays until the next time');
    });
    this.#stopSweeping = clock.after(sweepMs, () => {
      this.#swept = this.#sweep();
    });
  }

  /** One statement for all stores that are open here. */
  async #catchUpAll(): Promise<void> {
    const { table, availability, log } = this.#parts;
    if (availability.isAway) return;
    const logs = [...this.#open.values()];
    try {
      const news = await table.pull(logs.map(({ id, pos }) => ({ session: id, pos })));
      await Promise.all(
        logs.map(async (each) => {
          const own = news.get(each.id);
          try {
            if (own?.isDeleted === true) await this.#forgetDeleted(each.id);
            else if (own !== undefined) await each.take(own);
          } catch (error) {
            // One that cannot be replayed has said so; the others go on.
            if (each.stopped === undefined) throw error;
          }
        }),
      );
    } catch (error) {
      const fault = toProxyError(error);
      if (fault.code !== 'store_away') {
        log.error(
          { err: error, reason: fault.message },
          'what others have stored cannot be fetched',
        );
      }
    }
  }

  get #idsPath(): string {
    return join(this.#parts.dataDir, 'mappings', 'shared-projects.json');
  }

  async #readIds(): Promise<void> {
    const bytes = await this.#parts.files.readWhole(this.#idsPath);
    if (bytes === undefined) return;
    for (const [name, id] of Object.entries(JSON.parse(bytes.toString()) as object)) {
      this.#lastIds.set(name, String(id));
    }
  }

  /** Writes down which store each project has, one write at a time. */
  async #writeIds(): Promise<void> {
    for (const [name, id] of this.#ids) this.#lastIds.set(name, id);
    const text = `${JSON.stringify(Object.fromEntries(this.#lastIds), undefined, 2)}\n`;
    const write = async (): Promise<void> =>
      replaceFile(this.#parts.files, this.#idsPath, Buffer.from(text));
    const writing = this.#writing.then(write, write);
    this.#writing = writing;
    await writing;
  }
}

/**
 * What is known of the database: asked now, else as it was told last. The hashes of forgotten texts
 * are made with one key on all machines.
 */
async function knownStore(parts: {
  readonly table: LogTable;
  readonly availability: Availability;
  readonly files: Files;
  readonly dataDir: string;
  readonly seal: Seal;
}): Promise<KnownStore> {
  const { table, files, dataDir, seal } = parts;
  const folder = join(dataDir, 'mappings');
  const path = join(folder, 'shared-store.json');
  try {
    const meta = await table.meta();
    if (meta === undefined || meta.version < 1) {
      throw new ProxyError('store_away', 'The shared store has no tables yet.', {
        hint: 'Run `rlm-opencode store init` once, as the owner of the database.',
      });
    }
    if (meta.version > schemaVersion) {
      throw new ProxyError(
        'store_newer',
        `The shared store has tables of version ${meta.version}, this program knows version ${schemaVersion}.`,
        { hint: 'Install the newer version of rlm-opencode.' },
      );
    }
    checkKey(meta.keyCheck, seal);
    const known: KnownStore = {
      role: await table.role(),
      ...(meta.keyCheck !== undefined && { keyCheck: meta.keyCheck }),
    };
    await files.makeDirectory(folder);
    await replaceFile(files, join(folder, 'forget.key'), seal.hashKey ?? meta.hashKey);
    await replaceFile(files, path, Buffer.from(`${JSON.stringify(known)}\n`));
    return known;
  } catch (error) {
    if (toProxyError(error).code !== 'store_away') throw error;
    const bytes = await files.readWhole(path);
    if (bytes === undefined) throw error;
    const known = JSON.parse(bytes.toString()) as KnownStore;
    checkKey(known.keyCheck, seal);
    return known;
  }
}

/** @throws ProxyError `config_invalid` where this machine has another key than the others */
function checkKey(expected: string | undefined, { check }: Seal): void {
  if (expected === check) return;
  const what =
    expected === undefined
      ? 'The shared store was set up without a team key, and this machine has one.'
      : check === undefined
        ? 'The shared store was set up with a team key, and this machine has none.'
        : 'The shared store was set up with another team key than this machine has.';
  throw new ProxyError('config_invalid', what, {
    hint: 'Set RLM_STORE_KEY as the others have it (docs/team.md).',
  });
}

async function isHere(replicas: ReplicaSessions, sessionId: string): Promise<boolean> {
  return (await replicas.list()).some(({ id }) => id === sessionId);
}

/** The bytes of a store's archive. */
async function* archived(replicas: ReplicaSessions, sessionId: string): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of replicas.exportReplica(sessionId))
    if (bytes !== undefined) yield bytes;
}

/** The same pieces; says how many have come. */
async function* counted(
  pieces: AsyncIterable<Buffer>,
  say: (done: number) => void,
): AsyncGenerator<Buffer> {
  let done = 0;
  for await (const piece of pieces) {
    say((done += 1));
    yield piece;
  }
}

/** A replica can be made again: nothing of it waits for the disk. */
function unsynced(files: Files): Files {
  return {
    ...files,
    open: async (path, options) => ({
      ...(await files.open(path, options)),
      datasync: async () => undefined,
    }),
    syncDirectory: async () => undefined,
  };
}
