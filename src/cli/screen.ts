import type { WriteStream } from 'node:tty';

/** Where a command writes: standard output, standard error, or a test's. */
export type Output = Pick<WriteStream, 'isTTY'> & NodeJS.WritableStream;

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

/** The same on standard error. */
export function printError(text: string): void {
  print(text, process.stderr);
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
