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

/**
 * Searches stores one after the other, each for its share of the time that is left, by how much
 * text it has: a small one takes none from a large one, and what one saves the next may use. What
 * cannot
 * be read in one of them is that one's fault alone. @throws ProxyError `cancelled`, `shutting_down`
 */
export async function searchEach(
  stores: readonly { readonly context: ToolContext }[],
  deadlineMs: number,
  search: (index: number, deadlineMs: number) => Promise<SearchResult>,
): Promise<readonly StoreOutcome[]> {
  const outcomes: StoreOutcome[] = [];
  const clock = stores[0]?.context.clock;
  const untilMs = (clock?.elapsedMs() ?? 0) + deadlineMs;
  for (const index of stores.keys()) {
    const leftMs = untilMs - (clock?.elapsedMs() ?? 0);
    const shareMs = Math.max(1, leftMs * shareOf(stores.slice(index)));
    try {
      outcomes.push({ ok: true, result: await search(index, shareMs) });
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      if (error.code === 'cancelled' || error.code === 'shutting_down') throw error;
      outcomes.push({ ok: false, fault: error.message });
    }
  }
  return outcomes;
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
  let carried: CarriedCounts | undefined;
  const search = async (
    { context, query, by }: CountedStore,
    chain: { readonly corpus: number; readonly goesOn: boolean },
    limitMs: number,
  ): Promise<SearchResult> => {
    const asked = { ...query, aggregate: { ...aggregate, by, chain: { ...chain, carried } } };
    const corpus: Corpus = await context.session.store.snapshot();
    const options = { signal: context.signal, deadlineMs: limitMs };
    return context.search.search(corpus, asked, options);
  };
  const outcomes = await searchEach(stores, deadlineMs, async (index, limitMs) => {
    const result = await search(stores[index]!, { corpus: index, goesOn: true }, limitMs);
    carried = result.carried ?? carried;
    return result;
  });
  // Nothing is read any more: one of the workers makes groups of what was carried so far.
  const [first] = stores as readonly [CountedStore];
  const nothing = { ...first, query: { ...first.query, ranges: [] } };
  const sum = await search(nothing, { corpus: 0, goesOn: false }, concludeMs);
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
