import { posix, win32 } from 'node:path';
import { ProxyError } from '../errors.ts';
import { replaceFile, type Files } from './files.ts';

const nameMaxUnits = 4096;

/** `mappings/directory_to_rlm.json`: names (project directories, and `key:<hash>` for clients without one) to session ids. */
export class DirectoryMap {
  readonly #files: Files;
  readonly #path: string;
  #ids: ReadonlyMap<string, string>;

  private constructor(files: Files, path: string, ids: ReadonlyMap<string, string>) {
    this.#files = files;
    this.#path = path;
    this.#ids = ids;
  }

  /**
   * Reads the map. The sessions' own metadata say the same, so a damaged file is put aside (`.damaged`) and made anew from
   * `fromMetadata`.
   */
  static async open(
    files: Files,
    path: string,
    fromMetadata: () => Promise<Map<string, string>>,
  ): Promise<DirectoryMap> {
    const bytes = await files.readWhole(path);
    const ids = bytes === undefined ? undefined : decodeMap(bytes);
    if (ids !== undefined) return new DirectoryMap(files, path, ids);
    const made = new DirectoryMap(files, path, await fromMetadata());
    if (bytes !== undefined) await files.rename(path, `${path}.damaged`);
    await made.#save(made.#ids);
    return made;
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
    return [...this.#ids].filter(([, id]) => id === sessionId).map(([name]) => name);
  }

  /** Names a session; on the disk when it resolves. */
  async set(name: string, sessionId: string): Promise<void> {
    await this.#save(new Map(this.#ids).set(name, sessionId));
  }

  /** Gives all names of a session to another, which loses those that it had; `name` is what it is called if there are none. */
  async handOver(fromId: string, toId: string, name: string): Promise<void> {
    const others = [...this.#ids].filter(([, id]) => id !== toId);
    const handed = others.map(([key, id]) => [key, id === fromId ? toId : id] as const);
    const ids = new Map(handed);
    if (!others.some(([, id]) => id === fromId)) ids.set(name, toId);
    await this.#save(ids);
  }

  /** Forgets all names of a session. */
  async forget(sessionId: string): Promise<void> {
    await this.#save(new Map([...this.#ids].filter(([, id]) => id !== sessionId)));
  }

  /** Takes effect only when it is on the disk. */
  async #save(ids: ReadonlyMap<string, string>): Promise<void> {
    const sorted = [...ids].sort(([a], [b]) => (a < b ? -1 : 1));
    const json = JSON.stringify(Object.fromEntries(sorted), undefined, 2);
    await replaceFile(this.#files, this.#path, Buffer.from(`${json}\n`));
    this.#ids = ids;
  }
}

/**
 * One spelling per directory: absolute, without `.`, `..`, doubled or trailing separators. Where links lead is {@link RealNames}' to say:
 * the directory may be on another machine. @throws ProxyError `invalid_request`
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

function decodeMap(bytes: Buffer): Map<string, string> | undefined {
  try {
    const object: unknown = JSON.parse(bytes.toString());
    if (typeof object !== 'object' || object === null) return undefined;
    const pairs = Object.entries(object);
    return pairs.every(([, id]) => typeof id === 'string') ? new Map(pairs) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
