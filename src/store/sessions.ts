import { join } from 'node:path';
import type { Clock, Ids } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { RealNames } from './real-names.ts';
import { FileChatMemory, type ChatMemoryLimits } from './chat-memory.ts';
import { DirectoryMap, directoryName } from './directory-map.ts';
import { isErrno, realFiles, replaceFile, type Files } from './files.ts';
import { lockOwner, type OwnerLock } from './owner.ts';
import { createSessionFiles } from './recover.ts';
import { isSessionId, sessionPaths, sessionsDir, unknownSession } from './session-paths.ts';
import { FileSessionStore } from './session-store.ts';
import { salvageSession } from './salvage.ts';
import { summarizeSession } from './session-summary.ts';
import { corruptStore, toStoreFailure } from './store-failure.ts';
import type { Salvage, Session, SessionHealth, Sessions } from './types.ts';

/** What {@link openSessions} needs; limits have defaults. */
export interface SessionsOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly files?: Files;
  /** Largest text of one session, bytes (64 GiB). */
  readonly maxSessionBytes?: number;
  /** How much of a text that comes in pieces is held in memory, bytes (8 MiB). */
  readonly heldTextBytes?: number;
  /** Bounds of each session's chat memory (256 MiB, 90 days). */
  readonly chatMemory?: ChatMemoryLimits;
}

/** A line a chat, and one for each answer to a conversation without a name: 40,000 of some 200 bytes; the oldest half goes first. */
const maxChatsBytes = 8 * 1024 ** 2;

const defaultMaxSessionBytes = 64 * 1024 ** 3;
const defaultChatMemory = { maxBytes: 256 * 1024 ** 2, maxAgeMs: 90 * 24 * 3600 * 1000 };

/** `sess_<id>.json`. What else there is to know stands in the journal. */
interface Metadata {
  readonly version: 1;
  readonly id: string;
  /** As in the directory map: a directory, or `key:<hash>`. */
  readonly name: string;
  readonly createdMs: number;
}

interface OpenSession extends Session {
  readonly store: FileSessionStore;
  readonly memory: FileChatMemory;
}

/**
 * Takes the owner lock of a data directory, made if it is missing (0700), and opens it. Sessions are opened when they are
 * asked for. @throws ProxyError `store_locked`, `store_full`, `internal`
 */
export async function openSessions(options: SessionsOptions): Promise<Sessions> {
  const { dataDir, files = realFiles } = options;
  try {
    await files.makeDirectory(sessionsDir(dataDir));
    await files.makeDirectory(join(dataDir, 'mappings'));
    const lock = await lockOwner(dataDir, { ...options, files });
    try {
      const mapPath = join(dataDir, 'mappings', 'directory_to_rlm.json');
      const map = await DirectoryMap.open(files, mapPath, () => namesInMetadata(files, dataDir));
      return new FileSessions(options, map, lock, await openChats(options, files));
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
  readonly #lock: OwnerLock;
  readonly chats: FileChatMemory;
  readonly #open = new Map<string, Promise<OpenSession>>();
  /** Finding and making sessions by name, one at a time. */
  #naming: Promise<unknown> = Promise.resolve();

  constructor(options: SessionsOptions, map: DirectoryMap, lock: OwnerLock, chats: FileChatMemory) {
    this.#options = options;
    this.chats = chats;
    this.#files = options.files ?? realFiles;
    this.#map = map;
    this.#realNames = new RealNames(map);
    this.#lock = lock;
  }

  async forDirectory(
    directory: string,
    options: { readonly create: boolean },
  ): Promise<Session | undefined> {
    return this.#forName(await this.#realNames.of(directoryName(directory)), options.create);
  }

  async forKey(key: string, options: { readonly create: boolean }): Promise<Session | undefined> {
    return this.#forName(`key:${key}`, options.create);
  }

  async byId(sessionId: string): Promise<Session> {
    if (!isSessionId(sessionId)) throw unknownSession(sessionId);
    const known = this.#open.get(sessionId);
    if (known !== undefined) return known;
    const opening = this.#openSession(sessionId);
    this.#open.set(sessionId, opening);
    try {
      return await opening;
    } catch (error) {
      this.#open.delete(sessionId);
      throw error;
    }
  }

  async list(): ReturnType<Sessions['list']> {
    const { dataDir } = this.#options;
    const listed = [];
    for (const name of await this.#files.list(sessionsDir(dataDir))) {
      const id = name.replace(/_entries\.jsonl$/, '');
      if (id === name || !isSessionId(id)) continue;
      const summary = await summarizeSession(this.#files, sessionPaths(dataDir, id));
      listed.push({ id, ...this.#directoryOf(id), ...summary });
    }
    return listed.sort((a, b) => b.updatedMs - a.updatedMs);
  }

  async check(sessionId: string): Promise<SessionHealth> {
    try {
      const { store } = await this.byId(sessionId);
      const damaged = await store.verify();
      const damage = damaged.map(
        ({ id }) => `${store.textPath}: entry ${id} is not what was stored`,
      );
      return { entries: store.totals.entries, damage };
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code !== 'store_corrupt') throw error;
      return { entries: 0, damage: [error.message] };
    }
  }

  async salvage(sessionId: string): Promise<Salvage> {
    if (!isSessionId(sessionId) || !(await this.#hasFiles(sessionId))) {
      throw unknownSession(sessionId);
    }
    const newId = await this.#named(async () => {
      await this.#close(sessionId);
      const [name = `key:salvaged-${sessionId}`, ...others] = this.#map.namesOf(sessionId);
      const id = await this.#createSession(name);
      for (const other of others) await this.#map.set(other, id);
      return id;
    });
    const session = await this.byId(newId);
    const paths = sessionPaths(this.#options.dataDir, sessionId);
    return { session, ...(await salvageSession(this.#files, paths, session.store)) };
  }

  async remove(sessionId: string): Promise<void> {
    const folder = sessionsDir(this.#options.dataDir);
    const belongs = (name: string) =>
      name.startsWith(`${sessionId}.`) || name.startsWith(`${sessionId}_`);
    const names = (await this.#files.list(folder)).filter(belongs);
    if (!isSessionId(sessionId) || names.length === 0) throw unknownSession(sessionId);
    await this.#close(sessionId);
    await this.#named(async () => this.#map.forget(sessionId));
    for (const name of names) await this.#files.remove(join(folder, name));
    await this.#files.syncDirectory(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#naming;
    const opened = await Promise.allSettled(this.#open.values());
    this.#open.clear();
    for (const result of opened) {
      if (result.status === 'fulfilled') await closeSession(result.value);
    }
    await this.chats[Symbol.asyncDispose]();
    await this.#lock.release();
  }

  async #close(sessionId: string): Promise<void> {
    const open = this.#open.get(sessionId);
    this.#open.delete(sessionId);
    if (open !== undefined) await closeSession(await open);
  }

  async #forName(name: string, create: boolean): Promise<Session | undefined> {
    // Most chats never need a session: their requests do not stand in line for the answer.
    if (!create && this.#map.get(name) === undefined) return undefined;
    const id = await this.#named(async () => {
      const known = this.#map.get(name);
      if (known !== undefined && (this.#open.has(known) || (await this.#hasFiles(known)))) {
        return known;
      }
      return create ? this.#createSession(name) : undefined;
    });
    return id === undefined ? undefined : this.byId(id);
  }

  /** Runs `work` after all earlier ones, so that one name never gets two sessions. */
  async #named<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#naming.then(work);
    this.#naming = result.catch(() => undefined);
    return result;
  }

  async #createSession(name: string): Promise<string> {
    const { dataDir, ids, clock } = this.#options;
    const id = ids.next('sess_');
    const paths = sessionPaths(dataDir, id);
    const createdMs = clock.now();
    const metadata: Metadata = { version: 1, id, name, createdMs };
    try {
      await createSessionFiles(this.#files, paths, { sessionId: id, createdMs });
      const json = `${JSON.stringify(metadata, undefined, 2)}\n`;
      await replaceFile(this.#files, paths.metadata, Buffer.from(json));
      await this.#map.set(name, id);
    } catch (error) {
      throw toStoreFailure(error, paths.metadata);
    }
    return id;
  }

  async #openSession(sessionId: string): Promise<OpenSession> {
    const { dataDir, clock, log } = this.#options;
    const { maxSessionBytes = defaultMaxSessionBytes, chatMemory = defaultChatMemory } =
      this.#options;
    const paths = sessionPaths(dataDir, sessionId);
    const common = { sessionId, files: this.#files, clock, log };
    let store: FileSessionStore | undefined;
    try {
      const { heldTextBytes } = this.#options;
      store = await FileSessionStore.open({ ...common, paths, maxSessionBytes, heldTextBytes });
      const path = paths.chats;
      const memory = await FileChatMemory.open({ ...common, path, limits: chatMemory });
      const { createdMs } = store;
      return { id: sessionId, ...this.#directoryOf(sessionId), createdMs, store, memory };
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
    const names = await this.#files.list(sessionsDir(this.#options.dataDir));
    return names.some((name) => name === `${sessionId}.json` || name.startsWith(`${sessionId}_`));
  }

  #directoryOf(sessionId: string): { readonly directory?: string } {
    const directory = this.#map.namesOf(sessionId).find((name) => !name.startsWith('key:'));
    return directory === undefined ? {} : { directory };
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

async function closeSession(session: OpenSession): Promise<void> {
  await session.store[Symbol.asyncDispose]();
  await session.memory[Symbol.asyncDispose]();
}

async function namesInMetadata(files: Files, dataDir: string): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const folder = sessionsDir(dataDir);
  for (const file of await files.list(folder)) {
    if (!/^sess_[0-9a-f]+\.json$/.test(file)) continue;
    const bytes = await files.readWhole(join(folder, file));
    const metadata = bytes === undefined ? undefined : parseMetadata(bytes);
    if (metadata !== undefined) names.set(metadata.name, metadata.id);
  }
  return names;
}

/** Undefined for a file that is no metadata of ours: its session is found by its id alone. */
function parseMetadata(bytes: Buffer): Metadata | undefined {
  try {
    const metadata = JSON.parse(bytes.toString()) as Metadata;
    return typeof metadata.name === 'string' && isSessionId(metadata.id) ? metadata : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
