import { lstat, mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { unreadableReason } from '../base/system-words.ts';
import { ProxyError } from '../errors.ts';

/** A configuration file as it was found. */
export interface ConfigFile {
  /** As the user knows it; may be a symbolic link. */
  readonly path: string;
  /** Absent when there is no such file yet. */
  readonly text?: string;
}

/**
 * Of the files that a client reads the one that has our part, else the first that exists, else the
 * one to create: the first.
 * @param isInstalled Whether a text has our part
 */
export async function findConfigFile(
  paths: readonly string[],
  isInstalled: (text: string) => boolean,
): Promise<ConfigFile> {
  const files = await Promise.all(paths.map(readConfigFile));
  const existing = files.filter((file) => file.text !== undefined);
  return (
    existing.find((file) => isInstalled(file.text ?? '')) ?? existing[0] ?? { path: paths[0] ?? '' }
  );
}

/**
 * Reads one file, which need not exist.
 * @throws ProxyError `invalid_request` if it cannot be read
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    return { path, text: await readFile(path, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { path };
    throw new ProxyError('invalid_request', `${path} cannot be read: ${unreadableReason(error)}.`, {
      cause: error,
      hint: 'Nothing was changed.',
    });
  }
}

/** What of ours a text has. Each is put in and taken out without the other. */
export type OwnPart = 'provider' | 'mcp';

/** Where the text before our first edit is kept. */
export function backupPath(path: string, part: OwnPart = 'provider'): string {
  return `${path}.before-rlm${part === 'provider' ? '' : `-${part}`}`;
}

/**
 * Replaces a configuration file whole: temporary file, sync, rename. Follows symbolic links
 * (dotfile repositories) and keeps the mode.
 * @param backup Where the text that it had is kept: {@link backupPath}. Absent: nowhere
 * @returns The outermost folder that had to be made for it, if one had
 * @throws ProxyError `invalid_request` if the file is not what was read any more
 */
export async function writeConfigFile(
  file: ConfigFile,
  text: string,
  backup: string | undefined,
): Promise<string | undefined> {
  const current = await readConfigFile(file.path);
  if (current.text !== file.text) {
    throw new ProxyError('invalid_request', `${file.path} has changed in the meantime.`, {
      hint: 'Run the command again.',
    });
  }
  if (file.text !== undefined && backup !== undefined) {
    await replace(backup, file.text, 0o600);
  }
  const made = await mkdir(dirname(file.path), { recursive: true, mode: 0o700 });
  const target = (await isLink(file.path)) ? await realpath(file.path) : file.path;
  await replace(target, text, file.text === undefined ? 0o600 : (await stat(target)).mode & 0o777);
  return made;
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return false;
  }
}

async function replace(path: string, text: string, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const handle = await open(temporary, 'wx', mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await rename(temporary, path);
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
}
