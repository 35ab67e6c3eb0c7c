import { readSearch, readStats } from '../../src/upstream/shown-results.ts';

/**
 * A result of one of our tools, as the model reads it: the fields that its text shows, or those of
 * its JSON. The one place where tests know the form that a result has, so that the form can change
 * without them.
 * @throws where the text is no such result
 */
export function toolResult(text: unknown): Readonly<Record<string, unknown>> {
  if (typeof text !== 'string') throw new Error(`no tool result: ${JSON.stringify(text)}`);
  if (text.startsWith('{')) return JSON.parse(text) as Record<string, unknown>;
  if (text.startsWith('error: ')) return { error: text.slice('error: '.length) };
  const notes = [...text.matchAll(/^note: (.*)$/gm)].map((note) => note[1]);
  const note = notes.length === 0 ? {} : { note: notes.join(' ') };
  const search = readSearch(text);
  if (search !== undefined)
    return {
      total: search.total,
      matches: search.hits,
      ...(search.occurrences === undefined ? {} : { occurrences: search.occurrences }),
      ...note,
    };
  const stats = readStats(text);
  if (stats !== undefined) return { ...stats, ...note };
  const read = /^\[(?:(e\d+) )?.*\]\n/.exec(text);
  if (read !== null)
    return { entry: read[1], text: text.slice(read[0].length).replace(/^(?:note: .*\n)+/, '') };
  throw new Error(`no tool result: ${text.slice(0, 200)}`);
}

/** Whether a text is the result of a search (`rlm_search`, `rlm_find`). */
export function isSearchResult(text: unknown): boolean {
  try {
    return 'total' in toolResult(text);
  } catch {
    return false;
  }
}
