import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { isErrno } from './files.ts';
import { firstCommitOf, mainTreeOf, readCheckout } from './git-checkout.ts';

/**
 * By what a project directory can be known again: an optional member of a session's metadata. What
 * git's files say may be forged, so it only makes us ask; the identity cannot be.
 */
export interface PlaceEvidence {
  /** As in {@link Presence}. */
  readonly identity?: string;
  /** The checkout's remote, as `remoteNameOf` writes it. */
  readonly remote?: string;
  /** Id of the first commit; never of a history that is cut off. */
  readonly firstCommit?: string;
  /** Where in its checkout the directory lies. */
  readonly within?: string;
  /** The directory in the main tree, of one that lies in a linked worktree. */
  readonly mainTree?: string;
}

/** Names of the members. */
const members = ['identity', 'remote', 'firstCommit', 'within', 'mainTree'] as const;

/** Longer values are not ours, UTF-16 units. */
const maxUnits = 4096;

/** Whether a directory is on this machine. */
export interface Presence {
  /**
   * `gone`: nothing has this name. `unknown`: it cannot be told (no permission, a failing disk, a
   * name of another system).
   */
  readonly state: 'there' | 'gone' | 'unknown';
  /**
   * What the directory is, whatever its name: device, inode and time of birth, to some
   * milliseconds. A rename keeps all three; nothing else on the machine has them, then or later.
   * The inode alone would not do: file systems give it to the next directory as soon as one is
   * deleted. And nobody can choose the time of birth. Absent for what is no directory, and where
   * the file system keeps no such time.
   */
  readonly identity?: string;
}

/** Looks where a directory should be; never rejects. */
export async function lookAt(path: string): Promise<Presence> {
  if (!isAbsolute(path)) return { state: 'unknown' };
  try {
    const found = await stat(path, { bigint: true });
    const { dev, ino, birthtimeNs } = found;
    if (!found.isDirectory() || birthtimeNs <= 0n || ino === 0n) return { state: 'there' };
    return { state: 'there', identity: `${dev}:${ino}:${birthtimeNs}` };
  } catch (error) {
    const isGone = isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR');
    return { state: isGone ? 'gone' : 'unknown' };
  }
}

/**
 * What can be said of a directory now; undefined where it is not on this machine. What git has to
 * be asked for is taken from `known` where that is of the same directory and remote.
 */
export async function evidenceOf(
  path: string,
  known: PlaceEvidence | undefined,
  from: Parameters<typeof firstCommitOf>[1],
): Promise<PlaceEvidence | undefined> {
  const { state, identity } = await lookAt(path);
  if (state !== 'there') return undefined;
  const checkout = await readCheckout(path);
  const own = identity === undefined ? {} : { identity };
  if (checkout === undefined) return own;
  const { remote, within, isShallow } = checkout;
  const isKnown = known?.identity === identity && known?.remote === remote;
  const firstCommit =
    (isKnown ? known?.firstCommit : undefined) ??
    (isShallow ? undefined : await firstCommitOf(path, from));
  const mainTree = await mainTreeOf(path);
  return {
    ...own,
    ...(remote === undefined ? {} : { remote }),
    ...(firstCommit === undefined ? {} : { firstCommit }),
    ...(within === '' ? {} : { within }),
    ...(mainTree === undefined ? {} : { mainTree }),
  };
}

/** The same for every copy of a project; undefined where too little is known to say so. */
export function projectKey(place: PlaceEvidence | undefined): string | undefined {
  if (place?.firstCommit === undefined) return undefined;
  return JSON.stringify([place.firstCommit, place.remote, place.within]);
}

/** Whether two say the same. */
export function isSamePlace(a: PlaceEvidence | undefined, b: PlaceEvidence): boolean {
  return a !== undefined && members.every((name) => a[name] === b[name]);
}

/** What of a parsed value is evidence. */
export function parseEvidence(value: unknown): PlaceEvidence | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const given = value as Readonly<Record<string, unknown>>;
  const kept = members.flatMap((name) => {
    const member = given[name];
    return typeof member === 'string' && member.length <= maxUnits ? [[name, member]] : [];
  });
  return Object.fromEntries(kept) as PlaceEvidence;
}
