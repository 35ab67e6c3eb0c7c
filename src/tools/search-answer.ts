import type { SearchMatch, SearchQuery, SearchResult } from '../search/types.ts';
import type { Entry, SessionStore } from '../store/types.ts';
import { namesOf, type EntryFilter } from './entry-choice.ts';
import { entryAt, rangesOf } from './filters.ts';
import { replacedNote, totalNote } from './search-notes.ts';
import { visibleRanges } from './slice.ts';
import type { ToolContext } from './tool.ts';

/**
 * One hit as the model sees it. `line` and `offset` are those of the whole context; `offset` is
 * where the match begins.
 */
interface Hit {
  readonly line: number;
  readonly text: string;
  readonly offset: number;
  readonly entry?: string | undefined;
  readonly path?: string;
  readonly tool?: string;
  readonly superseded_by?: string | undefined;
  /** The line is longer than what is shown of it. */
  readonly clipped?: true;
  /** Other paths of the same text: a text that came from several files is one entry. */
  readonly also_at?: readonly string[];
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The lines around end sooner than asked because the entry does. */
  readonly border?: string;
}

/** Hits longer than this are clipped around the match, in characters. */
const maxLineChars = 600;

/** The arguments that all search tools have, checked. */
export interface SearchArgs extends EntryFilter {
  readonly case_sensitive: boolean;
  readonly max_results: number;
  readonly context_lines: number;
  readonly order: SearchQuery['order'];
  readonly cursor?: string | undefined;
}

/**
 * Runs a search for a tool and writes the answer as JSON, within the size that a result may have.
 */
export async function answerSearch(
  asked: SearchArgs,
  what: Pick<SearchQuery, 'pattern' | 'literal' | 'aggregate'>,
  context: ToolContext,
): Promise<string> {
  const { store } = context.session;
  const filtered = rangesOf(store, asked, context.clock.now());
  if (!filtered.ok) return JSON.stringify({ error: filtered.fault });
  const ranges = visibleRanges(filtered.ranges, context.slice);
  if (ranges?.length === 0 && filtered.ranges?.length !== 0)
    return JSON.stringify({
      error:
        'The entries that the filter chooses lie outside the part of the context that you see.',
    });
  const query: SearchQuery = {
    ...what,
    caseSensitive: asked.case_sensitive,
    maxResults: asked.max_results,
    contextLines: asked.context_lines,
    order: asked.order,
    maxLineChars,
    cursor: asked.cursor,
    ranges,
  };
  const options = { signal: context.signal, deadlineMs: context.searchDeadlineMs };
  let result = await context.search.search(await store.snapshot(), query, options);
  let hits = hitsOf(result.matches, store, asked);
  const fitting = countFitting(hits, context.maxResultChars);
  if (fitting < hits.length && fitting > 0) {
    // Too long for one result: ask for as many as fit, so that the cursor goes on right behind
    // them.
    const fewer = { ...query, maxResults: fitting };
    result = await context.search.search(await store.snapshot(), fewer, options);
    hits = hitsOf(result.matches, store, asked);
  }
  if (context.isExplained === false) return write(result, hits, [filtered.note]);
  const looks = { query, context, entries: filtered.entries };
  const shownReplaced = hits.filter((hit) => hit.superseded_by !== undefined).length;
  const isAllShown = asked.cursor === undefined && hits.length === result.total;
  return write(result, hits, [
    filtered.note,
    await replacedNote(result, { ...looks, isAllShown, shownReplaced }),
    // A first page only: a later one may hold nothing because the earlier ones held all.
    asked.cursor === undefined ? await totalNote(result, looks) : undefined,
  ]);
}

function write(
  result: SearchResult,
  hits: readonly Hit[],
  explained: readonly (string | undefined)[],
): string {
  const notes = [result.note, ...explained].filter((note) => note !== undefined);
  return JSON.stringify({
    ...(result.groups === undefined
      ? { matches: hits }
      : { groups: result.groups, group_count: result.groupCount }),
    occurrences: result.occurrences,
    total: result.total,
    truncated: result.nextCursor !== undefined || result.partial,
    ...(result.partial ? { partial: true } : {}),
    next_cursor: result.nextCursor,
    ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
  });
}

function hitsOf(
  matches: readonly SearchMatch[],
  { entries, list }: SessionStore,
  filter: EntryFilter,
): readonly Hit[] {
  return matches.map((match) => {
    const entry = entryAt(entries, match.offsetBytes);
    const successor = entry === undefined ? undefined : list.successorOf(entry);
    return {
      line: match.line,
      text: match.text,
      ...(match.clipped ? { clipped: true } : {}),
      offset: match.offsetChars,
      entry: entry?.id,
      ...(entry === undefined ? {} : namesOf(list, entry, filter.path)),
      ...(entry?.tool === undefined ? {} : { tool: entry.tool }),
      superseded_by: successor?.id,
      ...linesAround(match, entry),
    };
  });
}

/**
 * Lines around a hit, as far as they are its entry's; where that begins or ends among them, it says
 * so.
 */
function linesAround(
  { line, before, after, text }: SearchMatch,
  entry: Entry | undefined,
): Pick<Hit, 'before' | 'after' | 'border'> {
  if (before === undefined && after === undefined) return {};
  if (entry === undefined) return { before: before ?? [], after: after ?? [] };
  const lastLine = line + text.split('\n').length - 1;
  const roomBefore = Math.max(0, line - entry.lineNumber);
  const roomAfter = Math.max(0, entry.lineNumber + entry.lineCount - 1 - lastLine);
  const isStart = roomBefore < (before?.length ?? 0) || roomBefore === before?.length;
  const isEnd = roomAfter <= (after?.length ?? 0);
  const borders = [isStart ? 'begins' : '', isEnd ? 'ends' : ''].filter((word) => word !== '');
  return {
    before: roomBefore === 0 ? [] : (before ?? []).slice(-roomBefore),
    after: (after ?? []).slice(0, roomAfter),
    ...(borders.length === 0 ? {} : { border: `${entry.id} ${borders.join(' and ')} here` }),
  };
}

function countFitting(hits: readonly Hit[], maxChars: number): number {
  let sizeChars = 0;
  for (const [index, hit] of hits.entries()) {
    sizeChars += JSON.stringify(hit).length + 1;
    if (sizeChars > maxChars) return Math.max(1, index);
  }
  return hits.length;
}
