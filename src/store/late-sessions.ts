import { ProxyError, toProxyError } from '../errors.ts';
import { isErrno } from './disk/files.ts';
import { openSessions, type SessionsOptions } from './sessions.ts';
import { unknownSession } from './disk/session-paths.ts';
import type {
  ChatMemory,
  LastTidying,
  MovedSession,
  Salvage,
  Session,
  SessionHealth,
  Sessions,
  SnapshotEvent,
  StoreBounds,
} from './types.ts';

/** Between two attempts to open a data directory that could not be opened, milliseconds. */
const retryMs = 10_000;

/**
 * Opens a data directory. Where its disk is full or read-only, or a shared store was never reached
 * from here and cannot be now, the server starts all the same: chats go on, nothing is stored, and
 * it is tried again, at most every ten seconds, when something is to be stored.
 * @throws ProxyError `store_locked`, and every other failure than those of the disk
 */
export async function openSessionsSoon(
  options: SessionsOptions,
  openShared?: () => Promise<Sessions>,
): Promise<Sessions> {
  const open = openShared ?? (async () => openSessions(options));
  try {
    return await open();
  } catch (caught) {
    const fault = toProxyError(caught);
    if (!canBeMended(fault)) throw fault;
    options.log.warn(
      { code: fault.code, reason: fault.message },
      'the server starts without a store: chats go on and nothing is stored until this is mended',
    );
    return new LateSessions(options, { open, isShared: openShared !== undefined }, fault);
  }
}

function canBeMended({ code, parts }: ProxyError): boolean {
  return code === 'store_full' || code === 'store_away' || isErrno(parts.cause, 'EROFS');
}

class LateSessions implements Sessions {
  readonly chats: ChatMemory;
  readonly #options: SessionsOptions;
  readonly #openStores: () => Promise<Sessions>;
  readonly #isShared: boolean;
  readonly forProject: Sessions['forProject'];
  #fault: ProxyError;
  #nextTryMs: number;
  #opening: Promise<Sessions | undefined> | undefined;
  #opened: Sessions | undefined;

  constructor(
    options: SessionsOptions,
    { open, isShared }: { readonly open: () => Promise<Sessions>; readonly isShared: boolean },
    fault: ProxyError,
  ) {
    this.#options = options;
    this.#openStores = open;
    this.#isShared = isShared;
    if (isShared) {
      this.forProject = async (project, { create }) =>
        (await this.#when(create))?.forProject?.(project, { create });
    }
    this.#fault = fault;
    this.#nextTryMs = options.clock.elapsedMs() + retryMs;
    this.chats = memoryUntil(() => this.#opened?.chats);
  }

  get fault(): ProxyError | undefined {
    return this.#opened === undefined ? this.#fault : this.#opened.fault;
  }

  get shared(): Sessions['shared'] {
    return this.#opened?.shared;
  }

  async forDirectory(
    directory: string,
    options: Parameters<Sessions['forDirectory']>[1],
  ): Promise<Session | undefined> {
    return (await this.#when(options.create))?.forDirectory(directory, options);
  }

  async forKey(key: string, options: { readonly create: boolean }): Promise<Session | undefined> {
    return (await this.#when(options.create))?.forKey(key, options);
  }

  arriving(): void {
    this.#opened?.arriving?.();
  }

  async byId(sessionId: string): Promise<Session> {
    const sessions = await this.#try();
    if (sessions === undefined) throw unknownSession(sessionId);
    return sessions.byId(sessionId);
  }

  async list(): ReturnType<Sessions['list']> {
    return (await this.#orFail()).list();
  }

  async check(sessionId: string): Promise<SessionHealth> {
    return (await this.#orFail()).check(sessionId);
  }

  async *checkDeeply(sessionId: string): ReturnType<Sessions['checkDeeply']> {
    return yield* (await this.#orFail()).checkDeeply(sessionId);
  }

  async salvage(sessionId: string): Promise<Salvage> {
    return (await this.#orFail()).salvage(sessionId);
  }

  async move(
    sessionId: string,
    directory: string,
    options: { readonly replace: boolean },
  ): Promise<MovedSession> {
    return (await this.#orFail()).move(sessionId, directory, options);
  }

  async nameMoment(...args: Parameters<Sessions['nameMoment']>): Promise<SnapshotEvent> {
    return (await this.#orFail()).nameMoment(...args);
  }

  async branch(...args: Parameters<Sessions['branch']>): Promise<Session> {
    return (await this.#orFail()).branch(...args);
  }

  async restore(...args: Parameters<Sessions['restore']>): Promise<void> {
    await (await this.#orFail()).restore(...args);
  }

  async forget(...args: Parameters<Sessions['forget']>): ReturnType<Sessions['forget']> {
    return (await this.#orFail()).forget(...args);
  }

  async tidy(...args: Parameters<Sessions['tidy']>): ReturnType<Sessions['tidy']> {
    return (await this.#orFail()).tidy(...args);
  }

  get openCount(): number {
    return this.#opened?.openCount ?? 0;
  }

  get lastTidying(): LastTidying | undefined {
    return this.#opened?.lastTidying;
  }

  get bounds(): StoreBounds {
    return this.#options.bounds ?? {};
  }

  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    return (await this.#orFail()).allowAgain(sessionId, seq);
  }

  async *export(...args: Parameters<Sessions['export']>): ReturnType<Sessions['export']> {
    return yield* (await this.#orFail()).export(...args);
  }

  async *import(...args: Parameters<Sessions['import']>): ReturnType<Sessions['import']> {
    return yield* (await this.#orFail()).import(...args);
  }

  async branchesOf(sessionId: string): Promise<readonly string[]> {
    return (await this.#orFail()).branchesOf(sessionId);
  }

  async remove(...args: Parameters<Sessions['remove']>): Promise<void> {
    await (await this.#orFail()).remove(...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opening;
    await this.#opened?.[Symbol.asyncDispose]();
  }

  /** Looking up waits for nothing; what is to be stored says why it cannot be. */
  async #when(create: boolean): Promise<Sessions | undefined> {
    return create ? this.#orFail() : this.#try();
  }

  async #orFail(): Promise<Sessions> {
    const sessions = await this.#try();
    if (sessions === undefined) throw this.#fault;
    return sessions;
  }

  async #try(): Promise<Sessions | undefined> {
    if (this.#opened !== undefined) return this.#opened;
    if (this.#options.clock.elapsedMs() < this.#nextTryMs) return undefined;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<Sessions | undefined> {
    try {
      this.#opened = await this.#openStores();
      const what = this.#isShared
        ? 'shared store can be reached'
        : 'data directory can be used again';
      this.#options.log.info(`the ${what}: texts are stored from now on`);
    } catch (caught) {
      this.#fault = toProxyError(caught);
      this.#nextTryMs = this.#options.clock.elapsedMs() + retryMs;
    }
    return this.#opened;
  }
}

/**
 * Remembers in this process until there is a memory on disk; what was remembered till then stays
 * here.
 */
function memoryUntil(opened: () => ChatMemory | undefined): ChatMemory {
  const kept = new Map<string, unknown>();
  return {
    get: async (key) => (kept.has(key) ? kept.get(key) : opened()?.get(key)),
    atHand: (key) => (kept.has(key) ? kept.get(key) : opened()?.atHand(key)),
    has: (key) => kept.has(key) || (opened()?.has(key) ?? false),
    put: async (records) => {
      const memory = opened();
      if (memory !== undefined) {
        for (const { key } of records) kept.delete(key);
        await memory.put(records);
        return;
      }
      for (const { key, value } of records) {
        // The oldest go: nothing here may grow for ever.
        const [oldest] = kept.keys();
        if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
        kept.set(key, value);
      }
    },
  };
}

/** Records kept without a disk. */
const maxKept = 10_000;
