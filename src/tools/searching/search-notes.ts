import { isCutNote } from '../../clients/cut-output.ts';
import type { SearchQuery, SearchResult } from '../../search/types.ts';
import type { Entry } from '../../store/types.ts';
import { commonRanges, replacedRanges } from '../filters.ts';
import type { GivenElsewhere } from '../linked/shared-texts.ts';
import { isVisible, visibleRanges } from '../slice.ts';
import type { ToolContext } from '../tool.ts';
import { explainMs, explainTotal } from './zero-note.ts';

/** What is known of a search when notes on its answer are made. */
export interface Looked {
  readonly query: SearchQuery;
  readonly context: ToolContext;
  /** What a filter left. */
  readonly entries: readonly Entry[] | undefined;
  /** Texts that another of the stores gives. */
  readonly given?: GivenElsewhere | undefined;
}

/** Why the total is 0, or everything. `looks` are the stores that were searched, at least one. */
export async function totalNote(
  { total, partial }: Pick<SearchResult, 'total' | 'partial'>,
  looks: readonly Looked[],
): Promise<string | undefined> {
  const [first] = looks;
  if (partial || first === undefined) return undefined;
  const { clock } = first.context;
  return explainTotal(
    {
      what: first.query,
      caseSensitive: first.query.caseSensitive,
      isFiltered: looks.some(({ entries }) => entries !== undefined),
      lines: () => looks.reduce((sum, look) => sum + linesOf(look), 0),
      count: async (other, { filtered, deadlineMs }) => {
        const untilMs = clock.elapsedMs() + deadlineMs;
        const count = { total: 0, partial: false };
        for (const { context, query, given } of looks) {
          const leftMs = untilMs - clock.elapsedMs();
          const unfiltered = given && ([[given.bytes, Infinity]] as const);
          const ranges = filtered ? query.ranges : visibleRanges(unfiltered, context.slice);
          const found = leftMs <= 0 ? undefined : await countIn(context, other, ranges, leftMs);
          count.total += found?.total ?? 0;
          count.partial ||= found?.partial ?? true;
        }
        return count;
      },
      elapsedMs: () => clock.elapsedMs(),
    },
    total,
  );
}

function linesOf({ context, entries, given }: Looked): number {
  return entries === undefined
    ? context.session.store.totals.lines - (given?.lines ?? 0)
    : entries.reduce((sum, entry) => sum + entry.lineCount, 0);
}

/**
 * Says how many of the lines lie in texts that newer ones of the same files have replaced: the
 * total counts both.
 */
export async function replacedNote(
  result: Pick<SearchResult, 'total'>,
  looks: readonly Looked[],
  {
    isAllShown,
    shownReplaced,
  }: {
    /** Whether every line that was counted is shown. */
    readonly isAllShown: boolean;
    /** Lines among the shown ones that lie in replaced texts. */
    readonly shownReplaced: number;
  },
): Promise<string | undefined> {
  if (result.total === 0) return undefined;
  let count = shownReplaced;
  let isPartial = false;
  if (!isAllShown) {
    let found = 0;
    for (const { query, context } of looks) {
      const { list } = context.session.store;
      const ranges =
        list.replaced.size === 0 ? [] : commonRanges(replacedRanges(list), query.ranges);
      if (ranges.length === 0) continue;
      const { total, partial } = await countIn(context, query, ranges, explainMs / looks.length);
      found += total;
      isPartial ||= partial;
    }
    count = Math.max(count, found);
  }
  if (count === 0) return undefined;
  const counted = isPartial ? `${count} or more` : `${count}`;
  const lines = counted === '1' ? '1 of these lines lies' : `${counted} of these lines lie`;
  return `${lines} in older texts of files that were stored again: total counts both.`;
}

/** Texts that are named in a note. */
const maxNamed = 5;

/** Says of a 0 that some of the texts it is about were not whole when they came. */
export function cutTextsNote(
  { total }: Pick<SearchResult, 'total'>,
  looks: readonly Pick<Looked, 'context' | 'entries' | 'given'>[],
): string | undefined {
  if (total > 0) return undefined;
  const cut = looks.flatMap(({ context, entries, given }) =>
    (entries ?? context.session.store.entries.slice(given?.entries ?? 0)).filter(
      (entry) => isCutNote(entry.note) && isVisible(entry, context.slice),
    ),
  );
  if (cut.length === 0) return undefined;
  const names = cut.slice(-maxNamed).map(({ id }) => id);
  const named = cut.length > maxNamed ? `${names.join(', ')}, …` : names.join(', ');
  const texts =
    cut.length === 1 ? '1 of the texts searched' : `${cut.length} of the texts searched`;
  return `Not all is known: ${texts} (${named}) had been cut by the client before it came here, so this 0 does not say that the words were not in what was left out. To see all of it, run its command again with the output written to a file, and search that file.`;
}

/** Counts lines in ranges, without showing one. */
async function countIn(
  context: ToolContext,
  { pattern, literal, caseSensitive }: Pick<SearchQuery, 'pattern' | 'literal' | 'caseSensitive'>,
  ranges: SearchQuery['ranges'],
  deadlineMs: number,
): Promise<SearchResult> {
  return context.search.search(
    await context.session.store.snapshot(),
    {
      pattern,
      literal,
      caseSensitive,
      maxResults: 1,
      contextLines: 0,
      order: 'newest',
      maxLineChars: 1,
      ranges,
    },
    { signal: context.signal, deadlineMs },
  );
}
