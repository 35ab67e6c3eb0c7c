import { dirname, posix, win32 } from 'node:path';
import { crc32 } from 'node:zlib';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { isErrno, replaceFile, type Files } from './files.ts';
import { encodeRecord } from '../format.ts';
import { RecordLog } from './record-log.ts';
import { isSessionId } from './session-paths.ts';

const nameMaxUnits = 4096;

/**
 * A map of fewer names is written anew with each change, so that whoever looks into the file sees
 * it as it is.
 */
const smallNames = 64;

/**
 * The member of the map's file that is not a name: the CRC-32 of all others. Absent in files of
 * earlier versions.
 */
const checksumName = 'checksum';

/** How copies of texts are called that are only there to be read by branches. */
export const copyName = 'key:copy-';

/** Whether a name in the map is a directory, and not a key. */
export function isDirectory(name: string): boolean {
  return !name.startsWith('key:');
}

/** A line of the log. */
type MapChange =
  | { readonly name: string; readonly id: string }
  | { readonly forgotten: string }
  /** The session has these names and no others. */
  | { readonly names: readonly string[]; readonly id: string };

/**
 * `mappings/directory_to_rlm.json`: names (project directories, and `key:<key>` for clients without
 * one) to session ids, and a checksum, so that damage never gives one project the store of another;
 * and in a map of more than a few names `mappings/directory_to_rlm.jsonl`, what has changed since
 * it was written, a checksummed line each (`format.ts`), so that a new session costs a line and not
 * the whole map. The lines are taken over when there are a quarter as many as names, and when the
 * map is opened and closed; doing that twice does no harm.
 */
export class DirectoryMap {
  readonly #files: Files;
  readonly #path: string;
  readonly #logPath: string;
  /** Absent where there is none. */
  #log: RecordLog | undefined;
  readonly #ids = new Map<string, string>();
  /** The same the other way round. */
  readonly #names = new Map<string, Set<string>>();
  #lines = 0;

  private constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
    this.#logPath = `${path}l`;
  }

  /**
   * Reads the map. The sessions' own metadata say the same, so a damaged file is put aside
   * (`.damaged`) and made anew from `fromMetadata`.
   */
  static async open(
    files: Files,
    path: string,
    { fromMetadata, log }: MapSources,
  ): Promise<DirectoryMap> {
    const bytes = await files.readWhole(path);
    const ids = bytes === undefined ? undefined : decodeMap(bytes);
    const map = new DirectoryMap(files, path);
    try {
      if (await files.exists(map.#logPath)) await map.#openLog();
      const isWhole = await map.#replay(ids ?? new Map());
      if (ids === undefined || !isWhole) {
        // What the log says is newer than what metadata say of a name that was given to another
        // session.
        for (const [name, id] of await fromMetadata()) if (!map.#ids.has(name)) map.#set(name, id);
        if (bytes !== undefined && ids === undefined) {
          log.warn(
            { path, aside: `${path}.damaged` },
            'the map of directories is damaged: it was put aside and is made anew from what the stores say themselves',
          );
          await files.rename(path, `${path}.damaged`);
        } else if (!isWhole)
          log.warn(
            { path: map.#logPath },
            'a line of the map of directories is damaged: what the stores say themselves takes its place',
          );
        await map.#compactIfThereIsRoom();
      } else if (map.#lines > 0) await map.#compactIfThereIsRoom();
    } catch (error) {
      await map.#log?.close();
      throw error;
    }
    return map;
  }

  get(name: string): string | undefined {
    return this.#ids.get(name);
  }

  /** Every name there is. */
  names(): Iterable<string> {
    return this.#ids.keys();
  }

  /** Every name of a session. */
  namesOf(sessionId: string): readonly string[] {
    return [...(this.#names.get(sessionId) ?? [])];
  }

  /** Names a session; on the disk when it resolves. */
  async set(name: string, sessionId: string): Promise<void> {
    await this.#append({ name, id: sessionId });
  }

  /**
   * Gives all names of a session to another, which loses those that it had; `name` is what it is
   * called if there are none.
   */
  async handOver(fromId: string, toId: string, name: string): Promise<void> {
    const names = this.namesOf(fromId);
    await this.#append({ names: names.length === 0 ? [name] : names, id: toId });
  }

  /** Gives a session these names and no others. */
  async rename(sessionId: string, names: readonly string[]): Promise<void> {
    await this.#append({ names, id: sessionId });
  }

  /** Forgets all names of a session. */
  async forget(sessionId: string): Promise<void> {
    if (this.#names.has(sessionId)) await this.#append({ forgotten: sessionId });
  }

  /** Brings the map's file up to date and closes the log. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#lines > 0) await this.#compact();
    } finally {
      await this.#log?.close();
    }
  }

  /** Takes effect only when it is on the disk. */
  async #append(change: MapChange): Promise<void> {
    if (this.#lines === 0 && this.#ids.size < smallNames) {
      const changed = new DirectoryMap(this.#files, this.#path);
      for (const [name, id] of this.#ids) changed.#set(name, id);
      changed.#apply(change);
      await changed.#save();
      this.#apply(change);
      return;
    }
    const log = this.#log ?? (await this.#openLog());
    // An earlier one that failed may have left a part of a line.
    await log.rollBack();
    await log.append(Buffer.from(encodeRecord(change)));
    this.#apply(change);
    this.#lines += 1;
    if (this.#lines >= this.#ids.size / 4) await this.#compact();
  }

  async #openLog(): Promise<RecordLog> {
    const file = await this.#files.open(this.#logPath, { create: true });
    await this.#files.syncDirectory(dirname(this.#logPath));
    this.#log = new RecordLog(this.#logPath, file);
    return this.#log;
  }

  /** The map's file, then the changes since. Whether all of them could be read. */
  async #replay(ids: ReadonlyMap<string, string>): Promise<boolean> {
    for (const [name, id] of ids) this.#set(name, id);
    let isWhole = true;
    if (this.#log === undefined) return true;
    for await (const { bytes, whole } of this.#log.scan()) {
      this.#lines += 1;
      if (whole) this.#apply(JSON.parse(bytes.toString()) as MapChange);
      else isWhole = false;
    }
    return isWhole;
  }

  #apply(change: MapChange): void {
    if ('name' in change) this.#set(change.name, change.id);
    else if ('forgotten' in change) this.#forget(change.forgotten);
    else {
      this.#forget(change.id);
      for (const name of change.names) this.#set(name, change.id);
    }
  }

  #forget(id: string): void {
    for (const name of this.namesOf(id)) this.#ids.delete(name);
    this.#names.delete(id);
  }

  #set(name: string, id: string): void {
    const before = this.#ids.get(name);
    if (before !== undefined) this.#names.get(before)?.delete(name);
    this.#ids.set(name, id);
    const names = this.#names.get(id);
    if (names === undefined) this.#names.set(id, new Set([name]));
    else names.add(name);
  }

  /**
   * A map that cannot be written is as good as one that was: the next opening makes the same of the
   * same files.
   */
  async #compactIfThereIsRoom(): Promise<void> {
    try {
      await this.#compact();
    } catch (error) {
      if (!isDiskFault(error)) throw error;
    }
  }

  async #compact(): Promise<void> {
    await this.#save();
    await this.#log?.clear();
    this.#lines = 0;
  }

  async #save(): Promise<void> {
    const sorted = [...this.#ids].sort(([a], [b]) => (a < b ? -1 : 1));
    const whole = [...sorted, [checksumName, checksumOf(sorted)]];
    const json = JSON.stringify(Object.fromEntries(whole), undefined, 2);
    await replaceFile(this.#files, this.#path, Buffer.from(`${json}\n`));
  }
}

/**
 * One spelling per directory: absolute, without `.`, `..`, doubled or trailing separators. Where
 * links lead is {@link RealNames}' to say: the directory may be on another machine. @throws
 * ProxyError `invalid_request`
 */
export function directoryName(directory: string): string {
  const windows = /^(?:[A-Za-z]:[\\/]|\\\\)/.test(directory);
  const fault =
    (!windows && !directory.startsWith('/') && 'is not absolute') ||
    (directory.includes('\0') && 'holds a NUL character') ||
    (directory.length > nameMaxUnits && 'is too long');
  if (fault) {
    throw new ProxyError('invalid_request', `The project directory ${fault}.`);
  }
  const normal = windows ? win32.normalize(directory) : posix.normalize(directory);
  return normal.length > 3 || !windows ? normal.replace(/(?<=.)[\\/]$/, '') : normal;
}

/** Where a map comes from that cannot be read, and who is told. */
export interface MapSources {
  readonly fromMetadata: () => Promise<Map<string, string>>;
  readonly log: Logger;
}

function isDiskFault(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS'].some((code) => isErrno(error, code));
}

function isPair(pair: [string, unknown]): pair is [string, string] {
  return typeof pair[1] === 'string' && isSessionId(pair[1]);
}

/** Of names and ids, in the order in which they stand. */
function checksumOf(pairs: readonly (readonly [string, string])[]): string {
  return crc32(JSON.stringify(pairs)).toString(16).padStart(8, '0');
}

function decodeMap(bytes: Buffer): Map<string, string> | undefined {
  try {
    const object: unknown = JSON.parse(bytes.toString());
    if (typeof object !== 'object' || object === null) return undefined;
    const { [checksumName]: checksum, ...ids } = object as Readonly<Record<string, unknown>>;
    const pairs = Object.entries(ids);
    if (!pairs.every(isPair)) return undefined;
    return checksum === undefined || checksum === checksumOf(pairs) ? new Map(pairs) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
