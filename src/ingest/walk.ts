import { unreadableReason } from '../base/system-words.ts';
import { type Dirent, lstatSync, readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { dirname, isAbsolute, join, matchesGlob, resolve } from 'node:path';
import { IgnoreRules } from './ignore-rules.ts';

/** So many names are looked at before the event loop gets its turn: about a millisecond. */
const namesPerTurn = 100;

/** A file to read. */
export interface FoundFile {
  readonly kind: 'file';
  /** Absolute. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** What was found on the way through files and folders. */
export type Found =
  | FoundFile
  /** A link, socket, device: neither read nor followed. */
  | { readonly kind: 'special'; readonly path: string }
  /** A source map, or minified: a copy of what stands in other files, in lines nobody reads. */
  | { readonly kind: 'generated'; readonly path: string }
  | { readonly kind: 'failed'; readonly path: string; readonly reason: string };

/** Names of files that builders write beside what people write. */
const generatedName = /\.(?:min\.[cm]?js|min\.css|(?:[cm]?[jt]s|css)\.map)$/i;

/** How to walk. */
interface WalkOptions {
  /** What relative paths are relative to; absolute. */
  readonly workingDirectory: string;
  /**
   * Leave out what git would leave out, and what builders write. `.git` itself is always left out.
   */
  readonly respectIgnore: boolean;
}

/**
 * All files that `paths` name, each once: files as they are named (links followed), folders with
 * all that is below (links not followed, so nothing outside is reached), and globs (`src/**`,
 * `*.{ts,md}`) where no file has just that name. In groups, because in a tree of small files a turn
 * of the event loop for each would be a tenth of the work.
 */
export async function* walkPaths(
  paths: readonly string[],
  options: WalkOptions,
): AsyncGenerator<readonly Found[]> {
  const seen = new Set<string>();
  const isNew = ({ path }: Found): boolean => seen.size < seen.add(path).size;
  for (const named of paths) {
    const path = resolve(options.workingDirectory, named);
    for await (const found of walkNamed(path, named, options)) yield found.filter(isNew);
  }
}

async function* walkNamed(
  path: string,
  named: string,
  options: WalkOptions,
): AsyncGenerator<readonly Found[]> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory())
      yield* walkFolder(path, await rulesFor(path, options), options.respectIgnore);
    else if (stats.isFile()) yield [fileFound(path, stats)];
    else yield [{ kind: 'special', path }];
  } catch (error) {
    const folder = globFolder(named, options.workingDirectory);
    if (folder === undefined) yield [failed(path, error)];
    else yield* matchGlob(folder, path, options);
  }
}

async function* matchGlob(
  folder: string,
  pattern: string,
  options: WalkOptions,
): AsyncGenerator<readonly Found[]> {
  let matches = 0;
  // Whoever names them wants them.
  const leavesGenerated = options.respectIgnore && !generatedName.test(pattern);
  const rules = await rulesFor(folder, options);
  for await (const found of walkFolder(folder, rules, leavesGenerated)) {
    const matching = found.filter(({ path }) => matchesGlob(path, pattern));
    matches += matching.length;
    yield matching;
  }
  if (matches === 0) yield [{ kind: 'failed', path: pattern, reason: 'no file matches' }];
}

/** A folder that is being walked through. */
interface Level {
  readonly folder: string;
  readonly rules: IgnoreRules | undefined;
  readonly entries: readonly Dirent[];
  next: number;
}

async function* walkFolder(
  top: string,
  rules: IgnoreRules | undefined,
  leavesGenerated: boolean,
): AsyncGenerator<readonly Found[]> {
  let found: Found[] = [];
  const levels: Level[] = [];
  const entriesIn = (folder: string): readonly Dirent[] => {
    try {
      // Sorted, so that the store's order is the same on every machine. With their kinds, so that
      // what is ignored is not even looked at.
      return readdirSync(folder, { withFileTypes: true }).toSorted((a, b) =>
        a.name < b.name ? -1 : 1,
      );
    } catch (error) {
      found.push(failed(folder, error));
      return [];
    }
  };
  levels.push({ folder: top, rules, entries: entriesIn(top), next: 0 });
  for (let turn = 1; levels.length > 0; turn += 1) {
    // At once, for the speed (5 us a file instead of 50), but not without the event loop getting
    // its turn.
    if (turn % namesPerTurn === 0) {
      yield found;
      found = [];
      await setImmediate();
    }
    const level = levels.at(-1)!;
    const named = level.entries[level.next];
    level.next += 1;
    if (named === undefined) {
      levels.pop();
    } else if (named.name !== '.git') {
      const path = join(level.folder, named.name);
      const entry = lookAt(path, named, level.rules, leavesGenerated);
      if (entry === 'folder') {
        const entries = entriesIn(path);
        const hasRules = entries.some(({ name }) => name === '.gitignore');
        const below = hasRules ? await level.rules?.below(path) : level.rules;
        levels.push({ folder: path, rules: below, entries, next: 0 });
      } else if (entry !== undefined) {
        found.push(entry);
      }
    }
  }
  yield found;
}

/** What a path in a folder is; undefined for what is left out. */
function lookAt(
  path: string,
  named: Dirent,
  rules: IgnoreRules | undefined,
  leavesGenerated: boolean,
): Found | 'folder' | undefined {
  const isFolder = named.isDirectory();
  if (rules?.ignores(path, isFolder) === true) return undefined;
  if (isFolder) return 'folder';
  if (!named.isFile()) return { kind: 'special', path };
  if (leavesGenerated && generatedName.test(named.name)) return { kind: 'generated', path };
  try {
    return fileFound(path, lstatSync(path));
  } catch (error) {
    return failed(path, error);
  }
}

async function rulesFor(folder: string, options: WalkOptions): Promise<IgnoreRules | undefined> {
  return options.respectIgnore ? IgnoreRules.forFolder(folder) : undefined;
}

/** The deepest folder that a glob names without a wildcard; undefined for what is not a glob. */
function globFolder(pattern: string, workingDirectory: string): string | undefined {
  const wildcard = pattern.search(/[*?[{]/);
  if (wildcard < 0) return undefined;
  const fixed = `${pattern.slice(0, wildcard)}x`;
  return dirname(isAbsolute(fixed) ? fixed : join(workingDirectory, fixed));
}

function fileFound(
  path: string,
  stats: { readonly size: number; readonly mtimeMs: number },
): Found {
  return { kind: 'file', path, sizeBytes: stats.size, mtimeMs: stats.mtimeMs };
}

function failed(path: string, error: unknown): Found {
  return { kind: 'failed', path, reason: unreadableReason(error) };
}
