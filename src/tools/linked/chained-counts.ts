import type {
  CarriedCounts,
  Corpus,
  GroupKey,
  GroupPlace,
  SearchQuery,
  SearchResult,
} from '../../search/types.ts';
import { partitionPoint } from '../../base/sorted.ts';
import { ProxyError } from '../../errors.ts';
import type { SessionStore } from '../../store/types.ts';
import { entryAt } from '../filters.ts';
import type { ToolContext } from '../tool.ts';

/** One of several stores whose groups count together. */
export interface CountedStore {
  readonly context: ToolContext;
  /** Without an aggregate. */
  readonly query: SearchQuery;
  readonly by: readonly GroupKey[];
}

/** What a search of one of several stores has come to. */
export type StoreOutcome =
  | { readonly ok: true; readonly result: SearchResult }
  | { readonly ok: false; readonly fault: string };

/** How one of several stores is searched. */
export interface StoreSearching {
  /** Only where the index leaves little to read; see {@link SearchEngine.searchSmall}. */
  readonly small: (index: number, deadlineMs: number) => Promise<SearchResult | undefined>;
  /** With what `small` has found, if anything: the stores come one after the other. */
  readonly whole: (
    index: number,
    deadlineMs: number,
    small: SearchResult | undefined,
  ) => Promise<SearchResult>;
}

/**
 * Searches stores: first all of them at once, as far as their indexes leave little to read, so that
 * a question which the indexes answer costs about what it does in one store. Then the others one
 * after the other, each for its share of the time that is left, by how much text it has: a small
 * one takes none from a large one, and what one saves the next may use. What cannot be read in one
 * of them is that one's fault alone. @throws ProxyError `cancelled`, `shutting_down`
 */
export async function searchEach(
  stores: readonly { readonly context: ToolContext }[],
  deadlineMs: number,
  { small, whole }: StoreSearching,
): Promise<readonly StoreOutcome[]> {
  const clock = stores[0]?.context.clock;
  const untilMs = (clock?.elapsedMs() ?? 0) + deadlineMs;
  const share = (index: number): number => {
    const leftMs = untilMs - (clock?.elapsedMs() ?? 0);
    return Math.max(1, leftMs * shareOf(stores.slice(index)));
  };
  const tried = await Promise.all(
    stores.map(async (_, index) => {
      // Each gets what it would get if the others needed all of theirs.
      const others = stores.filter((_store, other) => other !== index);
      const limitMs = Math.max(1, deadlineMs * shareOf([stores[index]!, ...others]));
      return outcomeOf(async () => (others.length === 0 ? undefined : small(index, limitMs)));
    }),
  );
  const outcomes: StoreOutcome[] = [];
  for (const [index, found] of tried.entries()) {
    outcomes.push(
      found.ok ? await outcomeOf(async () => whole(index, share(index), found.result)) : found,
    );
  }
  return outcomes;
}

async function outcomeOf<Result>(
  search: () => Promise<Result>,
): Promise<
  { readonly ok: true; readonly result: Result } | { readonly ok: false; readonly fault: string }
> {
  try {
    return { ok: true, result: await search() };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    if (error.code === 'cancelled' || error.code === 'shutting_down') throw error;
    return { ok: false, fault: error.message };
  }
}

/** How much of the text of some stores the first of them has. */
function shareOf(stores: readonly { readonly context: ToolContext }[]): number {
  // Each costs something, also an empty one.
  const sizes = stores.map(({ context }) => context.session.store.totals.bytes + 1_000_000);
  return sizes[0]! / sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * Groups over several stores as if they were one: sums, means and different values are exact, too.
 * Places of groups are told by {@link placeInStores}.
 */
export async function countOver(
  stores: readonly CountedStore[],
  aggregate: Omit<NonNullable<SearchQuery['aggregate']>, 'by' | 'chain'>,
  deadlineMs: number,
): Promise<{
  readonly outcomes: readonly StoreOutcome[];
  /** The groups of all of them, and what was said of them. */
  readonly sum: SearchResult;
}> {
  let carried: readonly CarriedCounts[] = [];
  const queryOf = (index: number, goesOn: boolean): SearchQuery => {
    const { query, by } = stores[index]!;
    const chain = { corpus: index, goesOn, carried };
    return { ...query, aggregate: { ...aggregate, by, chain } };
  };
  const corpusOf = async (index: number): Promise<Corpus> =>
    stores[index]!.context.session.store.snapshot();
  const group = {};
  const outcomes = await searchEach(stores, deadlineMs, {
    small: async (index, limitMs) => {
      const { search, signal } = stores[index]!.context;
      const options = { signal, deadlineMs: limitMs, group };
      return search.searchSmall(await corpusOf(index), queryOf(index, true), options);
    },
    whole: async (index, limitMs, small) => {
      const { search, signal } = stores[index]!.context;
      const options = { signal, deadlineMs: limitMs };
      const result =
        small ?? (await search.search(await corpusOf(index), queryOf(index, true), options));
      // What was searched by itself knows nothing of the others.
      if (small === undefined) carried = [];
      if (result.carried !== undefined) carried = [...carried, result.carried];
      return result;
    },
  });
  // Nothing is read any more: one of the workers makes groups of what was carried so far.
  const { search, signal } = stores[0]!.context;
  const sum = await search.search(
    await corpusOf(0),
    { ...queryOf(0, false), ranges: [] },
    { signal, deadlineMs: concludeMs },
  );
  return { outcomes, sum };
}

/** Making groups of what is counted may take so long, milliseconds: at most 300,000 are kept. */
const concludeMs = 10_000;

/** The entry and the line of an occurrence that was counted over several stores. */
export async function placeInStores(
  { chained }: GroupPlace,
  stores: readonly { readonly context: ToolContext }[],
): Promise<{ readonly entry?: string; readonly line: number }> {
  const context = stores[chained?.corpus ?? -1]?.context;
  if (chained === undefined || context === undefined) return { line: 0 };
  const { store } = context.session;
  const entry = entryAt(store.entries, chained.offsetBytes);
  if (entry === undefined) return { line: 0 };
  const storeLine = await storeLineAtByte(store, chained.offsetBytes);
  return { entry: entry.id, line: storeLine - entry.lineNumber + 1 };
}

/** Number of the store's line that holds a byte of its text. Reads one block at most. */
async function storeLineAtByte(store: SessionStore, offsetBytes: number): Promise<number> {
  const { blocks } = await store.snapshot();
  const { byteStart, charStart, lineStart, count } = blocks;
  const block = Math.max(0, partitionPoint(count, (at) => byteStart[at]! <= offsetBytes) - 1);
  const lengthBytes = offsetBytes - (byteStart[block] ?? 0);
  // As many characters as bytes are enough, and mostly the same.
  const bytes = await store.readBytes(charStart[block] ?? 0, lengthBytes);
  let line = lineStart[block] ?? 1;
  for (const byte of bytes.subarray(0, lengthBytes)) if (byte === 10) line += 1;
  return line;
}
