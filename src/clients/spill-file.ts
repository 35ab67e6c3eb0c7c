import { constants } from 'node:fs';
import { access, open, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import type { SpillForm } from './client.ts';
import { type UserPlaces, variableFolder } from './home.ts';
import { knownClients } from './known-clients.ts';

/**
 * Clients cut long tool outputs and save the whole text in a file. A note in the output names that
 * file, and any output can quote such a note (a log, a test of this program): it counts only where
 * the text beside it really is the beginning or the end of what the file holds.
 */
export interface SpillNote {
  /** The file, as it is named. */
  readonly path: string;
  /** What was printed of the file's beginning, UTF-8; empty where nothing was. */
  readonly beginning: Buffer;
  /** What was printed of its end. */
  readonly end: Buffer;
  /** What a shell adds behind the output: that it ran out of time. Not in the file. */
  readonly added: Buffer;
  readonly form: SpillForm;
}

/** Which files may be read. */
export interface SpillLimits {
  readonly maxBytes: number;
  /** What lies in it can have come with the project. */
  readonly projectDirectory?: string | undefined;
  /** Where clients keep whole outputs for this user: these folders may lie anywhere. */
  readonly ownFolders?: readonly OwnFolder[] | undefined;
}

/** A folder in which a client keeps whole outputs. */
export interface OwnFolder {
  readonly path: string;
  /** Whether they lie in folders in it, and not in it itself. */
  readonly isDeep: boolean;
  /** The usual folder, where a variable of its client has put another in its place. */
  readonly standsFor?: string | undefined;
}

/**
 * Where the clients keep whole outputs, below these base directories or where variables say. @param
 * env Of this process: a client that was started with others has other folders
 */
export function ownFoldersIn(
  bases: Readonly<Record<SpillForm['own']['below'], string>>,
  env: UserPlaces['env'] = {},
): readonly OwnFolder[] {
  const folders = allForms.flatMap(({ own }): readonly OwnFolder[] => {
    const isDeep = own.isDeep === true;
    const usual = { path: join(bases[own.below], ...own.folders), isDeep };
    const { variables = [], folders: below = [] } = own.moved ?? {};
    const moved = variableFolder(variables, { env, homeDir: bases.home });
    return moved === undefined
      ? [usual]
      : [usual, { path: join(moved, ...below), isDeep, standsFor: nameOf(own) }];
  });
  return [...new Map(folders.map((folder) => [folder.path, folder])).values()];
}

/** The variables that move these folders, as far as they are set, and the folders they name. */
export function movingVariables(at: UserPlaces): Readonly<Record<string, string>> {
  const names = new Set(allForms.flatMap(({ own }) => own.moved?.variables ?? []));
  const set = [...names].flatMap((name): readonly (readonly [string, string])[] => {
    const folder = variableFolder([name], at);
    return folder === undefined ? [] : [[name, folder]];
  });
  return Object.fromEntries(set);
}

function nameOf({ folders }: SpillForm['own']): string {
  return folders.join('/');
}

/** Whether a client saves files of this form under such a path. */
function isNamedBy(form: SpillForm, path: string, ownFolders: readonly OwnFolder[]): boolean {
  if (form.file.test(path.replaceAll(sep, '/'))) return true;
  const { moved } = form.own;
  return (
    moved !== undefined &&
    ownFolders.some(
      ({ standsFor, path: folder }) =>
        standsFor === nameOf(form.own) &&
        isInside(path, folder) &&
        moved.file.test(relative(folder, path).replaceAll(sep, '/')),
    )
  );
}

const none = Buffer.alloc(0);

/**
 * The note in a tool output, if it has one at an end. `ends` are the text's first and last 2,000
 * characters or more.
 */
export function spillNoteOf(
  text: string | Uint8Array,
  ends: { readonly head: string; readonly tail: string },
  ownFolders: readonly OwnFolder[] = [],
): SpillNote | undefined {
  let note: SpillNote | undefined;
  // Some clients have the same words: then the file tells whose they are.
  for (const form of allForms) {
    const found = noteIn(text, ends, form);
    if (found !== undefined && isNamedBy(form, found.path, ownFolders)) return found;
    note ??= found;
  }
  return note;
}

const allForms: readonly SpillForm[] = knownClients.flatMap(({ spills }) => spills);

function noteIn(
  text: string | Uint8Array,
  ends: { readonly head: string; readonly tail: string },
  form: SpillForm,
): SpillNote | undefined {
  const isBefore = form.stands === 'before';
  const found = form.note.exec(isBefore ? ends.head : ends.tail);
  const path = found?.[1];
  if (found === null || path === undefined) return undefined;
  const bytes = Buffer.from(typeof text === 'string' ? text : new Uint8Array(text));
  const noteBytes = Buffer.byteLength(found[0]);
  const frame = form.closing ?? form.added;
  const frameBytes = isBefore ? Buffer.byteLength(frame?.exec(ends.tail)?.[0] ?? '') : noteBytes;
  const [start, end] = [isBefore ? noteBytes : 0, bytes.length - frameBytes];
  if (end < start) return undefined;
  const kept = isBefore ? form.added && bytes.subarray(end) : Buffer.from(found[2] ?? '');
  const added = kept ?? none;
  return { path, ...printedIn(bytes.subarray(start, end), form), added, form };
}

function printedIn(
  printed: Buffer,
  { printed: which, gap }: SpillForm,
): Pick<SpillNote, 'beginning' | 'end'> {
  if (which === 'beginning') return { beginning: printed, end: none };
  const at = which === 'both' && gap !== undefined ? printed.indexOf(gap) : -1;
  if (at < 0 || gap === undefined) return { beginning: none, end: printed };
  return {
    beginning: printed.subarray(0, at),
    end: printed.subarray(at + Buffer.byteLength(gap)),
  };
}

/**
 * The note as it fits what the file holds: where what was printed is its beginning, its end or
 * both, white space at the border and bytes that are no UTF-8 aside. An empty text is no part.
 */
export function fittingNote(note: SpillNote, whole: Uint8Array): SpillNote | undefined {
  for (const each of readingsOf(note)) if (isPartOf(each, whole)) return each;
  return undefined;
}

/** Things that a tool says behind an output, one after the other. */
const maxSaid = 4;

/**
 * Whether the file itself is only the end of a longer output: it fills all that its client keeps of
 * one.
 */
export function isFilledUp({ keepsRows }: SpillForm, whole: Uint8Array): boolean {
  if (keepsRows === undefined) return false;
  const { rows, columns } = keepsRows;
  let count = 0;
  for (let start = 0; start < whole.length && count < rows;) {
    const newline = whole.indexOf(lineFeed, start);
    const end = newline < 0 ? whole.length : newline;
    // A blank line is a row, too. Of what is no ASCII a row holds more bytes: only ever too many
    // rows are counted.
    count += Math.max(1, Math.ceil((end - start) / columns));
    start = end + 1;
  }
  return count >= rows;
}

const lineFeed = 0x0a;

/** The note, and the same with the last of what was printed taken for words of the tool. */
function* readingsOf(note: SpillNote): Generator<SpillNote> {
  yield note;
  const { separator } = note.form;
  if (separator === undefined) return;
  const { end } = note;
  let at = end.lastIndexOf(separator);
  for (let said = 0; at >= 0 && said < maxSaid; said += 1) {
    yield { ...note, end: end.subarray(0, at), added: end.subarray(at) };
    at = at === 0 ? -1 : end.lastIndexOf(separator, at - 1);
  }
}

function isPartOf({ beginning, end, form }: SpillNote, whole: Uint8Array): boolean {
  const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength);
  let parts = 0;
  if (beginning.length > 0) {
    const text = bytes.toString('utf8', 0, beginning.length + edgeBytes).trim();
    // Where a character was cut in two, the printed half is not a character.
    const printed = withoutDots(beginning.toString().trim(), form, /\.\.\.$/);
    if (!text.startsWith(printed.replace(/\uFFFD+$/, ''))) return false;
    if (printed !== '') parts += 1;
  }
  if (end.length > 0) {
    const from = Math.max(0, bytes.length - end.length - edgeBytes);
    const text = bytes.toString('utf8', from).trim();
    const printed = withoutDots(end.toString().trim(), form, /^\.\.\./);
    if (!text.endsWith(printed.replace(/^\uFFFD+/, ''))) return false;
    if (printed !== '') parts += 1;
  }
  return parts > 0;
}

function withoutDots(printed: string, { hasDots }: SpillForm, dots: RegExp): string {
  return hasDots === true ? printed.replace(dots, '') : printed;
}

/**
 * Bytes beside what was printed that are looked at: white space may be left out at its border, and
 * what is no UTF-8 was printed as three bytes each.
 */
const edgeBytes = 4_096;

/**
 * Reads a spill file, after checking that it may be read: an absolute path to where the client
 * keeps such files and with a name that it gives, with no symbolic link at its end, a regular file
 * of this user, at most `maxBytes` large. A model, a web page or a repository that talks a client
 * into naming another file gets nothing.
 * Returns undefined where any check fails or the file is gone (clients delete them after a while).
 */
export async function readSpillFile(
  { path, form }: Pick<SpillNote, 'path' | 'form'>,
  options: SpillLimits,
): Promise<Buffer | undefined> {
  if (!isAbsolute(path)) return undefined;
  try {
    const folder = await realpath(dirname(path));
    const real = join(folder, basename(path));
    const ownFolders = await Promise.all(
      (options.ownFolders ?? []).map(async ({ path: named, isDeep, standsFor }) => ({
        path: await realOf(named),
        isDeep,
        standsFor,
      })),
    );
    if (!isNamedBy(form, real, ownFolders)) return undefined;
    if (await isBrought(folder, { ...options, ownFolders })) return undefined;
    await using file = await open(
      real,
      // Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const facts = await file.stat();
    if (!facts.isFile() || facts.size > options.maxBytes) return undefined;
    // In a folder for all users another one can have put it there.
    if (process.getuid !== undefined && facts.uid !== process.getuid()) return undefined;
    return await file.readFile();
  } catch (error) {
    // Gone, not ours to read, a name that no file can have: whatever it is, what the client has
    // sent is stored instead.
    if (typeof (error as NodeJS.ErrnoException).code === 'string') return undefined;
    throw error;
  }
}

/**
 * Whether a folder can have come with a project: it lies in the chat's, or in any repository, and
 * is not where a client keeps its data. Links are resolved.
 */
async function isBrought(
  folder: string,
  { ownFolders = [], projectDirectory: project }: SpillLimits,
): Promise<boolean> {
  for (const { path, isDeep } of ownFolders)
    if (isDeep ? isInside(folder, path) : folder === path) return false;
  if (project !== undefined && isInside(folder, await realOf(project))) return true;
  for (let above = folder; above !== dirname(above); above = dirname(above))
    for (const name of ['.git', '.hg', '.jj', '.svn'])
      if (await exists(join(above, name))) return true;
  return false;
}

function isInside(folder: string, outer: string): boolean {
  return `${folder}${sep}`.startsWith(outer.endsWith(sep) ? outer : `${outer}${sep}`);
}

async function realOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // Not there: then nothing lies in it.
    return path;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
