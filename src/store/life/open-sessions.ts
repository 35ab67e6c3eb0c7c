import type { Clock } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { isOutOfDescriptors } from '../disk/descriptor-room.ts';
import { unknownSession } from '../disk/session-paths.ts';
import { lostSession } from '../disk/store-failure.ts';
import { SessionHandle, type OpenSession } from '../session/session-handle.ts';

/** So many idle sessions are closed at once where no descriptor is left. */
const closedForRoom = 4;
/** Where none is idle, one will be after some milliseconds. */
const roomWaitMs = 50;
/**
 * So often an opening is tried that finds no descriptor left, with room made before each: some
 * seconds.
 */
const maxOpenTries = 60;

/** What {@link OpenSessions} needs. */
interface OpenSessionsOptions {
  /** Sessions open at once at most, as long as no more are in use. */
  readonly maxOpen: number;
  /** A session is closed after so long without use. */
  readonly idleMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Opens the files of a session. */
  readonly open: (sessionId: string) => Promise<OpenSession>;
  readonly directoryOf: (sessionId: string) => string | undefined;
}

/**
 * The sessions whose files are open. Those that nobody uses are closed: after a while, when there
 * are too many, when no descriptor is left. Nothing in use is.
 */
export class OpenSessions {
  readonly #options: OpenSessionsOptions;
  /** Those whose files are open, the one used last at the end, and those that are being opened. */
  readonly #open = new Map<string, Promise<SessionHandle> | SessionHandle>();
  /** Those whose files are closed, as long as somebody holds them: a session has one handle. */
  readonly #closedHandles = new Map<string, WeakRef<SessionHandle>>();
  /** The files that are being closed, by session. */
  readonly #closing = new Map<string, Promise<void>>();
  /** What is done to files that nobody may open meanwhile, by session. */
  readonly #held = new Map<string, Promise<void>>();
  /** Handles whose files are gone; who holds one still reads what it has open. */
  readonly #retired = new WeakSet<SessionHandle>();
  /** Handles of sessions that are none any more: what has their id now is not theirs. */
  readonly #forgotten = new WeakSet<SessionHandle>();
  /** Those of the retired whose files are open. */
  readonly #lingering = new Set<SessionHandle>();
  /** Openings that found no descriptor left. */
  #scarce: Promise<unknown> = Promise.resolve();
  /**
   * When each session was used last; of open ones only. Milliseconds of the clock's `elapsedMs`.
   */
  readonly #usedMs = new Map<string, number>();
  #stopSweeping: (() => void) | undefined;
  #isDisposed = false;

  constructor(options: OpenSessionsOptions) {
    this.#options = options;
  }

  /** Sessions whose files are open, or are being opened. */
  get count(): number {
    return this.#open.size;
  }

  has(sessionId: string): boolean {
    return this.#open.has(sessionId);
  }

  /** What is known of a session without its files, as long as somebody holds it. */
  known(sessionId: string): OpenSession | undefined {
    const handle = this.#open.get(sessionId) ?? this.#closedHandles.get(sessionId)?.deref();
    return handle instanceof SessionHandle ? handle.last : undefined;
  }

  /** The handle of a session, opened if it is not. Rejects as opening does. */
  async get(sessionId: string): Promise<SessionHandle> {
    const held = this.#held.get(sessionId);
    if (held !== undefined) {
      await held;
      return this.get(sessionId);
    }
    const known = this.#open.get(sessionId);
    if (known instanceof Promise) return known;
    if (known !== undefined) {
      await known.use(() => undefined);
      return known;
    }
    const opening = this.#openHandle(sessionId);
    this.#open.set(sessionId, opening);
    try {
      const handle = await opening;
      this.#open.set(sessionId, handle);
      this.#noteUse(handle);
      return handle;
    } catch (error) {
      this.#open.delete(sessionId);
      throw error;
    }
  }

  /** Asks the files of a session something; rejects as {@link get} and as `ask`. */
  async use<T>(sessionId: string, ask: (open: OpenSession) => T | Promise<T>): Promise<T> {
    const known = this.#open.get(sessionId);
    const isFree = known instanceof SessionHandle && !this.#held.has(sessionId);
    return (isFree ? known : await this.get(sessionId)).use(ask);
  }

  /**
   * Runs `work` on sessions' files while nobody has them open: what is being asked of them is
   * answered first, and who asks meanwhile waits.
   */
  async whileClosed<T>(sessionIds: readonly string[], work: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const id of sessionIds) this.#held.set(id, promise);
    try {
      for (const id of sessionIds) {
        const handle = (await this.#open.get(id)) ?? this.#closedHandles.get(id)?.deref();
        await handle?.drain(promise);
        if (handle !== undefined) await this.#closeHandle(handle);
      }
      return await work();
    } finally {
      for (const id of sessionIds) this.#held.delete(id);
      resolve();
    }
  }

  /** Closes a session's files, whoever uses them. */
  async close(sessionId: string): Promise<void> {
    const handle = (await this.#open.get(sessionId)) ?? this.#closedHandles.get(sessionId)?.deref();
    if (handle !== undefined) await this.#closeHandle(handle);
  }

  /** The same for good: who holds it finds no session from now on, whatever comes under its id. */
  async forget(sessionId: string): Promise<void> {
    await this.close(sessionId);
    const handle = this.#closedHandles.get(sessionId)?.deref();
    if (handle !== undefined) this.#forgotten.add(handle);
    this.#closedHandles.delete(sessionId);
  }

  /**
   * Knows a session no more whose files are gone: whoever asks for it opens what is there now. They
   * are closed after a while.
   */
  retire(sessionId: string): void {
    const handle = this.#open.get(sessionId);
    if (this.#isDisposed || !(handle instanceof SessionHandle)) return;
    this.#retired.add(handle);
    this.#lingering.add(handle);
    this.#open.delete(sessionId);
    this.#usedMs.delete(sessionId);
    this.#options.clock.after(this.#options.idleMs, () => void this.#closeRetired(handle));
  }

  /** Called where no descriptor is left: closes some that are idle, or waits until one may be. */
  async makeRoom(): Promise<void> {
    let closed = 0;
    // A few at a time: who is next in line would open them again.
    for (const handle of this.#idle()) {
      await this.#closeLogged(handle);
      closed += 1;
      if (closed === closedForRoom) return;
    }
    if (closed === 0) await this.#options.clock.sleep(roomWaitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#stopSweeping?.();
    const opened = await Promise.allSettled([...this.#open.values()].map(async (handle) => handle));
    for (const result of opened) {
      if (result.status === 'fulfilled') await result.value.close();
    }
    for (const handle of this.#lingering) await handle.close();
    this.#open.clear();
    await Promise.all(this.#closing.values());
  }

  /** Closes its files; who holds it can go on using it, and opens them again by that. */
  async #closeHandle(handle: SessionHandle): Promise<void> {
    this.#open.delete(handle.id);
    this.#usedMs.delete(handle.id);
    this.#closedHandles.set(handle.id, new WeakRef(handle));
    const closing = handle.close();
    const settled = closing.catch(() => undefined);
    this.#closing.set(handle.id, settled);
    await settled;
    if (this.#closing.get(handle.id) === settled) this.#closing.delete(handle.id);
    await closing;
  }

  /** A use begins or ends. */
  #noteUse(handle: SessionHandle): void {
    const { id } = handle;
    if (this.#isDisposed || this.#retired.has(handle) || this.#forgotten.has(handle)) return;
    if (this.#open.get(id) instanceof Promise) return;
    this.#open.delete(id);
    this.#usedMs.delete(id);
    if (!handle.isOpen && !handle.isInUse) {
      this.#closedHandles.set(id, new WeakRef(handle));
      return;
    }
    this.#open.set(id, handle);
    this.#usedMs.set(id, this.#options.clock.elapsedMs());
    this.#closedHandles.delete(id);
    if (!handle.isInUse) this.#trimSoon();
    this.#sweepLater();
  }

  /** The open ones that nobody uses, the one used longest ago first. */
  *#idle(): Generator<SessionHandle> {
    for (const handle of this.#open.values()) {
      if (handle instanceof SessionHandle && handle.isOpen && !handle.isInUse) yield handle;
    }
  }

  /** Closes idle ones until no more are open than may be. */
  async #trim(): Promise<void> {
    for (const handle of this.#idle()) {
      if (this.#open.size <= this.#options.maxOpen) return;
      await this.#closeLogged(handle);
    }
  }

  #trimSoon(): void {
    if (this.#open.size > this.#options.maxOpen) void this.#trim();
  }

  #sweepLater(): void {
    if (this.#stopSweeping !== undefined) return;
    const { idleMs } = this.#options;
    this.#stopSweeping = this.#options.clock.after(idleMs / 2, () => {
      this.#stopSweeping = undefined;
      void this.#sweep();
    });
  }

  /** Closes what has been idle for too long. */
  async #sweep(): Promise<void> {
    for (const [id, ref] of this.#closedHandles) {
      if (ref.deref() === undefined) this.#closedHandles.delete(id);
    }
    const usedBeforeMs = this.#options.clock.elapsedMs() - this.#options.idleMs;
    for (const handle of this.#idle()) {
      if (this.#usedMs.get(handle.id)! <= usedBeforeMs) await this.#closeLogged(handle);
    }
    if (this.#open.size > 0 && !this.#isDisposed) this.#sweepLater();
  }

  async #closeRetired(handle: SessionHandle): Promise<void> {
    this.#lingering.delete(handle);
    if (!this.#isDisposed) await handle.close().catch(() => undefined);
  }

  /** What cannot be closed in the background is in the log: nobody waits for it. */
  async #closeLogged(handle: SessionHandle): Promise<void> {
    try {
      await this.#closeHandle(handle);
    } catch (error) {
      this.#options.log.warn(
        { err: error, session: handle.id },
        'a session was not closed cleanly',
      );
    }
  }

  /** The handle of a session, its files open. */
  async #openHandle(sessionId: string): Promise<SessionHandle> {
    const known = this.#closedHandles.get(sessionId)?.deref();
    if (known !== undefined) {
      await known.opened();
      return known;
    }
    const open = await this.#openFiles(sessionId);
    const handle: SessionHandle = new SessionHandle(
      { id: sessionId, createdMs: open.store.createdMs },
      {
        open,
        directory: () => this.#options.directoryOf(sessionId),
        reopen: async () => {
          // Another handle may have what stands there now.
          if (this.#forgotten.has(handle)) throw unknownSession(sessionId);
          if (this.#retired.has(handle)) throw lostSession(sessionId);
          return this.#openFiles(sessionId);
        },
        used: (used) => this.#noteUse(used),
      },
    );
    return handle;
  }

  /**
   * Where descriptors run out, one at a time: many that are half open would keep each other from
   * ever being whole.
   */
  async #openFiles(sessionId: string): Promise<OpenSession> {
    try {
      return await this.#tryOpenFiles(sessionId);
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
    }
    const opening = this.#scarce.then(async () => this.#openWhenThereIsRoom(sessionId));
    this.#scarce = opening.catch(() => undefined);
    return opening;
  }

  async #openWhenThereIsRoom(sessionId: string): Promise<OpenSession> {
    for (let tries = 1; ; tries += 1) {
      await this.makeRoom();
      try {
        return await this.#tryOpenFiles(sessionId);
      } catch (error) {
        if (!isOutOfDescriptors(error) || tries === maxOpenTries) throw error;
      }
    }
  }

  async #tryOpenFiles(sessionId: string): Promise<OpenSession> {
    if (this.#isDisposed) throw new ProxyError('shutting_down', 'The store is being closed.');
    // Not while the files that an earlier handle had are being closed.
    await this.#closing.get(sessionId);
    await this.#trim();
    return this.#options.open(sessionId);
  }
}
