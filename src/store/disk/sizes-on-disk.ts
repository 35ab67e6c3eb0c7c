import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isErrno } from './files.ts';
import { sessionsDir } from './session-paths.ts';

/**
 * What each session takes on the disk, bytes, its index counted: a file with several names, as a
 * branch shares its index with its base, where it is met first.
 */
export async function sizesOnDisk(dataDir: string): Promise<ReadonlyMap<string, number>> {
  const folder = sessionsDir(dataDir);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    },
  );
  const sizes = new Map<string, number>();
  const seen = new Set<number>();
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const id = /^sess_[0-9a-f]+/.exec(relative(folder, path))?.[0];
    if (id === undefined || !entry.isFile()) continue;
    const found = await stat(path).catch((error: unknown) => {
      // A server goes on meanwhile.
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (found === undefined || (found.nlink > 1 && seen.has(found.ino))) continue;
    seen.add(found.ino);
    sizes.set(id, (sizes.get(id) ?? 0) + found.size);
  }
  return sizes;
}
