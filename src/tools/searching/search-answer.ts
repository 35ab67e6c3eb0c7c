import type { AggregateGroup, SearchQuery, SearchResult } from '../../search/types.ts';
import type { Entry, SessionStore } from '../../store/types.ts';
import type { EntryFilter } from '../entry-choice.ts';
import { entryOfOffset, lineInEntry } from '../entry-lines.ts';
import { rangesOf } from '../filters.ts';
import { grouped } from '../../base/numbers.ts';
import { faultText, type ResultForm } from '../result-form.ts';
import { hitsOf } from './search-hit.ts';
import { cutTextsNote, replacedNote, totalNote } from './search-notes.ts';
import {
  hitBlocks,
  searchJson,
  searchText,
  type PlaceFields,
  type SearchAnswer,
} from './search-text.ts';
import { isVisible, visibleRanges } from '../slice.ts';
import type { ToolContext } from '../tool.ts';

/** Hits longer than this are clipped around the match, in characters. */
const maxLineChars = 600;

/** The arguments that all search tools have, checked. */
export interface SearchArgs extends EntryFilter {
  readonly case_sensitive: boolean;
  readonly max_results: number;
  readonly context_lines: number;
  readonly order: SearchQuery['order'];
  readonly cursor?: string | undefined;
  readonly format?: ResultForm | undefined;
}

/** What is searched for, and how its groups are shown. */
interface SearchedFor extends Pick<SearchQuery, 'pattern' | 'literal' | 'aggregate' | 'rank'> {
  /** Puts names in the place of labels. */
  readonly nameGroups?: (groups: readonly AggregateGroup[]) => readonly AggregateGroup[];
  /** Whether there are several keys: then each group's are shown one by one. */
  readonly isByKeys?: boolean;
}

/** Runs a search for a tool and writes the answer, within the size that a result may have. */
export async function answerSearch(
  asked: SearchArgs,
  { nameGroups, isByKeys, ...what }: SearchedFor,
  context: ToolContext,
): Promise<string> {
  const form = asked.format ?? context.form ?? 'text';
  const { store } = context.session;
  const filtered = rangesOf(store, asked, context.clock.now());
  if (!filtered.ok) return faultText(filtered.fault, form);
  const ranges = visibleRanges(filtered.ranges, context.slice);
  if (ranges?.length === 0 && filtered.ranges?.length !== 0)
    return faultText(
      'The entries that the filter chooses lie outside the part of the context that you see.',
      form,
    );
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
  let result = await context.search.search(await store.snapshot(), query, options);
  let hits = await hitsOf(result.matches, store, asked.path);
  const sizes =
    form === 'json' ? hits.map(({ fields }) => JSON.stringify(fields)) : hitBlocks(hits);
  const fitting = countFitting(sizes, context.maxResultChars);
  if (fitting < hits.length && fitting > 0) {
    // Too long for one result: ask for as many as fit, so that the cursor goes on right behind
    // them.
    const fewer = { ...query, maxResults: fitting };
    result = await context.search.search(await store.snapshot(), fewer, options);
    hits = await hitsOf(result.matches, store, asked.path);
  }
  context.report?.(foundText(result));
  const answer = answerOf(result, store, {
    hits,
    searchedChars: searchedChars(filtered.entries, context),
    showsPlaces: what.aggregate?.kind === 'first_last',
    isLaterPage: asked.cursor !== undefined,
    ...(isByKeys === undefined ? {} : { isByKeys }),
    ...(nameGroups === undefined ? {} : { nameGroups }),
  });
  const looks = { query, context, entries: filtered.entries };
  const shownReplaced = hits.filter(({ fields }) => fields.superseded_by !== undefined).length;
  const isAllShown = asked.cursor === undefined && hits.length === result.total;
  // Words are told with their counts.
  const isExplained = context.isExplained !== false && what.rank === undefined;
  const notes = [
    result.note,
    filtered.note,
    isExplained ? await replacedNote(result, { ...looks, isAllShown, shownReplaced }) : undefined,
    // A first page only: a later one may hold nothing because the earlier ones held all.
    isExplained && asked.cursor === undefined ? await totalNote(result, looks) : undefined,
    context.isExplained !== false && asked.cursor === undefined
      ? cutTextsNote(result, looks)
      : undefined,
  ].filter((note) => note !== undefined);
  return form === 'json' ? searchJson({ ...answer, notes }) : searchText({ ...answer, notes });
}

/** What a search has found, for progress: `→ 27 lines`. */
function foundText({ total, partial }: SearchResult): string {
  if (total === 0) return partial ? '→ nothing so far' : '→ nothing';
  const lines = `${grouped(total)} ${total === 1 ? 'line' : 'lines'}`;
  return `→ ${partial ? `at least ${lines}` : lines}`;
}

function answerOf(
  { groups, groupCount, occurrences, total, partial, nextCursor, words }: SearchResult,
  store: SessionStore,
  {
    isByKeys = false,
    nameGroups = (all) => all,
    ...shown
  }: Pick<SearchAnswer, 'hits' | 'searchedChars' | 'showsPlaces' | 'isLaterPage'> &
    Pick<SearchedFor, 'isByKeys' | 'nameGroups'>,
): Omit<SearchAnswer, 'notes'> {
  return {
    ...shown,
    total,
    isPartial: partial,
    ...(groups === undefined
      ? {}
      : {
          groups: nameGroups(groups).map((group) => shownGroup(group, store, isByKeys)),
        }),
    ...(groupCount === undefined ? {} : { groupCount }),
    ...(words === undefined ? {} : { words }),
    ...(occurrences === undefined ? {} : { occurrences }),
    ...(nextCursor === undefined ? {} : { nextCursor }),
  };
}

function shownGroup(
  { values, notNumbers, first, last, ...computed }: AggregateGroup,
  store: SessionStore,
  isByKeys: boolean,
): NonNullable<SearchAnswer['groups']>[number] {
  return {
    ...computed,
    values: isByKeys ? values : undefined,
    not_numbers: notNumbers,
    first: placeOf(first, store),
    last: placeOf(last, store),
  };
}

function placeOf({ line, offsetChars }: AggregateGroup['first'], store: SessionStore): PlaceFields {
  const entry = entryOfOffset(store, offsetChars);
  if (entry === undefined) return { line, storeLine: line, offset: offsetChars };
  return {
    entry: entry.id,
    line: lineInEntry(entry, line),
    storeLine: line,
    offset: offsetChars,
  };
}

/** How much text a search was about, in characters. */
function searchedChars(
  entries: readonly Entry[] | undefined,
  { session, slice }: ToolContext,
): number {
  if (entries === undefined)
    return slice === undefined ? session.store.totals.chars : slice.endChars - slice.startChars;
  let chars = 0;
  for (const entry of entries) {
    if (!isVisible(entry, slice)) continue;
    const start = Math.max(entry.offsetChars, slice?.startChars ?? 0);
    const end = Math.min(entry.offsetChars + entry.lengthChars, slice?.endChars ?? Infinity);
    chars += end - start;
  }
  return chars;
}

function countFitting(blocks: readonly string[], maxChars: number): number {
  let sizeChars = 0;
  for (const [index, block] of blocks.entries()) {
    sizeChars += block.length + 1;
    if (sizeChars > maxChars) return Math.max(1, index);
  }
  return blocks.length;
}
