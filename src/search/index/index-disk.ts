import * as fs from 'node:fs';
import { dirname } from 'node:path';

/**
 * The few things that building an index asks of a file system, at once: it is done in workers. Real
 * here; a test hands in one that loses power.
 */
export interface IndexDisk {
  makeFolder(path: string): void;
  /** Makes an empty file, or empties the one that is there. */
  create(path: string): number;
  /** Writes at the end of what was written. */
  write(file: number, bytes: Uint8Array): void;
  /** Returns when what was written is on the disk. */
  sync(file: number): void;
  close(file: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Returns when the folder's names are on the disk. */
  syncFolder(path: string): void;
}

/** The machine's file system. */
export const realIndexDisk: IndexDisk = {
  makeFolder: (path) => {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  },
  create: (path) => fs.openSync(path, 'w', 0o600),
  write: (file, bytes) => {
    for (let done = 0; done < bytes.length;) done += fs.writeSync(file, bytes, done);
  },
  sync: (file) => fs.fdatasyncSync(file),
  close: (file) => fs.closeSync(file),
  rename: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.rmSync(path, { force: true }),
  syncFolder: (path) => {
    // Windows cannot open a folder for syncing; its file systems journal names themselves.
    if (process.platform === 'win32') return;
    const folder = fs.openSync(path, 'r');
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  },
};

/**
 * Puts a file in place whole: its bytes are on the disk before it has its name, and its name before
 * this returns. What could not be written whole is gone: a full disk has better uses for its last
 * room.
 * @throws Error of the system
 */
export function writeDurably(disk: IndexDisk, path: string, pieces: Iterable<Uint8Array>): void {
  const fresh = `${path}.new`;
  disk.makeFolder(dirname(path));
  const file = disk.create(fresh);
  try {
    try {
      for (const piece of pieces) disk.write(file, piece);
      disk.sync(file);
    } finally {
      disk.close(file);
    }
    disk.rename(fresh, path);
  } catch (error) {
    disk.remove(fresh);
    throw error;
  }
  disk.syncFolder(dirname(path));
}
