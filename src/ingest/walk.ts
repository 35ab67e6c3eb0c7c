import { lstatSync, readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { dirname, isAbsolute, join, matchesGlob, resolve } from 'node:path';
import { IgnoreRules } from './ignore-rules.ts';

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
  | { readonly kind: 'failed'; readonly path: string; readonly reason: string };

/** How to walk. */
export interface WalkOptions {
  /** What relative paths are relative to; absolute. */
  readonly workingDirectory: string;
  /** Leave out what git would leave out. `.git` itself is always left out. */
  readonly respectIgnore: boolean;
}

/**
 * All files that `paths` name, each once: files as they are named (links followed), folders with all that is below (links not
 * followed, so nothing outside is reached), and globs (`src/**`, `*.{ts,md}`) where no file has just that name.
 */
export async function* walkPaths(
  paths: readonly string[],
  options: WalkOptions,
): AsyncGenerator<Found> {
  const seen = new Set<string>();
  for (const named of paths) {
    for await (const found of walkNamed(resolve(options.workingDirectory, named), named, options)) {
      if (seen.has(found.path)) continue;
      seen.add(found.path);
      yield found;
    }
  }
}

async function* walkNamed(
  path: string,
  named: string,
  options: WalkOptions,
): AsyncGenerator<Found> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) yield* walkFolder(path, await rulesFor(path, options), options);
    else if (stats.isFile()) yield fileFound(path, stats);
    else yield { kind: 'special', path };
  } catch (error) {
    const folder = globFolder(named, options.workingDirectory);
    if (folder === undefined) yield failed(path, error);
    else yield* matchGlob(folder, path, options);
  }
}

async function* matchGlob(
  folder: string,
  pattern: string,
  options: WalkOptions,
): AsyncGenerator<Found> {
  let matches = 0;
  for await (const found of walkFolder(folder, await rulesFor(folder, options), options)) {
    if (!matchesGlob(found.path, pattern)) continue;
    matches += 1;
    yield found;
  }
  if (matches === 0) yield { kind: 'failed', path: pattern, reason: 'no file matches' };
}

async function* walkFolder(
  folder: string,
  rules: IgnoreRules | undefined,
  options: WalkOptions,
): AsyncGenerator<Found> {
  let names: readonly string[];
  try {
    // Sorted, so that the store's order is the same on every machine.
    names = readdirSync(folder).toSorted();
  } catch (error) {
    yield failed(folder, error);
    return;
  }
  for (const [index, name] of names.entries()) {
    // At once, for the speed (5 us a file instead of 50), but not without the event loop getting its turn.
    if (index % namesPerTurn === 0) await setImmediate();
    if (name !== '.git') yield* walkEntry(join(folder, name), rules, options);
  }
}

async function* walkEntry(
  path: string,
  rules: IgnoreRules | undefined,
  options: WalkOptions,
): AsyncGenerator<Found> {
  try {
    const stats = lstatSync(path);
    if (rules?.ignores(path, stats.isDirectory()) === true) return;
    if (stats.isFile()) yield fileFound(path, stats);
    else if (stats.isDirectory()) yield* walkFolder(path, await rules?.below(path), options);
    else yield { kind: 'special', path };
  } catch (error) {
    yield failed(path, error);
  }
}

async function rulesFor(folder: string, options: WalkOptions): Promise<IgnoreRules | undefined> {
  return options.respectIgnore ? IgnoreRules.forFolder(folder) : undefined;
}

/** The deepest folder that a glob names without a wildcard; undefined for what is no glob. */
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
  const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return { kind: 'failed', path, reason };
}
