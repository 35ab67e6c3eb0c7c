import { readFileSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { unreadableReason } from '../base/system-words.ts';
import { ProxyError } from '../errors.ts';

/** Environment variables by name, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What may be given; the rest comes from the process. */
export interface LoadOptions {
  /** Values by long flag name, without dashes. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  /** Default: the environment of this process. */
  readonly env?: Environment;
  /** Default: the user's. */
  readonly homeDir?: string;
}

/** The folders of the XDG base directory specification, and those that they lie beside. */
export interface Folders {
  readonly configHome: string;
  readonly dataHome: string;
  readonly home: string;
  /** For temporary files. */
  readonly temp: string;
}

/**
 * Where configuration and data belong on this machine; relative paths in the variables are to be
 * ignored, says the specification.
 */
function foldersOf(env: Environment, homeDir: string): Folders {
  return {
    configHome: absoluteOr(env['XDG_CONFIG_HOME'], join(homeDir, '.config')),
    dataHome: absoluteOr(env['XDG_DATA_HOME'], join(homeDir, '.local/share')),
    home: homeDir,
    temp: absoluteOr(env['TMPDIR'], tmpdir()),
  };
}

function absoluteOr(path: string | undefined, standard: string): string {
  return path?.startsWith('/') === true ? path : standard;
}

/** Where everything is stored unless a setting says otherwise. */
export function standardDataDir({ dataHome }: Folders): string {
  return join(dataHome, 'rlm-opencode');
}

/**
 * Environment and folders that were given, else those of this process and its user. The only reader
 * of the process's environment.
 */
export function machineOf({ env = process.env, homeDir = homedir() }: LoadOptions = {}): {
  readonly env: Environment;
  readonly folders: Folders;
  readonly homeDir: string;
} {
  return { env, folders: foldersOf(env, homeDir), homeDir };
}

/**
 * The settings file: the one that `RLM_CONFIG` names, else `rlm-opencode/config.jsonc` in the
 * configuration home. Without `text` there is none.
 * @throws ProxyError `config_invalid` if it cannot be read
 */
export function readSettingsFile(
  env: Environment,
  { configHome }: Folders,
): { readonly path: string; readonly text: string | undefined } {
  const named = env['RLM_CONFIG'] ?? '';
  const path = named === '' ? join(configHome, 'rlm-opencode/config.jsonc') : resolve(named);
  return { path, text: readOptional(path, named !== '') };
}

/**
 * A key out of a file that holds nothing else.
 * @param path Absolute, or below the user's own folder with `~/`
 * @throws the system's error where it cannot be read
 */
export function readKeyFile(path: string): string {
  return readFileSync(keyFilePath(path), 'utf8');
}

/** Whether others than its owner may read a key's file; false where there is none. */
export function isOpenToOthers(path: string): boolean {
  const mode = statSync(keyFilePath(path), { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o077) !== 0;
}

function keyFilePath(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(path);
}

function readOptional(path: string, required: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing && !required) return undefined;
    throw new ProxyError('config_invalid', `${path} cannot be read: ${unreadableReason(error)}.`, {
      cause: error,
      hint: required
        ? 'RLM_CONFIG names the file; unset it to use the usual one.'
        : 'Mend that, or name another file with RLM_CONFIG.',
    });
  }
}
