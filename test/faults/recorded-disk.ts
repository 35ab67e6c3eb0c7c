import { openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Random } from '../../src/bench/random.ts';
import { realIndexDisk, type IndexDisk } from '../../src/search/index/index-disk.ts';
import { realFiles, type Files, type OpenFile } from '../../src/store/disk/files.ts';

const pageBytes = 4_096;

/** What was done to a disk. A file is its number: names come and go. */
type Operation =
  | { readonly kind: 'create'; readonly path: string; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'link'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'write'; readonly file: number; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly file: number; readonly sizeBytes: number }
  | { readonly kind: 'sync'; readonly file: number }
  | { readonly kind: 'sync-folder' }
  | { readonly kind: 'told'; readonly entries: number };

/**
 * The real file system, with everything that is written, synced and renamed kept in order, so that
 * what a power cut at any moment could have left can be made: of what was not synced each page came
 * or not; names came in their order, up to some moment.
 */
export class RecordedDisk {
  readonly operations: Operation[] = [];
  readonly #root: string;
  readonly #names = new Map<string, number>();
  readonly #open = new Map<number, { readonly file: number; at: number }>();
  #files = 0;

  /** Everything below `root` is recorded from now on; it is empty. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Notes that so many entries have been reported as committed. */
  tell(entries: number): void {
    this.operations.push({ kind: 'told', entries });
  }

  get files(): Files {
    return {
      ...realFiles,
      open: async (path, options) => {
        const file = await realFiles.open(path, options);
        return this.#recorded(file, this.#named(path));
      },
      createExclusive: async (path, bytes) => {
        const isNew = await realFiles.createExclusive(path, bytes);
        if (!isNew) return false;
        const file = this.#named(path);
        this.operations.push({ kind: 'write', file, at: 0, bytes: Buffer.from(bytes) });
        this.operations.push({ kind: 'sync', file });
        return true;
      },
      rename: async (from, to) => {
        await realFiles.rename(from, to);
        this.#rename(from, to);
      },
      link: async (from, to) => {
        const isNew = await realFiles.link(from, to);
        if (isNew) {
          this.#names.set(to, this.#names.get(from)!);
          this.operations.push({ kind: 'link', from, to });
        }
        return isNew;
      },
      remove: async (path) => {
        await realFiles.remove(path);
        for (const name of this.#names.keys()) {
          if (name !== path && !name.startsWith(`${path}/`)) continue;
          this.#names.delete(name);
          this.operations.push({ kind: 'remove', path: name });
        }
      },
      syncDirectory: async () => {
        this.operations.push({ kind: 'sync-folder' });
        await Promise.resolve();
      },
    };
  }

  get indexDisk(): IndexDisk {
    return {
      ...realIndexDisk,
      create: (path) => {
        const descriptor = openSync(path, 'w', 0o600);
        const file = this.#named(path);
        this.operations.push({ kind: 'truncate', file, sizeBytes: 0 });
        this.#open.set(descriptor, { file, at: 0 });
        return descriptor;
      },
      write: (descriptor, bytes) => {
        realIndexDisk.write(descriptor, bytes);
        const open = this.#open.get(descriptor)!;
        const { file, at } = open;
        this.operations.push({ kind: 'write', file, at, bytes: Buffer.from(bytes) });
        open.at += bytes.length;
      },
      sync: (descriptor) => {
        this.operations.push({ kind: 'sync', file: this.#open.get(descriptor)!.file });
      },
      rename: (from, to) => {
        realIndexDisk.rename(from, to);
        this.#rename(from, to);
      },
      syncFolder: () => {
        this.operations.push({ kind: 'sync-folder' });
      },
    };
  }

  /**
   * Makes in `folder` what a power cut before operation `cut` could have left; how many entries
   * were reported until then.
   */
  async cutPower(cut: number, folder: string, random: Random): Promise<number> {
    const before = this.operations.slice(0, cut);
    const names = before.filter((each) => 'path' in each || 'from' in each);
    const synced = before.slice(0, before.findLastIndex(({ kind }) => kind === 'sync-folder') + 1);
    const sure = synced.filter((each) => 'path' in each || 'from' in each).length;
    const kept = names.slice(0, sure + random.below(names.length - sure + 1));
    for (const [path, file] of namesAfter(kept)) {
      const target = join(folder, relative(this.#root, path));
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, contentAfter(before, file, random));
    }
    const told = before.findLast((each) => each.kind === 'told');
    return told?.entries ?? 0;
  }

  #named(path: string): number {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    this.#files += 1;
    this.#names.set(path, this.#files);
    this.operations.push({ kind: 'create', path, file: this.#files });
    return this.#files;
  }

  #rename(from: string, to: string): void {
    renameIn(this.#names, from, to);
    this.operations.push({ kind: 'rename', from, to });
  }

  #recorded(file: OpenFile, number: number): OpenFile {
    return {
      ...file,
      write: async (bytes, at) => {
        const copy = Buffer.from(bytes);
        const count = await file.write(bytes, at);
        const written = copy.subarray(0, count);
        this.operations.push({ kind: 'write', file: number, at, bytes: written });
        return count;
      },
      truncate: async (sizeBytes) => {
        await file.truncate(sizeBytes);
        this.operations.push({ kind: 'truncate', file: number, sizeBytes });
      },
      datasync: async () => {
        this.operations.push({ kind: 'sync', file: number });
        await Promise.resolve();
      },
    };
  }
}

/** A file, or a folder with all that is in it. */
function renameIn(names: Map<string, number>, from: string, to: string): void {
  for (const [name, file] of names) {
    if (name !== from && !name.startsWith(`${from}/`)) continue;
    names.delete(name);
    names.set(`${to}${name.slice(from.length)}`, file);
  }
}

function namesAfter(operations: readonly Operation[]): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  for (const each of operations) {
    if (each.kind === 'create') names.set(each.path, each.file);
    else if (each.kind === 'remove') names.delete(each.path);
    else if (each.kind === 'rename') renameIn(names, each.from, each.to);
    else if (each.kind === 'link') names.set(each.to, names.get(each.from)!);
  }
  return names;
}

function contentAfter(operations: readonly Operation[], file: number, random: Random): Buffer {
  const own = operations.filter((each) => 'file' in each && each.file === file);
  const synced = own.findLastIndex(({ kind }) => kind === 'sync');
  const ends = own.map((each) => (each.kind === 'write' ? each.at + each.bytes.length : 0));
  const content = Buffer.alloc(Math.max(0, ...ends));
  let sizeBytes = 0;
  for (const [at, each] of own.entries()) {
    const comes = (): boolean => at <= synced || random.below(2) === 0;
    if (each.kind === 'truncate' && comes()) {
      content.fill(0, Math.min(each.sizeBytes, content.length));
      ({ sizeBytes } = each);
    }
    if (each.kind !== 'write') continue;
    for (let done = 0; done < each.bytes.length;) {
      const from = each.at + done;
      const length = Math.min(pageBytes - (from % pageBytes), each.bytes.length - done);
      if (comes()) {
        each.bytes.copy(content, from, done, done + length);
        sizeBytes = Math.max(sizeBytes, from + length);
      }
      done += length;
    }
  }
  return content.subarray(0, Math.min(sizeBytes, content.length));
}
