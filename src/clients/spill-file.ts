import { constants } from 'node:fs';
import { access, open, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, sep } from 'node:path';
import { knownClients } from './known-clients.ts';

/**
 * Clients cut long tool outputs and save the whole text in a file. A note in the output names that
 * file, and any output can quote such a note (a log, a test of this program): it counts only where
 * the text beside it really is the beginning or the end of what the file holds.
 */
export interface SpillNote {
  /** The file, as it is named. */
  readonly path: string;
  /** What was printed of the file, UTF-8. */
  readonly visible: Buffer;
  /** Which end of the file that is. */
  readonly at: 'beginning' | 'end';
  /** What a shell adds behind the output: that it ran out of time. Not in the file. */
  readonly added: Buffer;
}

/** Which files may be read. */
export interface SpillLimits {
  readonly maxBytes: number;
  /** What lies in it can have come with the project. */
  readonly projectDirectory?: string | undefined;
  /** Where the client keeps whole outputs for this user: that one folder may lie anywhere. */
  readonly ownFolder?: string | undefined;
}

/**
 * The note in a tool output, if it has one at an end. `ends` are the text's first and last 2,000
 * characters or more.
 */
export function spillNoteOf(
  text: string | Uint8Array,
  ends: { readonly head: string; readonly tail: string },
): SpillNote | undefined {
  for (const { spill } of knownClients) {
    const before = spill.noteBefore.exec(ends.head);
    const behind = before === null ? spill.noteBehind.exec(ends.tail) : null;
    const path = before?.[1] ?? behind?.[1];
    if (path === undefined) continue;
    const bytes = Buffer.from(typeof text === 'string' ? text : new Uint8Array(text));
    if (behind !== null) {
      const end = bytes.length - Buffer.byteLength(behind[0]);
      return { path, visible: bytes.subarray(0, end), at: 'beginning', added: Buffer.alloc(0) };
    }
    const start = Buffer.byteLength(before?.[0] ?? '');
    const end = bytes.length - Buffer.byteLength(spill.added.exec(ends.tail)?.[0] ?? '');
    if (end < start) return undefined;
    return { path, visible: bytes.subarray(start, end), at: 'end', added: bytes.subarray(end) };
  }
  return undefined;
}

/**
 * Whether what was printed is an end of a text, white space at the border and bytes that are no
 * UTF-8 aside. An empty text is not a part.
 */
export function isPartOf({ visible, at }: SpillNote, whole: Uint8Array): boolean {
  const printed = visible.toString().trim();
  if (printed === '') return false;
  // Bytes that are not UTF-8 were printed as three each, so a part of the file that is as long is
  // enough; some more for white space.
  const length = visible.length + edgeBytes;
  const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength);
  const end = at === 'end' ? bytes.subarray(Math.max(0, bytes.length - length)) : bytes;
  const text = end.toString('utf8', 0, length).trim();
  // Where a character was cut in two, the printed half is not a character.
  if (at === 'end') return text.endsWith(printed.replace(/^\uFFFD+/, ''));
  return text.startsWith(printed.replace(/\uFFFD+$/, ''));
}

/** White space that may be left out at the border of what was printed, bytes. */
const edgeBytes = 4_096;

/**
 * Reads a spill file, after checking that it may be read: an absolute path to a file with a name
 * that a client gives, directly inside a folder where that client keeps them, with no symbolic link
 * at its end, a regular file, at most `maxBytes` large. A model, a web page or a repository that
 * talks a client into naming another file gets nothing.
 * Returns undefined where any check fails or the file is gone (clients delete them after a while).
 */
export async function readSpillFile(
  path: string,
  options: SpillLimits,
): Promise<Buffer | undefined> {
  const named = knownClients.filter(({ spill }) => spill.fileName.test(basename(path)));
  if (!isAbsolute(path) || named.length === 0) return undefined;
  try {
    const folder = await realpath(dirname(path));
    const isKept = named.some(({ spill }) => folder.endsWith(sep + spill.folders.join(sep)));
    if (!isKept) return undefined;
    if (await isBrought(folder, options)) return undefined;
    await using file = await open(
      `${folder}/${basename(path)}`,
      // Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const facts = await file.stat();
    if (!facts.isFile() || facts.size > options.maxBytes) return undefined;
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
 * is not where the client keeps its data.
 */
async function isBrought(
  folder: string,
  { ownFolder, projectDirectory: project }: SpillLimits,
): Promise<boolean> {
  if (ownFolder !== undefined && folder === (await realOf(ownFolder))) return false;
  if (project !== undefined && `${folder}${sep}`.startsWith(`${await realOf(project)}${sep}`))
    return true;
  for (let above = folder; above !== dirname(above); above = dirname(above))
    for (const name of ['.git', '.hg', '.jj', '.svn'])
      if (await exists(join(above, name))) return true;
  return false;
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
