import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute } from 'node:path';

/**
 * OpenCode cuts tool outputs at 50 KiB or 2,000 lines and saves the whole text in `…/opencode/tool-output/tool_<id>`.
 * This finds that file's name in a cut result: a line of its own for bash, behind a sentence for other tools.
 */
const savedTo = /(?:^|\n|\. )Full output saved to: ([^\r\n]+?)(?:\r?\n|$)/;

/** Where a result can name the file: bash names it at the beginning, all others at the end. */
const edgeChars = 2_000;

/** The file that a cut tool result names, if it is one. Only the result's head and tail are looked at, so quoted old outputs in the middle do not count. */
export function spillPathOf(result: string): string | undefined {
  const head = result.slice(0, edgeChars);
  const tail = result.slice(-edgeChars);
  const found =
    (head.startsWith('...output truncated...') ? savedTo.exec(head) : null) ??
    (/truncated/.test(tail) ? savedTo.exec(tail) : null);
  return found?.[1];
}

/**
 * Reads a spill file, after checking that it may be read: an absolute path to a `tool_…` file directly inside a folder
 * `opencode/tool-output`, with no symbolic link at its end, a regular file, at most `maxBytes` large. A model or a web page
 * that talks a client into naming another file gets nothing.
 * Returns undefined where any check fails or the file is gone (OpenCode deletes it after 7 days).
 */
export async function readSpillFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  if (!isAbsolute(path) || !/^tool_[A-Za-z0-9]+$/.test(basename(path))) return undefined;
  try {
    const folder = await realpath(dirname(path));
    if (basename(folder) !== 'tool-output' || basename(dirname(folder)) !== 'opencode')
      return undefined;
    await using file = await open(
      `${folder}/${basename(path)}`,
      // Without O_NONBLOCK the opening of a pipe waits until somebody writes to it.
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const facts = await file.stat();
    if (!facts.isFile() || facts.size > maxBytes) return undefined;
    return await file.readFile();
  } catch (error) {
    // Gone, not ours to read, a name that no file can have: whatever it is, what the client has sent is stored instead.
    if (typeof (error as NodeJS.ErrnoException).code === 'string') return undefined;
    throw error;
  }
}
