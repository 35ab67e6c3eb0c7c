import { join } from 'node:path';
import type { Logger } from '../log.ts';
import { replaceFile, type Files } from '../store/disk/files.ts';
import { isObject, parseJson } from '../wire/json.ts';

/**
 * Which store each project has, as this process was told, and as it was known last: for a start
 * without the database (`mappings/shared-projects.json`). And the directory that each store has on
 * this machine, also of those that are not here just now (`mappings/shared-directories.json`).
 */
export class ProjectIds {
  readonly #files: Files;
  readonly #path: string;
  readonly #directoriesPath: string;
  readonly #log: Logger;
  /** By store. */
  readonly #directories = new Map<string, string>();
  /** Of each project that this process has asked for. */
  readonly #ids = new Map<string, string>();
  /** The same as it was known last. */
  readonly last = new Map<string, string>();
  /** Directories and folders whose names are known to lead to their store. */
  readonly #placed = new Set<string>();
  #writing: Promise<void> = Promise.resolve();

  constructor(files: Files, dataDir: string, log: Logger) {
    this.#files = files;
    this.#log = log;
    this.#path = join(dataDir, 'mappings', 'shared-projects.json');
    this.#directoriesPath = join(dataDir, 'mappings', 'shared-directories.json');
  }

  /** What was known last, of an earlier process; nothing where that cannot be read. */
  async read(): Promise<void> {
    await this.#readOne(
      this.#path,
      this.last,
      'which store each project had is not known any more: until the database has said it again, what comes while it is away is not stored',
    );
    await this.#readOne(
      this.#directoriesPath,
      this.#directories,
      'which directory each shared store had is not known any more: it is again when the store is used there',
    );
  }

  /** @param loss What it means that the file cannot be read, for the log */
  async #readOne(path: string, known: Map<string, string>, loss: string): Promise<void> {
    const bytes = await this.#files.readWhole(path);
    if (bytes === undefined) return;
    const read = parseJson(bytes.toString());
    if (!isObject(read)) {
      this.#log.warn({ path }, loss);
      return;
    }
    for (const [key, value] of Object.entries(read)) known.set(key, String(value));
  }

  /** The directory that a store has on this machine. */
  directoryOf(sessionId: string): string | undefined {
    return this.#directories.get(sessionId);
  }

  /** A store has a directory on this machine from now on, and no other store does. */
  async noteDirectory(sessionId: string, directory: string): Promise<void> {
    if (this.#directories.get(sessionId) === directory) return;
    for (const [id, known] of this.#directories) {
      if (known === directory) this.#directories.delete(id);
    }
    this.#directories.set(sessionId, directory);
    await this.#writeDirectories();
  }

  /** A store was deleted. */
  async drop(sessionId: string): Promise<void> {
    this.forget(sessionId);
    if (this.#directories.delete(sessionId)) await this.#writeDirectories();
    await this.write();
  }

  get(name: string): string | undefined {
    return this.#ids.get(name);
  }

  /** Notes what the database has said. It is needed without the database only. */
  async learn(name: string, id: string): Promise<void> {
    this.#ids.set(name, id);
    try {
      await this.write();
    } catch (error) {
      this.#log.warn(
        { err: error },
        'which store a project has could not be written down: a start without the database does not find it',
      );
    }
  }

  /** What was said of one name does not hold any more. */
  forgetName(name: string): void {
    this.#ids.delete(name);
  }

  /** Which store the names of one lead to is asked again. */
  forget(sessionId: string): void {
    for (const [name, id] of this.#ids) if (id === sessionId) this.#ids.delete(name);
    this.unplace(sessionId);
  }

  /** Whether the names of a place are known to lead to a store. */
  isPlaced(sessionId: string, place: string): boolean {
    return this.#placed.has(`${sessionId} ${place}`);
  }

  /** They are, from now on. */
  place(sessionId: string, place: string): void {
    this.#placed.add(`${sessionId} ${place}`);
  }

  /** Of no place any more. */
  unplace(sessionId: string): void {
    for (const key of this.#placed) if (key.startsWith(sessionId)) this.#placed.delete(key);
  }

  /** Writes down which store each project has, one write at a time. */
  async write(): Promise<void> {
    for (const [name, id] of this.#ids) this.last.set(name, id);
    await this.#writeOne(this.#path, this.last);
  }

  /** They are for people, and known again when the store is used there. */
  async #writeDirectories(): Promise<void> {
    try {
      await this.#writeOne(this.#directoriesPath, this.#directories);
    } catch (error) {
      this.#log.debug(
        { err: error },
        'which directory a shared store has could not be written down',
      );
    }
  }

  async #writeOne(path: string, known: ReadonlyMap<string, string>): Promise<void> {
    const write = async (): Promise<void> => {
      const text = `${JSON.stringify(Object.fromEntries(known), undefined, 2)}\n`;
      await replaceFile(this.#files, path, Buffer.from(text));
    };
    const writing = this.#writing.then(write, write);
    this.#writing = writing;
    await writing;
  }
}
