import { readFileSync } from 'node:fs';
import { isErrno, type Files } from './files.ts';

/**
 * A session has three descriptors open, and sessions may have an eighth of all: clients, upstreams
 * and workers need the rest.
 */
const descriptorsPerSession = 3;
const share = 1 / 8;

/**
 * How many sessions may be open at once by the descriptors that this process may have; no such
 * limit where that is not known.
 */
export function sessionsForDescriptors(limits = readLimits()): number {
  const limit = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(1, Math.floor((Number(limit) * share) / descriptorsPerSession));
}

/**
 * Only Linux has this file; elsewhere a call that fails is what tells (see {@link filesWithRoom}).
 */
function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return '';
  }
}

/** How often a call is tried that finds no descriptor left. */
const maxTries = 5;

/** Whether something failed because the process, or the machine, has no descriptor left. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { cause } = Object(error) as { readonly cause?: unknown };
  return [error, cause].some((own) => isErrno(own, 'EMFILE') || isErrno(own, 'ENFILE'));
}

/**
 * The same file system, except that a call which finds no descriptor left has `makeRoom` close
 * something and tries again. `makeRoom` may wait until something becomes idle.
 */
export function filesWithRoom(files: Files, makeRoom: () => Promise<void>): Files {
  const retried = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await call();
      } catch (error) {
        if (!isOutOfDescriptors(error) || tries === maxTries) throw error;
        await makeRoom();
      }
    }
  };
  return {
    ...files,
    open: async (path, options) => retried(async () => files.open(path, options)),
    readWhole: async (path) => retried(async () => files.readWhole(path)),
    createExclusive: async (path, bytes) => retried(async () => files.createExclusive(path, bytes)),
    remove: async (path) => retried(async () => files.remove(path)),
    list: async (path) => retried(async () => files.list(path)),
    syncDirectory: async (path) => retried(async () => files.syncDirectory(path)),
  };
}
