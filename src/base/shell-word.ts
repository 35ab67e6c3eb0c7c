/** A word of a POSIX shell, whatever is in it: as it is, or in single quotes. */
export function shellWord(word: string): string {
  return /^[\w./:-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
