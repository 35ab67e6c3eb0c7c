import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { importingDir } from '../store/archive/landing.ts';
import {
  isErrno,
  replaceFile,
  type Files,
  type OpenFile,
  type OpenOptions,
} from '../store/disk/files.ts';
import { isSessionId, sessionPaths, sessionsDir } from '../store/disk/session-paths.ts';
import { toStoreFailure } from '../store/disk/store-failure.ts';
import type { FilesKeeper } from '../store/sessions.ts';

/** A replica to which nothing was written for one to two times as long is synced, milliseconds. */
const stillMs = 60_000;

/**
 * A write that is done at once and takes longer than this, milliseconds, has met a disk that has
 * fallen behind: for a second another thread waits for it, and not all chats.
 */
const slowWriteMs = 5;
const elsewhereMs = 1_000;

/** Where Linux tells one start of the machine from another. */
const bootIdPath = '/proc/sys/kernel/random/boot_id';

/**
 * Names this start of the machine. Where the system has no such name it is a new one for each
 * process: then files of a process that was killed are not believed either.
 */
export async function readBootId(): Promise<string> {
  try {
    return (await readFile(bootIdPath, 'utf8')).trim();
  } catch {
    return randomUUID();
  }
}

/**
 * How the files of one replica are to the disk. `clean`: all of it is there, and the mark says so,
 * as it does of a new one that nothing was written to yet. `dirty`: written to since, and the mark
 * names this start of the machine. `unsound`: nobody knows what of it came to the disk.
 */
interface ReplicaState {
  readonly id: string;
  kind: 'clean' | 'dirty' | 'unsound';
  /** Writes that have begun; those of them that go on. */
  begun: number;
  writing: number;
  /** The mark is being written; nothing else is until it is there. */
  marking?: Promise<void> | undefined;
}

/** What {@link ReplicaFiles} needs. */
interface ReplicaFilesParts {
  readonly files: Files;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Names this start of the machine. */
  readonly bootId: string;
}

/**
 * The files of replicas, which nobody waits for to be on the disk: the log has everything. After a
 * power cut they may hold anything, zeros in the place of a text, or one that was forgotten. So a
 * mark beside each (`replicas/<id>`) says what of it may be believed: `clean` once all of its files
 * are synced, and `dirty` with the name of this start of the machine, durably, before anything is
 * written to a clean one. What is dirty since this start is whole, since what a killed process has
 * written the system still has; what is dirty since another start, or has no mark, is not.
 */
export class ReplicaFiles implements FilesKeeper {
  /** As those it was made with, but that a replica's files are synced only by this. */
  readonly files: Files;
  readonly #parts: ReplicaFilesParts;
  readonly #states = new Map<string, ReplicaState>();
  /** Those that were written to since the last look. */
  readonly #written = new Set<string>();
  /** Until then no write is done at once: another one was slow. By the clock's `elapsedMs`. */
  #elsewhereUntilMs = 0;
  #stopLooking: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(parts: ReplicaFilesParts) {
    this.#parts = parts;
    const { files } = parts;
    this.files = {
      ...files,
      open: async (path, options) => {
        const open = async (): Promise<OpenFile> => this.#opened(path, options);
        const id = options.create ? this.#idOf(path) : undefined;
        // Who only reads changes nothing.
        return id === undefined || (await files.exists(path)) ? open() : this.#changing(id, open);
      },
      createExclusive: async (path, bytes) =>
        this.#changing(this.#idOf(path), async () => files.createExclusive(path, bytes)),
      makeDirectory: async (path) => {
        const id = this.#idOf(path);
        if (id === undefined || !(await files.exists(path)))
          await this.#changing(id, async () => files.makeDirectory(path));
      },
      rename: async (from, to) =>
        this.#changing(this.#idOf(from), async () =>
          this.#changing(this.#idOf(to), async () => files.rename(from, to)),
        ),
      link: async (from, to) => this.#changing(this.#idOf(to), async () => files.link(from, to)),
      remove: async (path) => {
        const id = this.#idOf(path);
        await this.#changing(id, async () => files.remove(path));
        if (id !== undefined && !this.isSound(id)) await this.#removed(id);
      },
    };
  }

  /** Reads the marks: until now another process may have written them. */
  async locked(): Promise<void> {
    const { files, dataDir, bootId, clock } = this.#parts;
    await files.makeDirectory(this.#folder);
    const here = new Set(
      (await files.list(sessionsDir(dataDir))).flatMap((name) => ownerOf(name) ?? []),
    );
    for (const id of here) {
      const mark = await files.readWhole(this.#markOf(id));
      const says = mark?.toString();
      const kind = says === clean ? 'clean' : says === dirty(bootId) ? 'dirty' : 'unsound';
      this.#states.set(id, { id, kind, begun: 0, writing: 0 });
    }
    // One of a store of which nothing is here says nothing of what will be.
    for (const id of await files.list(this.#folder))
      if (!here.has(id)) await files.remove(this.#markOf(id));
    this.#stopLooking = clock.after(stillMs, () => this.#look());
  }

  /** False where nobody knows whether what stands in a replica's files is what was written. */
  isSound(sessionId: string): boolean {
    return this.#states.get(sessionId)?.kind !== 'unsound';
  }

  /** Those that are not sound. */
  get unsound(): readonly string[] {
    return [...this.#states.values()].flatMap(({ id, kind }) => (kind === 'unsound' ? [id] : []));
  }

  /**
   * Resolves when all that was written to replicas until now is on the disk.
   * @throws ProxyError `store_full`, `internal`
   */
  async sync(): Promise<void> {
    try {
      for (const state of this.#states.values())
        if (state.kind === 'dirty') await this.#sync(state);
    } catch (error) {
      throw toStoreFailure(error, sessionsDir(this.#parts.dataDir));
    }
  }

  /** Syncs what was written, and says so: the next start believes all of it. */
  async release(): Promise<void> {
    await this.#looking;
    this.#stopLooking?.();
    for (const state of this.#states.values()) await this.#settle(state);
  }

  get #folder(): string {
    return join(this.#parts.dataDir, 'replicas');
  }

  #markOf(id: string): string {
    return join(this.#folder, id);
  }

  /** The replica that a path belongs to, if any. Its index looks after itself. */
  #idOf(path: string): string | undefined {
    const [name = ''] = relative(sessionsDir(this.#parts.dataDir), path).split(sep);
    const id = /^(sess_[0-9a-f]+)[._](?!index$)/.exec(name)?.[1];
    return id !== undefined && isSessionId(id) ? id : undefined;
  }

  async #opened(path: string, options: OpenOptions): Promise<OpenFile> {
    const { files, dataDir, clock } = this.#parts;
    const isStaged = !relative(importingDir(dataDir), path).startsWith('..');
    const id = this.#idOf(path);
    if (!isStaged && id === undefined) return files.open(path, options);
    const isWrittenNow = (): boolean => clock.elapsedMs() >= this.#elsewhereUntilMs;
    const file = await files.open(path, { ...options, isWrittenNow });
    return {
      ...file,
      write: async (bytes, at) =>
        this.#changing(id, async () => {
          const startMs = clock.elapsedMs();
          const writing = file.write(bytes, at);
          const endMs = clock.elapsedMs();
          if (endMs - startMs > slowWriteMs) this.#elsewhereUntilMs = endMs + elsewhereMs;
          return writing;
        }),
      truncate: async (size) => this.#changing(id, async () => file.truncate(size)),
      datasync: async () => undefined,
    };
  }

  async #changing<T>(id: string | undefined, change: () => Promise<T>): Promise<T> {
    if (id === undefined) return change();
    let state = this.#states.get(id);
    if (state === undefined)
      this.#states.set(id, (state = { id, kind: 'clean', begun: 0, writing: 0 }));
    while (state.marking !== undefined || state.kind === 'clean')
      await (state.marking ?? this.#mark(state, 'dirty'));
    state.begun += 1;
    state.writing += 1;
    this.#written.add(state.id);
    try {
      return await change();
    } finally {
      state.writing -= 1;
    }
  }

  /** Durably. @throws Error of the system */
  async #mark(state: ReplicaState, kind: 'clean' | 'dirty'): Promise<void> {
    const { files, bootId } = this.#parts;
    const bytes = Buffer.from(kind === 'clean' ? clean : dirty(bootId));
    const marking = replaceFile(files, this.#markOf(state.id), bytes);
    state.marking = marking.catch(() => undefined);
    try {
      await marking;
      state.kind = 'dirty';
    } finally {
      // Also where it is not known whether it says so: then the next write makes it say `dirty`.
      if (kind === 'clean') state.kind = kind;
      state.marking = undefined;
    }
  }

  /** A file of one that is not sound is gone: when all are, the next ones may be believed. */
  async #removed(id: string): Promise<void> {
    const { files, dataDir } = this.#parts;
    const names = await files.list(sessionsDir(dataDir));
    if (names.some((name) => ownerOf(name) === id)) return;
    await files.remove(this.#markOf(id));
    this.#states.delete(id);
  }

  #look(): void {
    const still = [...this.#states.values()].filter(({ id }) => !this.#written.has(id));
    this.#written.clear();
    this.#looking = (async () => {
      for (const state of still) await this.#settle(state);
      this.#stopLooking = this.#parts.clock.after(stillMs, () => this.#look());
    })();
  }

  /** Makes it clean, unless something is written to it meanwhile; a failure is in the log. */
  async #settle(state: ReplicaState): Promise<void> {
    const { begun } = state;
    if (state.kind !== 'dirty' || state.writing > 0) return;
    try {
      await this.#sync(state);
      if (state.begun === begun && state.kind === 'dirty') await this.#mark(state, 'clean');
    } catch (error) {
      this.#parts.log.debug(
        { err: error, session: state.id },
        'a replica was not synced: after a power cut it would be fetched anew',
      );
    }
  }

  async #sync(state: ReplicaState): Promise<void> {
    const { files, dataDir } = this.#parts;
    const folder = sessionsDir(dataDir);
    const { originalsDir, incomingDir } = sessionPaths(dataDir, state.id);
    const folders = [originalsDir, incomingDir];
    for (const name of await files.list(folder)) {
      const path = join(folder, name);
      if (this.#idOf(path) === state.id && !folders.includes(path))
        await this.#syncFile(state, path);
    }
    for (const each of folders) {
      if (!(await files.exists(each))) continue;
      for (const name of await files.list(each)) await this.#syncFile(state, join(each, name));
      await files.syncDirectory(each);
    }
    await files.syncDirectory(folder);
  }

  async #syncFile(state: ReplicaState, path: string): Promise<void> {
    const { files, log } = this.#parts;
    let file: OpenFile;
    try {
      file = await files.open(path, { create: false });
    } catch (error) {
      // Deleted since the folder was read.
      if (isErrno(error, 'ENOENT')) return;
      throw error;
    }
    try {
      await file.datasync();
    } catch (error) {
      // What it did not take is lost, though the next sync would say nothing of that.
      state.kind = 'unsound';
      await files.remove(this.#markOf(state.id));
      log.warn(
        { err: error, session: state.id },
        'the disk has not taken what was written of a shared store: the next start fetches it anew',
      );
      throw error;
    } finally {
      await file.close();
    }
  }
}

const clean = 'clean\n';

function dirty(bootId: string): string {
  return `dirty ${bootId}\n`;
}

/** The store whose file, or folder but for an index, has a name. */
function ownerOf(name: string): string | undefined {
  const id =
    /^(sess_[0-9a-f]+)(?:\.json|_(?:context\.txt|(?:entries|chats|events)\.jsonl|originals|incoming))$/.exec(
      name,
    )?.[1];
  return id !== undefined && isSessionId(id) ? id : undefined;
}
