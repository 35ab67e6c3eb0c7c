import { join, resolve } from 'node:path';
import type { ClientKind } from './client.ts';

/** What the places of a client depend on. */
export interface UserPlaces {
  readonly homeDir: string;
  /** Of the process: a client that was started with other variables has other places. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The folder with a client's configuration and history. @throws TypeError for a client without one
 */
export function homeOf({ home, name }: Pick<ClientKind, 'home' | 'name'>, at: UserPlaces): string {
  if (home === undefined) throw new TypeError(`${name} has no folder of its own`);
  return variableFolder(home.variables, at) ?? join(at.homeDir, ...home.folders);
}

/** What the first of these variables says that is set; `~/` is the user's home. */
export function variableFolder(
  names: readonly string[],
  { env, homeDir }: UserPlaces,
): string | undefined {
  const path = names.map((name) => env[name]?.trim() ?? '').find((value) => value !== '');
  if (path === undefined) return undefined;
  return path === '~' || path.startsWith('~/') ? join(homeDir, path.slice(1)) : resolve(path);
}
