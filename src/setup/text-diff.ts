/** Unchanged lines shown around a change. */
const contextLines = 3;

/**
 * The change from one text to another as lines marked `-`, `+` and ` `. One run of changed lines,
 * from the first to the last difference: enough for an edit in one place.
 */
export function textDiff(before: string, after: string): string {
  if (before === after) return '';
  const old = linesOf(before);
  const fresh = linesOf(after);
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let same = 0;
  const most = Math.min(old.length, fresh.length) - start;
  while (same < most && old.at(-1 - same) === fresh.at(-1 - same)) same += 1;
  const shown = [
    ...old.slice(Math.max(0, start - contextLines), start).map((line) => `  ${line}`),
    ...old.slice(start, old.length - same).map((line) => `- ${line}`),
    ...fresh.slice(start, fresh.length - same).map((line) => `+ ${line}`),
    ...old
      .slice(old.length - same)
      .slice(0, contextLines)
      .map((line) => `  ${line}`),
  ];
  return `${shown.join('\n')}\n`;
}

function linesOf(text: string): string[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}
