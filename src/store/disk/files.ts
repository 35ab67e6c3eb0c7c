import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { dirname } from 'node:path';

/** An open file, read and written by position. Whoever opens it closes it. */
export interface OpenFile {
  /**
   * Fills `target` from `positionBytes`; the number of bytes read, smaller only at the end of the
   * file.
   */
  read(target: Uint8Array, positionBytes: number): Promise<number>;
  /**
   * The same at once, for a few blocks that are most likely in memory: 12 us instead of 30 to 80
   * for 64 KiB.
   */
  readNow(target: Uint8Array, positionBytes: number): number;
  /**
   * Writes from `bytes` at `positionBytes`; the number of bytes written may be smaller than asked
   * (disk full, signal).
   */
  write(bytes: Uint8Array, positionBytes: number): Promise<number>;
  /** Returns when what was written is on the disk. */
  datasync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/** How a file is opened. */
export interface OpenOptions {
  readonly create: boolean;
  /**
   * Asked before each write of up to {@link writeNowBytes}: whether it is done before the call
   * returns, in 15 us, and not by another thread, in 60 to 80 us. For files that nobody syncs: a
   * sync of others may keep it waiting. Absent: never.
   */
  readonly isWrittenNow?: (() => boolean) | undefined;
}

/** Longest write that may be done at once, bytes: about 25 us into the system's memory. */
const writeNowBytes = 65_536;

/**
 * The few things that the store asks of a file system. Real here; the fault tests hand in one that
 * fails.
 */
export interface Files {
  /**
   * Opens for reading and writing, made with mode 0600 if it is missing and `create` is set.
   * Rejects with the system's error.
   */
  open(path: string, options: OpenOptions): Promise<OpenFile>;
  /** The whole of a small file, or undefined where there is none. */
  readWhole(path: string): Promise<Buffer | undefined>;
  /** Makes a file that must not exist yet (mode 0600) and syncs it; false where it exists. */
  createExclusive(path: string, bytes: Uint8Array): Promise<boolean>;
  /** Makes a folder and its parents with mode 0700; nothing happens where it exists. */
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file; false where `to` exists. */
  link(from: string, to: string): Promise<boolean>;
  /** Deletes a file or a whole folder; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /** Names in a folder; empty where there is none. */
  list(path: string): Promise<readonly string[]>;
  /** Whether there is something of this name. */
  exists(path: string): Promise<boolean>;
  /** Free bytes of the file system that `path` (which exists) is on, as far as they are ours. */
  freeBytes(path: string): Promise<number>;
  /** Returns when the folder's names are on the disk. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Inode, size and time of the last change of a file in one word, at once (3 us); undefined where
   * there is none. As long as it is the same, nobody has written to the file.
   */
  identifyNow(path: string): string | undefined;
}

/**
 * The machine's file system. Callback calls on plain descriptors: half the cost of `FileHandle` for
 * small reads.
 */
export const realFiles: Files = {
  open: async (path, options) => {
    const flags = fs.constants.O_RDWR | (options.create ? fs.constants.O_CREAT : 0);
    return openedFile(await openDescriptor(path, flags), options);
  },
  readWhole: async (path) => {
    try {
      return await fsp.readFile(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  },
  createExclusive: async (path, bytes) => {
    try {
      await fsp.writeFile(path, bytes, { flag: 'wx', mode: 0o600, flush: true });
      return true;
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return false;
      throw error;
    }
  },
  makeDirectory: async (path) => {
    // One by one: Node's own way up a path says ENOENT on a read-only disk, and in a place like
    // /proc it never ends.
    const missing: string[] = [];
    for (let at = path; !(await exists(at)); at = dirname(at)) missing.push(at);
    for (const folder of missing.toReversed()) {
      try {
        await fsp.mkdir(folder, { mode: 0o700 });
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    }
  },
  rename: (from, to) => fsp.rename(from, to),
  link: async (from, to) => {
    try {
      await fsp.link(from, to);
      return true;
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return false;
      throw error;
    }
  },
  remove: (path) => fsp.rm(path, { recursive: true, force: true }),
  list: async (path) => {
    try {
      return await fsp.readdir(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  },
  exists: async (path) => {
    try {
      await fsp.stat(path);
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      throw error;
    }
  },
  freeBytes: async (path) => {
    const { bavail, bsize } = await fsp.statfs(path);
    return bavail * bsize;
  },
  syncDirectory: async (path) => {
    // Windows cannot open a folder for syncing; its file systems journal names themselves.
    if (process.platform === 'win32') return;
    const folder = await fsp.open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  identifyNow: identify,
};

async function exists(path: string): Promise<boolean> {
  try {
    await fsp.stat(path);
    return true;
  } catch (error) {
    // Below a file: making the folder says so.
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return false;
    throw error;
  }
}

function identify(path: string): string | undefined {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}

/** Whether `error` is the system error `code` (`ENOENT`, `ENOSPC`, ...). */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/**
 * Writes all of `bytes`, however often the system stops short. A write that makes no progress
 * rejects with `ENOSPC`.
 */
export async function writeFully(
  file: OpenFile,
  bytes: Uint8Array,
  positionBytes: number,
): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(bytes.subarray(written), positionBytes + written);
    if (count === 0) {
      throw Object.assign(new Error('write made no progress'), { code: 'ENOSPC' });
    }
    written += count;
  }
}

/** Replaces a small file so that a crash leaves the old content or the new one, never a mixture. */
export async function replaceFile(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  await files.remove(temporary);
  await files.createExclusive(temporary, bytes);
  await files.rename(temporary, path);
  await files.syncDirectory(dirname(path));
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, 0o600, (error, descriptor) =>
      error === null ? resolve(descriptor) : reject(error),
    );
  });
}

function openedFile(descriptor: number, { isWrittenNow }: OpenOptions): OpenFile {
  return {
    read: (target, positionBytes) => readFully(descriptor, target, positionBytes),
    readNow: (target, positionBytes) =>
      fs.readSync(descriptor, target, 0, target.length, positionBytes),
    write: (bytes, positionBytes) =>
      new Promise((resolve, reject) => {
        if (bytes.length <= writeNowBytes && isWrittenNow?.() === true) {
          resolve(fs.writeSync(descriptor, bytes, 0, bytes.length, positionBytes));
          return;
        }
        fs.write(descriptor, bytes, 0, bytes.length, positionBytes, (error, count) =>
          error === null ? resolve(count) : reject(error),
        );
      }),
    datasync: () =>
      new Promise((resolve, reject) => fs.fdatasync(descriptor, settle(resolve, reject))),
    truncate: (sizeBytes) =>
      new Promise((resolve, reject) =>
        fs.ftruncate(descriptor, sizeBytes, settle(resolve, reject)),
      ),
    sizeBytes: () =>
      new Promise((resolve, reject) => {
        fs.fstat(descriptor, (error, stats) =>
          error === null ? resolve(stats.size) : reject(error),
        );
      }),
    close: () => new Promise((resolve, reject) => fs.close(descriptor, settle(resolve, reject))),
  };
}

function settle(
  resolve: () => void,
  reject: (error: Error) => void,
): (error: Error | null) => void {
  return (error) => (error === null ? resolve() : reject(error));
}

async function readFully(
  descriptor: number,
  target: Uint8Array,
  positionBytes: number,
): Promise<number> {
  let filled = 0;
  while (filled < target.length) {
    const count = await new Promise<number>((resolve, reject) => {
      const length = target.length - filled;
      fs.read(descriptor, target, filled, length, positionBytes + filled, (error, bytesRead) =>
        error === null ? resolve(bytesRead) : reject(error),
      );
    });
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
