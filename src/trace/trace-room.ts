import fsp from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Files, isErrno, realFiles } from '../store/disk/files.ts';

/** Why a turn is not written down any further, by a short name for the log. */
export class TraceFault extends Error {
  readonly code: 'too_large' | 'too_many' | 'too_slow' | 'forgotten';

  constructor(code: TraceFault['code'], message: string) {
    super(message);
    this.name = 'TraceFault';
    this.code = code;
  }
}

/** What the traces of all turns may take together. */
export interface TraceLimits {
  readonly maxBytes: number;
  readonly maxTurns: number;
}

/** Of the room of all traces: one huge turn does not drive all others out. */
const maxTurnShare = 0.5;

/**
 * Folders that we have made: a time that sorts, and the request's id. Nothing else is ever
 * deleted.
 */
const ownName = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-[\w-]+$/;

interface TurnFolder {
  sizeBytes: number;
  /** Being written: it is not deleted to make room. */
  isLive: boolean;
}

/**
 * The directory of all traces: one folder a turn, the oldest deleted when they become too many or
 * too large.
 */
export class TraceRoom {
  readonly #dir: string;
  readonly #files: Files;
  readonly #limits: TraceLimits;
  /** By name, the oldest first. */
  readonly #folders = new Map<string, TurnFolder>();
  #totalBytes = 0;
  #scanned: Promise<void> | undefined;

  /** @param dir Absolute; made when the first turn is written down */
  constructor(dir: string, files: Files, limits: TraceLimits) {
    this.#dir = dir;
    this.#files = files;
    this.#limits = limits;
  }

  /** The name of a turn's folder, which sorts by time. @param startedMs Milliseconds since 1970 */
  static nameOf(startedMs: number, requestId: string): string {
    const time = new Date(startedMs).toISOString().replaceAll(':', '-');
    return `${time}-${requestId.replaceAll(/[^\w-]/g, '_')}`;
  }

  /**
   * Makes a turn's folder, mode 0700, and gives back its path.
   * @throws TraceFault `too_many`; Error of the system
   */
  async begin(name: string): Promise<string> {
    await this.#knowFolders();
    while (this.#folders.size >= this.#limits.maxTurns) {
      const wasDeleted = await this.#deleteOldest();
      if (!wasDeleted)
        throw new TraceFault('too_many', 'as many turns as may be kept are being written');
    }
    this.#folders.set(name, { sizeBytes: 0, isLive: true });
    const path = join(this.#dir, name);
    await this.#files.makeDirectory(path);
    return path;
  }

  /** Makes room before bytes are written. @throws TraceFault `too_large`; Error of the system */
  async take(name: string, sizeBytes: number): Promise<void> {
    const folder = this.#folders.get(name);
    if (folder === undefined) return;
    folder.sizeBytes += sizeBytes;
    this.#totalBytes += sizeBytes;
    const { maxBytes } = this.#limits;
    if (folder.sizeBytes > maxBytes * maxTurnShare)
      throw new TraceFault(
        'too_large',
        'the turn would take more than half the room of all traces',
      );
    while (this.#totalBytes > maxBytes) {
      const wasDeleted = await this.#deleteOldest();
      if (!wasDeleted)
        throw new TraceFault('too_large', 'the turns that are being written take all the room');
    }
  }

  /** The turn is written down: from now on it may be deleted to make room. */
  end(name: string): void {
    const folder = this.#folders.get(name);
    if (folder !== undefined) folder.isLive = false;
  }

  /** Deletes what there is of a turn that could not be written down. @throws Error of the system */
  async drop(name: string): Promise<void> {
    this.#forget(name);
    await this.#files.remove(join(this.#dir, name));
  }

  /**
   * The turns that are written down to their end, the oldest first, with their files.
   * @param sinceMs Only those that came then or later, milliseconds since 1970
   * @throws Error of the system
   */
  async turns(
    sinceMs = 0,
  ): Promise<readonly { readonly name: string; readonly paths: readonly string[] }[]> {
    await this.#knowFolders();
    const from = TraceRoom.nameOf(sinceMs, '');
    const turns = [];
    for (const [name, { isLive }] of this.#folders) {
      if (isLive || name < from) continue;
      const path = join(this.#dir, name);
      turns.push({ name, paths: (await this.#files.list(path)).map((file) => join(path, file)) });
    }
    return turns;
  }

  /** Whether there was one that is not being written. */
  async #deleteOldest(): Promise<boolean> {
    const oldest = [...this.#folders].find(([, { isLive }]) => !isLive);
    if (oldest === undefined) return false;
    await this.drop(oldest[0]);
    return true;
  }

  #forget(name: string): void {
    this.#totalBytes -= this.#folders.get(name)?.sizeBytes ?? 0;
    this.#folders.delete(name);
  }

  /** What earlier runs of the program have left, once; after a failure again. */
  async #knowFolders(): Promise<void> {
    this.#scanned ??= this.#scan();
    try {
      await this.#scanned;
    } catch (error) {
      this.#scanned = undefined;
      throw error;
    }
  }

  async #scan(): Promise<void> {
    const names = (await this.#files.list(this.#dir)).filter((name) => ownName.test(name));
    for (const name of names.toSorted()) {
      const sizeBytes = await sizeOfFolder(join(this.#dir, name));
      this.#folders.set(name, { sizeBytes, isLive: false });
      this.#totalBytes += sizeBytes;
    }
  }
}

/** The directory that the settings name; undefined where no turn is written down. */
export function openTraceRoom({
  dir,
  ...limits
}: TraceLimits & { readonly dir?: string | undefined }): TraceRoom | undefined {
  return dir === undefined ? undefined : new TraceRoom(resolve(dir), realFiles, limits);
}

/** Bytes of all files in a folder without folders in it; 0 for one that is gone. */
async function sizeOfFolder(path: string): Promise<number> {
  let sizeBytes = 0;
  try {
    for (const name of await fsp.readdir(path))
      sizeBytes += (await fsp.stat(join(path, name))).size;
  } catch (error) {
    // Another process with the same directory has deleted it meanwhile.
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  return sizeBytes;
}
