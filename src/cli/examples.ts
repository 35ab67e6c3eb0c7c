/** An example, and what it does; the words may be empty. */
type Example = readonly [command: string, does: string];

/** Cells of a terminal that a line of help may take. */
const maxWidth = 80;

/**
 * Examples for the end of a command's help: what is done stands behind the command, or under it
 * where a line would be too long.
 */
export function examples(...given: readonly Example[]): string {
  const widest = Math.max(...given.map(([command]) => command.length));
  const isBeside = given.every(([, does]) => widest + does.length + 7 <= maxWidth);
  const lines = given.map(([command, does]) => {
    if (does === '') return `  $ ${command}`;
    return isBeside ? `  $ ${command.padEnd(widest)}  ${does}` : `  $ ${command}\n      ${does}`;
  });
  return `\nExamples:\n${lines.join('\n')}\n`;
}
