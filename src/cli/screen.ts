import { once } from 'node:events';
import { homedir } from 'node:os';
import type { WriteStream } from 'node:tty';

/** Where a command writes: standard output, standard error, or a test's. */
export type Output = Pick<WriteStream, 'isTTY'> & {
  readonly columns?: number;
} & NodeJS.WritableStream;

/**
 * Control characters but tab and line feed, those of eight bits too, and the marks that turn the
 * direction of writing: what stored texts and file names could drive a terminal with (its title,
 * its clipboard, what is seen of a line).
 */
// eslint-disable-next-line no-control-regex
const driving = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The text with every character that drives a terminal shown instead: `^[`, `\x9b`, `\u{202e}`. */
export function visible(text: string): string {
  return text.replace(driving, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return `^${String.fromCharCode(code + 0x40)}`;
    if (code === 0x7f) return '^?';
    return code < 0x100 ? `\\x${code.toString(16)}` : `\\u{${code.toString(16)}}`;
  });
}

/** Writes text for people or programs: a terminal gets it {@link visible}, a pipe as it is. */
export function print(text: string, out: Output = process.stdout): void {
  out.write(out.isTTY ? visible(text) : text);
}

/** Writes bytes to standard output; resolves when there is room for more. */
export async function printBytes(bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

/** Text on standard error. */
export function printError(text: string): void {
  print(text, process.stderr);
}

/** Cells of a terminal that does not say how many it has. */
const usualColumns = 80;

/**
 * Writes sentences. A terminal gets them broken between words where its lines end, and paths of
 * this user with `~`; a pipe gets them as they are.
 */
export function printProse(text: string, out: Output = process.stderr): void {
  print(proseFor(out, text), out);
}

/**
 * The same as a text.
 * @param taken Cells of each line that something else stands in
 */
export function proseFor(out: Output, text: string, taken = 0): string {
  return out.isTTY ? wrapped(withoutHome(text), (out.columns || usualColumns) - taken) : text;
}

/**
 * Text with its long lines broken between words. What stands in backquotes is not broken, nor is a
 * line that begins with two blanks: it is there to be copied.
 * @param columns Most characters of a line, where its words allow it
 */
export function wrapped(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => (line.startsWith('  ') || line.length <= columns ? line : broken(line, columns)))
    .join('\n');
}

function broken(line: string, columns: number): string {
  const lines: string[] = [];
  let current = '';
  for (const word of line.match(/(?:`[^`]*`|\S)+/g) ?? []) {
    if (current !== '' && current.length + 1 + word.length > columns) {
      lines.push(current);
      current = '';
    }
    current += current === '' ? word : ` ${word}`;
  }
  return [...lines, current].join('\n');
}

/** The folder of this user as shells spell it. */
function withoutHome(text: string): string {
  const home = homedir();
  if (home.length < 2) return text;
  return text.replaceAll(/(?<![\w.~-])(?:\/[^\s/:,;]+)+/g, (path) =>
    path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path,
  );
}

/**
 * Writes a value as JSON, which shows its own control characters, and its pieces in the same way in
 * a terminal and a pipe.
 */
export function printJson(value: unknown, indent?: number): void {
  process.stdout.write(`${jsonText(value, indent)}\n`);
}

/** JSON in which also the control characters of eight bits are escapes. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Writes text that is {@link visible} already and holds colours or cursor movements of our own. */
export function printStyled(text: string, out: Output = process.stdout): void {
  out.write(text);
}
