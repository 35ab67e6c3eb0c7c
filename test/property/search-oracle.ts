import type { SearchQuery } from '../../src/search/types.ts';

/** What a search must find, by splitting the text into lines and asking V8 about each. */
export function naiveSearch(
  text: string,
  query: SearchQuery,
): { readonly total: number; readonly hits: readonly { line: number; offsetChars: number }[] } {
  const regExp = new RegExp(query.pattern, query.caseSensitive ? 'us' : 'usi');
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const hits: { line: number; offsetChars: number }[] = [];
  let chars = 0;
  for (const [index, line] of lines.entries()) {
    const match = regExp.exec(line);
    if (match !== null) {
      const before = Array.from(line.slice(0, match.index)).length;
      hits.push({ line: index + 1, offsetChars: chars + before });
    }
    chars += Array.from(line).length + 1;
  }
  const ordered = query.order === 'newest' ? hits.toReversed() : hits;
  return { total: hits.length, hits: ordered.slice(0, query.maxResults) };
}
