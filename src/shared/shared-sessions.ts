import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { GroupCommit } from '../base/group-commit.ts';
import { countOf } from '../base/numbers.ts';
import { ProxyError, toProxyError } from '../errors.ts';
import { realFiles, type Files } from '../store/disk/files.ts';
import { unknownSession } from '../store/disk/session-paths.ts';
import { namedFailure } from '../store/disk/store-failure.ts';
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
import { readAddress } from './database/address.ts';
import { Availability } from './database/availability.ts';
import { cannotDetach, hasBranches } from './branches.ts';
import { Database } from './database/database.ts';
import { Draining } from './draining.ts';
import { Evictions, type ReplicaBounds } from './eviction.ts';
import { Imports } from './imports.ts';
import { knownStore } from './known-store.ts';
import { ImportTable } from './database/import-table.ts';
import { LogTable } from './database/log-table.ts';
import { OpenLogs } from './open-logs.ts';
import { readBootId, ReplicaFiles } from './replica-files.ts';
import { ProjectIds } from './project-ids.ts';
import { ProjectNames } from './project-name.ts';
import { noSeal, type Seal, sealWith } from './seal.ts';
import { SharedBounds } from './shared-bounds.ts';
import type { LogParts, SharedLog } from './shared-log.ts';
import { SharedSession } from './shared-session.ts';
import { loggedProgress, Side } from './side.ts';
import { Spool } from './spool.ts';
import { isContradiction } from './witness.ts';

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
  /** Names this start of the machine; absent: as the system does. */
  readonly bootId?: string | undefined;
  /** Hears how far the files of a store are that are fetched; the log does in any case. */
  readonly onProgress?: LogParts['onProgress'];
}

/**
 * The stores of a team: as local ones, over a log in PostgreSQL (`log.ts`) and a replica of it in
 * `dataDir`. @throws ProxyError `store_away` where the database cannot be reached and was never
 * before, or refuses; `store_newer`; `config_invalid`; as {@link openReplicas}
 */
export async function openSharedSessions(options: SharedOptions): Promise<SharedSessions> {
  try {
    return await openShared(options);
  } catch (error) {
    throw namedFailure(error, options.dataDir);
  }
}

async function openShared(options: SharedOptions): Promise<SharedSessions> {
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
  const known = await knownStore({ table, files, dataDir, seal });
  const bootId = options.bootId ?? (await readBootId());
  const disk = new ReplicaFiles({ files, dataDir, clock, log, bootId });
  const own = { files: disk.files, bounds: {}, keepsBounds: false };
  const replicas = opened.use(await openReplicas({ ...options, ...own }, disk));
  const spool = await Spool.open(files, join(dataDir, 'spool'), {
    maxBytes: options.spoolBytes,
    log,
  });
  const names = new ProjectNames({ clock, machine, role: known.role, project: options.project });
  sessions = new SharedSessions(
    { ...options, files, database, availability, table, seal, disk, replicas, spool, names },
    opened.move(),
  );
  await sessions.start();
  if (options.keepsBounds === true) sessions.evictions.start();
  return sessions;
}

/**
 * So often a project's store is looked for that is deleted, or another by then, whenever it is
 * found: others may be as fast a few times, a database that says so for ever is wrong.
 */
const maxNamedTries = 8;

/** Between two looks for what was left of uploads, milliseconds. */
const sweepMs = 86_400_000;

interface SharedSessionsParts extends SharedOptions {
  readonly files: Files;
  readonly database: Database;
  readonly availability: Availability;
  readonly table: LogTable;
  readonly seal: Seal;
  readonly disk: ReplicaFiles;
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
  readonly #bounds: SharedBounds;
  readonly #logs: OpenLogs;
  readonly #draining: Draining;
  readonly #ids: ProjectIds;
  readonly #imports: Imports;
  readonly #sessions = new WeakMap<SharedLog, SharedSession>();
  readonly #catchingUp = new GroupCommit<void, void>(async (group) => {
    await this.#catchUpAll();
    for (const { resolve } of group) resolve();
  });
  #arrived: Promise<void> | undefined;
  #chats: SharedSession | undefined;
  #swept: Promise<void> | undefined;
  #stopSweeping: (() => void) | undefined;

  constructor(parts: SharedSessionsParts, opened: AsyncDisposableStack) {
    this.#parts = parts;
    this.#opened = opened;
    const say = loggedProgress(parts.log, parts.clock);
    this.#ids = new ProjectIds(parts.files, parts.dataDir, parts.log);
    this.#logs = new OpenLogs({
      ...parts,
      onProgress: (id, progress) => {
        say(id, progress);
        parts.onProgress?.(id, progress);
      },
      sessions: parts.replicas,
      drain: () => void this.drain(),
      onRestored: (id) => this.#ids.forget(id),
      onReplaced: (id) => this.#ids.forget(id),
      onDeleted: (id) => void this.#forgetDeleted(id),
      onDropped: (id) => this.#ids.unplace(id),
    });
    this.#draining = new Draining({
      ...parts,
      logOf: async (id) => this.#logs.of(id),
      begin: async () => {
        if (this.#chats === undefined) await this.#openChats();
      },
    });
    this.#bounds = new SharedBounds({
      ...parts,
      bounds: parts.bounds ?? {},
      keeps: parts.keepsBounds ?? false,
      bringBranches: async () => this.#followOthers(),
      logOf: async (id) => this.#logs.of(id),
      seal: async (log) => this.#logs.seal(log),
    });
    this.chats = {
      has: (key) => this.#chatMemory.has(key),
      atHand: (key) => this.#chatMemory.atHand(key),
      get: async (key) => this.#chatMemory.get(key),
      put: async (records) => this.#chatMemory.put(records),
    };
    this.#imports = new Imports({
      ...parts,
      options: parts,
      imports: new ImportTable(parts.database, parts.availability),
      isOneProject: parts.project !== undefined,
      chats: this.chats,
      uuid: randomUUID,
      onNamed: async (name, id, directory) => {
        await this.#ids.learn(name, id);
        if (directory !== undefined) await this.#ids.noteDirectory(id, directory);
      },
    });
    this.evictions = new Evictions({
      ...parts,
      bounds: parts.replicaBounds ?? {},
      used: () => this.#logs.used(),
      isAway: () => parts.availability.isAway,
      hasWaiting: (id) => parts.spool.has(id),
      isKept: (id) => id === this.#chats?.id,
      drop: async (id) => this.#logs.drop(id, false),
    });
    this.shared = new Side({
      ...parts,
      evictions: this.evictions,
      open: this.#logs.open,
      ids: this.#ids.last,
      push: {
        options: parts,
        open: async (place, create) => {
          const found =
            'directory' in place
              ? await this.forDirectory(place.directory, { create })
              : await this.forKey(place.key, { create });
          return found && (await this.#logs.of(found.id));
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
    await this.#ids.read();
    await this.#imports.clear();
    await this.#dropUnsound();
    await this.#openChats();
    const { spool } = this.#parts;
    for (const id of spool.sessions) await this.#logs.of(id).catch(() => undefined);
    if (spool.rows > 0) void this.drain();
    this.#swept = this.#sweep();
  }

  /**
   * What may hold bytes that were forgotten goes before anybody opens it, unless nobody knows yet
   * whether it can be had again.
   */
  async #dropUnsound(): Promise<void> {
    const { disk, availability } = this.#parts;
    for (const id of disk.unsound) {
      if (availability.isAway) return;
      try {
        await this.#logs.dropUnsound(id);
      } catch (error) {
        const { code } = toProxyError(error);
        if (code === 'unknown_session') await this.#forgetDeleted(id);
        else if (code !== 'store_away') throw error;
      }
    }
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
    if (this.#logs.open.size > 0) this.#arrived = this.#catchingUp.add();
  }

  async forDirectory(
    directory: string,
    { create, part, project }: Parameters<Sessions['forDirectory']>[1],
  ): Promise<Session | undefined> {
    const { names, replicas } = this.#parts;
    const session = await this.#named(await names.ofDirectory(directory, project), create);
    if (session === undefined) return undefined;
    for (const place of part === undefined ? [directory] : [directory, part]) {
      if (this.#ids.isPlaced(session.id, place)) continue;
      if (place === directory) await this.#takeDirectory(session.id, place);
      else await replicas.addDirectory(session.id, place);
      if (place === part) await this.#alias(await names.ofDirectory(part, project), session.id);
      this.#ids.place(session.id, place);
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
    try {
      await this.#logs.of(sessionId);
      await this.#arrived;
      // Another one by now, where it had to be fetched anew.
      return await this.#asItIs(sessionId);
    } catch (error) {
      if (toProxyError(error).code !== 'unknown_session') throw error;
      const isThere = (await this.#parts.table.head(sessionId)) !== undefined;
      // Its files were going, so that it is fetched anew; or it was deleted by somebody else.
      if (isThere) return this.#asItIs(sessionId);
      await this.#forgetDeleted(sessionId);
      throw error;
    }
  }

  async list(): ReturnType<Sessions['list']> {
    await this.#followOthers();
    const chats = this.#chats?.id;
    return (await this.#parts.replicas.list()).filter(({ id }) => id !== chats);
  }

  async check(sessionId: string): Promise<SessionHealth> {
    return this.#parts.replicas.check(sessionId);
  }

  checkDeeply(sessionId: string): ReturnType<Sessions['checkDeeply']> {
    return this.#parts.replicas.checkDeeply(sessionId);
  }

  /**
   * What is damaged here is fetched anew: nothing of it is lost that is in the log. @throws
   * ProxyError `store_away`: until then what is sound here is kept
   */
  async salvage(sessionId: string): Promise<Salvage> {
    if ((await this.#parts.table.head(sessionId)) === undefined) throw unknownSession(sessionId);
    await this.drain();
    if (this.#parts.spool.has(sessionId)) throw stillWaiting(sessionId);
    await this.#logs.drop(sessionId);
    const session = await this.byId(sessionId);
    return {
      session,
      kept: session.store.entries.length,
      keptAliases: 0,
      lostEntries: [],
      lostRecords: 0,
    };
  }

  /**
   * The project of a directory is that of a store from then on, on all machines; the store keeps
   * the names that it has.
   */
  async move(
    sessionId: string,
    directory: string,
    { replace = false }: { readonly replace?: boolean } = {},
  ): Promise<MovedSession> {
    const { names, table } = this.#parts;
    const log = await this.#logs.of(sessionId);
    const name = await names.ofDirectory(directory, undefined);
    const { entries } = log.replica.session.store.totals;
    const moved = { session: sessionId, to: directory, entries };
    const owner = await table.sessionOf(name);
    if (owner === sessionId) return { ...moved, from: directory };
    const cleared =
      owner === undefined ? {} : await this.#clear(owner, { name, sessionId, replace });
    if (owner === undefined) await this.#alias(name, sessionId);
    const now = await table.sessionOf(name);
    // Somebody has been faster.
    if (now !== sessionId) throw hasAnother(name, now ?? '');
    await this.#ids.learn(name, sessionId);
    await this.#takeDirectory(sessionId, directory);
    return { ...moved, ...cleared };
  }

  /** The names of one store lead to another; one that held nothing goes. */
  async #clear(
    owner: string,
    to: { readonly name: string; readonly sessionId: string; readonly replace: boolean },
  ): Promise<Pick<MovedSession, 'putAside' | 'removed'>> {
    const other = await this.#logs.of(owner);
    await other.catchUp();
    const { entries } = other.replica.session.store.totals;
    const isEmpty = entries === 0 && (await this.branchesOf(owner)).length === 0;
    if (!isEmpty && !to.replace) throw hasAnother(to.name, owner, entries);
    await this.restore(owner, to.sessionId);
    if (!isEmpty) return { putAside: owner };
    await this.remove(owner);
    return { removed: owner };
  }

  /** Nothing of some stores waits, and all that others have stored is here. */
  async #settled(sessionIds: readonly string[]): Promise<void> {
    await this.drain();
    for (const id of sessionIds) {
      if (this.#parts.spool.has(id)) throw stillWaiting(id);
      const shared = await this.#logs.of(id);
      try {
        await shared.catchUp();
      } catch (error) {
        // Of a damaged log what is here is all that anybody has.
        if (shared.stopped === undefined) throw error;
      }
    }
  }

  async nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    return this.#logs.holding([sessionId], async () => this.#nameMoment(sessionId, name));
  }

  async #nameMoment(sessionId: string, name: string): Promise<SnapshotEvent> {
    const log = await this.#logs.within(sessionId);
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
    return this.#logs.holding([sessionId], async () => {
      const source = await this.#logs.within(sessionId);
      return this.#sessionOf(await this.#logs.branches.make(source, moment, name));
    });
  }

  async restore(fromId: string, toId: string): Promise<void> {
    const from = await this.#logs.of(fromId);
    const to = await this.#logs.of(toId);
    if (fromId === toId) return;
    const { directory } = from.replica.session;
    await from.decide({ op: 'restored', to: toId });
    if (directory !== undefined) await this.#takeDirectory(toId, directory);
    this.#sessionOf(to);
  }

  async forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    // What waits here may be what is meant, or quote it.
    await this.drain();
    const line = await this.#lineOf(sessionId);
    return this.#logs.holding(line, async () => this.#forget(sessionId, { line, wanted }));
  }

  async #forget(
    sessionId: string,
    { line, wanted }: { readonly line: readonly string[]; readonly wanted: ForgetWanted },
  ): Promise<ForgetOutcome> {
    const { replicas } = this.#parts;
    for (const id of line) {
      try {
        await (await this.#logs.within(id)).catchUp();
      } catch (error) {
        // A branch that somebody else has deleted meanwhile holds nothing any more.
        if (id === sessionId || toProxyError(error).code !== 'unknown_session') throw error;
      }
    }
    const outcome = await replicas.forget(sessionId, { ...wanted, isTrial: true });
    if (wanted.isTrial === true) return outcome;
    const plan = await replicas.forgetPlan(sessionId, wanted);
    // Those first that quote: where it ends in between, it is found again by what they quote.
    const inOrder = [...plan].toSorted(([, a], [, b]) => a.whole.length - b.whole.length);
    for (const [id, each] of inOrder) {
      await (await this.#logs.within(id)).decide({ op: 'forget', wanted: each });
    }
    for (const id of plan.keys()) await this.#logs.seal(await this.#logs.within(id));
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

  get openCount(): number {
    return this.#parts.replicas.openCount;
  }

  get lastTidying(): LastTidying | undefined {
    return this.#bounds.last;
  }

  get bounds(): StoreBounds {
    return this.#parts.bounds ?? {};
  }

  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    const log = await this.#logs.of(sessionId);
    const entry = log.replica.session.store.entries[seq - 1];
    if ((entry?.forgotten ?? entry?.masked)?.key === undefined) return false;
    await log.decide({ op: 'allow', seq });
    return true;
  }

  /** With all that others have stored until now. @throws ProxyError `store_away` */
  async *export(sessionIds: readonly string[]): ReturnType<Sessions['export']> {
    await this.#settled(sessionIds);
    return yield* this.#parts.replicas.export(sessionIds);
  }

  async *import(...args: Parameters<Sessions['import']>): ReturnType<Sessions['import']> {
    return yield* this.#imports.run(...args);
  }

  async branchesOf(sessionId: string): Promise<readonly string[]> {
    return this.#parts.table.branchesOf(sessionId);
  }

  async remove(sessionId: string, branches: 'keep' | 'remove' | 'detach' = 'keep'): Promise<void> {
    const { table } = this.#parts;
    if ((await table.head(sessionId)) === undefined) throw unknownSession(sessionId);
    // A branch may be made at any time: whoever deletes is told of it when it can be made no more.
    for (;;) {
      const readers = await table.remove(sessionId);
      if (readers.length === 0) break;
      if (branches === 'detach') throw cannotDetach(sessionId);
      if (branches === 'keep') throw hasBranches(sessionId, readers);
      // The branches first: whatever comes in between, none of them is left without its texts.
      for (const id of readers.toReversed()) {
        // Somebody else deletes them, too.
        await this.remove(id, branches).catch(unlessUnknown);
      }
    }
    await this.#forgetDeleted(sessionId);
  }

  /** Sends what has waited for the database. */
  async drain(): Promise<void> {
    await this.#draining.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#arrived;
    await this.#draining.idle();
    await this.evictions[Symbol.asyncDispose]();
    await this.#swept;
    this.#stopSweeping?.();
    await this.#bounds[Symbol.asyncDispose]();
    for (const log of this.#logs.open.values()) await log.idle();
    await this.#opened.disposeAsync();
  }

  /** Branches that other machines have made of stores that are here; what they have deleted. */
  async #followOthers(): Promise<void> {
    const { table, replicas, log } = this.#parts;
    try {
      const here = new Set((await replicas.list()).map(({ id }) => id));
      for (const id of await table.deletedOf([...here])) await this.#forgetDeleted(id);
      for (const { id, bases } of await table.heads()) {
        if (here.has(id) || !bases.some((base) => here.has(base))) continue;
        // One that cannot be read hides no other.
        await this.#logs.of(id).catch((error: unknown) => log.debug({ err: error }, notListed));
      }
    } catch (error) {
      log.debug({ err: error }, notListed);
    }
  }

  /** The next turn of its project begins anew. */
  async #forgetDeleted(sessionId: string): Promise<void> {
    try {
      await this.#ids.drop(sessionId);
      await this.#logs.drop(sessionId);
    } catch (error) {
      this.#parts.log.warn({ err: error, session: sessionId }, 'a deleted store is still here');
    }
  }

  async #named(
    name: string,
    create: boolean,
    tries = maxNamedTries,
  ): Promise<SharedSession | undefined> {
    const { table, ids, availability } = this.#parts;
    let id = this.#ids.get(name);
    if (id === undefined) {
      try {
        id = await table.sessionOf(name, create ? ids.next('sess_') : undefined);
      } catch (error) {
        // As it was when this machine was told last.
        id = this.#ids.last.get(name);
        if (toProxyError(error).code !== 'store_away' || (id === undefined && create)) throw error;
      }
      if (id === undefined) return undefined;
      if (!availability.isAway) {
        await this.#ids.learn(name, id);
      }
    }
    try {
      await this.#logs.of(id);
      await this.#arrived;
      const isStale = !availability.isAway && this.#ids.get(name) !== id;
      // Another store was restored meanwhile.
      if (isStale && tries > 1) return await this.#named(name, create, tries - 1);
      return await this.#asItIs(id);
    } catch (error) {
      if (toProxyError(error).code !== 'unknown_session' || tries <= 1) throw error;
      // Deleted by somebody else: the project begins anew.
      this.#ids.forgetName(name);
      await this.#logs.drop(id);
      return this.#named(name, create, tries - 1);
    }
  }

  async #alias(name: string, sessionId: string): Promise<void> {
    await this.#parts.table.alias(name, sessionId);
    await this.#ids.learn(name, sessionId);
  }

  /** With what was forgotten elsewhere in the texts that it goes on from. */
  async #asItIs(sessionId: string): Promise<SharedSession> {
    const { replicas } = this.#parts;
    // Its files were closed for that: what is known without asking them is of before.
    const asked = async (): Promise<void> => replicas.hold(sessionId, () => undefined);
    await asked().catch(async (error: unknown) => {
      if (toProxyError(error).code !== 'store_corrupt') throw error;
      await this.#logs.anew(sessionId);
      await this.#logs.of(sessionId);
      await asked();
    });
    const log = await this.#logs.of(sessionId);
    const directory = this.#ids.directoryOf(log.id);
    // Files that were fetched say nothing of this machine.
    if (directory !== undefined && log.replica.session.directory === undefined) {
      await replicas.addDirectory(log.id, directory);
    }
    return this.#sessionOf(log);
  }

  async #takeDirectory(sessionId: string, directory: string): Promise<void> {
    await this.#parts.replicas.takeDirectory(sessionId, directory);
    await this.#ids.noteDirectory(sessionId, directory);
  }

  #sessionOf(log: SharedLog): SharedSession {
    let session = this.#sessions.get(log);
    if (session === undefined) this.#sessions.set(log, (session = new SharedSession(log)));
    return session;
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
    const logs = [...this.#logs.open.values()];
    try {
      const news = await table.pull(logs.map(({ id, pos }) => ({ session: id, pos })));
      const taken = await Promise.allSettled(
        logs.map(async (each) => {
          const own = news.get(each.id);
          try {
            if (own?.isDeleted === true) await this.#forgetDeleted(each.id);
            else if (own !== undefined) await each.take(own);
          } catch (error) {
            // One that cannot be replayed, or is fetched anew, has said so.
            if (each.stopped === undefined && !isContradiction(error)) throw error;
          }
        }),
      );
      // Once all the others have what has come.
      for (const each of taken) if (each.status === 'rejected') throw each.reason;
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
}

const notListed = 'what others have branched or deleted is not listed';

/** @param owner The store that has the name */
function hasAnother(name: string, owner: string, entries?: number): ProxyError {
  const holds = entries === undefined ? '' : `, ${countOf(entries, 'entry', 'entries')}`;
  return new ProxyError('invalid_request', `${name} has a store already: ${owner}${holds}.`, {
    hint: 'With --replace that is put aside, for everybody: it stays, and is reached by its id alone.',
  });
}

/** What somebody else has deleted is deleted. @throws whatever else it is */
function unlessUnknown(error: unknown): void {
  if (toProxyError(error).code !== 'unknown_session') throw error;
}

function stillWaiting(sessionId: string): ProxyError {
  return new ProxyError(
    'store_away',
    `Texts of ${sessionId} wait on this machine for the shared store.`,
    { hint: 'Try again when it is back; `rlm-opencode store status` says what waits.' },
  );
}
