/** How an error came out of the machine: name, message, stack. */
export type Failure = readonly [name: string, message: string, stack: string];

const framePattern = /call-(\d+)\.js:(\d+)(?::(\d+))?/;

/** The error as the model reads it: what, where, the line itself, and what would have worked. */
export function describeFailure(
  failure: Failure,
  program: { readonly code: string; readonly callNumber: number },
): string {
  const [name, message, stack] = failure;
  const hint = hintFor(name, message, program.code);
  const what = name === '' ? `thrown: ${message}` : `${name}: ${message}`;
  const said = hint === undefined ? '' : `\n${hint}`;
  const frame = framePattern.exec(stack);
  if (frame === null) return `${what}${said}`;
  const [, call, line, column] = frame;
  const place = `line ${line}${column === undefined ? '' : `, column ${column}`}`;
  if (Number(call) !== program.callNumber) return `${what} (${place} of call ${call})${said}`;
  const source = program.code.split('\n')[Number(line) - 1] ?? '';
  return `${what} (${place})\n  ${line} | ${source.slice(0, 200)}${said}`;
}

/** Lines that only Python has. */
const python =
  /^[ \t]*(?:def \w+\(|from \w+ import |import \w+\s*$|(?:if|elif|for|while|with|else|try|except)\b[^{]*:\s*(?:#.*)?$|print\(f["'])|\bNone\b|\bTrue\b|\bFalse\b|\[[^\]\n]*:[^\]\n]*\]|\bnot in\b|\blambda \w+:/m;

/** Names that programs use and that are none here, and what to use instead. */
const instead: Readonly<Record<string, string>> = {
  rlm_search: 'Tools are not called in a program: context.search(pattern, options) is rlm_search.',
  rlm_find: 'Tools are not called in a program: context.find(text, options) is rlm_find.',
  rlm_get_context:
    'Tools are not called in a program: context.text(entry) and context.read(offset, length) read.',
  rlm_stats: 'Tools are not called in a program: context.entries(filter) lists what is stored.',
  rlm_query: 'Tools are not called in a program: llm_query(prompt, text) and llm_map ask.',
  rlm_exec: 'This is rlm_exec already.',
  ...Object.fromEntries(
    ['require', 'fs', 'process', 'fetch', 'Buffer', 'setTimeout', 'XMLHttpRequest', 'Bun'].map(
      (name) => [
        name,
        'Programs have no files, network, timers or modules; help() shows the calls.',
      ],
    ),
  ),
  ...Object.fromEntries(
    ['re', 'json', 'range', 'str', 'int', 'dict', 'list', 'enumerate', 'sorted', 'sum', 'math'].map(
      (name) => [name, 'rlm_exec runs JavaScript, not Python; help() shows the calls.'],
    ),
  ),
};

/** A sentence on what was probably meant. */
function hintFor(name: string, message: string, code: string): string | undefined {
  if (name === 'SyntaxError')
    return python.test(code)
      ? 'This reads like Python; rlm_exec runs JavaScript: for (const x of xs) { ... }, `${x}`, text.slice(0, 1000). help() shows the calls.'
      : undefined;
  const unknown = /^'?(\w+)'? is not defined/.exec(message)?.[1];
  if (name !== 'ReferenceError' || unknown === undefined) return undefined;
  return Object.hasOwn(instead, unknown) ? instead[unknown] : undefined;
}
