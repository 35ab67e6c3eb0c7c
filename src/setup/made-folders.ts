import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseJson } from '../wire/json.ts';

/**
 * Writes down that a folder was made for a client's configuration, so that
 * {@link removeMadeFolders} may take it away. Where that cannot be written the folder will stay: no
 * reason to fail.
 * @param dataDir Where the proxy keeps its data; made if it is not there
 * @param folder The outermost that was made
 */
export async function noteMadeFolder(dataDir: string, folder: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await keep(dataDir, [...new Set([...(await madeFolders(dataDir)), folder])]);
  } catch {
    // As said above.
  }
}

/**
 * Takes away the folders that were made for a file, which is gone, as far as nothing else is in
 * them. What is not empty is the client's from then on.
 */
export async function removeMadeFolders(dataDir: string, path: string): Promise<void> {
  const made = await madeFolders(dataDir);
  const outermost = made.find((folder) => path.startsWith(`${folder}/`));
  if (outermost === undefined) return;
  try {
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      await rmdir(folder);
      if (folder === outermost) break;
    }
  } catch {
    // Not empty, or gone already.
  }
  const left = made.filter((folder) => folder !== outermost);
  await keep(dataDir, left).catch(() => undefined);
}

async function madeFolders(dataDir: string): Promise<readonly string[]> {
  const text = await readFile(listPath(dataDir), 'utf8').catch(() => '');
  const value: unknown = parseJson(text);
  return Array.isArray(value) ? value.filter((folder) => typeof folder === 'string') : [];
}

async function keep(dataDir: string, folders: readonly string[]): Promise<void> {
  const path = listPath(dataDir);
  if (folders.length === 0) await rm(path, { force: true });
  else await writeFile(path, `${JSON.stringify(folders)}\n`, { mode: 0o600 });
}

function listPath(dataDir: string): string {
  return join(dataDir, 'made-folders.json');
}
