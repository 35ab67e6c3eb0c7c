import { join } from 'node:path';
import type { Clock, Ids } from '../../clock.ts';
import { ProxyError } from '../../errors.ts';
import { isErrno, realFiles, replaceFile, type Files } from './files.ts';
import { toStoreFailure } from './store-failure.ts';

/** Who writes in a data directory, as it stands in `owner.json` (mode 0600) there. */
export interface Owner {
  readonly pid: number;
  /**
   * When the process started, in the kernel's words; tells it from a later one with the same pid.
   * Empty where that is not known.
   */
  readonly processStart: string;
  /** Names this holding of the lock. */
  readonly runId: string;
  readonly sinceMs: number;
  /**
   * Where its server listens: `http://127.0.0.1:8768`. Absent until {@link publishOwner}, and for
   * commands that serve nothing.
   */
  readonly address?: string;
  /** Holds it for a few calls at a time, and gives it back by itself in a moment. */
  readonly isBrief?: true;
  /** What the server wants to see from a command of the same user. */
  readonly secret?: string;
}

/** A held lock. */
export interface OwnerLock {
  release(): Promise<void>;
}

const attempts = 100;
const retryMs = 10;

/** So long a process is waited for that gives the lock back by itself, milliseconds. */
const briefWaitMs = 5_000;

/**
 * Makes this process the one that writes in `dataDir`, taking over from a process that is dead, and
 * waiting for one that holds it only for a moment.
 * @param parts.isBrief Whether this process is such a one
 * @throws ProxyError `store_locked` naming the living holder
 */
export async function lockOwner(
  dataDir: string,
  parts: {
    readonly files: Files;
    readonly clock: Clock;
    readonly ids: Ids;
    readonly isBrief?: boolean;
  },
): Promise<OwnerLock> {
  const { files, clock, ids, isBrief = false } = parts;
  const path = ownerPath(dataDir);
  const owner: Owner = {
    pid: process.pid,
    processStart: (await processStart(files, process.pid)) ?? '',
    runId: ids.next('run_'),
    sinceMs: clock.now(),
    ...(isBrief && { isBrief }),
  };
  const untilMs = clock.elapsedMs() + briefWaitMs;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (await createOwner(files, path, owner)) {
      return { release: () => releaseOwner(files, path, owner.runId) };
    }
    const holder = await files.readWhole(path);
    if (holder === undefined) continue;
    const other = decodeOwner(holder);
    if (other !== undefined && (await isAlive(files, other))) {
      if (other.isBrief !== true || clock.elapsedMs() >= untilMs) throw lockedBy(dataDir, other);
      await clock.sleep(retryMs);
      attempt = -1;
      continue;
    }
    if (!(await removeStale(files, path, holder, owner))) await clock.sleep(retryMs);
  }
  throw new ProxyError('store_locked', `${path} is of a dead process, but cannot be taken over.`, {
    hint: `Delete ${path} and ${takeoverPath(path)} if no rlm-opencode runs.`,
  });
}

/**
 * Writes where this process's server listens and its secret into the owner file, for {@link
 * readOwner}. The lock is held by this process.
 */
export async function publishOwner(
  dataDir: string,
  server: { readonly address: string; readonly secret: string },
  files: Files = realFiles,
): Promise<void> {
  const path = ownerPath(dataDir);
  const bytes = await files.readWhole(path);
  const owner = bytes === undefined ? undefined : decodeOwner(bytes);
  if (owner?.pid !== process.pid) {
    throw new ProxyError('store_locked', `${dataDir} is not owned by this process.`);
  }
  await replaceFile(files, path, encodeOwner({ ...owner, ...server }));
}

/**
 * The living owner of a data directory, if it has one. @throws ProxyError `internal` where that
 * cannot be known
 */
export async function readOwner(
  dataDir: string,
  files: Files = realFiles,
): Promise<Owner | undefined> {
  let bytes: Buffer | undefined;
  try {
    bytes = await files.readWhole(ownerPath(dataDir));
  } catch (error) {
    // Nobody has a file for a folder; what is wrong is said by who opens the store.
    if (!isErrno(error, 'ENOTDIR')) throw toStoreFailure(error, ownerPath(dataDir));
  }
  const owner = bytes === undefined ? undefined : decodeOwner(bytes);
  return owner !== undefined && (await isAlive(files, owner)) ? owner : undefined;
}

function ownerPath(dataDir: string): string {
  return join(dataDir, 'owner.json');
}

async function releaseOwner(files: Files, path: string, runId: string): Promise<void> {
  const bytes = await files.readWhole(path);
  if (bytes !== undefined && decodeOwner(bytes)?.runId === runId) await files.remove(path);
}

/**
 * Makes an owner file that appears with all its content or not at all; false where there is one.
 */
async function createOwner(files: Files, path: string, owner: Owner): Promise<boolean> {
  const whole = `${path}.${owner.runId}`;
  try {
    await files.createExclusive(whole, encodeOwner(owner));
    return await files.link(whole, path);
  } finally {
    await files.remove(whole);
  }
}

/**
 * Takes a dead process's file away. Several processes may want to: only the one that holds the
 * takeover file compares and removes, so that none removes the new file of another. False where
 * another process is at it.
 */
async function removeStale(
  files: Files,
  path: string,
  stale: Buffer,
  owner: Owner,
): Promise<boolean> {
  const takeover = takeoverPath(path);
  if (!(await createOwner(files, takeover, owner))) {
    const bytes = await files.readWhole(takeover);
    const other = bytes === undefined ? undefined : decodeOwner(bytes);
    if (other !== undefined && !(await isAlive(files, other))) await files.remove(takeover);
    return false;
  }
  try {
    const now = await files.readWhole(path);
    if (now?.equals(stale) === true) await files.remove(path);
    return true;
  } finally {
    await files.remove(takeover);
  }
}

function takeoverPath(path: string): string {
  return `${path}.takeover`;
}

async function isAlive(files: Files, owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives, under another user.
    if (!isErrno(error, 'EPERM')) return false;
  }
  const start = await processStart(files, owner.pid);
  return owner.processStart === '' || start === undefined || start === owner.processStart;
}

/**
 * Boot and start tick of a process on Linux; undefined elsewhere, where only the pid can be
 * compared.
 */
async function processStart(files: Files, pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  const boot = await files.readWhole('/proc/sys/kernel/random/boot_id');
  const stat = await files.readWhole(`/proc/${pid}/stat`);
  // Field 22; the name in field 2 may hold spaces and parentheses, so count from behind it.
  const afterName = stat?.toString().split(') ').at(-1);
  const startTick = afterName?.split(' ')[19];
  if (boot === undefined || startTick === undefined) return undefined;
  return `${boot.toString().trim()}/${startTick}`;
}

function lockedBy(dataDir: string, owner: Owner): ProxyError {
  const where = owner.address === undefined ? '' : `, which listens on ${owner.address}`;
  return new ProxyError('store_locked', `${dataDir} is in use by process ${owner.pid}${where}.`, {
    hint: 'Use that one, stop it with `rlm-opencode stop`, or choose another --data-dir.',
  });
}

function encodeOwner(owner: Owner): Buffer {
  return Buffer.from(`${JSON.stringify(owner)}\n`);
}

/** Undefined for a file that was never written to its end. */
function decodeOwner(bytes: Buffer): Owner | undefined {
  try {
    const owner = JSON.parse(bytes.toString()) as Owner;
    return Number.isInteger(owner.pid) && owner.pid > 0 ? owner : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
