import type { SearchMatch, SearchQuery, SearchResult } from '../search/types.ts';
import type { Entry, SessionStore } from '../store/types.ts';
import { entryAt, rangesOf, successorsOf, type EntryFilter } from './filters.ts';
import { visibleRanges } from './slice.ts';
import type { ToolContext } from './tool.ts';

/** One hit as the model sees it. `line` and `offset` are those of the whole context; `offset` is where the match begins. */
interface Hit {
  readonly line: number;
  readonly text: string;
  readonly offset: number;
  readonly entry?: string;
  readonly path?: string;
  readonly tool?: string;
  readonly superseded_by?: string;
  readonly before?: readonly string[];
  readonly after?: readonly string[];
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

/** Runs a search for a tool and writes the answer as JSON, within the size that a result may have. */
export async function answerSearch(
  asked: SearchArgs,
  what: Pick<SearchQuery, 'pattern' | 'literal' | 'aggregate'>,
  context: ToolContext,
): Promise<string> {
  const { store } = context.session;
  const filtered = rangesOf(store, asked, context.clock.now());
  if (!filtered.ok) return JSON.stringify({ error: filtered.fault });
  const ranges = visibleRanges(filtered.ranges, context.slice);
  const query: SearchQuery = {
    ...what,
    caseSensitive: asked.case_sensitive,
    maxResults: asked.max_results,
    contextLines: asked.context_lines,
    order: asked.order,
    maxLineChars,
    ...(asked.cursor === undefined ? {} : { cursor: asked.cursor }),
    ...(ranges === undefined ? {} : { ranges }),
  };
  const options = { signal: context.signal, deadlineMs: context.searchDeadlineMs };
  const result = await context.search.search(await store.snapshot(), query, options);
  await checkShown(result.matches, store);
  const hits = hitsOf(result.matches, store.entries);
  const fitting = countFitting(hits, context.maxResultChars);
  if (fitting === hits.length || fitting === 0) return write(result, hits);
  // Too long for one result: ask for as many as fit, so that the cursor goes on right behind them.
  const shorter = await context.search.search(
    await store.snapshot(),
    { ...query, maxResults: fitting },
    options,
  );
  return write(shorter, hitsOf(shorter.matches, store.entries));
}

/**
 * Damage is never shown as text: reading a hit's place checks the block that it lies in. Where the search has done that, to read
 * nothing there is enough: the store refuses what it knows as damaged.
 * @throws ProxyError `store_corrupt`
 */
async function checkShown(matches: readonly SearchMatch[], store: SessionStore): Promise<void> {
  for (const { offsetChars, checked = false } of matches) {
    await store.read(offsetChars, checked ? 0 : 1);
  }
}

function write(result: SearchResult, hits: readonly Hit[]): string {
  return JSON.stringify({
    ...(result.groups === undefined
      ? { matches: hits }
      : { groups: result.groups, group_count: result.groupCount }),
    ...(result.occurrences === undefined ? {} : { occurrences: result.occurrences }),
    total: result.total,
    truncated: result.nextCursor !== undefined || result.partial,
    ...(result.partial ? { partial: true } : {}),
    ...(result.nextCursor === undefined ? {} : { next_cursor: result.nextCursor }),
    ...(result.note === undefined ? {} : { note: result.note }),
  });
}

function hitsOf(matches: readonly SearchMatch[], entries: readonly Entry[]): readonly Hit[] {
  const owners = matches.map((match) => entryAt(entries, match.offsetBytes));
  const successors = successorsOf(entries, new Set(owners.filter((entry) => entry !== undefined)));
  return matches.map((match, index) => {
    const entry = owners[index];
    const successor = entry === undefined ? undefined : successors.get(entry);
    return {
      line: match.line,
      text: match.text,
      offset: match.offsetChars,
      ...(entry === undefined ? {} : { entry: entry.id }),
      ...(entry?.path === undefined ? {} : { path: entry.path }),
      ...(entry?.tool === undefined ? {} : { tool: entry.tool }),
      ...(successor === undefined ? {} : { superseded_by: successor.id }),
      ...(match.before === undefined ? {} : { before: match.before }),
      ...(match.after === undefined ? {} : { after: match.after }),
    };
  });
}

function countFitting(hits: readonly Hit[], maxChars: number): number {
  let sizeChars = 0;
  for (const [index, hit] of hits.entries()) {
    sizeChars += JSON.stringify(hit).length + 1;
    if (sizeChars > maxChars) return Math.max(1, index);
  }
  return hits.length;
}
