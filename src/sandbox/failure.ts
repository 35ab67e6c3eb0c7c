/** How an error came out of the machine: name, message, stack. */
export type Failure = readonly [name: string, message: string, stack: string];

const framePattern = /call-(\d+)\.js:(\d+)(?::(\d+))?/;

/** The error as the model reads it: what, where, and the line itself. */
export function describeFailure(
  failure: Failure,
  program: { readonly code: string; readonly callNumber: number },
): string {
  const [name, message, stack] = failure;
  const what = name === '' ? `thrown: ${message}` : `${name}: ${message}`;
  const frame = framePattern.exec(stack);
  if (frame === null) return what;
  const [, call, line, column] = frame;
  const place = `line ${line}${column === undefined ? '' : `, column ${column}`}`;
  if (Number(call) !== program.callNumber) return `${what} (${place} of call ${call})`;
  const source = program.code.split('\n')[Number(line) - 1] ?? '';
  return `${what} (${place})\n  ${line} | ${source.slice(0, 200)}`;
}
