import type { SearchQuery } from '../../search/types.ts';
import type { Entry } from '../../store/types.ts';
import type { EntryFilter } from '../entry-choice.ts';
import { rangesOf } from '../filters.ts';
import type { GivenElsewhere } from '../linked/shared-texts.ts';
import type { ResultForm } from '../result-form.ts';
import { isVisible, visibleRanges } from '../slice.ts';
import type { ToolContext } from '../tool.ts';
import type { AskedGrouping } from './grouping.ts';
import type { SearchAnswer } from './search-text.ts';
import type { SearchResult } from '../../search/types.ts';

/** Hits longer than this are clipped around the match, in characters. */
const maxLineChars = 600;

/** The arguments that all search tools have, checked. */
export interface SearchArgs extends EntryFilter {
  readonly case_sensitive: boolean;
  readonly max_results: number;
  readonly context_lines: number;
  readonly order: SearchQuery['order'];
  readonly scope?: string | undefined;
  readonly cursor?: string | undefined;
  readonly format?: ResultForm | undefined;
}

/** What is searched for, and how its groups are shown. */
export interface SearchedFor extends Pick<SearchQuery, 'pattern' | 'literal' | 'rank' | 'marks'> {
  /** Groups instead of lines. */
  readonly grouping?: AskedGrouping & {
    readonly kind: NonNullable<SearchQuery['aggregate']>['kind'];
    readonly maxGroups: number;
  };
}

/** A search of one store, ready to be run. */
export interface StoreSearch {
  readonly context: ToolContext;
  /** Without an aggregate: whoever runs it knows how many stores count together. */
  readonly query: SearchQuery;
  /** What a filter left. */
  readonly entries: readonly Entry[] | undefined;
  /** How the filter was read. */
  readonly note: string | undefined;
  /** Texts that another of the stores which are searched gives. */
  readonly given?: GivenElsewhere | undefined;
}

/** Makes a search of one store ready; a sentence where the filter chooses nothing there. */
export function prepareSearch(
  asked: SearchArgs,
  { pattern, literal, rank, marks }: SearchedFor,
  context: ToolContext,
):
  | { readonly ok: true; readonly search: StoreSearch }
  | { readonly ok: false; readonly fault: string } {
  const filtered = rangesOf(context.session.store, asked, context.clock.now());
  if (!filtered.ok) return filtered;
  const ranges = visibleRanges(filtered.ranges, context.slice);
  if (ranges?.length === 0 && filtered.ranges?.length !== 0)
    return {
      ok: false,
      fault:
        'The entries that the filter chooses lie outside the part of the context that you see.',
    };
  const query: SearchQuery = {
    pattern,
    literal,
    ...(rank === undefined ? {} : { rank }),
    ...(marks === undefined ? {} : { marks }),
    caseSensitive: asked.case_sensitive,
    maxResults: asked.max_results,
    contextLines: asked.context_lines,
    order: asked.order,
    maxLineChars,
    ...(asked.cursor === undefined ? {} : { cursor: asked.cursor }),
    ...(ranges === undefined ? {} : { ranges }),
  };
  return { ok: true, search: { context, query, entries: filtered.entries, note: filtered.note } };
}

/** How much text a search is about, in characters. */
export function searchedChars({
  entries,
  given,
  context: { session, slice },
}: StoreSearch): number {
  const { totals, list, entries: all } = session.store;
  if (entries === undefined && slice !== undefined) return slice.endChars - slice.startChars;
  const ownChars = totals.chars - (given?.chars ?? 0);
  if (entries === undefined && !list.hasGone) return ownChars;
  let chars = entries === undefined ? ownChars : 0;
  // Of what was forgotten nothing was searched.
  if (entries === undefined) {
    for (const entry of all.slice(given?.entries ?? 0))
      if (entry.forgotten !== undefined) chars -= entry.lengthChars;
    return chars;
  }
  for (const entry of entries) {
    if (!isVisible(entry, slice)) continue;
    const start = Math.max(entry.offsetChars, slice?.startChars ?? 0);
    const end = Math.min(entry.offsetChars + entry.lengthChars, slice?.endChars ?? Infinity);
    chars += end - start;
  }
  return chars;
}

/** How many of some blocks of text fit into a result: at least one. */
export function countFitting(blocks: readonly string[], maxChars: number): number {
  let sizeChars = 0;
  for (const [index, block] of blocks.entries()) {
    sizeChars += block.length + 1;
    if (sizeChars > maxChars) return Math.max(1, index);
  }
  return blocks.length;
}

/** What of a result goes into an answer as it is. */
export function countsOf({
  groupCount,
  occurrences,
  total,
  partial,
  nextCursor,
  words,
}: Pick<
  SearchResult,
  'groupCount' | 'occurrences' | 'total' | 'partial' | 'nextCursor' | 'words'
>): Pick<
  SearchAnswer,
  'groupCount' | 'occurrences' | 'total' | 'isPartial' | 'nextCursor' | 'words'
> {
  return {
    total,
    isPartial: partial,
    ...(groupCount === undefined ? {} : { groupCount }),
    ...(words === undefined ? {} : { words }),
    ...(occurrences === undefined ? {} : { occurrences }),
    ...(nextCursor === undefined ? {} : { nextCursor }),
  };
}
