import type { Entry, Naming } from '../../store/types.ts';

/** What lies in a folder, whatever depth. */
interface FolderShare {
  /** One step below the root that was asked about, or the file itself. */
  readonly name: string;
  entries: number;
  characters: number;
}

/** The paths of some entries, by the folder or file one step below the root that they share. */
export interface FolderTree {
  /** The longest folder that all paths lie in; empty where they share none. */
  readonly root: string;
  /** The fullest first. */
  readonly shares: readonly FolderShare[];
}

/** So many paths are looked at, the newest: some 20 ms. */
const maxPaths = 50_000;

/**
 * Groups texts by the folders of their paths. A text under several paths counts under each. `under`
 * is a folder, as {@link isUnder} takes it, whose parts are wanted. Pure.
 */
export function foldersOf(namings: readonly Naming[], under?: string): FolderTree {
  const paths = namings.slice(-maxPaths);
  const root = under === undefined ? commonFolder(paths) : commonFolder(paths, under);
  const shares = new Map<string, FolderShare>();
  const seen = new Map<string, Set<Entry>>();
  for (const { path, entry } of paths) {
    const rest = path.startsWith(root) ? path.slice(root.length) : path;
    const slash = rest.indexOf('/', 1);
    const name = slash < 0 ? rest : rest.slice(0, slash + 1);
    const known = seen.get(name);
    if (known?.has(entry) === true) continue;
    if (known === undefined) seen.set(name, new Set([entry]));
    else known.add(entry);
    const share = shares.get(name) ?? { name, entries: 0, characters: 0 };
    share.entries += 1;
    share.characters += entry.lengthChars;
    shares.set(name, share);
  }
  const sorted = [...shares.values()].toSorted(
    (a, b) => b.entries - a.entries || b.characters - a.characters || (a.name < b.name ? -1 : 1),
  );
  return { root, shares: sorted };
}

/** Whether a path lies in a folder, which is written whole or from any of its parts on. */
export function isUnder(path: string, folder: string): boolean {
  const name = folder.replace(/^\.\//, '').replace(/\/+$/, '');
  if (name === '' || name === '.') return true;
  return path.startsWith(`${name}/`) || path.includes(`/${name.replace(/^\/+/, '')}/`);
}

/** The folder, with its slash, that all paths lie in; of those under one, the part up to it. */
function commonFolder(namings: readonly Naming[], under?: string): string {
  let root: string | undefined;
  for (const { path } of namings) {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    root ??= folder;
    while (!path.startsWith(root)) root = root.slice(0, root.lastIndexOf('/', root.length - 2) + 1);
    if (root === '') break;
  }
  const found = root ?? '';
  // All that lies in a folder asked for may lie deeper: its parts are wanted all the same.
  if (under === undefined) return found;
  const name = `${under.replace(/^\.?\//, '').replace(/\/+$/, '')}/`;
  const at = found.indexOf(name);
  return at < 0 ? found : found.slice(0, at + name.length);
}
