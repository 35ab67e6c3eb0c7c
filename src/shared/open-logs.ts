import { randomUUID } from 'node:crypto';
import { ProxyError, toProxyError } from '../errors.ts';
import { isSessionId, unknownSession } from '../store/disk/session-paths.ts';
import type { Still } from '../store/archive/archives.ts';
import type { ReplicaSessions } from '../store/sessions.ts';
import type { ChatRecord } from '../store/types.ts';
import { Branches, lostBeginning, unusableArchive } from './branches.ts';
import type { LogHead } from './database/log-table.ts';
import { encodePiece } from './log.ts';
import { openedPieces, positionAt, Replica } from './replica.ts';
import { evenPieces, type LogParts, missingRow, SharedLog } from './shared-log.ts';
import { isContradiction } from './witness.ts';

/** So often an archive is begun that others make useless by what they do to the store. */
const sealAttempts = 3;

/** What {@link OpenLogs} needs beside what all logs share. */
interface OpenLogsParts extends Omit<
  LogParts,
  'nextN' | 'uuid' | 'next' | 'rebase' | 'reopen' | 'beginAnew'
> {
  /** The names of a store may have been given to another since. */
  readonly onReplaced: (id: string) => void;
  /** Nothing of a store is here any more, or its files are other ones. */
  readonly onDropped: (id: string) => void;
}

/** The logs of the stores that this process uses, each opened once, and their replicas. */
export class OpenLogs {
  /** Those that are open, by id. */
  readonly open = new Map<string, SharedLog>();
  readonly branches: Branches;
  readonly #parts: OpenLogsParts;
  readonly #log: LogParts;
  readonly #opening = new Map<string, Promise<SharedLog>>();
  /** The stores that each of those reads which are open, or are being opened. */
  readonly #reads = new Map<string, Set<string>>();
  /** Stores that go; whoever asks for one waits. */
  readonly #leaving = new Map<string, Promise<boolean>>();
  /**
   * Stores that go, or have gone, with one that they read, and when that has gone. Only who holds
   * none waits for it.
   */
  readonly #goesWith = new Map<string, Promise<boolean>>();
  /** Those that leave and nobody reads or holds any more, so that everybody waits for them. */
  readonly #closing = new Set<string>();
  /** Who does something with a store that needs its files all the while. */
  readonly #holding = new Map<string, Set<Promise<unknown>>>();
  /** The row at which a replica was made anew last, by store. */
  readonly #anew = new Map<string, number>();
  #n = 0;

  constructor(parts: OpenLogsParts) {
    this.#parts = parts;
    this.#log = {
      ...parts,
      nextN: () => (this.#n += 1),
      uuid: randomUUID,
      next: async (id) => this.#next(id),
      rebase: async (id, behind) => this.#fromBase(id, behind),
      beginAnew: (id, pos) => this.#beginAnew(id, pos),
      reopen: async (id) => this.#reopened(id),
    };
    this.branches = new Branches({
      ...this.#log,
      logOf: async (id) => this.within(id),
      baseOf: async (id, base) => this.#baseOf(id, base),
      newId: () => parts.ids.next('sess_'),
    });
  }

  /** When each that is open was used last, milliseconds since 1970. */
  used(): ReadonlyMap<string, number> {
    const nowMs = this.#parts.clock.now();
    // One that is being opened is in use, too.
    return new Map([...this.#opening.keys()].map((id) => [id, this.open.get(id)?.usedMs ?? nowMs]));
  }

  /** @throws ProxyError `unknown_session`; `store_away` where nothing of it is here */
  async of(sessionId: string): Promise<SharedLog> {
    if (!isSessionId(sessionId)) throw unknownSession(sessionId);
    // Had before what it reads has gone, it would go again.
    await this.#goesWith.get(sessionId)?.catch(() => undefined);
    return this.#next(sessionId);
  }

  /** The log of a store that takes the place of one that goes, or has gone. */
  async #next(sessionId: string): Promise<SharedLog> {
    await this.#left(sessionId);
    return this.#opened(sessionId);
  }

  /**
   * Does something for which the files of some stores stay as they are here.
   * @param work Asks for stores with {@link within}
   */
  async holding<T>(sessionIds: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const id of sessionIds) await this.#left(id);
    const begun = Promise.withResolvers<void>();
    const working = begun.promise.then(work);
    const done = working.catch(() => undefined);
    for (const id of sessionIds) {
      const all = this.#holding.get(id) ?? new Set();
      this.#holding.set(id, all.add(done));
    }
    begun.resolve();
    try {
      return await working;
    } finally {
      for (const id of sessionIds) {
        const all = this.#holding.get(id);
        all?.delete(done);
        if (all?.size === 0) this.#holding.delete(id);
      }
    }
  }

  /** As {@link of}, for who holds stores already: one that waits for that is still here. */
  async within(sessionId: string): Promise<SharedLog> {
    if (this.#closing.has(sessionId)) await this.#left(sessionId);
    return this.#opened(sessionId);
  }

  /**
   * A store whose texts another one reads, with all of it here, while that is being opened.
   *
   * Whoever waits for a store here holds those that read it, never those that it reads. So a store
   * that goes waits for its branches first, and for whoever holds it, and until the last of them
   * has gone these may have it opened; were they to wait for it, it and they would wait for each
   * other.
   */
  async #baseOf(sessionId: string, base: string): Promise<SharedLog> {
    const reads = this.#reads.get(sessionId) ?? new Set();
    this.#reads.set(sessionId, reads.add(base));
    try {
      return await this.within(base);
    } catch (error) {
      if (toProxyError(error).code !== 'unknown_session') throw error;
      // It is deleted after all that read it.
      await this.#expect(sessionId);
      throw lostBeginning(sessionId, [base], error);
    }
  }

  async #left(sessionId: string): Promise<void> {
    // Why one could not go is told to whoever wanted it.
    await this.#leaving.get(sessionId)?.catch(() => undefined);
  }

  async #opened(sessionId: string): Promise<SharedLog> {
    const known = this.#opening.get(sessionId);
    // Before anything is waited for: from here on it is not let go of.
    this.open.get(sessionId)?.touch();
    if (known !== undefined) return known;
    const opening = this.#openLog(sessionId);
    this.#opening.set(sessionId, opening);
    try {
      const log = await opening;
      this.open.set(sessionId, log);
      return log;
    } catch (error) {
      this.#opening.delete(sessionId);
      this.#reads.delete(sessionId);
      throw error;
    }
  }

  /**
   * Puts an archive of a store in the place of its rows, so that what was forgotten is in none of
   * them. Where that fails it is done when the store is opened next.
   */
  async seal(log: SharedLog): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#sealOnce(log);
        return;
      } catch (error) {
        // Texts were forgotten, or chats tidied up, while it was read.
        if (attempt === sealAttempts || toProxyError(error).code !== 'too_busy') throw error;
      }
    }
  }

  async #sealOnce(log: SharedLog): Promise<void> {
    const { table, sessions, seal } = this.#parts;
    const upload = this.#log.uuid();
    let pos = 0;
    // Only while it is looked how far the store is nothing is added: reading it takes long.
    const still: Still = async (look) =>
      log.whileStill(async (replica) => {
        pos = replica.pos;
        return look();
      });
    const pieces = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
      let at = 0;
      for await (const piece of evenPieces(stream)) {
        yield seal.close(await encodePiece(piece), `${upload}/${at}`);
        at += 1;
      }
    };
    const archive = archived(sessions, log.id, still);
    const isPatient = true;
    const count = await table.putPieces(log.id, upload, pieces(archive), { isPatient });
    await table.seal(log.id, { pos, upload, pieces: count });
  }

  /**
   * What is here of a store goes, and its branches before it; who asks for one meanwhile waits,
   * and has it anew.
   * @param mayTakeBranches False: it stays where one reads it, or somebody holds it
   * @returns Whether it went
   */
  async drop(sessionId: string, mayTakeBranches = true): Promise<boolean> {
    const others = this.#leaving.get(sessionId);
    if (others !== undefined) return others;
    const gone = Promise.withResolvers<boolean>();
    this.#leaving.set(sessionId, gone.promise);
    gone.resolve(
      this.#leave(sessionId, mayTakeBranches).finally(() => {
        this.#closing.delete(sessionId);
        this.#leaving.delete(sessionId);
        for (const [id, base] of this.#goesWith)
          if (base === gone.promise) this.#goesWith.delete(id);
      }),
    );
    return gone.promise;
  }

  /** Branches of a store that goes, before it. */
  async #dropBranches(base: string, branches: readonly string[]): Promise<void> {
    const leaving = this.#leaving.get(base)!;
    for (const id of branches) if (!this.#goesWith.has(id)) this.#goesWith.set(id, leaving);
    for (const id of branches) await this.drop(id);
  }

  /**
   * What is here of a store cannot be read: it goes, once it is known that it can be had again.
   * @throws ProxyError `unknown_session`; `store_away`
   */
  async anew(sessionId: string): Promise<void> {
    await this.#expect(sessionId);
    await this.drop(sessionId);
  }

  /** Whoever asks for the store next has it as the log says it now. */
  #beginAnew(sessionId: string, pos: number): boolean {
    const { log } = this.#parts;
    if (this.#anew.get(sessionId) === pos) return false;
    this.#anew.set(sessionId, pos);
    log.warn(
      { session: sessionId, row: pos },
      'the shared store has lost rows that were here, or has others in their place: it is fetched anew',
    );
    // While it is being opened, whoever does that begins again.
    if (this.open.has(sessionId)) this.#dropSoon(sessionId);
    return true;
  }

  /** Nobody waits for it: whoever notices it may be in the way. */
  #dropSoon(sessionId: string): void {
    const { log, drain } = this.#parts;
    void this.drop(sessionId)
      .then(drain)
      .catch((error: unknown) => {
        log.error({ err: error, session: sessionId }, 'a shared store could not be fetched anew');
      });
  }

  /**
   * The replica of a store that is open, cut back to what is noted of it. @throws ProxyError
   * `store_corrupt` where it cannot be used, and branches are open over its files: they are fetched
   * anew with it
   */
  async #reopened(sessionId: string): Promise<Replica> {
    try {
      const replica = await Replica.open(this.#parts.sessions, sessionId);
      if (replica !== undefined) return replica;
    } catch (error) {
      if (toProxyError(error).code !== 'store_corrupt') throw error;
    }
    if (this.#readersOf(sessionId).length === 0) {
      await this.#discard(sessionId);
      return this.#begin(sessionId);
    }
    this.#dropSoon(sessionId);
    throw new ProxyError(
      'store_corrupt',
      `What this machine has of ${sessionId} is damaged: it is fetched anew.`,
      { hint: 'Try again.' },
    );
  }

  async #leave(sessionId: string, mayTakeBranches: boolean): Promise<boolean> {
    const { sessions, onDropped } = this.#parts;
    for (;;) {
      // Before anything is waited for: who asks for one of them waits from now on.
      if (mayTakeBranches) await this.#dropBranches(sessionId, this.#readersOf(sessionId));
      const here = await sessions.branchesOf(sessionId);
      const branches = new Set([...here, ...this.#readersOf(sessionId)]);
      const holding = this.#holding.get(sessionId);
      if (branches.size === 0 && holding === undefined) break;
      if (!mayTakeBranches) return false;
      await this.#dropBranches(sessionId, [...branches]);
      if (holding !== undefined) await Promise.all(holding);
    }
    // Nothing is waited for since the last look.
    this.#closing.add(sessionId);
    const opening = this.#opening.get(sessionId);
    this.#opening.delete(sessionId);
    this.open.delete(sessionId);
    onDropped(sessionId);
    const log = await opening?.catch(() => undefined);
    await log?.leave();
    // Whoever was on the way meanwhile has named it once more.
    onDropped(sessionId);
    this.#reads.delete(sessionId);
    await this.#discard(sessionId);
    return true;
  }

  /** Those that read a store and are open, or are being opened. */
  #readersOf(sessionId: string): readonly string[] {
    return [...this.#reads.keys()].filter((id) => this.#reads.get(id)?.has(sessionId));
  }

  /** The log of a store, and all of it here; what is here already where the database is away. */
  async #openLog(sessionId: string): Promise<SharedLog> {
    const { spool, log } = this.#parts;
    await this.dropUnsound(sessionId);
    await this.#bringBases(sessionId);
    const replica = await this.#replicaOf(sessionId);
    const shared = new SharedLog(this.#log, sessionId, replica ?? (await this.#begin(sessionId)));
    try {
      await shared.catchUp();
      this.#anew.delete(sessionId);
      const head = await this.#parts.table.head(sessionId);
      if (head === undefined) throw unknownSession(sessionId);
      if ((head.base?.pos ?? 0) < shared.replica.forgotAt) await this.seal(shared);
    } catch (error) {
      if (isContradiction(error) && shared.stopped === undefined) {
        await this.#discard(sessionId);
        return this.#openLog(sessionId);
      }
      const isAway = toProxyError(error).code === 'store_away';
      if (shared.stopped === undefined && (replica === undefined || !isAway)) throw error;
      log.debug({ session: sessionId }, 'a shared store is used as it was here');
    }
    for await (const row of spool.all(sessionId)) shared.recall(row);
    return shared;
  }

  /**
   * Of a store whose files may not be what was written: they go, once it is known that it can be
   * fetched. @throws ProxyError `store_away`; `unknown_session`
   */
  async dropUnsound(sessionId: string): Promise<void> {
    const { disk, log } = this.#parts;
    if (disk.isSound(sessionId)) return;
    await this.#expect(sessionId);
    // It may have gone with one that it reads.
    if (disk.isSound(sessionId)) return;
    log.info(
      { session: sessionId },
      'not all of a shared store came to the disk before this machine stopped: it is fetched anew',
    );
    await this.#discard(sessionId);
  }

  /** What a replica here reads is here, too: with what is forgotten of it by now. */
  async #bringBases(sessionId: string): Promise<void> {
    for (const base of await this.#parts.sessions.basesOf(sessionId)) {
      try {
        await this.#baseOf(sessionId, base);
      } catch (error) {
        const head = await this.#parts.table.head(sessionId).catch(() => undefined);
        if (head?.bases.includes(base) !== false) throw error;
        // Earlier versions gave it a copy of its base, which no log knows.
        await this.#discard(sessionId);
        return;
      }
    }
  }

  /** @throws ProxyError `unknown_session` where the log does not know a store; `store_away` */
  async #expect(sessionId: string): Promise<void> {
    if ((await this.#parts.table.head(sessionId)) === undefined) throw unknownSession(sessionId);
  }

  /**
   * Deletes the files of a store that is not open, and those of its branches, which read them: none
   * of these is open while it is not, and one that is being opened waits for it.
   */
  async #discard(sessionId: string): Promise<void> {
    try {
      await this.#parts.sessions.remove(sessionId, 'remove');
    } catch (error) {
      // There are none.
      if (toProxyError(error).code !== 'unknown_session') throw error;
    }
  }

  /**
   * What of a store is here; undefined for a branch that a crash has left half made, and for what
   * cannot be used and can be had again.
   */
  async #replicaOf(sessionId: string): Promise<Replica | undefined> {
    const { sessions, table } = this.#parts;
    try {
      const replica = await Replica.open(sessions, sessionId);
      if (replica === undefined || replica.pos > 0) return replica;
      const head = await table.head(sessionId).catch(() => undefined);
      if (head === undefined || head.bases.length === 0) return replica;
    } catch (error) {
      if (toProxyError(error).code !== 'store_corrupt') throw error;
      await this.#expect(sessionId);
    }
    await this.#discard(sessionId);
    return undefined;
  }

  /** Files for a store of which there is nothing here yet. */
  async #begin(sessionId: string): Promise<Replica> {
    const { sessions, table } = this.#parts;
    const head = await table.head(sessionId);
    if (head === undefined) throw unknownSession(sessionId);
    if (head.base !== undefined) return this.#fromBase(sessionId, 0);
    if (head.bases.length > 0) return (await this.branches.begin(head)) ?? this.#begin(sessionId);
    await sessions.createAs(sessionId, `shared:${sessionId}`, head.createdMs);
    return (await Replica.open(sessions, sessionId))!;
  }

  /** The files of a store from its archive: what stood before it is not in the log any more. */
  async #fromBase(sessionId: string, behind: number): Promise<Replica> {
    const { table, sessions, seal, onProgress, onReplaced } = this.#parts;
    const head: LogHead | undefined = await table.head(sessionId);
    if (head === undefined) throw unknownSession(sessionId);
    if (head.base === undefined || head.base.pos <= behind) throw missingRow(sessionId, behind);
    const { upload, pieces, pos } = head.base;
    for (const base of head.bases) {
      const log = await this.#baseOf(sessionId, base);
      // One that was here before has what it reads.
      if (behind === 0) await log.catchUp();
    }
    const packed = counted(openedPieces(table, seal, upload, pieces), (done) =>
      onProgress?.(sessionId, { pos: Math.floor((pos * done) / (pieces + 1)), head: pos }),
    );
    const note = (ownRecords: number): ChatRecord => positionAt(pos, ownRecords);
    const key = `shared:${sessionId}`;
    const importing = sessions.importReplica(packed, { id: sessionId, key, note });
    try {
      for (let step = await importing.next(); step.done !== true;) step = await importing.next();
    } catch (error) {
      const { code } = toProxyError(error);
      if (code !== 'invalid_request' && code !== 'store_corrupt') throw error;
      const now = await table.head(sessionId);
      if (now === undefined) throw unknownSession(sessionId);
      // Another one has taken its place while it was read.
      if (now.base?.upload !== upload) return this.#fromBase(sessionId, behind);
      throw code === 'invalid_request' ? unusableArchive(sessionId, head.bases, error) : error;
    }
    onReplaced(sessionId);
    const replica = await Replica.open(sessions, sessionId);
    if (replica === undefined) throw unknownSession(sessionId);
    return replica;
  }
}

/** The bytes of a store's archive. */
async function* archived(
  replicas: ReplicaSessions,
  sessionId: string,
  still: Still,
): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of replicas.exportReplica(sessionId, still))
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
