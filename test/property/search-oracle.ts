import { createContext, Script } from 'node:vm';
import type { SearchQuery } from '../../src/search/types.ts';

/** So long V8 may take for a text; some patterns it would not come back from. */
const timeoutMs = 250;

const context = createContext({ search: (): unknown => undefined });
const script = new Script('search()');

/**
 * {@link naiveSearch}, given up where V8 backtracks without end: then there is nothing to compare
 * with.
 */
export function boundedSearch(
  text: string,
  query: SearchQuery,
): ReturnType<typeof naiveSearch> | undefined {
  try {
    context['search'] = () => naiveSearch(text, query);
    return script.runInContext(context, { timeout: timeoutMs }) as ReturnType<typeof naiveSearch>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  }
}

/** What a search must find, by splitting the text into lines and asking V8 about each. */
function naiveSearch(
  text: string,
  query: SearchQuery,
): { readonly total: number; readonly hits: readonly { line: number; offsetChars: number }[] } {
  const regExp = new RegExp(inUnicode(query.pattern), query.caseSensitive ? 'usg' : 'usgi');
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const hits: { line: number; offsetChars: number }[] = [];
  let chars = 0;
  for (const [index, line] of lines.entries()) {
    // The return of a line's end and the mark at its beginning are not of the line.
    const marked = line.startsWith('\ufeff') ? 1 : 0;
    const match = firstMatch(regExp, line.slice(marked).replace(/\r$/, ''));
    if (match !== null) {
      const before = Array.from(line.slice(0, marked + match.index)).length;
      hits.push({ line: index + 1, offsetChars: chars + before });
    }
    chars += Array.from(line).length + 1;
  }
  const ordered = query.order === 'newest' ? hits.toReversed() : hits;
  return { total: hits.length, hits: ordered.slice(0, query.maxResults) };
}

const word = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const wordBorder = `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
const meanings: Readonly<Record<string, string>> = {
  w: word,
  W: word.replace('[', '[^'),
  d: '\\p{Nd}',
  D: '\\P{Nd}',
  b: wordBorder,
  B: `(?!${wordBorder})`,
};

/** A pattern for V8, to which `\w`, `\d` and `\b` are ASCII. */
export function inUnicode(pattern: string): string {
  return pattern.replaceAll(/\\(.)/g, (escape, letter: string) => meanings[letter] ?? escape);
}

/** V8 finds `\B` between the halves of a surrogate pair, which is no place in a text. */
function firstMatch(regExp: RegExp, line: string): RegExpExecArray | null {
  regExp.lastIndex = 0;
  let match = regExp.exec(line);
  while (match !== null && isInsidePair(line, match.index)) {
    regExp.lastIndex = match.index + 1;
    match = regExp.exec(line);
  }
  return match;
}

function isInsidePair(line: string, index: number): boolean {
  return index > 0 && (line.codePointAt(index - 1) ?? 0) > 0xffff;
}
